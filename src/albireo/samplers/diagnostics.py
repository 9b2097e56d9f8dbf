"""Convergence of chains, number of modes, quality of the fit: what the flags are made of."""

import warnings

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Int
from scipy.stats import chi2 as chi2_distribution

from albireo import flags
from albireo.flags import Flag


def convergence(posterior: xr.Dataset) -> dict[str, Float[np.ndarray, " star"]]:
    """Worst rank-normalised r_hat and least bulk or tail effective sample size over the variables of every star.

    (Vehtari et al. 2021, Bayesian Analysis 16, 667), by ArviZ.
    """
    import arviz as az

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        r_hat = az.rhat(posterior)
        ess = [az.ess(posterior, method=method) for method in ("bulk", "tail")]
    worst = np.max([np.asarray(r_hat[name]) for name in posterior.data_vars], axis=0)
    least = np.min([np.asarray(each[name]) for each in ess for name in posterior.data_vars], axis=0)
    return {"r_hat_max": worst, "ess_min": least}


def several_modes(draws: Float[np.ndarray, "draw star label"]) -> Bool[np.ndarray, " star"]:
    """Whether the draws of some label split in two groups far apart for their widths.

    The split is the one with the largest variance between groups; the measure is Ashman's D = √2 |Δ mean| / √(σ1² +
    σ2²).
    """
    x = np.sort(draws, axis=0)
    n = len(x)
    count = np.arange(1, n)[:, None, None]
    total, total2 = np.cumsum(x, axis=0), np.cumsum(x**2, axis=0)
    mean1, mean2 = total[:-1] / count, (total[-1] - total[:-1]) / (n - count)
    var1 = total2[:-1] / count - mean1**2
    var2 = (total2[-1] - total2[:-1]) / (n - count) - mean2**2
    between = count * (n - count) * (mean2 - mean1) ** 2
    with np.errstate(all="ignore"):
        separation = np.sqrt(2) * (mean2 - mean1) / np.sqrt(np.maximum(var1 + var2, 1e-12))
    split = np.argmax(between, axis=0)[None]
    fraction = (np.minimum(split, n - split) + 1) / n
    found = np.take_along_axis(separation, split, axis=0) > flags.MIN_MODE_SEPARATION
    return np.any((found & (fraction >= flags.MIN_MODE_FRACTION))[0], axis=-1)


def poor_fit(
    chi2: Float[np.ndarray, " star"], n_bands: Int[np.ndarray, " star"], num_parameters: int
) -> Bool[np.ndarray, " star"]:
    """Whether the best χ² is improbable for this many bands and parameters."""
    dof = np.maximum(n_bands - num_parameters, 1)
    return chi2_distribution.sf(chi2, dof) < flags.MIN_FIT_P_VALUE


def not_converged(stats: dict[str, np.ndarray]) -> Bool[np.ndarray, " star"]:
    """From whatever measures the sampler has: r_hat and ESS of chains, k_hat and Kish ESS of weights."""
    bad = np.zeros(len(next(iter(stats.values()))), bool)
    if "r_hat_max" in stats:
        bad |= ~(stats["r_hat_max"] < flags.MAX_R_HAT) | ~(stats["ess_min"] > flags.MIN_ESS)
    if "k_hat" in stats:
        bad |= ~(stats["k_hat"] < flags.MAX_K_HAT)
    if "ess_kish" in stats:
        bad |= ~(stats["ess_kish"] > flags.MIN_ESS)
    return bad


def combine(conditions: dict[Flag, Bool[np.ndarray, " star"]]) -> Int[np.ndarray, " star"]:
    """One integer a star from the conditions of its flags."""
    return sum(np.where(condition, int(flag), 0) for flag, condition in conditions.items())  # pyright: ignore
