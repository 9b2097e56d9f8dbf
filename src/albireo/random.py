"""Draws made of uniform random numbers, of which those for many points come from one key."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

# No number is nearer to 0 or 1, where the quantiles of a Gaussian are infinite.
_LEAST = 1e-7


@partial(jax.jit, static_argnums=1)
def split_each(keys: PRNGKeyArray, num: int) -> tuple[PRNGKeyArray, ...]:
    """So many keys of each star's."""
    return tuple(jnp.moveaxis(jax.vmap(lambda key: jax.random.split(key, num))(keys), 1, 0))


def uniform(key: PRNGKeyArray, shape: tuple[int, ...], dtype) -> Float[Array, "*shape"]:
    """Uniform random numbers between 0 and 1, both excluded."""
    return jax.random.uniform(key, shape, dtype, minval=_LEAST, maxval=1 - _LEAST)


def choose(u: Float[Array, ""], log_weight: Float[Array, " choice"]) -> tuple[Int[Array, ""], Float[Array, ""]]:
    """An index drawn in proportion to weights, of a uniform u, and another uniform number: where u lies within it.

    Where no choice has any weight, the first, and a half.
    """
    weight = jax.nn.softmax(log_weight)
    cumulative = jnp.cumsum(weight)
    u, ends = u * cumulative[-1], cumulative[:-1]
    beyond = u > ends
    index = jnp.sum(beyond)
    within = (u - jnp.max(jnp.where(beyond, ends, 0), initial=0)) / weight[index]
    return index, jnp.where(weight[index] > 0, jnp.clip(within, _LEAST, 1 - _LEAST), 0.5)
