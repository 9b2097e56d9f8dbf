"""One Parquet file made of many of the same columns, without holding them all."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from albireo.errors import UserError

# Rows that are compressed and indexed together in the file that is made.
_ROW_GROUP = 1 << 16
# Astropy keeps the length of the longest text of a column here, and cuts off what is longer.
_TEXT_LENGTH = b"table::len::"


def join_parts(
    parts: Sequence[Path], path: Path, metadata: Callable[[pa.Table], Mapping[bytes, bytes]] | None = None
) -> None:
    """Write the rows of all parts into one file, in their order.

    Args:
        parts: the files.
        path: the file to write.
        metadata: what to add to the metadata of the first part, which it is called with, for all parts.

    Raises:
        UserError: a part is damaged.
    """
    schema = _schema(parts)

    def read(part: Path) -> pa.Table:
        return parquet.read_table(part).cast(schema)

    if metadata is not None:
        added = metadata(_read(parts[0], read))
        schema = schema.with_metadata({**(schema.metadata or {}), **added})
    with parquet.ParquetWriter(path, schema, version="2.4") as writer:
        held: list[pa.Table] = []
        for part in parts:
            held.append(_read(part, read))
            if sum(map(len, held)) >= _ROW_GROUP:
                writer.write_table(pa.concat_tables(held))
                held = []
        if held:
            writer.write_table(pa.concat_tables(held))


def _schema(parts: Iterable[Path]) -> pa.Schema:
    """The schema of the first part, with the greatest lengths of texts among all."""
    first, *others = parts
    schema = _read(first, parquet.read_schema)
    metadata = dict(schema.metadata or {})
    lengths = [name for name in metadata if name.startswith(_TEXT_LENGTH)]
    for part in others if lengths else ():  # one after the other: of a hundred thousand parts, schemas are gigabytes
        other = _read(part, parquet.read_schema).metadata
        metadata |= {name: max(metadata[name], other[name], key=int) for name in lengths}
    return schema.with_metadata(metadata)


def _read(part: Path, reader):
    try:
        return reader(part)
    except (pa.ArrowException, OSError) as error:
        cause = " ".join(str(error).split())[:200]
        raise UserError(f"{part} is damaged ({cause}); delete it and go on with --resume.") from None
