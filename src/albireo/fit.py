"""How well posteriors meet the magnitudes of their stars, band by band."""

from typing import TYPE_CHECKING

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float

from albireo.groups import catalog_of
from albireo.likelihood import Star, conditional_scores
from albireo.samplers import Draws

if TYPE_CHECKING:
    from albireo.posterior import Posterior

_QUANTILES = (0.16, 0.5, 0.84)
# Draws that percentiles are taken of.
_NUM_DRAWS = 500
# Stars that are worked on together.
_BATCH_SIZE = 16


def fit_of_magnitudes(posterior: "Posterior") -> xr.Dataset:
    """What was measured of every star, what its posterior predicts, and what is left.

    Returns:
        `magnitude`, `magnitude_err` and `magnitude_limit` [mag]; `predicted` [mag], what labels, distance and
        reddening say, without noise; and `residual`, the difference of a magnitude to that given the star's other
        magnitudes, in units of its error then. The latter two are the 16th, 50th and 84th percentiles over draws,
        along `quantile`; residuals of missing bands are NaN.

    Raises:
        UserError: the posterior does not know its model.
    """
    stars, draws = jax.tree.map(np.asarray, posterior.stars_and_draws())
    every = stars, jax.tree.map(_thinned, draws)
    num, parts = len(posterior), []
    for start in range(0, num, _BATCH_SIZE):
        index = np.minimum(np.arange(start, start + _BATCH_SIZE), num - 1)  # one shape, compiled once
        parts.append(_fit(posterior.known_problem().model, *jax.tree.map(lambda a: a[index], every)))  # noqa: B023
    predicted, residual = (np.concatenate(part, axis=1)[:, :num] for part in zip(*parts, strict=True))
    catalog = catalog_of(posterior.tree)
    used = np.isfinite(catalog.mag) & np.isfinite(catalog.mag_err)
    dims = ("quantile", "star", "band")
    of_quantiles = {
        "predicted": (dims, predicted, {"units": "mag"}),
        "residual": (dims, np.where(used, residual, np.nan)),
    }
    names = ("magnitude", "magnitude_err", "magnitude_limit")
    arrays = zip(names, (catalog.mag, catalog.mag_err, catalog.mag_limit), strict=True)
    measured = {name: (("star", "band"), values, {"units": "mag"}) for name, values in arrays}
    coords = {"star": catalog.ids, "band": list(catalog.bands), "quantile": list(_QUANTILES)}
    return xr.Dataset(measured | of_quantiles, coords)


def _thinned(draws: Float[np.ndarray, "star chain draw *label"]) -> Float[np.ndarray, "star thinned *label"]:
    """Draws of all chains, evenly many from everywhere."""
    flat = draws.reshape(draws.shape[0], -1, *draws.shape[3:])
    return flat[:, np.linspace(0, flat.shape[1] - 1, _NUM_DRAWS).astype(int)]


@eqx.filter_jit
def _fit(model, stars: Star, draws: Draws) -> tuple[Float[Array, "3 star band"], Float[Array, "3 star band"]]:
    """Percentiles of predicted magnitudes, and of their residuals each given the other bands."""

    def one(args):
        star, draws = args
        residual, _ = jax.vmap(lambda *draw: conditional_scores(model, star, *draw))(*draws)
        quantiles = jnp.array(_QUANTILES)
        return tuple(jnp.quantile(a, quantiles, axis=0) for a in (model.magnitudes(*draws), residual))

    predicted, residual = jax.lax.map(one, (stars, draws))
    return jnp.moveaxis(predicted, 1, 0), jnp.moveaxis(residual, 1, 0)
