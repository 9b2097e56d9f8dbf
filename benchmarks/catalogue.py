"""A long catalogue and what it costs: simulated stars in one Parquet file, and the memory and time of reading them.

    python -m benchmarks.catalogue write stars.parquet [--stars 1000000]
    python -m benchmarks.catalogue read stars.parquet -o RUN
    python -m benchmarks.catalogue infer stars.parquet -o RUN2 [--stars 1280]

`write` draws rows of `green2020_stars.fits` again and again, each with its own noise of the size of its errors and a
position of its own. `read` works through all of them as `albireo infer` does, with a summary that takes no sampling.
`infer` does so with the importance sampler, for some chunks of them after a first one, in which much is compiled, and
says how much of the time none of the samplers was at work.
"""

import argparse
import os
import resource
import time
from pathlib import Path
from threading import Lock

import jax
import numpy as np
import pyarrow as pa
from astropy.table import Table
from pyarrow import parquet

from albireo import Importance, infer, load_model, load_prior
from albireo.bands import DEFAULT_BANDS
from albireo.scale.chunks import CHUNK_SIZE, infer_in_chunks
from albireo.scale.stream import CatalogFile

DATA = Path(os.environ.get("ALBIREO_DATA", Path(__file__).parents[2] / "shared" / "data"))
_ROW_GROUP = 100_000
# Columns of numbers in a summary of the importance sampler.
_NUM_COLUMNS = 47


def main() -> None:
    """Write the catalogue, read it, or infer some of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["write", "read", "infer"])
    parser.add_argument("path", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--stars", type=int)
    arguments = parser.parse_args()
    if arguments.command == "write":
        write_catalogue(arguments.path, arguments.stars or 1_000_000)
    elif arguments.command == "read":
        _read(arguments.path, arguments.output)
    else:
        _infer(arguments.path, arguments.output, arguments.stars or 5 * CHUNK_SIZE)


def _read(path: Path, output: Path) -> None:
    start = time.perf_counter()
    stars = CatalogFile(path)
    infer_in_chunks(stars, StandIn, output, {})
    seconds, peak = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{len(stars)} stars: {seconds:.1f} s, {seconds / len(stars) * 1e3:.3f} ms a star, peak memory {peak:.0f} MB")


def _infer(path: Path, output: Path, num: int) -> None:
    """Infer a chunk, and then as many stars as said with the clock running."""
    model, clock = load_model("default"), Clock()
    problem = {"model": model, "prior": load_prior("milky-way", model), "sampler": Timed(Importance(), clock)}
    for name, rows in (("warm-up", slice(CHUNK_SIZE)), ("clocked", slice(CHUNK_SIZE, CHUNK_SIZE + num))):
        start, clock.seconds = time.perf_counter(), 0.0
        infer_in_chunks(CatalogFile(path, rows=rows), lambda stars: infer(stars, **problem), output / name, {})
        seconds, outside = time.perf_counter() - start, time.perf_counter() - start - clock.seconds
        print(
            f"{name}: {seconds:.1f} s, of which {outside:.1f} s ({outside / seconds:.1%}) outside the samplers, "
            f"{outside / (rows.stop - (rows.start or 0)) * 1e3:.1f} ms a star"
        )


class Clock:
    """For how long at least one of several threads was at something [s]."""

    def __init__(self):
        self.seconds, self._active, self._start, self._lock = 0.0, 0, 0.0, Lock()

    def __enter__(self):
        with self._lock:
            self._start = self._start if self._active else time.perf_counter()
            self._active += 1

    def __exit__(self, *_):
        with self._lock:
            self._active -= 1
            self.seconds += 0.0 if self._active else time.perf_counter() - self._start


class Timed:
    """A sampler, and those that its stars go on to, by a clock."""

    def __init__(self, sampler, clock: Clock):
        self._sampler, self._clock = sampler, clock
        self.batch_size, self.engine = sampler.batch_size, getattr(sampler, "engine", type(sampler).__name__)

    def fallbacks(self):
        """What a star goes on to."""
        fallbacks = getattr(self._sampler, "fallbacks", tuple)()
        return tuple(Timed(sampler, self._clock) for sampler in fallbacks)

    def run(self, *arguments):
        """Sample a batch of stars."""
        with self._clock:
            return jax.block_until_ready(self._sampler.run(*arguments))


def write_catalogue(path: Path, num_stars: int) -> None:
    """Bootstrapped and jittered stars, a row group at a time."""
    source = Table.read(DATA / "green2020_stars.fits")
    rng, writer = np.random.default_rng(0), None
    for start in range(0, num_stars, _ROW_GROUP):
        num = min(_ROW_GROUP, num_stars - start)
        picked = source[rng.integers(len(source), size=num)]
        columns = {"source_id": start + np.arange(num)}
        for name in [*DEFAULT_BANDS, "parallax"]:
            value, err = (np.ma.filled(np.ma.asarray(picked[n], float), np.nan) for n in (name, f"{name}_err"))
            columns |= {name: value + err * rng.normal(size=num), f"{name}_err": err}
        columns |= {"ra": rng.uniform(0, 360, num), "dec": np.degrees(np.arcsin(rng.uniform(-1, 1, num)))}
        rows = pa.table(columns)
        writer = writer or parquet.ParquetWriter(path, rows.schema)
        writer.write_table(rows)
    if writer:
        writer.close()


class StandIn:
    """Has what a run takes of a posterior, made without sampling."""

    def __init__(self, stars):
        self._stars = stars

    def summary(self) -> Table:
        """As many columns as a real one, of arbitrary numbers."""
        value = np.nansum(self._stars.mag, axis=1)
        return Table({"star": self._stars.ids} | {f"x{i}": value + i for i in range(_NUM_COLUMNS)})


if __name__ == "__main__":
    main()
