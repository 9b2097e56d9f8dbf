"""What the data say of a star's labels: whether the draws are in several modes, and what they tell beyond the prior."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import digamma
from scipy.stats import gaussian_kde

from albireo import flags

_NUM_GRID = 256
# A draw of large weight, several times among resampled draws, must not fill the spacing between some of them.
_NUM_INFORMATION_DRAWS = 500


class PriorOfLabels(NamedTuple):
    """The prior of every label, all else integrated out, from draws.

    Attributes:
        quantiles: of 2.5, 16, 84 and 97.5 %.
        grid: places that reach beyond the draws.
        log_density: there, by a kernel estimate.
    """

    quantiles: Float[np.ndarray, "4 label"]
    grid: Float[np.ndarray, "label place"]
    log_density: Float[np.ndarray, "label place"]

    @classmethod
    def of(cls, draws: Float[np.ndarray, "label draw"]) -> "PriorOfLabels":
        """From draws of the prior."""
        reach = draws.std(axis=1)
        grid = np.linspace(draws.min(axis=1) - reach, draws.max(axis=1) + reach, _NUM_GRID, axis=1)
        density = np.array([gaussian_kde(values)(places) for values, places in zip(draws, grid, strict=True)])
        return cls(np.percentile(draws, (2.5, 16, 84, 97.5), axis=1), grid, np.log(density + 1e-30))


class OfLabels(NamedTuple):
    """What the draws of stars say of their labels.

    Attributes:
        second_mode: share of the draws in the lesser of two modes, 0 unless there are two.
        information: gained of every label [nat].
        prior_dominated: whether some label's central interval is about as wide as the prior's.
    """

    second_mode: Float[np.ndarray, " star"]
    information: Float[np.ndarray, "star label"]
    prior_dominated: Bool[np.ndarray, " star"]


def judge_labels(prior: PriorOfLabels, draws: Float[np.ndarray, "star draw label"]) -> OfLabels:
    """Judge equally weighted draws of the labels that the prior is of."""
    x = np.swapaxes(draws, 1, 2).copy()  # draws together in memory, which sorting is quickest with
    some = np.sort(x[..., :: max(x.shape[-1] // _NUM_INFORMATION_DRAWS, 1)], axis=-1)
    x.sort(axis=-1)
    return OfLabels(_second_mode(x), _information(some, prior), _prior_dominated(x, prior))


def _second_mode(x: Float[np.ndarray, "star label draw"]) -> Float[np.ndarray, " star"]:
    """Share of sorted draws in the lesser of two modes: 0 unless some label's draws fall into groups far apart.

    Far apart for their widths, and with a valley between them.

    The split is the one with the largest variance between groups; the measure is Ashman's D = √2 |Δ mean| / √(σ1² +
    σ2²). A long tail has no valley: it has more draws half-way between the means than about the mean of its end.
    """
    x = x - np.mean(x, axis=-1, keepdims=True)
    n = x.shape[-1]
    count = np.arange(1, n, dtype=x.dtype)
    total, total2 = np.cumsum(x, axis=-1), np.cumsum(x**2, axis=-1)
    mean1, mean2 = total[..., :-1] / count, (total[..., -1:] - total[..., :-1]) / (n - count)
    split = np.argmax(count * (n - count) * (mean2 - mean1) ** 2, axis=-1)[..., None]
    mean1, mean2, part2 = (np.take_along_axis(a, split, axis=-1) for a in (mean1, mean2, total2))
    num = split + 1
    variance = part2 / num - mean1**2 + (total2[..., -1:] - part2) / (n - num) - mean2**2
    with np.errstate(all="ignore"):
        separation = np.sqrt(2) * (mean2 - mean1) / np.sqrt(np.maximum(variance, 1e-12))
    fraction = np.minimum(num, n - num) / n

    def num_about(center):
        return np.sum(np.abs(x - center) < (mean2 - mean1) / 8, axis=-1, keepdims=True)

    valley = 2 * num_about((mean1 + mean2) / 2) < np.minimum(num_about(mean1), num_about(mean2))
    apart = (separation > flags.MIN_MODE_SEPARATION) & (fraction >= flags.MIN_MODE_FRACTION)
    return np.max(np.where(apart & valley, fraction, 0), axis=(1, 2))


def _information(x: Float[np.ndarray, "star label draw"], prior: PriorOfLabels) -> Float[np.ndarray, "star label"]:
    """What the data say of every label: ∫ p(x | data) log [p(x | data) / p(x)] dx [nat].

    The posterior's entropy from the spacings of its sorted draws (Vasicek 1976, JRSS B 38, 54, with the correction of
    their mean logarithm), the prior's density by a kernel estimate: right to a tenth where the prior is not small.
    """
    n = x.shape[-1]
    step, i = int(np.sqrt(n)) // 2 + 1, np.arange(n)
    above, below = np.minimum(i + step, n - 1), np.maximum(i - step, 0)
    log_spacing = np.log(np.maximum(x[..., above] - x[..., below], 1e-12))
    entropy = np.mean(log_spacing - digamma(above - below), axis=-1) + np.log(n + 1)
    tables = zip(prior.grid, prior.log_density, strict=True)
    log_prior = np.stack([np.mean(np.interp(x[:, k], *table), axis=-1) for k, table in enumerate(tables)], axis=-1)
    return np.maximum(-entropy - log_prior, 0)


def _prior_dominated(x: Float[np.ndarray, "star label draw"], prior: PriorOfLabels) -> Bool[np.ndarray, " star"]:
    """Whether some label's central interval is about as wide as the prior's, and its median inside the prior's."""
    last = x.shape[-1] - 1
    p16, p50, p84 = (x[..., round(share * last)] for share in (0.16, 0.50, 0.84))
    low, prior_p16, prior_p84, high = prior.quantiles
    wide = (p84 - p16) / (prior_p84 - prior_p16) > flags.MAX_PRIOR_WIDTH_RATIO
    return np.any(wide & (p50 > low) & (p50 < high), axis=1)
