"""Compiled code, kept between sessions: compiling takes a minute, running what is compiled a second."""

from pathlib import Path

import jax
from platformdirs import user_cache_dir

# Faster to compile again than to read [s].
_MIN_COMPILE_TIME = 0.2


def keep_compiled_code() -> None:
    """Let JAX keep compiled code in the user's cache folder, unless it keeps it elsewhere already.

    `JAX_COMPILATION_CACHE_DIR` names another folder; `JAX_ENABLE_COMPILATION_CACHE=0` keeps nothing.
    """
    if jax.config.jax_compilation_cache_dir is None and (folder := cache_folder()) is not None:
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", _MIN_COMPILE_TIME)


def cache_folder() -> Path | None:
    """Where compiled code is kept; None if it is not."""
    if not jax.config.jax_enable_compilation_cache:
        return None
    return Path(jax.config.jax_compilation_cache_dir or Path(user_cache_dir("albireo", appauthor=False)) / "jax")
