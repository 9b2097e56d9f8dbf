"""The likelihood of one star: what its magnitudes, its upper limits and its parallax say of it.

At fixed labels θ the magnitudes are linear in distance modulus μ and reddening E (Green et al. 2021, Eq. 2),

    m = M(θ) + μ + E R(θ) + noise of covariance C = diag(σ²) + Σ,

with the stated errors σ and the scatter Σ of the model, and the spread of the network at these labels, where the model
has one.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float

from albireo.catalog import Catalog
from albireo.model import Scatter, StellarModel
from albireo.priors.base import Prior
from albireo.priors.distance import LOG_TEN_FIFTH
from albireo.upper_limits import Limits, censoring


class Star(eqx.Module):
    """What was measured of one star (or of many, with a leading axis): no NaN, missing values have zero weight.

    Attributes:
        mag: apparent magnitudes [mag], or the limit of a band in which the star was not found; 0 where missing.
        whitener: W with WᵀW = C⁻¹ over the observed bands [mag⁻¹], lower triangular; rows of missing bands are 0.
        parallax: parallax [mas]; 0 where missing.
        parallax_ivar: inverse variance of the parallax [mas⁻²]; 0 where missing.
        position: Galactic longitude and latitude [deg]; NaN where unknown.
        censoring: A of `upper_limits.censoring` [mag⁻¹]; None of stars that have no upper limit.
    """

    mag: Float[Array, "*star band"]
    whitener: Float[Array, "*star band band"]
    parallax: Float[Array, "*star"]
    parallax_ivar: Float[Array, "*star"]
    position: Float[Array, "*star 2"]
    censoring: Float[Array, "*star band band"] | None = None

    @classmethod
    def from_catalog(
        cls, catalog: Catalog, dtype: np.dtype | type = np.float32, *, scatter: Scatter | None = None
    ) -> "Star":
        """All stars of a catalogue, whose bands must be those of the model, and the model's scatter."""
        position = np.stack([catalog.glon, catalog.glat], axis=-1)
        measured = catalog.mag, catalog.mag_err, catalog.parallax, catalog.parallax_err
        limit = catalog.mag_limit if catalog.has_limit.any() else None
        return cls.from_measurements(*measured, position, limit, scatter=scatter, dtype=dtype)

    @classmethod
    def from_measurements(
        cls,
        mag,
        mag_err,
        parallax,
        parallax_err,
        position=None,
        mag_limit=None,
        *,
        scatter: Scatter | None = None,
        dtype=np.float32,
    ) -> "Star":
        """From arrays with NaN where something is missing, and the model's scatter."""
        if position is None:
            position = np.full((*np.shape(parallax), 2), np.nan)
        mag, mag_err, used = _known(mag, mag_err)
        parallax, parallax_err, has_parallax = _known(parallax, parallax_err)
        whitener = _whitener(mag_err, used, scatter)
        parallax_ivar = np.where(has_parallax, parallax_err**-2, 0)
        arrays = mag, whitener, parallax, parallax_ivar, position
        if mag_limit is not None:
            limited = np.isfinite(mag_limit) & ~used
            arrays = np.where(limited, mag_limit, mag), *arrays[1:], censoring(limited, whitener, scatter)
        return cls(*(np.asarray(a, dtype) for a in arrays))

    def whiten(self, mag: Float[Array, "*batch band"]) -> Float[Array, "*batch band"]:
        """W·mag: differences of magnitudes in units of their errors, each given the bands before it."""
        return jnp.matmul(mag, self.whitener.T, precision="highest")

    def without_limits(self) -> "Star":
        """The same without upper limits."""
        return Star(self.mag, self.whitener, self.parallax, self.parallax_ivar, self.position)

    def limits(self, absolute_mag: Float[Array, " band"], extinction: Float[Array, " band"]) -> Limits | None:
        """What upper limits say of distance modulus and reddening at these labels; None without any."""
        if self.censoring is None:
            return None
        columns = jnp.stack([absolute_mag - self.mag, jnp.ones_like(self.mag), extinction], axis=1)
        z = jnp.matmul(self.censoring, columns, precision="highest")
        return Limits(*z.T, known=jnp.diagonal(self.censoring) > 0)


def _known(value, err):
    """Values, errors and whether both are known; 0 and 1 where not."""
    value, err = np.asarray(value, float), np.asarray(err, float)
    used = np.isfinite(value) & np.isfinite(err)
    return np.where(used, value, 0.0), np.where(used, err, 1.0), used


def _whitener(mag_err, used, scatter):
    """The inverse Cholesky factor of C over the observed bands of every star, in double precision."""
    identity = np.eye(mag_err.shape[-1])
    if scatter is None:
        return (used / mag_err)[..., None] * identity
    covariance = mag_err[..., None] ** 2 * identity + np.asarray(scatter.covariance(), float)
    covariance = np.where(used[..., :, None] & used[..., None, :], covariance, identity)
    return used[..., None] * np.tril(np.linalg.inv(np.linalg.cholesky(covariance)))


def log_likelihood_bands(
    model: StellarModel, star: Star, theta: Float[Array, " label"], mu: Float[Array, ""], reddening: Float[Array, ""]
) -> Float[Array, " band"]:
    """Gaussian log-likelihood of each magnitude given the bands before it; 0 for a missing one.

    Their sum is the log-likelihood of all magnitudes. Without scatter of the model the bands are independent.
    """
    return log_normal(*scores(model, star, theta, mu, reddening))


def scores(
    model: StellarModel, star: Star, theta: Float[Array, " label"], mu: Float[Array, ""], reddening: Float[Array, ""]
) -> tuple[Float[Array, " band"], Float[Array, " band"]]:
    """Residual of each magnitude given the bands before it, in units of its error, and 1 / error; 0 for a missing one.

    The squares of the first sum to χ².
    """
    score, inverse_err = star.whiten(star.mag - model.magnitudes(theta, mu, reddening)), jnp.diagonal(star.whitener)
    if model.spread is None:
        return score, inverse_err
    directions = _spread_directions(model, star, theta)
    cholesky = jnp.linalg.cholesky(jnp.eye(score.size, dtype=score.dtype) + directions.T @ directions)
    return solve_triangular(cholesky, score, lower=True), inverse_err / jnp.diagonal(cholesky)


def conditional_scores(
    model: StellarModel, star: Star, theta: Float[Array, " label"], mu: Float[Array, ""], reddening: Float[Array, ""]
) -> tuple[Float[Array, " band"], Float[Array, " band"]]:
    """Residual of each magnitude given all other bands, in units of its error then, and 1 / error; 0 for a missing one.

    With the precision P = C⁻¹ and the residuals r these are (P r)ᵢ / √Pᵢᵢ and √Pᵢᵢ (Bürkner, Gabry & Vehtari 2021,
    Comput. Stat. 36, 1243). They do not depend on the order of the bands.
    """
    whitener = star.whitener
    if model.spread is not None:
        directions = _spread_directions(model, star, theta)
        cholesky = jnp.linalg.cholesky(jnp.eye(len(whitener), dtype=whitener.dtype) + directions.T @ directions)
        whitener = solve_triangular(cholesky, whitener, lower=True)
    residual = star.mag - model.magnitudes(theta, mu, reddening)
    score = jnp.matmul(whitener, residual, precision="highest")
    inverse_err = jnp.linalg.norm(whitener, axis=0)
    known = inverse_err > 0
    weighted = jnp.matmul(whitener.T, score, precision="highest")
    return jnp.where(known, weighted / jnp.where(known, inverse_err, 1), 0), inverse_err


def log_likelihood_each_band(
    model: StellarModel, star: Star, theta: Float[Array, " label"], mu: Float[Array, ""], reddening: Float[Array, ""]
) -> Float[Array, " band"]:
    """Gaussian log-likelihood of each magnitude given all others, log Φ(z) for an upper limit; 0 for a missing one.

    It is what leave-one-out cross-validation needs. Without scatter of the model it is that of `log_likelihood_bands`.
    """
    of_magnitudes = log_normal(*conditional_scores(model, star, theta, mu, reddening))
    return of_magnitudes + log_likelihood_limits(model, star, theta, mu, reddening)


def log_likelihood_limits(
    model: StellarModel, star: Star, theta: Float[Array, " label"], mu: Float[Array, ""], reddening: Float[Array, ""]
) -> Float[Array, " band"]:
    """Log probability of not having found the star in each band with an upper limit; 0 for the others."""
    limits = star.limits(model.absolute_magnitudes(theta), model.extinction_vector(theta))
    return jnp.zeros_like(star.mag) if limits is None else limits.log_prob(mu, reddening)


def _spread_directions(model, star, theta) -> Float[Array, "member band"]:
    """The directions of the model's spread at these labels, in units of the star's errors."""
    return star.whiten(model.spread.directions(model.standardise(theta)).T)


def log_likelihood_magnitudes(
    model: StellarModel, star: Star, theta: Float[Array, " label"], mu: Float[Array, ""], reddening: Float[Array, ""]
) -> Float[Array, ""]:
    """log p(m | θ, μ, E) of one star, upper limits among its magnitudes."""
    at = theta, mu, reddening
    return jnp.sum(log_likelihood_bands(model, star, *at) + log_likelihood_limits(model, star, *at))


def log_likelihood_parallax(star: Star, mu: Float[Array, ""]) -> Float[Array, ""]:
    """Gaussian log-likelihood of the parallax, in parallax space, so that negative parallaxes are data."""
    inverse_err = jnp.sqrt(star.parallax_ivar)
    return log_normal((star.parallax - parallax_from_distance_modulus(mu)) * inverse_err, inverse_err)


def log_likelihood(
    model: StellarModel, star: Star, theta: Float[Array, " label"], mu: Float[Array, ""], reddening: Float[Array, ""]
) -> Float[Array, ""]:
    """log p(m, ϖ | θ, μ, E) of one star."""
    return log_likelihood_magnitudes(model, star, theta, mu, reddening) + log_likelihood_parallax(star, mu)


def log_posterior(
    model: StellarModel,
    prior: Prior,
    star: Star,
    sky,
    theta: Float[Array, " label"],
    mu: Float[Array, ""],
    reddening: Float[Array, ""],
) -> Float[Array, ""]:
    """log p(m, ϖ | θ, μ, E) + log p(θ, μ, E | sky) of one star: no shortcut, what `log_marginal` is judged by."""
    return log_likelihood(model, star, theta, mu, reddening) + prior.log_prob(theta, mu, reddening, sky)


def parallax_from_distance_modulus(mu: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """ϖ [mas] at distance modulus μ [mag]."""
    return 100 * jnp.exp(-LOG_TEN_FIFTH * mu)


def log_normal(score: Float[Array, " band"], inverse_err: Float[Array, " band"]) -> Float[Array, " band"]:
    """Log density of a residual of so many errors, and 0 where 1/error is 0."""
    known = inverse_err > 0
    return jnp.where(known, jnp.log(jnp.where(known, inverse_err, 1.0)) - 0.5 * jnp.log(2 * jnp.pi) - 0.5 * score**2, 0)
