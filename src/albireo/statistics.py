"""Statistics of draws, weighted or not, and of stars."""

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from albireo.device import in_parts

_PERCENTILES = {"p16": 0.16, "p50": 0.50, "p84": 0.84}


def resample(
    drawn: xr.Dataset, log_weight: Float[np.ndarray, "star chain draw"], seed: int, row: Int[np.ndarray, " star"]
) -> xr.Dataset:
    """As many equally weighted draws as there are weighted ones."""
    drawn = drawn.transpose("star", "chain", "draw")

    def pick(values, log_weight, row):
        weight = np.nan_to_num(np.exp(log_weight.reshape(len(row), -1).astype(float)))
        each = zip(weight, row, strict=True)
        index = np.stack([systematic(np.random.default_rng([seed, r]), w, w.size) for w, r in each])
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


def systematic(rng: np.random.Generator, weight: Float[np.ndarray, " draw"], num: int) -> Int[np.ndarray, " resampled"]:
    """Indices of an equally weighted sample, by systematic resampling, in random order."""
    cumulative = np.cumsum(weight)
    u = (np.arange(num) + rng.random()) / num
    return rng.permutation(np.minimum(np.searchsorted(cumulative, u * cumulative[-1]), weight.size - 1))


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
    shares = list(_PERCENTILES.values())
    percentiles = np.array([np.interp(shares, c, v) for c, v in zip(cumulative, values, strict=True)])
    percentiles = percentiles.reshape(len(values), len(shares))  # of no star, too
    return {"mean": mean, "std": std} | dict(zip(_PERCENTILES, percentiles.T, strict=True))


def robust_width(values: Float[np.ndarray, " star"]) -> float:
    """Half the distance between the 16th and 84th percentiles: the standard deviation of a Gaussian."""
    p16, p84 = np.nanpercentile(values, [15.866, 84.134])
    return float(p84 - p16) / 2
