"""Reading the summary of a run of any size, some rows at a time."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
from pyarrow import dataset, parquet

from albireo.errors import UserError
from albireo.scale.manifest import DATASET, SUMMARY

_NUM_ROWS = 8192


class Summary:
    """The summary of a finished run, of which batches of rows are read.

    Attributes:
        schema: its columns.
    """

    def __init__(self, run: Path):
        """Open the summary of a run.

        Args:
            run: the folder of a run, over a file or a HATS catalogue, or its `summary.parquet`.

        Raises:
            UserError: there is no summary, or it is damaged.
        """
        places = (run, run / SUMMARY) if run.suffix == ".parquet" else (run / SUMMARY,)
        self._path = next((path for path in places if path.is_file()), run / DATASET)
        if not self._path.exists():
            raise UserError(f"{run} holds no {SUMMARY}; give the folder of a finished run of `albireo infer`.")
        with self._reading():
            parts = dataset.dataset(self._path, format="parquet", exclude_invalid_files=self._path.is_dir())
        self.schema: pa.Schema = parts.schema
        self._files = parts.files

    def __str__(self) -> str:
        return str(self._path)

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """All rows, in their order, some at a time: the columns asked for, or all.

        Raises:
            UserError: the file lacks a column, or is damaged.
        """
        missing = [name for name in columns or () if name not in self.schema.names]
        if missing:
            raise UserError(f"{self} has no column {missing[0]}; infer the stars again with this version.")
        columns = None if columns is None else list(columns)
        with self._reading():
            for path in self._files:
                with parquet.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False) as file:
                    yield from file.iter_batches(batch_size=_NUM_ROWS, columns=columns)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError) as error:
            raise UserError(f"{self} could not be read ({error}); infer the stars again.") from None
