"""Compiled code, kept between sessions: compiling takes a minute, running what is compiled a second.

And results kept between sessions or between calls, where the next is like to ask the same.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any
from uuid import uuid4

import jax
import jax.numpy as jnp
import numpy as np
from platformdirs import user_cache_dir
from safetensors import SafetensorError
from safetensors.numpy import load_file, save, save_file

from albireo.fingerprint import digest

# Faster to compile again than to read [s].
_MIN_COMPILE_TIME = 0.2
# Of the pieces of memory that Linux lets a process map, the share that compiled programs may take.
_MOST_MAPS = 0.5
_MAPS, _MAX_MAPS = Path("/proc/self/maps"), Path("/proc/sys/vm/max_map_count")


def keep_compiled_code() -> None:
    """Let JAX keep compiled code in the user's cache folder, unless it keeps it elsewhere, and make room for more.

    `JAX_COMPILATION_CACHE_DIR` names another folder; `JAX_ENABLE_COMPILATION_CACHE=0` keeps nothing.
    """
    if jax.config.jax_compilation_cache_dir is None and (folder := cache_folder()) is not None:
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", _MIN_COMPILE_TIME)
    make_room_for_programs()


def make_room_for_programs() -> None:
    """Forget compiled programs where there are so many that Linux would soon end this process.

    Every loop of a program is mapped in three pieces of memory, a sampler in some thousand, of which a process may have
    65,530: a dozen problems of different shapes in one session would be too many.
    """
    try:
        num, most = _MAPS.read_bytes().count(b"\n"), int(_MAX_MAPS.read_text())
    except OSError:  # another system, without such a limit
        return
    if num > _MOST_MAPS * most:
        jax.clear_caches()


def cache_folder() -> Path | None:
    """Where compiled code and results are kept; None if they are not, or not in a folder of this machine."""
    set_by_user = jax.config.jax_compilation_cache_dir or ""
    if not jax.config.jax_enable_compilation_cache or "://" in set_by_user:
        return None
    return Path(set_by_user or Path(user_cache_dir("albireo", appauthor=False)) / "jax")


def keep_result(like: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Keep what a slow, pure function returns in the cache folder, for all sessions that ask it the same.

    That is the same numbers, of the same code: that of the whole package with its data, in the same version of JAX. So
    nothing is kept that is asked of objects of another package, nor inside `jax.jit`. A file that is lost or damaged is
    made anew.

    Args:
        like: anything in the structure of the result, which must be arrays alone.
    """

    def keep(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def keeping(*arguments: Any) -> Any:
            folder, (leaves, structure) = cache_folder(), jax.tree.flatten(arguments)
            known = all(map(_is_number, leaves)) and all(map(_is_ours, _types(structure)))
            if folder is None or _CODE is None or not known:
                return function(*arguments)
            forms = [(np.shape(leaf), str(np.asarray(leaf).dtype)) for leaf in leaves]
            settings = [getattr(jax.config, name) for name in _SETTINGS]
            asked = function.__qualname__, _CODE, structure, forms, settings
            name = hashlib.sha256(f"{asked} {digest(arguments)}".encode()).hexdigest()
            path = folder / "results" / f"{name}.safetensors"
            with suppress(OSError, SafetensorError, KeyError):
                arrays = load_file(path)
                if np.array_equal(arrays.pop(_CHECK), _checksum(arrays)):
                    leaves = [jnp.asarray(arrays[str(i)]) for i in range(len(arrays))]
                    return jax.tree.unflatten(jax.tree.structure(like), leaves)
            result = function(*arguments)
            _save({str(i): np.asarray(leaf, order="C") for i, leaf in enumerate(jax.tree.leaves(result))}, path)
            return result

        return keeping

    return keep


# Of JAX: what else numbers depend on.
_SETTINGS = ("jax_enable_x64", "jax_default_prng_impl", "jax_threefry_partitionable")
_CHECK = "sha256"


def _is_number(leaf: Any) -> bool:
    """Whether a leaf is numbers that are known: a Python number, or an array of some, but not one that is traced."""
    if isinstance(leaf, jax.Array | np.ndarray):
        return not isinstance(leaf, jax.core.Tracer) and getattr(leaf.dtype, "kind", "") in tuple("biuf")
    return isinstance(leaf, int | float)


def _types(structure: Any) -> Iterator[type]:
    """Of all nodes of a tree."""
    if (node := structure.node_data()) is not None:
        yield node[0]
    for child in structure.children():
        yield from _types(child)


def _is_ours(kind: type) -> bool:
    """Whether it is Python's or of this package, whose code is known."""
    return kind.__module__.split(".")[0] in ("builtins", __name__.split(".")[0])


def _checksum(arrays: dict[str, np.ndarray]) -> np.ndarray:
    return np.frombuffer(hashlib.sha256(save(arrays)).digest(), np.uint8)


def _save(arrays: dict[str, np.ndarray], path: Path) -> None:
    """Write arrays to one file, whole or not at all, where that can be written."""
    partial = path.with_name(f"{path.name}.{uuid4().hex}.partial")
    with suppress(OSError, SafetensorError):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            save_file(arrays | {_CHECK: _checksum(arrays)}, partial)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def _hash_of_code(folder: Path) -> str | None:
    """What results depend on besides their arguments: all files of the package, and JAX; None if one is unreadable."""
    every = hashlib.sha256(jax.__version__.encode())
    with suppress(OSError):
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                every.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
        return every.hexdigest()
    return None


# When the package is imported: its files may change while the code of before runs on.
_CODE = _hash_of_code(Path(__file__).parent)


def remember_last(function: Callable[..., Any]) -> Callable[..., Any]:
    """A pure function that returns what it did the last time, if it is asked for the same numbers again.

    Chunk after chunk of a catalogue asks the same of a problem. Arrays are the same if they are the same objects, for
    JAX's cannot change; of other things, such as a prior that is no pytree of arrays, nothing is remembered.
    """
    last: tuple[Any, Any, Any] | None = None

    @wraps(function)
    def remembering(*arguments: Any) -> Any:
        nonlocal last
        leaves, structure = jax.tree.flatten(arguments)
        if not all(isinstance(leaf, jax.Array | int) for leaf in leaves):
            return function(*arguments)
        asked = structure, [leaf if isinstance(leaf, int) else id(leaf) for leaf in leaves], jax.config.jax_enable_x64
        known = last
        if known is None or known[0] != asked:
            # The leaves are kept, so that no other array gets the identity of one of them.
            known = last = asked, leaves, function(*arguments)
        return known[2]

    return remembering
