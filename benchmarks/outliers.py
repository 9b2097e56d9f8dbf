"""How much harm one wild magnitude does, with and without allowing for outliers.

    python -m benchmarks.outliers [--stars 200]

One magnitude of every star, chosen by chance, is made 0.3 to 3 mag brighter or fainter; the posterior is compared with
that of the star as it was. The stars are those of `benchmarks.real_stars`.
"""

import argparse
import dataclasses
import time

import numpy as np

from albireo import Catalog, Importance, infer, load_model, load_prior
from benchmarks.real_stars import DATA, ERROR_FLOOR

FRACTION = 0.01


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stars", type=int, default=200)
    num = parser.parse_args().stars
    model = load_model("default")
    problem = {"model": model, "prior": load_prior("milky-way", model), "sampler": Importance()}
    catalog = Catalog.read(DATA / "green2020_stars.fits", bands=model.bands, labels=model.labels)
    catalog = catalog.without_error_floor(ERROR_FLOOR)[np.random.default_rng(0).permutation(len(catalog))[:num]]
    wild, band = spoil(catalog)
    clean = infer(catalog, **problem).summary()
    for name, stars, outliers in (
        ("spoiled, outliers=0.01", wild, FRACTION),
        ("spoiled, without", wild, 0.0),
        ("as they were, outliers=0.01", catalog, FRACTION),
    ):
        infer(stars[:64], outliers=outliers, **problem)
        start = time.perf_counter()
        posterior = infer(stars, outliers=outliers, **problem)
        rate = num / (time.perf_counter() - start)
        summary = posterior.summary()
        print(f"\n{name}: {rate:.1f} stars/s")
        for variable in (*model.labels, "distance_modulus", "reddening"):
            low, middle, high = (np.asarray(clean[f"{variable}_{p}"], float) for p in ("p16", "p50", "p84"))
            shift = np.abs(np.asarray(summary[f"{variable}_p50"], float) - middle) / ((high - low) / 2)
            width = np.asarray(summary[f"{variable}_p84"] - summary[f"{variable}_p16"], float) / (high - low)
            print(f"  {variable:16} within 1 sigma {np.mean(shift < 1):.1%}   width ratio {np.median(width):.2f}")
        if outliers:
            named = np.asarray(summary["outlier"])
            print(f"  an outlier named: {np.mean(named != ''):.1%}", end="")
            print(f"   the right one: {np.mean(named == band):.1%}" if stars is wild else "")


def spoil(catalog: Catalog) -> tuple[Catalog, np.ndarray]:
    """The stars with one magnitude each off by 0.3 to 3 mag, and the bands of those."""
    rng, num = np.random.default_rng(1), len(catalog)
    which = np.array([rng.choice(np.flatnonzero(np.isfinite(mag))) for mag in catalog.mag])
    mag = catalog.mag.copy()
    mag[np.arange(num), which] += rng.choice([-1, 1], num) * rng.uniform(0.3, 3, num)
    return dataclasses.replace(catalog, mag=mag), np.asarray(catalog.bands)[which]


if __name__ == "__main__":
    main()
