"""How well the stars determine a network: what networks trained on other stars would differ by."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from albireo.model.network import Dense, network, select_outputs


class Spread(eqx.Module):
    """A deep ensemble about a model: networks from other starts, each trained on its own resampling of the stars.

    The covariance of their predictions stands for the error of the model's own; it grows where training stars are few.

    Attributes:
        layers: their layers, with a leading axis of members.
    """

    layers: tuple[Dense, ...]

    def directions(self, x: Float[Array, "*batch label"]) -> Float[Array, "*batch band member"]:
        """D with D·Dᵀ the covariance of M among the members [mag²], at standardised labels."""
        mag = jax.vmap(network, (0, None), out_axes=-1)(self.layers, x)
        return (mag - jnp.mean(mag, axis=-1, keepdims=True)) / jnp.sqrt(mag.shape[-1] - 1)

    def select_bands(self, index: Int[Array, " selected"]) -> "Spread":
        """The spread of some bands."""
        return Spread(select_outputs(self.layers, index))
