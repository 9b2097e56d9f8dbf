"""What the data say of a star's labels: whether the draws are in several modes, and what they tell beyond the prior."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import digamma
from scipy.stats import gaussian_kde

from albireo import flags

MODES = ("first_mode", "second_mode", "third_mode")
"""What the shares of draws in a star's three largest modes are called."""

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
        num_modes: number of groups that the draws fall into.
        mode_share: shares of the draws in the three largest of them, in this order; 0 where there are fewer.
        information: gained of every label [nat].
        prior_dominated: whether some label's central interval is about as wide as the prior's.
    """

    num_modes: Int[np.ndarray, " star"]
    mode_share: Float[np.ndarray, "star 3"]
    information: Float[np.ndarray, "star label"]
    prior_dominated: Bool[np.ndarray, " star"]


def judge_labels(prior: PriorOfLabels, draws: Float[np.ndarray, "star draw label"]) -> OfLabels:
    """Judge equally weighted draws of labels, in the units in which the prior's are (standardised, for instance)."""
    together = np.swapaxes(draws, 1, 2).copy()  # draws together in memory, which sorting is quickest with
    some = np.sort(together[..., :: max(together.shape[-1] // _NUM_INFORMATION_DRAWS, 1)], axis=-1)
    x = np.sort(together, axis=-1)
    return OfLabels(*_modes(together, x), _information(some, prior), _prior_dominated(x, prior))


def _modes(
    x: Float[np.ndarray, "star label draw"], in_order: Float[np.ndarray, "star label draw"]
) -> tuple[Int[np.ndarray, " star"], Float[np.ndarray, "star 3"]]:
    """Number of modes, and the shares of the three largest, of draws that are also given in order."""
    num_modes, mode_share = np.ones(len(x), int), np.zeros((len(x), len(MODES)))
    mode_share[:, 0] = 1
    if x.shape[-1] < 2 * flags.MIN_MODE_DRAWS:
        return num_modes, mode_share
    split = _split(in_order)
    for star in np.flatnonzero(split.lesser / x.shape[-1] >= flags.MIN_MODE_FRACTION):
        halves = _halves(x[star], split.label[star], split.num_lower[star])
        sizes = sorted((size for half in halves for size in _sizes(half, x.shape[-1])), reverse=True)
        num_modes[star] = len(sizes)
        mode_share[star, : len(sizes)] = np.array(sizes[: len(MODES)]) / x.shape[-1]
    return num_modes, mode_share


def _sizes(x: Float[np.ndarray, "label draw"], num_draws: int) -> list[int]:
    """Numbers of draws in the modes of a group out of so many draws in all.

    The few draws between two modes go with one of them, and stand apart from the others there: to be a mode of its own
    takes more.
    """
    least = max(flags.MIN_FURTHER_MODE_FRACTION * num_draws, flags.MIN_MODE_DRAWS)
    if x.shape[-1] < 2 * least:
        return [x.shape[-1]]
    split = _split(np.sort(x)[None])
    if split.lesser[0] < least:
        return [x.shape[-1]]
    return [size for half in _halves(x, split.label[0], split.num_lower[0]) for size in _sizes(half, num_draws)]


def _halves(
    x: Float[np.ndarray, "label draw"], label: int, num_lower: int
) -> tuple[Float[np.ndarray, "label lower"], Float[np.ndarray, "label upper"]]:
    """The draws of the lowest values of a label, and the others."""
    order = np.argsort(x[label])
    return x[:, order[:num_lower]], x[:, order[num_lower:]]


class _Split(NamedTuple):
    """Where the draws of stars fall into two groups.

    Attributes:
        lesser: draws in the lesser group of the two, 0 if there is one group alone.
        label: the label that tells them apart.
        num_lower: draws in the group of its lower values.
    """

    lesser: Int[np.ndarray, " star"]
    label: Int[np.ndarray, " star"]
    num_lower: Int[np.ndarray, " star"]


def _split(x: Float[np.ndarray, "star label draw"]) -> _Split:
    """Split sorted draws by the label in which they fall into groups far apart, the lesser of which is largest.

    Far apart for their widths, and with a valley between them.

    The split is the one with the largest variance between groups; the measure is Ashman's D = √2 |Δ mean| / √(σ1² +
    σ2²). Three or more groups of like size at even distances may be one by this measure, as a uniform distribution is.
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
    lesser = np.where(separation > flags.MIN_MODE_SEPARATION, np.minimum(num, n - num), 0)[..., 0]
    for place in np.argwhere(lesser):
        at = tuple(place)
        lesser[at] *= _valley(x[at][: num[at][0]], x[at][num[at][0] :], float(mean2[at][0] - mean1[at][0]))
    star, label = np.arange(len(x)), np.argmax(lesser, axis=-1)
    return _Split(lesser[star, label], label, num[star, label, 0])


def _valley(lower: Float[np.ndarray, " lower"], upper: Float[np.ndarray, " upper"], distance: float) -> bool:
    """Whether about the cut between two groups of sorted draws there is less than half of what is densest in either.

    In windows of a quarter of the distance of their means. A long tail has no valley: it is densest where it begins.
    Repeated draws count once.
    """
    lower, upper = np.unique(lower), np.unique(upper)
    if min(len(lower), len(upper)) < flags.MIN_MODE_DRAWS:
        return False

    window = distance / 4

    def num_within(x):
        return np.searchsorted(x, x + window) - np.arange(len(x))

    # Of the windows about the cut, those that begin just after a draw.
    first, last = np.searchsorted(lower, lower[-1] - window), len(lower)
    about_cut = num_within(np.concatenate([lower, upper]))[first:last] - 1
    return 2 * np.min(about_cut) < min(np.max(num_within(lower)), np.max(num_within(upper)))


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
