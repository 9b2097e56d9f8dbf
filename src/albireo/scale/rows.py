"""Rows of a table file, some at a time, so that a file need not fit into memory: FITS, Parquet and CSV.

A part of a file is read as if it were a file of its own, by the reader of whole files: units, missing values and types
come out alike. Files of other formats are read whole, once.
"""

import io
import itertools
import warnings
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits
from astropy.table import Table
from astropy.utils.exceptions import AstropyWarning

from albireo.errors import UserError
from albireo.tables import check_csv, is_id_name, read_table, reading, to_astropy

if TYPE_CHECKING:
    import pyarrow as pa

_SKIPPED_AT_ONCE = 100_000


class Rows(ABC):
    """A table of which any rows can be read; consecutive ones quickly."""

    def __init__(self, path: Path):
        self.path = path

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def _read(self, start: int, stop: int) -> Table: ...

    def __getitem__(self, rows: slice) -> Table:
        """Rows from `start` up to, not with, `stop`.

        Raises:
            UserError: they cannot be read.
        """
        start, stop, _ = rows.indices(len(self))
        with reading(self.path):
            return self._read(start, stop)


def open_rows(path: str | Path) -> Rows:
    """Open a table file; the name's ending says which format.

    Raises:
        UserError: no such file, an unknown ending, or a file that is not what its ending says.
    """
    path = Path(path)
    with reading(path) as file_format, warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        if file_format == "parquet":
            return ParquetRows(path)
        if file_format == "ascii.csv":
            return CsvRows(path)
        if file_format == "fits" and FitsRows.can_read(path):
            return FitsRows(path)
    return WholeTable(path)


class WholeTable(Rows):
    """A file that is read whole."""

    def __init__(self, path: Path):
        super().__init__(path)
        self._table = read_table(path)

    def __len__(self) -> int:
        return len(self._table)

    def _read(self, start: int, stop: int) -> Table:
        return Table(self._table[start:stop], copy=False)


class FitsRows(Rows):
    """The first table of a FITS file; it is opened for every read, so that no pages stay mapped."""

    def __init__(self, path: Path):
        super().__init__(path)
        with fits.open(path, memmap=True) as hdus:
            table = _first_table(hdus)
            self._num_rows = int(table.header["NAXIS2"])
            end = table.fileinfo()["datLoc"] + table.header["NAXIS1"] * self._num_rows
        if path.stat().st_size < end:
            raise OSError(f"it ends after {path.stat().st_size} of at least {end} bytes")

    @staticmethod
    def can_read(path: Path) -> bool:
        """Whether the file is neither compressed nor has columns that keep their values in another place."""
        with fits.open(path, memmap=True) as hdus:
            table, info = _first_table(hdus), hdus.fileinfo(0) or {}
            plain = "file" in info and info["file"].compression is None
            return plain and isinstance(table, fits.BinTableHDU) and not table.header["PCOUNT"]

    def __len__(self) -> int:
        return self._num_rows

    def _read(self, start: int, stop: int) -> Table:
        with fits.open(self.path, memmap=True) as hdus:
            table = _first_table(hdus)
            part = fits.BinTableHDU(data=table.data[start:stop].copy(), header=table.header.copy())
            return Table.read(part)


def _first_table(hdus: fits.HDUList) -> Any:
    table = next((hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU | fits.TableHDU)), None)
    if table is None:
        raise OSError("it holds no table")
    return table


class _Stream(Rows):
    """A file that can only be read onwards: it is begun anew where rows before the last ones are wanted."""

    def __init__(self, path: Path):
        super().__init__(path)
        self._position: int | None = None
        self._close: Callable[[], object] = lambda: None

    def _keep_open(self, file):
        """The file, which is closed when another is opened in its place, or with this object."""
        self._close()
        self._close = weakref.finalize(self, file.close)
        return file

    @abstractmethod
    def _begin(self, start: int) -> int:
        """Begin reading at this row or, if need be, before; returns where."""

    @abstractmethod
    def _next(self, count: int) -> Table:
        """The next rows: this many, of which the file is known to have them."""

    def _read(self, start: int, stop: int) -> Table:
        if self._position is None or self._position > start:
            self._position = self._begin(start)
        position, self._position = self._position, None  # after an error the place is not known
        while position < start:
            skipped = min(_SKIPPED_AT_ONCE, start - position)
            self._next(skipped)
            position += skipped
        table = self._next(stop - start)
        self._position = stop
        return table


class ParquetRows(_Stream):
    """A Parquet file, read by row groups and within them by pages."""

    def __init__(self, path: Path):
        super().__init__(path)
        from pyarrow import parquet

        with parquet.ParquetFile(path) as file:
            sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
            self._schema = file.schema_arrow
        self._starts = np.cumsum([0, *sizes])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def _begin(self, start: int) -> int:
        from pyarrow import parquet

        first = max(int(np.searchsorted(self._starts, start, side="right")) - 1, 0)
        file = self._keep_open(parquet.ParquetFile(self.path, buffer_size=1 << 20, pre_buffer=False))
        # Group after group, so that a damaged one does not spoil rows of the one before.
        groups = (file.iter_batches(batch_size=1024, row_groups=[i]) for i in range(first, file.num_row_groups))
        self._batches, self._left = itertools.chain.from_iterable(groups), None
        return int(self._starts[first])

    def _next(self, count: int) -> Table:
        import pyarrow as pa

        parts, missing = [], count
        while missing:
            batch = next(self._batches) if self._left is None else self._left
            parts.append(batch[:missing])
            self._left = batch[missing:] if missing < len(batch) else None
            missing -= len(parts[-1])
        return from_arrow(pa.Table.from_batches(parts, self._schema))


def from_arrow(table: "pa.Table") -> Table:
    """An Arrow table as an astropy Table, with the units that astropy has put into the schema of what it wrote."""
    import pandas as pd
    import pyarrow as pa
    from pyarrow import parquet

    if b"table_meta_yaml" in (table.schema.metadata or {}):
        sink = pa.BufferOutputStream()
        parquet.write_table(table, sink)
        return Table.read(io.BytesIO(sink.getvalue()), format="parquet")
    # Integers stay integers where some are missing, in these rows or in others.
    integers = {getattr(pa, name.lower())(): getattr(pd, f"{name}Dtype")() for name in _INTEGERS}
    return to_astropy(table.to_pandas(types_mapper=integers.get, ignore_metadata=True))


_INTEGERS = [f"{sign}Int{bits}" for sign, bits in itertools.product(("", "U"), (8, 16, 32, 64))]


class CsvRows(_Stream):
    """A CSV file. It is read through once at first, to count its rows and to see what types its id columns are of."""

    def __init__(self, path: Path):
        super().__init__(path)
        check_csv(path)
        ids = [name for name in self._open(nrows=0).columns if is_id_name(name)]
        integer, self._num_rows = set(ids), 0
        with self._open(usecols=ids or [0], dtype=str, chunksize=_SKIPPED_AT_ONCE) as parts:
            for part in parts:
                integer = {name for name in integer if _are_integers(part[name])}
                self._num_rows += len(part)
        self._types = {name: "Int64" if name in integer else str for name in ids}

    def __len__(self) -> int:
        return self._num_rows

    def _open(self, **options):
        import pandas as pd

        try:
            return pd.read_csv(self.path, index_col=False, encoding="utf-8-sig", low_memory=False, **options)
        except pd.errors.EmptyDataError:
            raise UserError("the table is empty; give one with at least one star.") from None

    def _begin(self, start: int) -> int:  # noqa: ARG002, lines can only be counted from the first
        self._reader = self._keep_open(self._open(dtype=self._types, iterator=True))
        return 0

    def _next(self, count: int) -> Table:
        frame = self._reader.get_chunk(count)
        texts = [name for name, kind in self._types.items() if kind is str]
        return to_astropy(frame.fillna(dict.fromkeys(texts, "")))


def _are_integers(texts) -> bool:
    """Whether these texts, where there are any, all spell integers of 64 bits."""
    given = texts.dropna()
    return bool(given.str.fullmatch(r"-?\d{1,18}").all())
