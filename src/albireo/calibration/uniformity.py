"""Probability integral transforms, and tests of whether they are uniform: NumPy alone, for any posterior draws."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import binom

LEVELS = (0.50, 0.68, 0.95)
"""Probabilities of the central intervals whose coverage is measured."""

_NUM_SIMULATIONS = 9999
# Where the distribution function is compared: evenly, and closer at both ends, for missing tails.
_ENDS = np.array([0.001, 0.0025, 0.005])
_POINTS = np.concatenate([_ENDS, np.arange(1, 100) / 100, 1 - _ENDS[::-1]])


def probability_integral_transform(
    draws: Float[np.ndarray, "star draw"],
    weight: Float[np.ndarray, "star draw"] | None,
    truth: Float[np.ndarray, " star"],
    effective: Float[np.ndarray, " star"],
    rng: np.random.Generator,
) -> Float[np.ndarray, " star"]:
    """Posterior probability that a variable is below its true value: uniform on [0, 1] if the posterior is right.

    u = (L·P + v) / (L + 1) with P = Σ w [draw < truth], L the effective number of draws and v uniform on [0, 1]. Of L
    independent draws of equal weight, L·P is the rank statistic of Talts et al. (2018, arXiv 1804.06788) and u is
    exactly uniform, whatever L; for weighted or correlated draws that holds to order 1/L.

    Args:
        draws: draws from the posterior of each star.
        weight: their weights, which sum to one; None if all are equal.
        truth: true values.
        effective: effective number of independent draws.
        rng: for v.

    Returns:
        u; NaN for a star without draws.
    """
    below = draws < truth[:, None]
    probability = np.mean(below, axis=1) if weight is None else np.sum(np.where(below, weight, 0), axis=1)
    u = (effective * np.clip(probability, 0, 1) + rng.random(len(draws))) / (effective + 1)
    return np.where(np.isfinite(draws).all(axis=1), u, np.nan)


class Coverage(NamedTuple):
    """How often central intervals hold the truth.

    Attributes:
        fraction: of the stars.
        error: binomial standard error of that fraction if the intervals are right.
    """

    fraction: float
    error: float


def coverage(pit: Float[np.ndarray, " star"], level: float) -> Coverage:
    """Coverage of the central interval of this probability: where |u − ½| < level/2."""
    if not len(pit):
        return Coverage(np.nan, np.nan)
    inside: Bool[np.ndarray, " star"] = np.abs(pit - 0.5) < level / 2
    return Coverage(float(np.mean(inside)), float(np.sqrt(level * (1 - level) / len(pit))))


def uniformity_p_value(pit: Float[np.ndarray, " star"]) -> float:
    """How often uniform numbers would look as odd as these, or odder; at least 0.0001.

    At each of 105 points the number of values below is binomial. The statistic is the smallest of the two-sided
    probabilities of these numbers, its distribution that of simulated uniform numbers (Säilynoja, Bürkner & Vehtari
    2022, Statistics and Computing 32, 32). Unlike the Kolmogorov–Smirnov distance it sees missing tails.
    """
    if not len(pit):
        return np.nan
    oddness = np.min(_two_sided(np.sum(pit[:, None] <= _POINTS, axis=0), len(pit)))
    return float(1 + np.sum(_simulated_oddness(len(pit)) <= oddness)) / (1 + _NUM_SIMULATIONS)


def ecdf_band(num: int, level: float = 0.95) -> tuple[Float[np.ndarray, " point"], Float[np.ndarray, "2 point"]]:
    """Points, and the limits within which all of the distribution function of uniform numbers is this often."""
    oddness = np.quantile(_simulated_oddness(num), 1 - level)
    return _POINTS, np.stack([binom.ppf(oddness / 2, num, _POINTS), binom.isf(oddness / 2, num, _POINTS)]) / num


def _two_sided(count, num: int):
    """Two-sided probability of so many of `num` uniform numbers below each point; last axis: point."""
    at_most, at_least = binom.cdf(count, num, _POINTS), binom.sf(count - 1, num, _POINTS)
    return 2 * np.minimum(at_most, at_least)


@lru_cache(maxsize=64)
def _simulated_oddness(num: int) -> Float[np.ndarray, " simulation"]:
    """The smallest two-sided probability over the points, of simulated uniform numbers."""
    cells = np.diff(np.concatenate([[0.0], _POINTS, [1.0]]))
    counts = np.random.default_rng(0).multinomial(num, cells, size=_NUM_SIMULATIONS)
    probability = _two_sided(np.arange(num + 1)[:, None], num)
    return np.min(probability[np.cumsum(counts[:, :-1], axis=1), np.arange(len(_POINTS))], axis=1)
