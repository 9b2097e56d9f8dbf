"""Distributions of reddening E ≥ 0 for which the integral over E of photometry × prior is closed.

Each component is the exponential of a quadratic on E ≥ 0,

    p(E) = exp(log_norm + linear·E − ½ precision·E²),

a truncated Gaussian for precision > 0 and an exponential for precision = 0; a mixture of them approximates any other.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp, ndtr, ndtri
from jaxtyping import Array, Float, PRNGKeyArray

from albireo.normal import inverse_mills, log_ndtr
from albireo.random import uniform


class Reddening(eqx.Module):
    """A mixture over E ≥ 0 of exponentials of quadratics, each normalised.

    Attributes:
        log_weight: logarithms of component weights that sum to one.
        linear: coefficient of E [mag⁻¹].
        precision: coefficient of −½E² [mag⁻²]; where it is 0, `linear` must be negative.
    """

    log_weight: Float[Array, " component"]
    linear: Float[Array, " component"]
    precision: Float[Array, " component"]

    @classmethod
    def truncated_normal(cls, mean: Float[Array, ""], std: Float[Array, ""]) -> "Reddening":
        """A Gaussian of this mean and width [mag], cut off below 0 and normalised again."""
        precision = jnp.atleast_1d(1 / jnp.asarray(std) ** 2)
        return cls(jnp.zeros_like(precision), jnp.atleast_1d(mean) * precision, precision)

    @classmethod
    def exponential(cls, mean: Float[Array, ""]) -> "Reddening":
        """exp(−E/mean)/mean [mag⁻¹]."""
        linear = jnp.atleast_1d(-1 / jnp.asarray(mean))
        return cls(jnp.zeros_like(linear), linear, jnp.zeros_like(linear))

    @property
    def log_norm(self) -> Float[Array, " component"]:
        """−log ∫ exp(linear·E − ½ precision·E²) dE over E ≥ 0, of each component."""
        return -_log_half_line_integral(self.linear, self.precision)

    @property
    def mode(self) -> Float[Array, ""]:
        """Mode of the heaviest component [mag]."""
        k = jnp.argmax(self.log_weight)
        precision = self.precision[k]
        return jnp.where(precision > 0, jnp.maximum(self.linear[k], 0) / jnp.where(precision > 0, precision, 1), 0)

    @property
    def mean(self) -> Float[Array, ""]:
        """⟨E⟩ [mag]: of each component the derivative of log ∫ exp(linear·E − ½ precision·E²) dE by `linear`."""
        slope = jax.vmap(jax.grad(_log_half_line_integral))(self.linear, self.precision)
        return jnp.sum(jnp.exp(self.log_weight) * slope)

    def log_prob(self, reddening: Float[Array, ""]) -> Float[Array, ""]:
        """Logarithm of the density [mag⁻¹]; −inf below 0."""
        safe = jnp.maximum(reddening, 0)
        log_p = logsumexp(self.log_weight + self.log_norm + self.linear * safe - 0.5 * self.precision * safe**2)
        return jnp.where(reddening < 0, -jnp.inf, log_p)

    def probability_below(self, reddening: Float[Array, ""]) -> Float[Array, ""]:
        """P(E < reddening): by the half-line integral from there, which shifts `linear`, over that from 0."""
        e = jnp.maximum(reddening, 0)
        log_above = _log_half_line_integral(self.linear - self.precision * e, self.precision) + self.log_norm
        return -jnp.expm1(logsumexp(self.log_weight + self.linear * e - 0.5 * self.precision * e**2 + log_above))

    def sample(self, key: PRNGKeyArray) -> Float[Array, ""]:
        """One draw [mag]."""
        key_component, key_gauss, key_exponential = jax.random.split(key, 3)
        k = jax.random.categorical(key_component, self.log_weight)
        linear, precision = self.linear[k], self.precision[k]
        gaussian = precision > 0
        safe = jnp.where(gaussian, precision, 1)
        normal = truncated_normal_draw(key_gauss, linear / safe, 1 / jnp.sqrt(safe))
        exponential = jax.random.exponential(key_exponential, dtype=linear.dtype) / jnp.where(gaussian, 1, -linear)
        return jnp.where(gaussian, normal, exponential)


def _log_half_line_integral(linear, precision):
    """log ∫_0^∞ exp(linear·E − ½ precision·E²) dE, also where precision → 0 and linear < 0."""
    ratio = precision / jnp.where(linear == 0, 1, linear) ** 2
    # Far in the tail (linear/√precision < −5) the Gaussian form cancels; the asymptotic series of Mills' ratio does
    # not: error below 5e-5 there.
    tail = (linear < 0) & (ratio < 1 / 25)
    q = jnp.where(tail, ratio, 0)
    series = 1 - q * (1 - 3 * q * (1 - 5 * q * (1 - 7 * q * (1 - 9 * q))))
    in_tail = jnp.log(series) - jnp.log(jnp.where(tail, -linear, 1))
    safe = jnp.where(tail, 1, precision)
    x = jnp.where(tail, 0, linear) / jnp.sqrt(safe)
    gaussian = 0.5 * x**2 + 0.5 * jnp.log(2 * jnp.pi / safe) + log_ndtr(x)
    return jnp.where(tail, in_tail, gaussian)


def truncated_normal_draw(key: PRNGKeyArray, mean: Float[Array, ""], std: Float[Array, ""]) -> Float[Array, ""]:
    """A draw from N(mean, std²) restricted to values ≥ 0, exact far into the tail too."""
    return truncated_normal_at(uniform(key, jnp.shape(mean), jnp.result_type(mean)), mean, std)


def truncated_normal_at(u: Float[Array, ""], mean: Float[Array, ""], std: Float[Array, ""]) -> Float[Array, ""]:
    """The value that N(mean, std²) restricted to values ≥ 0 exceeds with probability u.

    With α = −mean/std and z = (x − mean)/std, solve Φ(−z) = u Φ(−α). In the tail that is done in logarithms: three
    Newton steps from the asymptotic z = √(α² − 2 log u).
    """
    alpha = -mean / std
    tail = alpha > 2
    in_bulk = -ndtri(u * ndtr(-jnp.where(tail, 0, alpha)))

    a = jnp.where(tail, alpha, 2)
    target = jnp.log(u) + log_ndtr(-a)
    z = jnp.sqrt(a**2 - 2 * jnp.log(u))
    for _ in range(3):
        z = z + (log_ndtr(-z) - target) / inverse_mills(-z)
    return jnp.maximum(mean + std * jnp.where(tail, z, in_bulk), 0)
