"""Priors on the labels, p(θ): how many stars of each kind there are in a unit of volume."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float, PRNGKeyArray

from albireo.errors import UserError
from albireo.model import StellarModel
from albireo.model.mixture import GaussianMixture

# A survey limited in magnitude sees a star out to a volume ∝ 10^(−0.6 M).
_LOG_VOLUME = -0.6 * np.log(10)
_NUM_NORM = 1 << 16
_NUM_PROPOSALS = 8


class TrainingStars(eqx.Module):
    """The density of the training stars divided by the volume each could be seen in.

    p(θ) = q(θ) 10^(+0.6 M(θ)) / Z, with q the model's smooth density of training stars, which a magnitude limit
    selected, and M the absolute magnitude in the reference band. A distance prior carries the volume, so p(θ) must
    not.

    Attributes:
        model: the stellar model, for q and M.
        proposal: q tilted towards p, for sampling.
        log_norm: log Z.
    """

    model: StellarModel
    proposal: GaussianMixture
    log_norm: Float[Array, ""]

    @classmethod
    def build(cls, model: StellarModel, seed: int = 0) -> "TrainingStars":
        """Normalise by importance sampling from a tilted copy of q, to about 0.3 %.

        Raises:
            UserError: the model carries no density of its training stars.
        """
        return _build(model, jax.random.key(seed))

    def log_prob(self, theta: Float[Array, " label"]) -> Float[Array, ""]:
        """log p(θ), per unit of every label."""
        return _log_unnormalised(self.model, theta) - self.log_norm

    def sample(self, key: PRNGKeyArray, num_samples: int) -> Float[Array, "sample label"]:
        """Draws of θ, resampled from eight times as many of the proposal."""
        key_propose, key_choose = jax.random.split(key)
        theta, log_weight = _weighted(self.model, self.proposal, key_propose, _NUM_PROPOSALS * num_samples)
        chosen = jax.random.choice(key_choose, log_weight.size, (num_samples,), p=jax.nn.softmax(log_weight))
        return theta[chosen]


@eqx.filter_jit
def _build(model: StellarModel, key: PRNGKeyArray) -> TrainingStars:
    proposal = _tilt(model)
    _, log_weight = _weighted(model, proposal, key, _NUM_NORM)
    return TrainingStars(model, proposal, logsumexp(log_weight) - np.log(_NUM_NORM))


def _weighted(model: StellarModel, proposal: GaussianMixture, key: PRNGKeyArray, num: int):
    """Draws from the proposal and the logarithms of their raw weights."""
    theta = proposal.sample(key, num)
    log_weight = jax.lax.map(lambda t: _log_unnormalised(model, t) - proposal.log_prob(t), theta, batch_size=4096)
    return theta, log_weight


def _log_unnormalised(model: StellarModel, theta):
    return _density(model).log_prob(theta) - _LOG_VOLUME * model.absolute_magnitudes(theta)[0]


def _tilt(model: StellarModel) -> GaussianMixture:
    """The density times 10^(+0.6 M), with M linear within each component: again a mixture."""
    density = _density(model)
    magnitude, gradient = jax.vmap(jax.value_and_grad(lambda t: model.absolute_magnitudes(t)[0]))(density.mean)
    along = -_LOG_VOLUME * jnp.einsum("kji,kj->ki", density.cholesky, gradient)
    log_weight = density.log_weight - _LOG_VOLUME * magnitude + 0.5 * jnp.sum(along**2, axis=-1)
    mean = density.mean + jnp.einsum("kij,kj->ki", density.cholesky, along)
    return GaussianMixture(log_weight - logsumexp(log_weight), mean, density.cholesky, density.whitener)


def _density(model: StellarModel) -> GaussianMixture:
    if model.density is None:
        raise UserError(
            "the model carries no density of its training stars, from which this prior takes p(θ); "
            "use a model trained by albireo or pass a prior of your own."
        )
    return model.density
