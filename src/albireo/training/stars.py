"""What training needs of one star, and how the model sees that star; functions of ONE star, batched at the end."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from albireo.model.scatter import Scatter
from albireo.model.stellar import StellarModel
from albireo.training.covariance import (
    MODULUS_PER_RELATIVE_PARALLAX,
    Information,
    forget,
    forget_distance,
    forget_labels,
    photometric_information,
    tangent,
)
from albireo.training.dataset import TrainingSet
from albireo.training.reddening import update_reddening

# Stars a sweep looks at together: enough to keep the cores busy, few enough to stay in their caches.
CHUNK = 4096


class Star(NamedTuple):
    """One star, or many with a leading axis."""

    theta: Float[Array, "*batch label"]
    theta_cholesky: Float[Array, "*batch label label"]
    mag: Float[Array, "*batch band"]
    mag_err: Float[Array, "*batch band"]
    modulus: Float[Array, "*batch"]
    relative_parallax_err: Float[Array, "*batch"]
    has_parallax: Bool[Array, "*batch"]
    reddening: Float[Array, "*batch"]
    reddening_err: Float[Array, "*batch"]


class Fit(NamedTuple):
    """How a model fits a star."""

    residual: Float[Array, "*batch band"]
    """Observed minus predicted magnitudes [mag]; without meaning in unobserved bands."""
    precision: Float[Array, "*batch band band"]
    chi2: Float[Array, "*batch"]
    dof: Float[Array, "*batch"]
    log_likelihood: Float[Array, "*batch"]


def stars_of(
    training_set: TrainingSet, min_parallax_snr: float = 5.0, parallax_prior_slope: float | None = None
) -> Star:
    """The stars of a training set, with their distance moduli.

    Args:
        training_set: stars with labels.
        min_parallax_snr: a parallax of less signal-to-noise leaves the distance modulus unconstrained.
        parallax_prior_slope: d ln p / d ln ϖ in the second-order term of Eq. (A17); None leaves the term out.
    """
    usable = training_set.usable_parallax(min_parallax_snr)
    parallax = np.where(usable, training_set.parallax, 100.0)
    relative_err = np.where(usable, training_set.parallax_err / parallax, 0.0)
    modulus = 10 - 5 * np.log10(parallax)
    if parallax_prior_slope is not None:
        modulus += MODULUS_PER_RELATIVE_PARALLAX * relative_err**2 * (0.5 - parallax_prior_slope)
    return Star(
        theta=training_set.theta,
        theta_cholesky=np.linalg.cholesky(training_set.theta_cov),
        mag=training_set.mag,
        mag_err=training_set.mag_err,
        modulus=modulus,
        relative_parallax_err=relative_err,
        has_parallax=usable,
        reddening=training_set.reddening,
        reddening_err=training_set.reddening_err,
    )


def first_information(star: Star, scatter: Scatter | None = None) -> Information:
    """Inverse covariance of photometry and parallax alone, all there is before there is a model (section 4)."""
    photometry = photometric_information(star.mag_err, scatter)
    return forget_distance(photometry, star.relative_parallax_err, star.has_parallax)


def fit_star(model: StellarModel, star: Star) -> Fit:
    """Residuals of a star with their full covariance, Eqs. (3) and (4), at the star's own reddening.

    The covariance holds the model's scatter and spread where it has them.
    """
    at = tangent(model, star.theta)
    info = forget_labels(first_information(star, model.scatter), at, star.reddening, star.theta_cholesky)
    for direction in () if model.spread is None else model.spread.directions(model.standardise(star.theta)).T:
        info = forget(info, direction)
    info = forget(info, at.extinction * star.reddening_err)
    residual = star.mag - star.modulus - at.absolute_magnitude - star.reddening * at.extinction
    chi2 = residual @ info.precision @ residual
    dof = jnp.sum(jnp.isfinite(star.mag_err)) - 1.0 - ~star.has_parallax
    return Fit(residual, info.precision, chi2, dof, info.log_norm - 0.5 * chi2)


def refit_reddening(model: StellarModel, star: Star) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Updated reddening of a star and its error [mag]; the star carries the first estimate.

    The covariance holds the model's scatter where it has one.
    """
    at = tangent(model, star.theta)
    info = forget_labels(first_information(star, model.scatter), at, jnp.zeros(()), star.theta_cholesky)
    residual = star.mag - star.modulus - at.absolute_magnitude
    return update_reddening(info.precision, at, residual, star.reddening, star.reddening_err)


def sweep(function, model: StellarModel, stars: Star, chunk: int = CHUNK):
    """Apply a function of (model, star) to all stars, chunk by chunk, in double precision; returns numpy arrays.

    Double precision, because an inverse covariance loses digits where a reddening error is a hundred times a
    photometric one. Memory stays that of one chunk and of the result.
    """
    num = len(stars.theta)
    with jax.enable_x64(True):
        model = jax.tree.map(lambda a: np.asarray(a, np.float64), model)
        parts = []
        for start in range(0, num, chunk):
            rows = np.minimum(np.arange(start, start + chunk), num - 1)
            part = jax.device_get(_batched(function)(model, jax.tree.map(lambda a, r=rows: a[r], stars)))
            parts.append(jax.tree.map(lambda a, s=start: a[: num - s], part))
        return jax.tree.map(lambda *arrays: np.concatenate(arrays), *parts)


_BATCHED = {}


def _batched(function):
    if function not in _BATCHED:
        _BATCHED[function] = jax.jit(jax.vmap(function, in_axes=(None, 0)))
    return _BATCHED[function]
