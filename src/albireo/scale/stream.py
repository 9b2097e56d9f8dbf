"""The stars of a table file, read as they are asked for, so that there may be any number of them."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from albireo.bands import DEFAULT_BANDS
from albireo.catalog import DEFAULT_LABELS, Catalog
from albireo.errors import UserError
from albireo.scale.rows import open_rows
from albireo.tables import id_columns, naming_column

_NUM_CHECKED = 10_000


class CatalogFile:
    """Like a `Catalog` in that it has a length and slices, which are catalogues; only those are in memory.

    The first 10,000 rows are judged as `Catalog.read` judges a table, and say by which column all stars are called.
    Whatever the others hold, invalid values are left out and marked.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        bands: Sequence[str] = DEFAULT_BANDS,
        labels: Sequence[str] = DEFAULT_LABELS,
        rows: slice | None = None,
        prepare: Callable[..., Catalog] = lambda stars, checked: stars,  # noqa: ARG005, the signature is the point
    ):
        """Open a file and judge its first rows.

        Args:
            path: the file; its ending says which format.
            bands: bands to look for.
            labels: known labels to look for.
            rows: rows to take.
            prepare: what to do with every catalogue that is read, called with it and `checked=` (see
                `Catalog.from_table`), which is False for the first rows alone.

        Raises:
            UserError: the file cannot be read, or its table makes no sense.
        """
        self._path, self._bands, self._labels, self._prepare = path, bands, labels, prepare
        try:
            self._rows = open_rows(path)
            first = Catalog.from_table(self._rows[:_NUM_CHECKED], bands=bands, labels=labels)
            prepare(first, checked=False)
            self._names = _names_of(first)
        except UserError as error:
            message = str(error)
            raise UserError(message if str(path) in message else f"{path}: {message}") from None
        rows = rows or slice(None)
        self._start, stop, _ = rows.indices(len(self._rows))
        self._num = max(stop - self._start, 0)
        if not self._num:
            last = len(self._rows) - 1
            raise UserError(f"rows {rows.start}:{rows.stop} of {path} hold no star; it has rows 0 to {last}.")

    def __len__(self) -> int:
        return self._num

    def __getitem__(self, index: slice) -> Catalog:
        """The stars of a slice, in its order.

        Raises:
            UserError: the file cannot be read there.
        """
        start, stop, _ = index.indices(len(self))
        first = self._start + start
        try:
            table = self._rows[first : self._start + stop]
        except UserError as error:
            raise UnreadableRows(f"rows {first} to {self._start + stop - 1}: {error}") from None
        stars = Catalog.from_table(table, bands=self._bands, labels=self._labels, first_row=first, checked=True)
        return self._prepare(stars.named_by(self._names), checked=True)


def _names_of(first: Catalog) -> str | None:
    """The column that the first stars of a file can be called by, and so all are; None for their row numbers."""
    name, ids = naming_column(first.extra), id_columns(first.extra)
    if name is None and ids:
        warnings.warn(f"column {ids[0]} does not tell all stars apart; their row numbers do instead.", stacklevel=3)
    return name


class UnreadableRows(UserError):
    """Some rows of a file cannot be read; others may be."""
