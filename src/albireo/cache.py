"""Compiled code, kept between sessions: compiling takes a minute, running what is compiled a second.

And results kept between calls, where the next is like to ask the same.
"""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import jax
from platformdirs import user_cache_dir

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
    """Where compiled code is kept; None if it is not."""
    if not jax.config.jax_enable_compilation_cache:
        return None
    return Path(jax.config.jax_compilation_cache_dir or Path(user_cache_dir("albireo", appauthor=False)) / "jax")


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
