"""Folders to write into: refused before any work is done, and written whole or not at all."""

import os
from collections.abc import Mapping
from pathlib import Path

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


def write_files(output: Path, contents: Mapping[str, bytes]) -> None:
    """Write files into a folder, which is made if need be: all of them, or none.

    Raises:
        UserError: one could not be written.
    """
    written, is_new = [], not output.exists()
    try:
        output.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            written.append(output / name)
            written[-1].write_bytes(content)
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        if is_new and output.is_dir():
            output.rmdir()
        raise UserError(f"{output} cannot be written: {error.strerror}; choose another folder.") from None
