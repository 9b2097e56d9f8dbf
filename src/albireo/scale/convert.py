"""The summary of a run as a FITS, VOTable or ECSV table, of any length: only some rows are in memory.

Every part is rendered by astropy as a table of its own; the first gives the head of the file, all give their rows.
Units, content descriptors and descriptions are those of `albireo.summary`.
"""

import io
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from astropy.io import fits
from astropy.io.votable.tree import Info, VOTableFile
from astropy.table import MaskedColumn, Table
from astropy.utils.exceptions import AstropyWarning

from albireo.errors import UserError
from albireo.output import write_whole
from albireo.scale.rows import from_arrow
from albireo.scale.summaries import Summary
from albireo.summary import FLAG_MEANINGS, TITLE, describe

_FITS_BLOCK = 2880


def convert(run: Path, output: Path) -> int:
    """Write the summary of a run in another format; returns how many stars it has.

    Args:
        run: the folder of a run of `albireo infer`, or its `summary.parquet`.
        output: the file to write; its ending says which format, `.fits`, `.vot`, `.xml` or `.ecsv`.

    Raises:
        UserError: there is no such run or format, or the file cannot be written.
    """
    write = WRITERS.get(output.suffix.lower())
    if write is None:
        raise UserError(
            f"{output} must end in {', '.join(WRITERS)}; the summary of a run is a Parquet table as it stands."
        )
    parts = _Parts(Summary(run))

    def write_parts(path: Path) -> None:
        with warnings.catch_warnings(), path.open("wb") as file:
            warnings.simplefilter("ignore", AstropyWarning)  # of names and units, which the tables hold all the same
            write(iter(parts), parts.num_rows, file)

    write_whole(output, write_parts, remedy="make room, or choose another folder")
    return parts.num_rows


def votable_metadata(table: Table) -> dict[bytes, bytes]:
    """Metadata of a Parquet file of a summary: a VOTable without rows, as TOPCAT and others read it (VOParquet 1.0).

    https://www.ivoa.net/documents/Notes/VOParquet/
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        head, _, rest = _votable(table[:1]).partition(b"<DATA>")
    content = head.rstrip() + rest.partition(b"</DATA>")[2]
    return {b"IVOA.VOTable-Parquet.version": b"1.0", b"IVOA.VOTable-Parquet.content": content}


class _Parts:
    """A summary as astropy tables, some rows at a time: texts as wide and integers masked alike in all of them."""

    def __init__(self, summary: Summary):
        self._summary, self.num_rows = summary, 0
        self._said = from_arrow(summary.schema.empty_table())  # about columns: units and texts
        kinds = {field.name: field.type for field in summary.schema}
        self._widths = {
            name: 1 for name, kind in kinds.items() if pa.types.is_string(kind) or pa.types.is_large_string(kind)
        }
        self._masked = set()
        checked = [name for name, kind in kinds.items() if not pa.types.is_floating(kind)]
        for batch in summary.batches(checked):
            self.num_rows += len(batch)
            self._masked |= {name for name in checked if batch[name].null_count}
            for name, width in self._widths.items():
                self._widths[name] = max(width, pc.max(pc.utf8_length(batch[name])).as_py() or 0)

    def __iter__(self) -> Iterator[Table]:
        for batch in self._summary.batches():
            table = Table({name: self._column(name, batch[name]) for name in batch.schema.names})
            describe(table)
            for name in table.colnames:
                said, info = self._said[name].info, table[name].info
                if said.description:
                    info.unit, info.description, info.meta = said.unit, said.description, said.meta
            yield table

    def _column(self, name: str, values: pa.Array) -> Any:
        empty = "" if name in self._widths else np.nan if pa.types.is_floating(values.type) else 0
        filled = np.asarray(values.fill_null(empty).to_numpy(zero_copy_only=False))
        if name in self._widths:
            filled = filled.astype(f"U{self._widths[name]}")
        if name not in self._masked:
            return filled
        column = MaskedColumn(filled, mask=np.asarray(values.is_null()))
        if filled.dtype.kind in "iu":  # what stands for a missing integer must not be one
            column.fill_value = np.iinfo(filled.dtype).min or np.iinfo(filled.dtype).max
        return column


def _write_fits(parts: Iterator[Table], num_rows: int, file: IO[bytes]) -> None:
    for number, table in enumerate(parts):
        table = _in_ascii(table)
        table.meta = {"comments": [TITLE, *FLAG_MEANINGS]}
        rendered = io.BytesIO()
        table.write(rendered, format="fits")
        with fits.open(io.BytesIO(rendered.getvalue())) as hdus:
            header, info = hdus[1].header, hdus.fileinfo(1) or {}
        if not number:
            _complete(header, table, num_rows)
            file.write(rendered.getvalue()[: info["hdrLoc"]] + header.tostring().encode("ascii"))
        size = header["NAXIS1"] * len(table)
        file.write(rendered.getvalue()[info["datLoc"] : info["datLoc"] + size])
    file.write(bytes(-file.tell() % _FITS_BLOCK))


def _in_ascii(table: Table) -> Table:
    """The table with all that FITS cannot hold replaced by question marks."""
    table = table.copy()
    for name in table.colnames:
        if table[name].dtype.kind == "U":
            texts = np.asarray(np.ma.filled(table[name].data, ""))
            table[name][:] = np.char.encode(texts, "ascii", "replace").astype(str)
    return table


def _complete(header: fits.Header, table: Table, num_rows: int) -> None:
    """Say how many rows there are in all, and what the columns are in the keywords that TOPCAT reads."""
    header["NAXIS2"] = num_rows
    for number, column in enumerate(table.itercols(), start=1):
        if column.info.description:
            header[f"TCOMM{number}"] = column.info.description
        if ucd := (column.info.meta or {}).get("ucd"):
            header[f"TUCD{number}"] = ucd


def _write_votable(parts: Iterator[Table], num_rows: int, file: IO[bytes]) -> None:  # noqa: ARG001
    tail = b""
    for number, table in enumerate(parts):
        head, start, rest = _votable(table).partition(b"<TABLEDATA>")
        rows, end, tail = rest.rpartition(b"</TABLEDATA>")
        file.write((b"" if number else head + start) + rows.rstrip())
    file.write(b"\n" + end + tail)


def _votable(table: Table) -> bytes:
    tree = VOTableFile.from_table(table)
    tree.resources[0].tables[0].description = TITLE
    tree.resources[0].infos.extend(Info(name="flags", value=meaning) for meaning in FLAG_MEANINGS)
    rendered = io.BytesIO()
    tree.to_xml(rendered)
    head, data, rest = rendered.getvalue().partition(b"<DATA>")
    # Astropy breaks long descriptions into lines, and reads the line breaks as part of them.
    return re.sub(rb"(?s)<DESCRIPTION>.*?</DESCRIPTION>", lambda found: b" ".join(found[0].split()), head) + data + rest


def _write_ecsv(parts: Iterator[Table], num_rows: int, file: IO[bytes]) -> None:  # noqa: ARG001
    for number, table in enumerate(parts):
        table.meta = {"comments": [TITLE, *FLAG_MEANINGS]}
        rendered = io.StringIO()
        table.write(rendered, format="ascii.ecsv")
        lines = rendered.getvalue().splitlines(keepends=True)
        num_head = next(i for i, line in enumerate(lines) if not line.startswith("#")) + 1
        file.write("".join(lines[num_head if number else 0 :]).encode())


WRITERS: dict[str, Callable[[Iterator[Table], int, IO[bytes]], None]] = {
    ".fits": _write_fits,
    ".vot": _write_votable,
    ".xml": _write_votable,
    ".ecsv": _write_ecsv,
}
"""What writes the parts of a table into a file, by its ending."""
