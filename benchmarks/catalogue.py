"""A long catalogue and what it costs: simulated stars in one Parquet file, and the memory and time of reading them.

    python -m benchmarks.catalogue write stars.parquet [--stars 1000000]
    python -m benchmarks.catalogue read stars.parquet -o RUN
    /usr/bin/time -v albireo infer stars.parquet -o RUN2 --sampler importance --limit 20000

`write` draws rows of `green2020_stars.fits` again and again, each with its own noise of the size of its errors and a
position of its own. `read` works through all of them as `albireo infer` does, with a summary that takes no sampling:
what it takes is what comes on top of the sampler.
"""

import argparse
import os
import resource
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from astropy.table import Table
from pyarrow import parquet

from albireo.bands import DEFAULT_BANDS
from albireo.scale.chunks import infer_in_chunks
from albireo.scale.stream import CatalogFile

DATA = Path(os.environ.get("ALBIREO_DATA", Path(__file__).parents[2] / "shared" / "data"))
_ROW_GROUP = 100_000
# Columns of numbers in a summary of the importance sampler.
_NUM_COLUMNS = 44


def main() -> None:
    """Write the catalogue, or read it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["write", "read"])
    parser.add_argument("path", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--stars", type=int, default=1_000_000)
    arguments = parser.parse_args()
    if arguments.command == "write":
        write_catalogue(arguments.path, arguments.stars)
        return
    start = time.perf_counter()
    stars = CatalogFile(arguments.path)
    infer_in_chunks(stars, StandIn, arguments.output, {})
    seconds, peak = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{len(stars)} stars: {seconds:.1f} s, {seconds / len(stars) * 1e3:.3f} ms a star, peak memory {peak:.0f} MB")


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
