"""A sampler that samples nothing, for what is to be tested is the run around it. It imports no JAX."""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
from astropy.table import Table

from albireo.bands import DEFAULT_BANDS
from albireo.catalog import Catalog
from albireo.scale.chunks import infer_in_chunks
from albireo.scale.stream import CatalogFile

CHUNK = 30


class StandIn:
    """Has what a run takes of a posterior: numbers that depend on the star and on its row."""

    def __init__(self, stars: Catalog):
        self.stars = stars

    def summary(self) -> Table:
        value = np.nansum(self.stars.mag, axis=1) + self.stars.row
        return Table({"star": self.stars.ids, "teff_p50": value, "flags": self.stars.bad_input.astype(int)})

    def save(self, path: Path) -> None:
        path.write_text(" ".join(self.stars.ids))


def make_stars(num: int) -> Table:
    rng = np.random.default_rng(5)
    table = Table({"source_id": 1000 + np.arange(num), "name": [f"star {i}" for i in range(num)]})
    for band in DEFAULT_BANDS[:3]:
        table[band], table[f"{band}_err"] = rng.uniform(8, 16, num), rng.uniform(0.02, 0.05, num)
    table["parallax"], table["parallax_err"] = rng.normal(1, 1, num), np.full(num, 0.1)
    table["ra"], table["dec"] = rng.uniform(0, 360, num), rng.uniform(-90, 90, num)
    return table


def run(path: Path, output: Path, *, pause: float = 0.0, draws: bool = False, chunk_size: int = CHUNK) -> None:
    """Run over a file, or go on with the run; every chunk takes at least as long as the pause [s]."""

    def infer(stars: Catalog) -> StandIn:
        time.sleep(pause)
        return StandIn(stars)

    stars = CatalogFile(path)
    infer_in_chunks(stars, infer, output, {}, resume=True, keep_draws=draws, chunk_size=chunk_size)


def run_and_kill() -> None:
    """Kill runs of a file in child processes, at random moments, and go on with each: stars, folder, how many kills.

    A run that ends all the same is followed by another, in a folder of its own. Prints how many of the killed ones had
    begun to write.
    """
    stars, folder, kills = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    rng, number, resumed = np.random.default_rng(8), 2, 0
    run(stars, folder / "0")  # imports what a run needs, so that the children need not
    started = time.monotonic()
    os.waitpid(_run_in_child(stars, folder / "1"), 0)
    seconds = time.monotonic() - started
    while kills:
        number += (folder / str(number) / "summary.parquet").exists()
        child = _run_in_child(stars, folder / str(number))
        time.sleep(rng.uniform(0, seconds))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            kills -= 1
            resumed += (folder / str(number) / "run.json").exists()
        elif status:
            sys.exit(f"a run failed with status {status}")
    print(resumed)


def _run_in_child(stars: Path, output: Path) -> int:
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        run(stars, output)
        status = 0
    finally:
        os._exit(status)
