"""What a run was made from, so that it can be told whether that is still the same."""

import hashlib
from pathlib import Path
from typing import Any


def fingerprint(source: str | Path) -> dict[str, str]:
    """A name, or a file's path and contents: what must not change while a run is resumed."""
    path = Path(source)
    if not path.is_file():
        return {"name": str(source)}
    with path.open("rb") as file:
        return {"path": str(path.resolve()), "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def digest(tree: Any) -> str:
    """A hash of all numbers in an object, wherever they were read from."""
    import jax
    import numpy as np

    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()
