"""What a second Dask worker gains: the rate of a HATS catalogue with one and with two, each on a core of its own.

    pip install '.[hats]'; python -m benchmarks.workers [--stars 4000]

Both rates are of the second of two runs in the same workers, so after compilation, and count all that `infer` does of
the catalogue: reading, sampling, writing. Only where so many cores are free does the ratio mean anything.
"""

# These packages are an extra, and do not say which of their names are public.
# pyright: reportMissingImports=false, reportPrivateImportUsage=false

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from contextlib import contextmanager
from pathlib import Path

import lsdb
import pandas as pd
from distributed import Client

from albireo import Importance, load_model, load_prior
from albireo.scale.hats import infer_hats
from benchmarks.catalogue import write_catalogue

_PARTITIONS = 16


def main() -> None:
    """Print the rates and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stars", type=int, default=4000)
    num = parser.parse_args().stars
    with tempfile.TemporaryDirectory() as folder:
        stars = _write(Path(folder), num)
        rates = {workers: _rate(stars, num, workers, Path(folder)) for workers in (1, 2)}
    for workers, rate in rates.items():
        print(f"{workers} worker(s): {rate:.1f} stars/s")
    print(f"ratio {rates[2] / rates[1]:.2f}")


def _write(folder: Path, num: int) -> Path:
    """Simulated stars as a HATS catalogue."""
    write_catalogue(folder / "stars.parquet", num)
    frame = pd.read_parquet(folder / "stars.parquet")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        catalog = lsdb.from_dataframe(frame, partition_rows=num // _PARTITIONS, margin_threshold=None)
        catalog.to_hats(base_catalog_path=folder / "stars", catalog_name="stars", progress_bar=False)
    return folder / "stars"


def _rate(stars: Path, num: int, workers: int, folder: Path) -> float:
    model = load_model("default").with_spread(None)
    problem = {"model": model, "prior": load_prior("milky-way", model), "sampler": Importance()}
    with _cluster(workers) as address:
        for run in ("first", "second"):
            start = time.perf_counter()
            infer_hats(stars, problem, folder / f"{run}-{workers}", {"seed": 0}, dask=address)
            seconds = time.perf_counter() - start
    return num / seconds


@contextmanager
def _cluster(workers: int):
    """The address of a scheduler with so many workers, each held to one core."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "scheduler.json"
        started = [_start("scheduler", "--port", "0", told=told)]
        try:
            for core in sorted(os.sched_getaffinity(0))[:workers]:
                held = ("taskset", "-c", str(core))
                started.append(_start("worker", "--nthreads", "1", "--no-nanny", told=told, before=held))
            with Client(scheduler_file=str(told), timeout=60) as client:
                client.wait_for_workers(workers, timeout=60)
                yield json.loads(told.read_text())["address"]
        finally:
            for process in reversed(started):
                process.terminate()
                process.wait()


def _start(what: str, *options: str, told: Path, before: tuple[str, ...] = ()) -> subprocess.Popen:
    command = [*before, sys.executable, "-m", f"distributed.cli.dask_{what}", "--no-dashboard", *options]
    command += ["--scheduler-file", str(told)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
