"""A run over a catalogue in chunks, each written whole, so that a killed run goes on where it stopped.

While a run lasts, its folder holds `run.json`, what was asked for, and `chunks/00000.parquet` and so on, the summaries
of the chunks that are done. When all are, they become `summary.parquet`: where it is, the run is complete.
"""

import contextlib
import json
import shutil
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import Table, hstack, vstack

from albireo.catalog import Catalog
from albireo.errors import UserError
from albireo.output import check_writable
from albireo.tables import id_columns

if TYPE_CHECKING:
    from albireo.posterior import Posterior

CHUNK_SIZE = 256
"""Stars in a chunk: a minute or two of NUTS on two cores, which is all that a killed run loses."""

SMALL_RUN = 200
"""Up to so many stars `albireo infer` keeps the draws unasked."""

_MANIFEST, _SUMMARY, _POSTERIOR, _CHUNKS = "run.json", "summary.parquet", "posterior.nc", "chunks"


def check_output(output: Path, *, resume: bool) -> None:
    """Refuse an output folder that could not be written or that holds another run; nothing is created yet.

    Raises:
        UserError: as said.
    """
    check_writable(output)
    held = [name for name in (_MANIFEST, _SUMMARY, _POSTERIOR, _CHUNKS) if (output / name).exists()]
    if held and not resume:
        raise UserError(
            f"{output} already holds a run ({held[0]}); choose another folder, or go on with that run with --resume."
        )
    if held and not (output / _MANIFEST).is_file():
        raise UserError(f"{output} holds {held[0]} but no {_MANIFEST}, so it cannot be resumed; choose another folder.")


def infer_in_chunks(
    catalog: Catalog,
    infer: Callable[[Catalog], "Posterior"],
    output: Path,
    settings: dict[str, Any],
    *,
    resume: bool = False,
    keep_draws: bool = False,
    chunk_size: int = CHUNK_SIZE,
    skipped: Callable[[int], None] | None = None,
) -> None:
    """Infer all stars of a catalogue and write `summary.parquet` and, if asked, `posterior.nc`.

    Args:
        catalog: the stars.
        infer: what to do with each chunk of them.
        output: the folder to write.
        settings: whatever determines the result, as plain JSON values; a run can only be resumed with the same.
        resume: go on with the run that the folder holds, if any.
        keep_draws: write `posterior.nc` too; all stars are then one chunk.
        chunk_size: stars in a chunk.
        skipped: called with the number of stars of every chunk that was done before.

    Raises:
        UserError: the folder cannot be written, or holds another run.
    """
    check_output(output, resume=resume)
    size = len(catalog) if keep_draws else chunk_size
    settings = {**settings, "stars": len(catalog), "draws": keep_draws, "chunk_size": size}
    if (output / _MANIFEST).exists():
        _check_manifest(output, settings)
    if (output / _SUMMARY).exists():
        return
    starts = range(0, len(catalog), size)
    paths = [output / _CHUNKS / f"{number:05}.parquet" for number in range(len(starts))]
    for start, path in zip(starts, paths, strict=True):
        stars = catalog[start : start + size]
        if path.exists():
            if skipped is not None:
                skipped(len(stars))
            continue
        posterior = infer(stars)
        _prepare(output, settings)
        if keep_draws:
            _write_whole(output / _POSTERIOR, posterior.save)
        _write_whole(path, _summary(posterior, stars).write)
    summary = vstack([Table.read(path) for path in paths], metadata_conflicts="silent")
    _write_whole(output / _SUMMARY, summary.write)
    shutil.rmtree(output / _CHUNKS)


def _summary(posterior: "Posterior", stars: Catalog) -> Table:
    """The posterior's summary behind the id columns of the stars and their row in the input."""
    ids = Table({name: _plain(stars.extra[name]) for name in id_columns(stars.extra)} | {"row": stars.row})
    summary = Table(posterior.summary())
    summary.remove_columns([name for name in ids.colnames if name in summary.colnames])
    summary.meta = {}
    return hstack([ids, summary])


def _plain(ids) -> np.ndarray:
    """Strings or integers without a mask, in a type that any reader of Parquet knows; a missing id is "" or -1 or 0."""
    if ids.dtype.kind in "iu":
        return np.ma.filled(ids.data, -1 if ids.dtype.kind == "i" else 0)
    missing = np.ma.getmaskarray(ids.data) | np.array([entry is None for entry in ids])
    return np.where(missing, "", [entry.decode() if isinstance(entry, bytes) else str(entry) for entry in ids])


def _prepare(output: Path, settings: dict[str, Any]) -> None:
    """Make the folder and its manifest; the first chunk that is done calls for them."""
    try:
        (output / _CHUNKS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"the output folder {output} cannot be made: {error.strerror}; choose another.") from None
    if not (output / _MANIFEST).exists():
        manifest = {"versions": _versions(), "settings": settings}
        _write_whole(output / _MANIFEST, lambda path: path.write_text(json.dumps(manifest, indent=2) + "\n"))


def _check_manifest(output: Path, settings: dict[str, Any]) -> None:
    path = output / _MANIFEST
    try:
        manifest = json.loads(path.read_text())
        before = {"albireo": manifest["versions"]["albireo"], **manifest["settings"]}
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{path} is damaged, so the run cannot be resumed; choose another folder.") from None
    now = {"albireo": _versions()["albireo"], **json.loads(json.dumps(settings))}
    for name in [*before, *now]:
        if before.get(name) != now.get(name):
            raise UserError(
                f"{output} was started with {name} {before.get(name)!r}, now it is {now.get(name)!r}; "
                "resume with what it was started with, or choose another folder."
            )


def _write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Write under another name with the same ending, then rename: a file by this name is always complete."""
    partial = path.with_name(f"partial-{path.name}")
    try:
        partial.unlink(missing_ok=True)
        write(partial)
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise UserError(
            f"{path} cannot be written ({error.strerror or error}); make room and go on with --resume."
        ) from None


def _versions() -> dict[str, str]:
    versions = {}
    for package in ("albireo", "jax", "numpy", "blackjax", "dynesty", "arviz"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return versions
