"""How far two models are apart, where both know stars."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from albireo.errors import UserError
from albireo.model.domain import MIN_DENSITY_ABSOLUTE, Domain
from albireo.model.network import to_colors
from albireo.model.stellar import StellarModel

# As many stars in per cent are within a standard deviation of a Gaussian.
_MOST = 68.27


def compare(model: StellarModel, other: StellarModel, theta: Float[np.ndarray, "star label"]) -> dict[str, Any]:
    """Differences of two models at the labels of stars whose density exceeds 1e-2 in both, in every band.

    Args:
        model: a model with a domain.
        other: another one, of the same labels.
        theta: labels of the stars (teff [K], logg [dex], feh [dex]).

    Returns:
        The number of stars, and for every common band of model less other the median, and the size that the difference
        does not exceed for 68 % of the stars: of the colour to the first common band [mag] (for that band itself: of
        the absolute magnitude), and of R [per cent of the other's].

    Raises:
        UserError: a model does not know its domain, the models have no common band or other labels, or no star is in
            the domains of both.
    """
    if model.labels != other.labels:
        raise UserError(f"the models have labels {model.labels} and {other.labels}; they must agree.")
    bands = [band for band in model.bands if band in other.bands]
    if not bands:
        raise UserError("the models have no band in common, so they cannot be compared; choose another model.")
    ours, theirs = model.select_bands(bands), other.select_bands(bands)
    known = np.min([density_of(each, theta).min(axis=1) for each in (ours, theirs)], axis=0) > MIN_DENSITY_ABSOLUTE
    if not known.any():
        raise UserError("no star has a density above 1e-2 in both models; give stars like those they were trained on.")
    at = jnp.asarray(theta[known])
    color = np.asarray(to_colors(ours.absolute_magnitudes(at) - theirs.absolute_magnitudes(at)))
    percent = 100 * (np.asarray(ours.extinction_vector(at) / theirs.extinction_vector(at)) - 1)
    return {
        "num_stars": int(known.sum()),
        "by_band": {band: _figures(color[:, i], percent[:, i]) for i, band in enumerate(bands)},
    }


def density_of(model: StellarModel, theta: Float[np.ndarray, "star label"]) -> Float[np.ndarray, "star 1+band"]:
    """Density of training stars at labels, each with peak 1: of stars with a usable parallax first, then of every band.

    Raises:
        UserError: the model does not know it.
    """
    if model.domain is None:
        raise UserError("the model does not know the density of its training stars; train it again.")
    return np.asarray(_density(model.domain, jnp.asarray(theta)))


@eqx.filter_jit
def _density(domain: Domain, theta):
    return jax.lax.map(domain.density, theta, batch_size=256)


def _figures(color, percent):
    return {
        "color_median": float(np.median(color)),
        "color_size": float(np.percentile(np.abs(color), _MOST)),
        "extinction_median_percent": float(np.median(percent)),
        "extinction_size_percent": float(np.percentile(np.abs(percent), _MOST)),
    }
