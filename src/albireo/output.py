"""Folders to write into: refused before any work is done, and written whole or not at all."""

import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from albireo.errors import UserError


def check_writable(output: Path) -> None:
    """Refuse a folder that could not be written; nothing is created yet.

    Raises:
        UserError: as said.
    """
    existing = next(path for path in (output, *output.absolute().parents) if os.path.lexists(path))
    if not existing.is_dir():
        raise UserError(f"the output folder {output} cannot be made: {existing} is not a folder; choose another.")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(f"the output folder {output} cannot be written: no permission in {existing}; choose another.")
    if existing != output:
        try:
            output.mkdir(parents=True)
            for path in (output, *output.absolute().parents):
                if path == existing.absolute():
                    break
                path.rmdir()
        except OSError as error:
            raise UserError(f"the output folder {output} cannot be made: {error.strerror}; choose another.") from None


def check_empty(output: Path) -> None:
    """Refuse a folder that could not be written or that holds anything; nothing is created yet.

    Raises:
        UserError: as said.
    """
    check_writable(output)
    held = sorted(path.name for path in output.iterdir()) if output.is_dir() else []
    if held:
        raise UserError(f"{output} is not empty, it holds {held[0]}; choose another folder.")


def write_files(output: Path, contents: Mapping[str, bytes | Callable[[Path], Any]]) -> None:
    """Write files into a folder, which is made if need be: all of them, or none.

    Args:
        output: the folder.
        contents: what each file holds, or what writes the file of the path that it is given.

    Raises:
        UserError: one could not be written.
    """
    written, is_new = [], not output.exists()
    try:
        output.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            written.append(output / name)
            if isinstance(content, bytes):
                written[-1].write_bytes(content)
            else:
                content(written[-1])
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        if is_new and output.is_dir():
            output.rmdir()
        cause = error.strerror or error
        raise UserError(f"{output} cannot be written ({cause}); make room, or choose another folder.") from None


def write_whole(path: Path, write: Callable[[Path], Any], remedy: str = "make room and go on with --resume") -> None:
    """Write a file under another name with the same ending, to the disk itself, then rename it.

    A file by this name is always complete, even after a power cut.

    Args:
        path: the file.
        write: writes the file of the path that it is given.
        remedy: what to do where the file cannot be written.

    Raises:
        UserError: it could not be written; nothing is left of it.
    """
    partial = path.with_name(f"partial-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)
        write(partial)
        _sync(partial)
        partial.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror or error}); {remedy}.") from None
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Wait until a file, or what names a folder holds, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
