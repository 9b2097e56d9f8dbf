"""How many stars are computed at once: one on a processor, on an accelerator as many as its memory holds.

On a processor the work on one star's points fills a core and fits its cache. An accelerator needs many stars at a
time to be busy.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, wraps
from threading import Lock
from typing import Any

import equinox as eqx
import jax
import numpy as np

# Stars that a sampler is given at a time on a processor: what they share, compiling above all, costs little then.
_ON_PROCESSOR = 64
# And of how many smaller batches are.
_FEWER, _FEW = 16, 2
_LEAST, _MOST = 64, 16384
# What one star needs while it is sampled [bytes]: XLA plans 3 MB of it; the rest is for what it does not count.
_BYTES_A_STAR = 8 << 20
_MEMORY_UNKNOWN = 8 << 30
_PART = 256


def stars_at_once() -> int:
    """How many stars are computed side by side: a power of two that leaves half of an accelerator's memory free."""
    device = jax.devices()[0]
    if device.platform == "cpu":
        return 1
    memory = (device.memory_stats() or {}).get("bytes_limit", _MEMORY_UNKNOWN)
    fit = max(memory // 2 // _BYTES_A_STAR, 1)
    return min(max(1 << (fit.bit_length() - 1), _LEAST), _MOST)


def stars_in_a_batch() -> int:
    """How many stars a sampler is given at a time, unless it is told another number."""
    return max(stars_at_once(), _ON_PROCESSOR)


def batches_in_flight() -> int:
    """How many batches are sampled at the same time: one for each core that this process may use."""
    if jax.devices()[0].platform != "cpu":
        return 2  # one is prepared while the other is computed
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def batch_sizes(num: int, most: int) -> list[int]:
    """Of how many stars each batch is, of few sizes, for each is compiled for; the last may have to be filled up.

    On a processor large batches as long as they are enough for all cores, then smaller ones: no core is idle for long,
    and at most one star is computed for nothing. An accelerator takes as long for a few stars as for many.
    """
    threads = batches_in_flight()
    if stars_at_once() > 1:
        size = padded_size(-(-num // threads), most)
        return [size] * -(-num // size)
    sizes = []
    for size in (most, *(size for size in (_FEWER, _FEW) if size < most)):
        batches = num // (size * threads) * threads
        sizes += [size] * batches
        num -= size * batches
    least = min(_FEW, most)
    return sizes + [least] * -(-num // least)


def over_stars(function: Callable[[Any], Any], stars: Any) -> Any:
    """A function of one star for all along the leading axis of its arguments."""
    at_once = min(stars_at_once(), len(jax.tree.leaves(stars)[0]))
    return jax.lax.map(function, stars) if at_once == 1 else jax.lax.map(function, stars, batch_size=at_once)


@contextmanager
def arithmetic(double: bool) -> Iterator[None]:  # noqa: FBT001
    """Single or double precision for what this thread computes meanwhile; every thread has to be told for itself.

    Matrix products have it too: an accelerator multiplies with ten bits unless it is told.
    """
    with jax.enable_x64(double), jax.default_matmul_precision("highest"):
        yield


# To XLA on a processor. What is computed of one star is small: to share an operation among the cores, or to enter the
# library of vector operations that XLA calls for single ones, costs more than the operation. Several batches of stars
# are in flight instead. The widest vectors that the processor has, of which XLA takes half by itself.
_OPTIONS = {
    "xla_cpu_multi_thread_eigen": False,
    "xla_cpu_experimental_ynn_fusion_type": "",
    "xla_cpu_prefer_vector_width": 512,
}


@cache
def _known_options() -> dict[str, Any]:
    """Those of the options that the installed XLA knows."""

    def is_known(option):
        try:
            jax.jit(lambda: 0, compiler_options=option).lower().compile()
        except jax.errors.JaxRuntimeError:
            return False
        return True

    return {name: value for name, value in _OPTIONS.items() if is_known({name: value})}


def jit_over_stars(function: Callable) -> Callable:
    """`eqx.filter_jit` of a function of a batch of stars, compiled for work that is small star by star."""

    @cache
    def compiled():
        return eqx.filter_jit(function, compiler_options=_known_options())  # pyright: ignore[reportCallIssue]

    lock = Lock()

    @wraps(function)
    def call(*args):
        with lock:  # one program for all threads
            ready = compiled()
        return ready(*args)

    return call


def padded_size(num: int, most: int) -> int:
    """The most, or for a few stars the next power of four: few shapes to compile, little work wasted."""
    return min(most, 4 ** max(int(np.ceil(np.log(max(num, 1)) / np.log(4) - 1e-9)), 1))


def in_parts(function: Callable[..., Any], *stars: Any) -> Any:
    """A function of many stars, given some hundred at a time, as many times at once as there are cores.

    Args:
        function: of trees of arrays whose leading axis is the star's, as is that of all it returns.
        stars: its arguments.
    """
    stars = jax.tree.map(np.asarray, stars)
    starts = range(0, max(len(jax.tree.leaves(stars)[0]), 1), _PART)
    parts = [jax.tree.map(lambda a, start=start: a[start : start + _PART], stars) for start in starts]
    double = jax.config.jax_enable_x64

    def run(part):
        with arithmetic(double):
            return function(*part)

    with ThreadPoolExecutor(batches_in_flight()) as pool:
        results = list(pool.map(run, parts))
    return jax.tree.map(lambda *each: np.concatenate(each), *results)


def in_few_sizes(function: Callable[..., Any], *stars: Any) -> Any:
    """`in_parts` of a compiled function, given some stars twice, so that it is compiled for few numbers of them."""

    def padded(*part):
        num = len(jax.tree.leaves(part)[0])
        index = np.resize(np.arange(num), padded_size(num, _PART))
        result = function(*jax.tree.map(lambda a: a[index], part))
        return jax.tree.map(lambda a: np.asarray(a)[:num], result)

    return in_parts(padded, *stars)
