"""A run over a catalogue in chunks, each written whole, so that a killed run goes on where it stopped.

While a run lasts, its folder holds `run.json`, what was asked for, and `chunks/00000.parquet` and so on, the summaries
of the chunks that are done. When all are, they become `summary.parquet`: where it is, the run is complete.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
from astropy.table import Table, hstack

from albireo.catalog import Catalog
from albireo.errors import UserError
from albireo.output import write_whole
from albireo.scale.convert import votable_metadata
from albireo.scale.manifest import (
    CHUNKS,
    COMPRESSED,
    DRAWS,
    MANIFEST,
    POSTERIOR,
    SUMMARY,
    begin_run,
    check_manifest,
    check_output,
)
from albireo.scale.parts import join_parts
from albireo.scale.rows import from_arrow
from albireo.scale.stream import CatalogFile, UnreadableRows
from albireo.summary import describe
from albireo.tables import id_columns

if TYPE_CHECKING:
    from albireo.posterior import Posterior

CHUNK_SIZE = 256
"""Stars in a chunk: a minute or two of NUTS on two cores, which is all that a killed run loses."""

SMALL_RUN = 200
"""Up to so many stars `albireo infer` keeps the draws unasked."""


def infer_in_chunks(
    catalog: "Catalog | CatalogFile",
    infer: Callable[[Catalog], "Posterior"],
    output: Path,
    settings: dict[str, Any],
    *,
    resume: bool = False,
    keep_draws: bool = False,
    keep_compressed: bool = False,
    chunk_size: int = CHUNK_SIZE,
    skipped: Callable[[int], None] | None = None,
) -> None:
    """Infer all stars of a catalogue and write `summary.parquet` and, if asked, their draws.

    Args:
        catalog: the stars; of a `CatalogFile` only two chunks are in memory.
        infer: what to do with each chunk of them.
        output: the folder to write.
        settings: whatever determines the result, as plain JSON values; a run can only be resumed with the same.
        resume: go on with the run that the folder holds, if any.
        keep_draws: write `posterior.nc` too, or `posterior/00000.nc` and so on where there are several chunks.
        keep_compressed: write `compressed.parquet` too, see `albireo.compress`.
        chunk_size: stars in a chunk.
        skipped: called with the number of stars of every chunk that was done before.

    Raises:
        UserError: the folder cannot be written, or holds another run; or some rows of the file could not be read, in
            which case all other stars are in `summary.parquet`.
    """
    check_output(output, resume=resume)
    settings = {**settings, "stars": len(catalog), "draws": keep_draws, "chunk_size": chunk_size}
    settings |= {"compressed": True} if keep_compressed else {}
    if (output / MANIFEST).exists():
        check_manifest(output, settings)
    if (output / SUMMARY).exists():
        shutil.rmtree(output / CHUNKS, ignore_errors=True)
        return
    chunks = _chunks(output, len(catalog), chunk_size)
    to_do = {path: rows for path, rows in chunks.items() if not path.exists()}
    if skipped is not None:
        for path in chunks.keys() - to_do.keys():
            skipped(chunks[path].stop - chunks[path].start)
    unreadable: list[str] = []
    for path, read in _read_ahead(catalog, to_do):
        try:
            stars = read()
        except UnreadableRows as error:
            unreadable.append(str(error))
            continue
        posterior = infer(stars)
        begin_run(output, settings)
        if keep_draws:
            number = "" if len(chunks) == 1 else path.stem
            write_whole(_draws_path(output, number), posterior.save)
        if keep_compressed:
            _write_compressed(_compressed_path(path), posterior)
        write_whole(path, _summary(posterior, stars).write)  # the last, for it says that the chunk is done
    _finish(output, [path for path in chunks if path.exists()], unreadable)


def _chunks(output: Path, num_stars: int, size: int) -> dict[Path, slice]:
    """Every chunk's file and stars."""
    starts = range(0, num_stars, size)
    return {
        output / CHUNKS / f"{number:05}.parquet": slice(start, min(start + size, num_stars))
        for number, start in enumerate(starts)
    }


def _read_ahead(
    catalog: "Catalog | CatalogFile", chunks: dict[Path, slice]
) -> Iterator[tuple[Path, Callable[[], Catalog]]]:
    """Every chunk's file and a function that returns its stars; the next chunk is read meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        ahead = None
        for path, rows in chunks.items():
            submitted = path, pool.submit(catalog.__getitem__, rows)
            if ahead is not None:
                yield ahead[0], ahead[1].result
            ahead = submitted
        if ahead is not None:
            yield ahead[0], ahead[1].result


def _draws_path(output: Path, number: str) -> Path:
    return output / DRAWS / f"{number}.nc" if number else output / POSTERIOR


def _compressed_path(chunk: Path) -> Path:
    return chunk.with_name(f"compressed-{chunk.name}")


def _write_compressed(path: Path, posterior: "Posterior") -> None:
    from pyarrow import parquet

    from albireo.compress import compress

    table = compress(posterior)
    write_whole(path, lambda path: parquet.write_table(table, path))


def _finish(output: Path, parts: list[Path], unreadable: list[str]) -> None:
    """Make one table of the chunks' summaries; the chunks go when it is there."""
    if not parts:
        raise UserError(unreadable[0])
    compressed = [path for path in map(_compressed_path, parts) if path.exists()]
    if compressed:
        write_whole(output / COMPRESSED, lambda path: join_parts(compressed, path))
    write_whole(output / SUMMARY, lambda path: join_parts(parts, path, lambda rows: votable_metadata(from_arrow(rows))))
    shutil.rmtree(output / CHUNKS)
    if unreadable:
        manifest = json.loads((output / MANIFEST).read_text()) | {"unreadable": unreadable}
        write_whole(output / MANIFEST, lambda path: path.write_text(json.dumps(manifest, indent=2) + "\n"))
        raise UserError(
            f"{len(unreadable)} chunks could not be read and are not in {output / SUMMARY}, which holds all others: "
            f"{unreadable[0]}"
        )


def _summary(posterior: "Posterior", stars: Catalog) -> Table:
    """The posterior's summary behind the id columns of the stars, their row in the input and their position."""
    ids = Table({name: _plain(stars.extra[name]) for name in id_columns(stars.extra)} | {"row": stars.row})
    ids["glon"], ids["glat"] = stars.glon * u.deg, stars.glat * u.deg
    summary = Table(posterior.summary())
    summary.remove_columns([name for name in ids.colnames if name in summary.colnames])
    summary.meta = {}
    table = hstack([ids, summary])
    describe(table)
    return table


def _plain(ids) -> np.ndarray:
    """Strings or integers without a mask, in a type that any reader of Parquet knows; a missing id is "" or -1 or 0."""
    if ids.dtype.kind in "iu":
        return np.ma.filled(ids.data, -1 if ids.dtype.kind == "i" else 0)
    missing = np.ma.getmaskarray(ids.data) | np.array([entry is None for entry in ids])
    return np.where(missing, "", [entry.decode() if isinstance(entry, bytes) else str(entry) for entry in ids])
