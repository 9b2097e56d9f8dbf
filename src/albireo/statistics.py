"""Statistics of draws, weighted or not, and of stars."""

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from albireo.device import in_parts

_PERCENTILES = {"p16": 0.16, "p50": 0.50, "p84": 0.84}
STATISTICS = ("mean", "std", *_PERCENTILES)
"""What `summarise` tells of a variable."""
_GOLDEN = (np.sqrt(5) - 1) / 2


def resample(
    drawn: xr.Dataset, log_weight: Float[np.ndarray, "star chain draw"], seed: int, row: Int[np.ndarray, " star"]
) -> xr.Dataset:
    """As many equally weighted draws as there are weighted ones."""
    drawn = drawn.transpose("star", "chain", "draw")

    def pick(values, log_weight, row):
        weight = np.exp(log_weight.reshape(len(row), -1).astype(float))
        # Multiples of irrational numbers fill the interval evenly, star after star.
        index = systematic(((row + 0.5) * _GOLDEN + seed * np.sqrt(2)) % 1, weight, weight.shape[1])
        return {
            name: np.take_along_axis(value.reshape(index.shape), index, axis=1).reshape(value.shape)
            for name, value in values.items()
        }

    values = {str(name): variable.values for name, variable in drawn.data_vars.items()}
    picked = {
        name: (drawn[name].dims, value, drawn[name].attrs)
        for name, value in in_parts(pick, values, log_weight, row).items()
    }
    return xr.Dataset(picked, coords=drawn.coords).transpose("chain", "draw", "star")


def systematic(
    u: Float[np.ndarray, " star"], weight: Float[np.ndarray, "star draw"], num: int
) -> Int[np.ndarray, "star resampled"]:
    """Indices of equally weighted samples by systematic resampling, out of order.

    Args:
        u: where in its first interval each star's first point lies, from 0 up to but without 1.
        weight: of the draws, NaN for none; a star that has none at all gets the last draw alone.
        num: how many indices.
    """
    cumulative = np.cumsum(np.nan_to_num(weight), axis=1)
    total = np.where(cumulative[:, -1:] > 0, cumulative[:, -1:], 1)
    num_below = np.minimum(np.ceil(cumulative * (num / total) - u[:, None]), num).astype(int)
    num_below[:, -1] = num
    draws = np.broadcast_to(np.arange(weight.shape[1]), weight.shape)
    index = np.repeat(draws, np.diff(num_below, axis=1, prepend=0).ravel()).reshape(-1, num)
    return index[:, np.random.default_rng(0).permutation(num)]


def flat(variable: xr.DataArray) -> Float[np.ndarray, "star draw"]:
    """The draws of every star, all chains together."""
    values = variable.transpose("star", "chain", "draw").values
    return values.reshape(values.shape[0], -1).astype(float)


def summarise(values: Float[np.ndarray, "star draw"], weight: Float[np.ndarray, "star draw"] | None):
    """Mean, standard deviation and percentiles of each row."""
    if weight is None:
        weight = np.ones_like(values)
    weight = weight / np.sum(weight, axis=1, keepdims=True)
    mean = np.sum(weight * values, axis=1)
    std = np.sqrt(np.sum(weight * (values - mean[:, None]) ** 2, axis=1))
    order = np.argsort(values, axis=1)
    values, weight = np.take_along_axis(values, order, axis=1), np.take_along_axis(weight, order, axis=1)
    cumulative = np.cumsum(weight, axis=1) - 0.5 * weight
    percentiles = {name: _interpolate(share, cumulative, values) for name, share in _PERCENTILES.items()}
    return {"mean": mean, "std": std} | percentiles


def _interpolate(
    at: float, x: Float[np.ndarray, "star draw"], y: Float[np.ndarray, "star draw"]
) -> Float[np.ndarray, " star"]:
    """y where each row's x, which ascends, is this; at the ends beyond them."""
    last = x.shape[1] - 1
    above = np.clip(np.sum(x < at, axis=1, keepdims=True), min(1, last), last)
    about = np.concatenate([np.maximum(above - 1, 0), above], axis=1)
    (x0, x1), (y0, y1) = np.take_along_axis(x, about, axis=1).T, np.take_along_axis(y, about, axis=1).T
    with np.errstate(all="ignore"):
        t = np.clip((at - x0) / (x1 - x0), 0, 1)
    return np.where(x1 > x0, y0 + t * (y1 - y0), np.where(x1 == x0, y1, np.nan))


def robust_width(values: Float[np.ndarray, " star"]) -> float:
    """Half the distance between the 16th and 84th percentiles: the standard deviation of a Gaussian."""
    p16, p84 = np.nanpercentile(values, [15.866, 84.134])
    return float(p84 - p16) / 2
