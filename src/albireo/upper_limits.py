"""Bands in which a star was looked for and not found.

A star of magnitude m is not found where noise leaves it fainter than the limit. At a limit of S/N 5 the noise is
2.5 / (5 ln 10) = 0.22 mag, taken as Gaussian in magnitudes, so that

    p(not found | θ, μ, E, bands found) = Φ(z),    z = (⟨m⟩ − limit) / √(0.22² + Var m),

with mean and variance of m given the residuals of the bands found, under the model's scatter; its spread is left out.
z is linear in distance modulus and reddening. Several limits count as independent of each other given the bands found:
the scatter that they then still share is small beside 0.22 mag.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp, ndtr
from jaxtyping import Array, Bool, Float

from albireo.model.scatter import Scatter
from albireo.normal import log_ndtr
from albireo.priors.reddening import truncated_normal_at
from albireo.random import choose

LIMIT_SNR = 5.0
LIMIT_ERR = 2.5 / (LIMIT_SNR * np.log(10))
"""Standard error of a magnitude at its limit [mag]."""

# Even places along the standard normal t that the truncated Gaussian of reddening comes from: of the integral over it,
# and of the table that it is drawn from. The scatter that all bands share leaves E uncertain at a given distance, so
# that Φ(z) rises within as little as 1/8 of t, where a Gauss–Hermite sum of so many nodes would be off by a third;
# an even sum is within 0.02. Limits favour the dustier side, which is longer.
_NODES, _TABLE = np.linspace(-4.5, 6.0, 36), np.linspace(-4.5, 6.0, 56)
_LOG_WEIGHTS = -0.5 * _NODES**2 - np.log(np.sum(np.exp(-0.5 * _NODES**2)))


class Limits(NamedTuple):
    """z of every band at fixed labels, as a linear function of (μ, E); without meaning where no limit is `known`."""

    z: Float[Array, " band"]
    per_mu: Float[Array, " band"]
    per_reddening: Float[Array, " band"]
    known: Bool[Array, " band"]

    def log_prob(self, mu: Float[Array, ""], reddening: Float[Array, ""]) -> Float[Array, " band"]:
        """Log probability of not having found the star, band by band; 0 where there is no limit."""
        return jnp.where(self.known, log_ndtr(self.z + self.per_mu * mu + self.per_reddening * reddening), 0)

    def log_mean(self, mu: Float[Array, ""], mean: Float[Array, ""], std: Float[Array, ""]) -> Float[Array, ""]:
        """Log of the mean probability over a Gaussian of E that is truncated at 0."""
        log_p = jax.vmap(lambda t: self._log_prob_along(mu, mean, std, t))(_NODES.astype(std.dtype))
        return logsumexp(log_p + _LOG_WEIGHTS.astype(std.dtype))

    def draw(
        self, u: Float[Array, ""], mu: Float[Array, ""], mean: Float[Array, ""], std: Float[Array, ""]
    ) -> Float[Array, ""]:
        """A draw of E, of a uniform u, from that Gaussian times the probability, linear between places of a table."""
        table = jnp.asarray(_TABLE, std.dtype)
        log_p = jax.vmap(lambda t: self._log_prob_along(mu, mean, std, t))(table) - 0.5 * table**2
        # Linear interpolation is a mixture of triangles about the places.
        step = table[1] - table[0]
        k, within = choose(u, log_p)
        side = 2 * within - 1
        triangle = jnp.sign(side) * (1 - jnp.sqrt(1 - jnp.abs(side)))
        t = table[k] + step * triangle
        return truncated_normal_at(ndtr(-t), mean, std)

    def _log_prob_along(self, mu, mean, std, t):
        return jnp.sum(self.log_prob(mu, truncated_normal_at(ndtr(-t), mean, std)))


def censoring(
    limited: Bool[np.ndarray, "*star band"], whitener: Float[np.ndarray, "*star band band"], scatter: Scatter | None
) -> Float[np.ndarray, "*star band band"]:
    """A with z = A·(predicted − observed), where a limit stands for the magnitude of a band that was not found.

    Args:
        limited: bands with a limit.
        whitener: W with WᵀW = C⁻¹ over the bands found, 0 elsewhere.
        scatter: of the model.

    Returns:
        A [mag⁻¹]; rows of bands without a limit are 0.
    """
    n_band = whitener.shape[-1]
    covariance = np.zeros((n_band, n_band)) if scatter is None else np.asarray(scatter.covariance(), float)
    # Of any band with those found: of itself only the scatter, for it has no stated error.
    explained = np.matmul(whitener, covariance)
    regression = np.matmul(np.swapaxes(explained, -1, -2), whitener)
    variance = LIMIT_ERR**2 + np.diagonal(covariance) - np.sum(explained**2, axis=-2)
    return limited[..., None] * (np.eye(n_band) - regression) / np.sqrt(variance)[..., None]
