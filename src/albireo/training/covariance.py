"""First-order covariance of one star's photometry (Green et al. 2021, Eqs. 3 to 6, 14), in information form.

Eq. (4) says C = D + Σ_k g_k g_kᵀ: independent errors D of the bands, and one direction g_k in magnitude space for every
shared error: the labels (∇(M + E R) times the Cholesky columns of C_θ), the reddening (R σ_E), the distance modulus
(5/ln 10 · σ_ϖ/ϖ in every band), and the shared modes of a model's scatter. Here the inverse P = C⁻¹ is built instead,
one direction at a time:

    P ← P − P g gᵀP / (1 + gᵀP g)

Errors that are infinite in Eq. (4) are then plain zeros: an unobserved band starts with P = 0, and without a usable
parallax the 1 in the denominator is left out, which removes all information on the magnitude that bands share. That is
the paper's working with colours alone for such stars: as B of Eq. (5) has determinant one, χ² and densities are the
same in magnitudes as in one magnitude and colours.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from albireo.model.scatter import Scatter
from albireo.model.stellar import StellarModel

# |dμ/dϖ| = (5 / ln 10) / ϖ, from μ = 10 − 5 log10(ϖ / mas), Eqs. (4) and (A1).
MODULUS_PER_RELATIVE_PARALLAX = 2.171472409516259


class Information(NamedTuple):
    """Inverse covariance of the observed magnitudes of one star, and the normalisation that goes with it."""

    precision: Float[Array, "band band"]
    log_norm: Float[Array, ""]
    """log √det(P/2π) over observed bands; over their colours where the distance modulus is unconstrained."""


class Tangent(NamedTuple):
    """A model at one star's labels."""

    absolute_magnitude: Float[Array, " band"]
    extinction: Float[Array, " band"]
    absolute_magnitude_slope: Float[Array, "band label"]
    extinction_slope: Float[Array, "band label"]


def tangent(model: StellarModel, theta: Float[Array, " label"]) -> Tangent:
    """M, R and their derivatives by the labels, of one star."""

    def both(point):
        value = jnp.stack([model.absolute_magnitudes(point), model.extinction_vector(point)])
        return value, value

    (slope_m, slope_r), (m, r) = jax.jacfwd(both, has_aux=True)(theta)
    return Tangent(m, r, slope_m, slope_r)


def photometric_information(mag_err: Float[Array, " band"], scatter: Scatter | None = None) -> Information:
    """(D + Σ)⁻¹ of photometric errors and a model's scatter; a band whose error is not finite has none."""
    observed = jnp.isfinite(mag_err)
    err = jnp.where(observed, mag_err, 1.0)
    if scatter is not None:
        err = jnp.where(observed, jnp.hypot(err, scatter.own), 1.0)
    log_norm = -jnp.sum(jnp.where(observed, jnp.log(err) + 0.5 * jnp.log(2 * jnp.pi), 0.0))
    info = Information(jnp.diag(jnp.where(observed, err**-2, 0.0)), log_norm)
    for direction in () if scatter is None else scatter.shared.T:
        info = forget(info, direction)
    return info


def forget(info: Information, direction: Float[Array, " band"], prior: Float[Array, ""] = 1.0) -> Information:
    """Allow for an error along a direction in magnitude space.

    Args:
        info: what is known without that error.
        direction: the change of magnitudes that one standard deviation makes.
        prior: inverse variance of the amplitude: 1, or 0 for a direction that is unconstrained.
    """
    seen = info.precision @ direction
    total = prior + direction @ seen
    log_norm = info.log_norm - 0.5 * jnp.log(total) + jnp.where(prior == 0, 0.5 * jnp.log(2 * jnp.pi), 0.0)
    return Information(info.precision - jnp.outer(seen, seen) / total, log_norm)


def forget_labels(
    info: Information,
    at: Tangent,
    reddening: Float[Array, ""],
    theta_cholesky: Float[Array, "label label"],
) -> Information:
    """Allow for the errors of the labels: first term of Eq. (4)."""
    directions = (at.absolute_magnitude_slope + reddening * at.extinction_slope) @ theta_cholesky
    for direction in directions.T:
        info = forget(info, direction)
    return info


def forget_distance(
    info: Information, relative_parallax_err: Float[Array, ""], has_parallax: Bool[Array, ""]
) -> Information:
    """Allow for the error of the distance modulus: third term of Eq. (4), or no parallax at all."""
    scale = jnp.where(has_parallax, MODULUS_PER_RELATIVE_PARALLAX * relative_parallax_err, 1.0)
    ones = jnp.ones(info.precision.shape[0])
    return forget(info, scale * ones, jnp.where(has_parallax, 1.0, 0.0))
