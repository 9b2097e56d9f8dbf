"""How well and how fast real stars are inferred: pulls against spectroscopy, convergence, rates.

    python -m benchmarks.real_stars [--importance 500] [--nuts 200] [--nested 0] [--prior milky-way]

The stars are the first of `green2020_stars.fits` in a random order of fixed seed, whether the model was trained on
them or not (a star's own labels enter its posterior only through the model's 7,000 weights). Rates are after
compilation, of the whole of `infer`.
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np

from albireo import NUTS, Catalog, Importance, Nested, infer, load_model, load_prior
from albireo.flags import Flag
from albireo.model import StellarModel

_WITH = {True: "with", False: "without"}
ERROR_FLOOR = 0.02  # mag, which the errors of that file hold; the model brings its own scatter
DATA = Path(os.environ.get("ALBIREO_DATA", Path(__file__).parents[2] / "shared" / "data"))


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--importance", type=int, default=500)
    parser.add_argument("--nuts", type=int, default=200)
    parser.add_argument("--nested", type=int, default=0)
    parser.add_argument("--model", default="default")
    parser.add_argument("--prior", default="milky-way")
    arguments = parser.parse_args()
    model = load_model(arguments.model)
    prior = load_prior(arguments.prior, model)
    numbers = {Importance(): arguments.importance, NUTS(): arguments.nuts, Nested(): arguments.nested}
    for sampler, num in numbers.items():
        for parallax in (True, False) if num else ():
            stars = read_stars(model, num)
            stars = stars if parallax else stars.without("parallax")
            infer(stars, model=model, prior=prior, sampler=sampler)  # compiles what the hard ones need, too
            start, cpu = time.perf_counter(), time.process_time()
            posterior = infer(stars, model=model, prior=prior, sampler=sampler)
            rate, cpu = num / (time.perf_counter() - start), 1000 * (time.process_time() - cpu) / num
            print(f"\n{type(sampler).__name__}, {num} stars, {_WITH[parallax]} parallax: {rate:.1f} stars/s")
            print(f"  processor time {cpu:.1f} ms a star")
            _print_pulls(posterior, stars)
            _print_certificate(posterior)


def read_stars(model: StellarModel, num: int) -> Catalog:
    """So many of the real stars, the first in a random order that is always the same, without their errors' floor."""
    catalog = Catalog.read(DATA / "green2020_stars.fits", bands=model.bands, labels=model.labels)
    return catalog.without_error_floor(ERROR_FLOOR)[np.random.default_rng(0).permutation(len(catalog))[:num]]


def _print_pulls(posterior, stars) -> None:
    summary = posterior.summary()
    for i, label in enumerate(stars.labels):
        mean, std = (np.asarray(summary[f"{label}_{s}"], float) for s in ("mean", "std"))
        pull = (mean - stars.theta[:, i]) / np.hypot(std, np.sqrt(stars.theta_cov[:, i, i]))
        low, median, high = np.nanpercentile(pull, (15.87, 50, 84.13))
        width = (high - low) / 2
        print(f"  pull of {label:5} median {median:+.3f}  robust width {width:.3f}  posterior std {np.median(std):.3f}")


def _print_certificate(posterior) -> None:
    stats = posterior.tree["sample_stats"]
    engine, num = np.unique(np.asarray(stats["engine"]).astype(str), return_counts=True)
    print("  served by", ", ".join(f"{name} {n}" for name, n in zip(engine, num, strict=True)))
    if "nuts" in engine:
        r_hat, ess = np.asarray(stats["r_hat_max"]), np.asarray(stats["ess_min"])
        diverging = np.mean(np.asarray(stats["n_divergent"]) > 0)
        print(f"  r_hat < 1.01: {np.mean(r_hat < 1.01):.1%}   worst {np.nanmax(r_hat):.3f}")
        print(f"  ESS > 400: {np.mean(ess > 400):.1%}   median least ESS {np.nanmedian(ess):.0f}")
        print(f"  stars with a divergence {diverging:.1%}")
    if "importance" in engine:
        kish, k_hat = np.asarray(stats["ess_kish"]), np.asarray(stats["k_hat"])
        print(f"  k_hat < 0.7: {np.mean(k_hat < 0.7):.1%}")
        print(f"  Kish ESS > 400: {np.mean(kish > 400):.1%}   median {np.nanmedian(kish):.0f}")
    shares = {flag.name: np.mean(posterior.flags & int(flag) > 0) for flag in Flag}
    print("  flags:", ", ".join(f"{name} {share:.1%}" for name, share in shares.items() if share))


if __name__ == "__main__":
    main()
