"""What is trained of a model: its layers. Those of several networks are one tree with a leading axis of networks."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from albireo.model.network import Dense
from albireo.model.stellar import StellarModel

Weights = tuple[tuple[Dense, ...], Dense]


def weights_of(model: StellarModel) -> Weights:
    """The layers of M and of R."""
    return model.layers, model.extinction


def with_weights(model: StellarModel, weights: Weights) -> StellarModel:
    """The model with other layers."""
    return eqx.tree_at(weights_of, model, weights)


def first_not_finite(weights: Weights) -> int:
    """The first network that holds a value that is not finite; 0 if all are sound."""
    sound = [np.isfinite(a).reshape(len(a), -1).all(axis=1) for a in map(np.asarray, jax.tree.leaves(weights))]
    return int(np.argmin(np.all(sound, axis=0)))


def one_of(weights: Weights, index: Int | slice) -> Weights:
    """One network of several, or a slice of them."""
    return jax.tree.map(lambda a: jnp.asarray(np.asarray(a)[index]), weights)
