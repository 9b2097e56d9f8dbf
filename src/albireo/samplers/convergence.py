"""Whether draws can be trusted, by the thresholds of `albireo.flags`."""

import warnings

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float

from albireo import flags
from albireo.samplers.base import Draws

# What samplers say of a star, each what it can.
MEASURES = ("r_hat_max", "ess_bulk", "ess_tail", "ess_min", "n_divergent", "k_hat", "ess_kish", "ess_mean")


def judge_chains(
    draws: Draws, diverging: Bool[np.ndarray, "star chain draw"]
) -> dict[str, Float[np.ndarray, " star"] | Bool[np.ndarray, " star"]]:
    """Worst rank-normalised r̂ and least bulk and tail effective sample sizes over labels, μ and E of every star.

    (Vehtari et al. 2021, Bayesian Analysis 16, 667), by ArviZ; and the number of divergent transitions. Of a star
    without draws, r̂ and effective sample size are NaN.
    """
    variables = [*np.moveaxis(np.asarray(draws.theta), -1, 0), np.asarray(draws.mu), np.asarray(draws.reddening)]
    sampled = np.all([np.isfinite(values).all(axis=(1, 2)) for values in variables], axis=0)
    worst, bulk, tail = np.full((3, len(sampled)), np.nan)
    if sampled.any():
        worst[sampled], bulk[sampled], tail[sampled] = _convergence([values[sampled] for values in variables])
    least = np.minimum(bulk, tail)
    return {
        "r_hat_max": worst,
        "ess_bulk": bulk,
        "ess_tail": tail,
        "ess_min": least,
        "n_divergent": np.sum(np.asarray(diverging), axis=(1, 2)).astype(float),
        "converged": (worst < flags.MAX_R_HAT) & (least > flags.MIN_ESS),
    }


def _convergence(variables: list[Float[np.ndarray, "star chain draw"]]):
    """Worst r̂ and least bulk and tail effective sample sizes of every star."""
    named = {f"x{i}": (("star", "chain", "draw"), values) for i, values in enumerate(variables)}
    posterior = xr.Dataset(named).transpose("chain", "draw", "star")
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        import arviz as az  # ArviZ 0.2x announces its successor when imported

        r_hat = az.rhat(posterior)
        ess = [az.ess(posterior, method=method) for method in ("bulk", "tail")]
    worst = np.max([np.asarray(r_hat[name]) for name in named], axis=0)
    return worst, *(np.min([np.asarray(each[name]) for name in named], axis=0) for each in ess)


def judge_weights(k_hat, ess_kish):
    """Whether Pareto's k̂ and Kish's effective sample size allow trust in weighted draws."""
    return (k_hat < flags.MAX_K_HAT) & (ess_kish > flags.MIN_ESS)
