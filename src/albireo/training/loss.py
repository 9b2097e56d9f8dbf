"""The loss of Eq. (15): χ² per band, with small weights preferred."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from albireo.model.stellar import StellarModel


class Batch(NamedTuple):
    """Stars as the optimiser sees them: everything that stays fixed within an iteration."""

    theta: Float[Array, "star label"]
    target: Float[Array, "star band"]
    """Observed magnitudes less distance modulus [mag]."""
    reddening: Float[Array, "*network star"]
    precision: Float[Array, "*network star pair"]
    """Inverse covariances, packed by `pack`."""
    weight: Float[Array, "*network star"]
    """How often a star counts: 0 leaves it out."""

    def take(self, rows: Int[Array, " taken"]) -> "Batch":
        """Some of the stars."""
        own = (a[:, rows] for a in (self.reddening, self.precision, self.weight))
        return Batch(self.theta[rows], self.target[rows], *own)

    def of(self, network: int) -> "Batch":
        """The stars as one network sees them."""
        return Batch(self.theta, self.target, *(a[network] for a in (self.reddening, self.precision, self.weight)))


# Every network sees the same stars, each with its own idea of reddenings and covariances.
OVER_NETWORKS = Batch(None, None, 0, 0, 0)


def pack(matrix: Float[Array, "band band"]) -> Float[Array, " pair"]:
    """The upper triangle of a symmetric matrix, row by row: half the memory, and half the time to fetch it."""
    return matrix[np.triu_indices(len(matrix))]


def packed_product(packed: Float[Array, "star pair"], vector: Float[Array, "star band"]) -> Float[Array, "star band"]:
    """Symmetric matrices times vectors; written out, so that it runs along the stars."""
    num = vector.shape[-1]
    index = np.zeros((num, num), int)
    index[np.triu_indices(num)] = np.arange(packed.shape[-1])
    index = np.maximum(index, index.T)
    entry, value = packed.T, vector.T
    return jnp.stack([sum(entry[index[i, j]] * value[j] for j in range(num)) for i in range(num)], axis=-1)


def chi2(model: StellarModel, batch: Batch) -> Float[Array, " star"]:
    """Δmᵀ C⁻¹ Δm of every star, Eq. (14), with C held fixed."""
    predicted = model.absolute_magnitudes(batch.theta)
    predicted += batch.reddening[:, None] * model.extinction_vector(batch.theta)
    residual = batch.target - predicted
    weighted = packed_product(batch.precision, jax.lax.stop_gradient(residual))
    # Value and gradient of a quadratic form for one product with its matrix: 2 aᵀr − aᵀr with a = C⁻¹r held fixed.
    form = jnp.sum(weighted * residual, axis=-1)
    return 2 * form - jax.lax.stop_gradient(form)


def chi2_of_star(model: StellarModel, star: Batch) -> Float[Array, ""]:
    """The same of one star."""
    return chi2(model, jax.tree.map(lambda a: a[None], star))[0]


def penalty(model: StellarModel, l2: float, l1: float) -> Float[Array, ""]:
    """λ_s Σ w² over the weights of M and λ_r Σ |w| over those of R; biases are free."""
    stellar = sum(jnp.sum(layer.kernel**2) for layer in model.layers)
    return l2 * stellar + l1 * jnp.sum(jnp.abs(model.extinction.kernel))


def loss(model: StellarModel, batch: Batch, l2: float, l1: float) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Eq. (15) averaged over the stars by their weights; and their sum of χ² per band."""
    total = jnp.sum(batch.weight * chi2(model, batch)) / len(model.bands)
    return total / jnp.maximum(jnp.sum(batch.weight), 1.0) + penalty(model, l2, l1), total
