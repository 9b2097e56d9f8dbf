"""Distance priors p(component, μ | sky), normalised along the sightline.

A distance prior is a number of components, each a space density. Along a sightline their number per unit distance
modulus, ∝ density × d³, is tabulated on a fixed grid of μ; between the points the logarithm of the total is nearly
linear, and the integral of that is exact, so every prior is normalised and sampled by the same few lines.
"""

import abc
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from albireo.priors.density import Place
from albireo.priors.metallicity import Metallicity, MetallicityLaw

# Distance moduli of the tables [mag]: from 1 pc to 100 kpc.
MU_MIN, MU_MAX, NUM_MU = -5.0, 20.0, 251
MU_STEP = (MU_MAX - MU_MIN) / (NUM_MU - 1)
LOG_TEN_FIFTH = np.log(10) / 5


class DistancePrior(eqx.Module):
    """Space densities of one or several components, and the metallicities of their stars.

    Attributes:
        names: names of the components.
    """

    names: eqx.AbstractVar[tuple[str, ...]]

    @property
    @abc.abstractmethod
    def depends_on_position(self) -> bool:
        """Whether the direction matters."""

    @abc.abstractmethod
    def log_number(self, mu: Float[Array, ""], position: Float[Array, " 2"]) -> Float[Array, " component"]:
        """Log number of stars of every component per unit μ and solid angle, on one scale for all the sky."""

    @abc.abstractmethod
    def metallicity(self, mu: Float[Array, ""], position: Float[Array, " 2"]) -> Metallicity:
        """[Fe/H] of every component there [dex]."""


def normalise(table: Float[Array, "grid component"]) -> Float[Array, "grid component"]:
    """Scale the logarithms of numbers so that all components together integrate to one over μ."""
    return table - logsumexp(jax.vmap(_log_cells, in_axes=1)(table))


def interpolate(mu: Float[Array, ""], tables: Any) -> Any:
    """Tables on the grid of μ, at one μ between its ends."""
    x = (mu - MU_MIN) / MU_STEP
    i = jnp.clip(jnp.floor(x), 0, NUM_MU - 2).astype(int)
    t = jnp.clip(x - i, 0, 1)
    return jax.tree.map(lambda table: (1 - t) * table[i] + t * table[i + 1], tables)


def beyond(mu: Float[Array, ""]) -> Float[Array, ""]:
    """By how much the log density falls beyond the ends of the grid: 1000 nats a magnitude."""
    return 1000 * (jnp.maximum(MU_MIN - mu, 0) + jnp.maximum(mu - MU_MAX, 0))


def sample(
    key: PRNGKeyArray, table: Float[Array, "grid component"], num_samples: int
) -> tuple[Float[Array, " sample"], Int[Array, " sample"]]:
    """Draws of μ [mag] and of the component, from a sightline's table."""
    key_component, key_cell, key_within = jax.random.split(key, 3)
    shape = (num_samples,)
    cells = jax.vmap(_log_cells, in_axes=1, out_axes=1)(table)
    component = jax.random.categorical(key_component, logsumexp(cells, axis=0), shape=shape)
    cell = jax.random.categorical(key_cell, cells[:, component], axis=0)
    u = jax.random.uniform(key_within, shape, dtype=table.dtype)
    slope = table[cell + 1, component] - table[cell, component]
    steep = jnp.abs(slope) > 1e-3
    safe = jnp.where(steep, jnp.abs(slope), 1)
    # Invert the cumulative of exp(−|slope|·t) on [0, 1], where t counts from the higher end.
    t = jnp.where(steep, -jnp.log1p(u * jnp.expm1(-safe)) / safe, u)
    return MU_MIN + MU_STEP * (cell + jnp.where(slope > 0, 1 - t, t)), component


def grid() -> Float[np.ndarray, " grid"]:
    """Distance moduli of the tables [mag]."""
    return np.linspace(MU_MIN, MU_MAX, NUM_MU)


def _log_cells(log_f):
    """Logarithm of the integral over each cell of the density whose logarithm is linear between grid points."""
    slope = log_f[1:] - log_f[:-1]
    steep = jnp.abs(slope) > 1e-3
    safe = jnp.where(steep, jnp.abs(slope), 1)
    # From the higher end, so that nothing overflows however steep it is.
    below = jnp.where(steep, -jnp.expm1(-safe) / safe, 1 - jnp.abs(slope) / 2)
    return jnp.maximum(log_f[1:], log_f[:-1]) + jnp.log(below) + np.log(MU_STEP)


class SameEverywhere(DistancePrior):
    """One component whose density and metallicity do not depend on the direction.

    Attributes:
        feh: its metallicity.
    """

    feh: MetallicityLaw
    names: ClassVar[tuple[str, ...]] = ("everywhere",)

    @property
    def depends_on_position(self) -> bool:
        """No."""
        return False

    def metallicity(self, mu: Float[Array, ""], position: Float[Array, " 2"]) -> Metallicity:
        """The same at every place."""
        del position
        here = jnp.ones_like(mu)
        mean = self.feh.mean_at(Place(here, 0 * here, 0 * here, here))
        return Metallicity(jnp.atleast_1d(mean), jnp.atleast_1d(jnp.asarray(self.feh.std, mean.dtype)))


class FlatInDistanceModulus(SameEverywhere):
    """Uniform in μ between 1 pc and 100 kpc: a reference for tests, not a Galaxy."""

    def log_number(self, mu: Float[Array, ""], position: Float[Array, " 2"]) -> Float[Array, " component"]:
        """A constant."""
        return jnp.zeros(1, jnp.result_type(mu))


class ExponentiallyDecreasing(SameEverywhere):
    """p(d) = d² exp(−d/L) / 2L³ (Bailer-Jones 2015, PASP 127, 994).

    Attributes:
        feh: metallicity of the stars.
        scale: length scale L [kpc].
    """

    scale: float

    def log_number(self, mu: Float[Array, ""], position: Float[Array, " 2"]) -> Float[Array, " component"]:
        """3 log d − d/L, as p(μ) ∝ p(d) d."""
        return jnp.atleast_1d(3 * LOG_TEN_FIFTH * mu - distance_kpc(mu) / self.scale)


class GeneralisedGamma(SameEverywhere):
    """p(d) ∝ d^β exp(−(d/L)^α), the form of Bailer-Jones et al. (2021, AJ 161, 147, Eq. 3).

    Attributes:
        feh: metallicity of the stars.
        scale: length scale L [kpc].
        alpha: α.
        beta: β.
    """

    scale: float
    alpha: float
    beta: float

    def log_number(self, mu: Float[Array, ""], position: Float[Array, " 2"]) -> Float[Array, " component"]:
        """(β + 1) log d − (d/L)^α, as p(μ) ∝ p(d) d."""
        shape = (distance_kpc(mu) / self.scale) ** self.alpha
        return jnp.atleast_1d((self.beta + 1) * LOG_TEN_FIFTH * mu - shape)


def distance_kpc(mu: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """Distance [kpc] at distance modulus μ [mag]."""
    return 0.01 * jnp.exp(LOG_TEN_FIFTH * mu)
