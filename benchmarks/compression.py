"""What is lost when posteriors of real stars are compressed, and how long it takes.

    python -m benchmarks.compression [--stars 500]

For every star and variable: the largest error of five quantiles (2.5, 16, 50, 84 and 97.5 %) in units of the
posterior's standard deviation. The quantiles of the draws that were compressed have noise of their own, printed beside:
the same between two halves of the draws, divided by two.
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np

from albireo import Catalog, Importance, infer, load_model, load_prior
from albireo.compress import compress, decompress
from albireo.flags import Flag

DATA = Path(os.environ.get("ALBIREO_DATA", Path(__file__).parents[2] / "shared" / "data"))
QUANTILES = (0.025, 0.16, 0.5, 0.84, 0.975)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stars", type=int, default=500)
    arguments = parser.parse_args()
    model = load_model("default")
    catalog = Catalog.read(DATA / "green2020_stars.fits").without_error_floor(0.02)
    catalog = catalog[np.random.default_rng(0).permutation(len(catalog))[: arguments.stars]]
    half = len(catalog) // 2
    for name, stars in (("with", catalog[:half]), ("without", catalog[half:].without("parallax"))):
        posterior = infer(stars, model=model, prior=load_prior("milky-way", model), sampler=Importance())
        compress(posterior)  # compiles
        start = time.process_time()
        table = compress(posterior)
        seconds = time.process_time() - start
        print(f"\n{len(stars)} stars {name} parallax; {1e3 * seconds / len(stars):.1f} ms of processor time a star")
        print(f"{table.schema.field('posterior').type.byte_width} bytes")
        print_losses(posterior, decompress(table, num_samples=20_000))


def print_losses(posterior, drawn) -> None:
    """Print a line a variable, and the worst of all of them."""
    modes = (posterior.flags & int(Flag.SEVERAL_MODES)) > 0
    given, worst, noise = posterior.tree["posterior"], [], []
    for name in drawn.data_vars:
        before = np.asarray(given[name], float).reshape(-1, len(posterior))
        after = np.asarray(drawn[name], float)[0]
        width = before.std(axis=0)
        worst.append(_difference(before, after, width))
        noise.append(_difference(before[::2], before[1::2], width) / 2)
        print(f"  {name:18} {_percentiles(worst[-1])}   noise {_percentiles(noise[-1])}")
    print(
        f"  {'worst variable':18} {_percentiles(np.max(worst, axis=0))}   noise {_percentiles(np.max(noise, axis=0))}"
    )
    print(f"  {modes.sum()} of several modes: {_percentiles(np.max(worst, axis=0)[modes]) if modes.any() else ''}")


def _difference(before, after, width):
    quantiles = (np.quantile(values, QUANTILES, axis=0) for values in (before, after))
    return np.max(np.abs(np.subtract(*quantiles)), axis=0) / width


def _percentiles(values) -> str:
    median, p95, worst = np.quantile(values, (0.5, 0.95, 1))
    return f"median {median:.3f}, 95 % {p95:.3f}, worst {worst:.3f}"


if __name__ == "__main__":
    main()
