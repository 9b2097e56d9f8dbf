"""A mixture of Gaussians over the labels: a compact, smooth density that is quick to evaluate and to sample."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float, PRNGKeyArray


class GaussianMixture(eqx.Module):
    """Σ_k weight_k N(θ; mean_k, L_k L_kᵀ), normalised over all θ.

    Attributes:
        log_weight: logarithms of weights that sum to one.
        mean: component means.
        cholesky: lower Cholesky factors L of the component covariances.
        whitener: their inverses, kept because a triangular solve costs more than the rest of the density.
    """

    log_weight: Float[Array, " component"]
    mean: Float[Array, "component label"]
    cholesky: Float[Array, "component label label"]
    whitener: Float[Array, "component label label"]

    @classmethod
    def fit(cls, points: Float[np.ndarray, "point label"], num_components: int, seed: int) -> "GaussianMixture":
        """Fit by expectation maximisation (scikit-learn) to points, each axis first scaled to unit width."""
        from sklearn.mixture import GaussianMixture as Fitter

        points = np.asarray(points, np.float64)
        center, scale = points.mean(axis=0), points.std(axis=0)
        fit = Fitter(num_components, reg_covar=1e-3, random_state=seed).fit((points - center) / scale)
        cholesky = np.linalg.cholesky(np.asarray(fit.covariances_)) * scale[:, None]
        return cls.from_moments(np.log(np.asarray(fit.weights_)), np.asarray(fit.means_) * scale + center, cholesky)

    @classmethod
    def from_moments(
        cls,
        log_weight: Float[np.ndarray, " component"],
        mean: Float[np.ndarray, "component label"],
        cholesky: Float[np.ndarray, "component label label"],
    ) -> "GaussianMixture":
        """From log weights, means and lower Cholesky factors of the covariances."""
        whitener = np.linalg.inv(cholesky)
        return cls(jnp.asarray(log_weight), jnp.asarray(mean), jnp.asarray(cholesky), jnp.asarray(whitener))

    def log_prob(self, theta: Float[Array, " label"]) -> Float[Array, ""]:
        """Logarithm of the density per unit label volume, of one point."""
        return logsumexp(self.log_components(theta))

    def log_components(self, theta: Float[Array, " label"]) -> Float[Array, " component"]:
        """Logarithm of each component's contribution to the density."""
        z = jnp.einsum("kij,kj->ki", self.whitener, theta - self.mean)
        log_det = jnp.sum(jnp.log(jnp.diagonal(self.whitener, axis1=-2, axis2=-1)), axis=-1)
        log_norm = log_det - 0.5 * theta.size * jnp.log(2 * jnp.pi)
        return self.log_weight + log_norm - 0.5 * jnp.sum(z**2, axis=-1)

    def sample(self, key: PRNGKeyArray, num_samples: int) -> Float[Array, "sample label"]:
        """Independent draws."""
        key_component, key_normal = jax.random.split(key)
        k = jax.random.choice(key_component, self.log_weight.size, (num_samples,), p=jnp.exp(self.log_weight))
        z = jax.random.normal(key_normal, (num_samples, self.mean.shape[1]), dtype=self.mean.dtype)
        return self.mean[k] + jnp.einsum("nij,nj->ni", self.cholesky[k], z)
