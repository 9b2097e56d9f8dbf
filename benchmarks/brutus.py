"""How fast the importance sampler is beside brutus, which scores every model of a grid (Speagle et al. 2025).

    pip install astro-brutus && python -m benchmarks.brutus [--stars 200] [--models 20000]

Both are given the same stars with parallax, the same model and the same all-sky prior. brutus's grid is of points
drawn from the density of training stars, with the model's absolute magnitudes and extinctions per unit reddening, and
weights that make them draws from the prior over labels; its prior over distances is that of stars of median labels,
its reddening is free from 0 to 6 mag, and errors have a floor of 0.02 mag in place of the model's scatter, which is
correlated. All else is as brutus has it: 250 draws a star, one file of results. First runs, in which code is compiled,
are not counted. That brutus was given what it should be is seen from medians that agree.
"""

import argparse
import tempfile
import time
from operator import itemgetter
from pathlib import Path

import h5py
import jax
import jax.numpy as jnp
import numpy as np
from brutus.analysis.individual import BruteForce
from brutus.core import StarGrid

from albireo import Catalog, Importance, Posterior, infer, load_model, load_prior
from albireo.priors.base import log_prob_without_reddening, sightline
from albireo.samplers import FirstLook, Problem
from benchmarks.real_stars import ERROR_FLOOR, read_stars

_MU_AT_ONE_KPC = 10.0
_MU = np.linspace(-5.0, 20.0, 501)
_MAX_REDDENING = 6.0


def main() -> None:
    """Print both rates and how far the results are apart."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stars", type=int, default=200)
    parser.add_argument("--models", type=int, default=20_000)
    arguments = parser.parse_args()
    model = load_model("default").with_spread(None)
    problem = Problem(model, load_prior("milky-way", model))
    catalog = read_stars(model, arguments.stars)

    def ours() -> Posterior:
        return infer(catalog, model=model, prior=problem.prior, sampler=Importance())

    look = FirstLook.build(problem, jax.random.key(0), arguments.models)
    ours().summary()
    # Ours takes seconds, in which other work on the machine tells: the middle one of some runs.
    rate, posterior = sorted((_timed(ours, arguments.stars) for _ in range(3)), key=itemgetter(0))[1]
    summary_rate, summary = _timed(posterior.summary, arguments.stars)
    _fit_by_brutus(problem, look, catalog[:2])
    brutus_rate, draws = _timed(lambda: _fit_by_brutus(problem, look, catalog), arguments.stars)
    print(f"importance sampler {rate:.1f} stars/s, brutus {brutus_rate:.2f} stars/s: {rate / brutus_rate:.1f} times")
    with_summary = 1 / (1 / rate + 1 / summary_rate)
    print(f"with the summary, which brutus has none of, {with_summary:.1f}: {with_summary / brutus_rate:.1f} times")
    distinct = np.median([len(set(of_star)) for of_star in draws["teff"]])
    print(
        f"distinct points of the grid among brutus's {draws['teff'].shape[1]} draws of a star: {distinct:.0f} (median)"
    )
    print(f"albireo's Kish effective sample: {np.median(np.asarray(summary['ess_kish'])):.0f} (median)")
    print("brutus − albireo in posterior standard deviations, medians of stars:")
    for name, values in draws.items():
        p16, p50, p84 = (np.asarray(summary[f"{name}_{share}"], float) for share in ("p16", "p50", "p84"))
        shift = (np.median(values, axis=1) - p50) / ((p84 - p16) / 2)
        low, middle, high = np.percentile(shift, (16, 50, 84))
        print(f"  {name:16} median {middle:+.2f}, 68 % from {low:+.2f} to {high:+.2f}")


def _timed(run, num):
    start = time.perf_counter()
    result = run()
    return num / (time.perf_counter() - start), result


def _fit_by_brutus(problem: Problem, look: FirstLook, catalog: Catalog) -> dict[str, np.ndarray]:
    """brutus's draws of every star: labels, distance modulus and reddening."""
    theta = np.asarray(problem.labels(look.x), float)
    extinction = np.asarray(look.extinction, float).T
    coefficients = [np.asarray(look.magnitude, float).T + _MU_AT_ONE_KPC, extinction, np.zeros_like(extinction)]
    labels = np.rec.fromarrays(theta.T, names=list(problem.model.labels))
    fitter = BruteForce(StarGrid(np.stack(coefficients, axis=-1), labels, verbose=False), verbose=False)
    used = np.isfinite(catalog.mag)
    flux = np.where(used, 10 ** (-0.4 * catalog.mag), 1e-9)
    flux_err = flux * np.where(used, np.hypot(catalog.mag_err, ERROR_FLOOR), 0.1) * np.log(10) / 2.5
    with tempfile.TemporaryDirectory() as folder:
        path = fitter.fit(
            flux,
            flux_err,
            used,
            np.arange(len(catalog)),
            str(Path(folder) / "brutus.h5"),
            parallax=catalog.parallax,
            parallax_err=catalog.parallax_err,
            lnprior=np.asarray(look.log_ratio, float),
            lngalprior=_distance_prior(problem),
            avlim=(0.0, _MAX_REDDENING),
            merr_max=1.0,
            apply_agewt=False,
            apply_grad=False,
            apply_dlabels=False,
            data_coords=np.zeros((len(catalog), 2)),
            rstate=np.random.RandomState(0),
            verbose=False,
        )
        with h5py.File(path) as file:
            index, distance, reddening = (file[name][()] for name in ("model_idx", "samps_dist", "samps_red"))
    named = dict(zip(problem.model.labels, np.moveaxis(theta[index], -1, 0), strict=True))
    return named | {"distance_modulus": _MU_AT_ONE_KPC + 5 * np.log10(distance), "reddening": reddening}


def _distance_prior(problem: Problem):
    """Log density of the distances [kpc] of stars of median labels, as brutus asks for it."""
    sky = sightline(problem.prior, jnp.full(2, jnp.nan))
    theta = problem.model.label_median
    log_p = jax.vmap(lambda mu: log_prob_without_reddening(problem.prior, theta, mu, sky))(
        jnp.asarray(_MU, jnp.float32)
    )

    def log_prior(distance, coordinates, labels=None):  # noqa: ARG001
        mu = _MU_AT_ONE_KPC + 5 * np.log10(distance)
        return np.interp(mu, _MU, np.asarray(log_p, float)) - np.log(distance)

    return log_prior


if __name__ == "__main__":
    main()
