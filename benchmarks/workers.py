"""What a second Dask worker gains: the rate of a HATS catalogue with one and with two, each on a core of its own.

    pip install '.[hats]'; python -m benchmarks.workers [--stars 1536]

The catalogue has 48 partitions of as many stars each, so that two workers can share them evenly. Before the clock
starts, the workers infer a few others, so that all is compiled; the rates count all that `infer` does of the catalogue:
reading, sampling, writing. Stars whose weights cannot be trusted do not go on to other samplers, for these would be
compiled while the clock runs. Only where so many cores are free does the ratio mean anything: so the seconds that other
programs had of the workers' cores are told, and the ratio of the rates in the rest of the time, too.
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

import healpy
import lsdb
import numpy as np
import pandas as pd
import psutil
from distributed import Client

from albireo import Importance, load_model, load_prior
from albireo.scale.hats import infer_hats
from benchmarks.catalogue import write_catalogue

_ORDER, _NUM_PARTITIONS, _NUM_WARM_UP = 1, 48, 4
# Stars sampled together.
_BATCH = 16


def main() -> None:
    """Print the rates and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stars", type=int, default=1536)
    each = parser.parse_args().stars // _NUM_PARTITIONS
    num = each * _NUM_PARTITIONS
    with tempfile.TemporaryDirectory() as folder:
        parts = {"warm-up": _NUM_WARM_UP, "stars": _NUM_PARTITIONS}
        stars = {name: _write(Path(folder), name, partitions, each) for name, partitions in parts.items()}
        timings = {workers: _seconds(stars, workers, Path(folder)) for workers in (1, 2)}
    for workers, (seconds, others) in timings.items():
        print(f"{workers} worker(s): {num / seconds:.1f} stars/s, {seconds:.1f} s, of which others had {others:.1f} s")
    (one, of_one), (two, of_two) = timings[1], timings[2]
    print(f"ratio {one / two:.2f}; without what others had {(one - of_one) / (two - of_two):.2f}")


def _write(folder: Path, name: str, partitions: int, each: int) -> Path:
    """Simulated stars as a HATS catalogue of so many partitions of so many stars each."""
    write_catalogue(folder / f"{name}.parquet", partitions * each)
    frame = pd.read_parquet(folder / f"{name}.parquet")
    pixel = np.arange(len(frame)) % partitions
    frame["ra"], frame["dec"] = healpy.pix2ang(2**_ORDER, pixel, nest=True, lonlat=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        catalog = lsdb.from_dataframe(frame, lowest_order=_ORDER, highest_order=_ORDER, margin_threshold=None)
        catalog.to_hats(base_catalog_path=folder / name, catalog_name=name, progress_bar=False)
    return folder / name


def _seconds(catalogs: dict[str, Path], workers: int, folder: Path) -> tuple[float, float]:
    """How long so many workers take for the last catalogue, and how much of that others had of each core, at least.

    The catalogues before the last warm the workers up.
    """
    model, sampler = load_model("default").with_spread(None), Importance(escalate=False, batch_size=_BATCH)
    problem = {"model": model, "prior": load_prior("milky-way", model), "sampler": sampler}
    seconds, others = 0.0, [0.0]
    with _cluster(workers) as (address, on_cores):
        for name, catalog in catalogs.items():
            start, before = time.perf_counter(), _had_by_others(on_cores)
            infer_hats(catalog, problem, folder / f"{name}-{workers}", {"seed": 0}, dask=address)
            seconds = time.perf_counter() - start
            others = [now - then for now, then in zip(_had_by_others(on_cores), before, strict=True)]
    return seconds, min(others)


def _had_by_others(on_cores: dict[int, psutil.Process]) -> list[float]:
    """For each core the seconds since the machine's start that it did not spend on its worker, nor idle."""
    had = []
    for core, worker in on_cores.items():
        spent, own = psutil.cpu_times(percpu=True)[core], worker.cpu_times()
        busy = spent.user + spent.nice + spent.system + spent.irq + spent.softirq + spent.steal
        had.append(busy - own.user - own.system)
    return had


@contextmanager
def _cluster(workers: int):
    """The address of a scheduler with so many workers, each held to one core, and which worker is on which core."""
    with tempfile.TemporaryDirectory() as folder:
        told, cores = Path(folder) / "scheduler.json", sorted(os.sched_getaffinity(0))[:workers]
        started = [_start("scheduler", "--port", "0", told=told)]
        try:
            for core in cores:
                held = ("taskset", "-c", str(core))
                started.append(_start("worker", "--nthreads", "1", "--no-nanny", told=told, before=held))
            with Client(scheduler_file=str(told), timeout=60) as client:
                client.wait_for_workers(workers, timeout=60)
                on_cores = dict(zip(cores, (psutil.Process(worker.pid) for worker in started[1:]), strict=True))
                yield json.loads(told.read_text())["address"], on_cores
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
