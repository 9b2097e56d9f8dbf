"""`run.json` of a folder: what a run was asked for, so that it goes on only with the same."""

import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from albireo.errors import UserError
from albireo.output import check_writable, write_whole

MANIFEST, SUMMARY, CHUNKS = "run.json", "summary.parquet", "chunks"
POSTERIOR, DRAWS, COMPRESSED = "posterior.nc", "posterior", "compressed.parquet"
DATASET, PARTITIONS = "dataset", "partitions"
_OF_RUNS = (MANIFEST, SUMMARY, POSTERIOR, DRAWS, COMPRESSED, CHUNKS, DATASET, PARTITIONS)


def check_output(output: Path, *, resume: bool) -> None:
    """Refuse an output folder that could not be written or that holds another run; nothing is created yet.

    Raises:
        UserError: as said.
    """
    check_writable(output)
    held = [name for name in _OF_RUNS if (output / name).exists()]
    if held and not resume:
        raise UserError(
            f"{output} already holds a run ({held[0]}); choose another folder, or go on with that run with --resume."
        )
    if held and not (output / MANIFEST).is_file():
        raise UserError(f"{output} holds {held[0]} but no {MANIFEST}, so it cannot be resumed; choose another folder.")


def begin_run(output: Path, settings: dict[str, Any]) -> None:
    """Write the manifest, before anything else; the first chunk that is done calls for it."""
    if not (output / MANIFEST).exists():
        manifest = {"versions": _versions(), "settings": settings}
        write_whole(output / MANIFEST, lambda path: path.write_text(json.dumps(manifest, indent=2) + "\n"))


def check_manifest(output: Path, settings: dict[str, Any]) -> None:
    """Refuse to go on with a run of other settings or of another version of albireo.

    Raises:
        UserError: as said.
    """
    path = output / MANIFEST
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


def _versions() -> dict[str, str]:
    versions = {}
    for package in ("albireo", "jax", "numpy", "blackjax", "dynesty", "arviz"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return versions
