"""The network of B·M(θ), as pure functions of its layers."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


class Dense(eqx.Module):
    """One dense layer, x ↦ x·kernel + bias."""

    kernel: Float[Array, "n_in n_out"]
    bias: Float[Array, " n_out"]

    def __call__(self, x: Float[Array, "*batch n_in"]) -> Float[Array, "*batch n_out"]:
        """Apply the layer."""
        return x @ self.kernel + self.bias


def network(layers: Sequence[Dense], x: Float[Array, "*batch label"]) -> Float[Array, "*batch band"]:
    """M at standardised labels: dense layers with sigmoids between them give B·M [mag]."""
    for layer in layers[:-1]:
        x = jax.nn.sigmoid(layer(x))
    return from_colors(layers[-1](x))


def select_outputs(layers: Sequence[Dense], index: Int[Array, " selected"]) -> tuple[Dense, ...]:
    """The network of some bands; any leading axes of its arrays stay."""
    last = layers[-1]
    kernel = to_colors(from_colors(last.kernel)[..., index])
    return (*layers[:-1], Dense(kernel, to_colors(from_colors(last.bias)[..., index])))


def to_colors(mag: Float[Array, "*batch band"]) -> Float[Array, "*batch band"]:
    """B·m of Eq. (5): the reference band, then every other band minus it."""
    return jnp.concatenate([mag[..., :1], mag[..., 1:] - mag[..., :1]], axis=-1)


def from_colors(color: Float[Array, "*batch band"]) -> Float[Array, "*batch band"]:
    """The inverse of `to_colors`."""
    return jnp.concatenate([color[..., :1], color[..., 1:] + color[..., :1]], axis=-1)
