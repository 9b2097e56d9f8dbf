"""Dust priors p(E | μ, sky) on E ≥ 0."""

import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from albireo.priors.distance import distance_kpc
from albireo.priors.reddening import Reddening


class DustPrior(eqx.Module):
    """How much reddening to expect at a distance."""

    @property
    @abc.abstractmethod
    def depends_on_position(self) -> bool:
        """Whether the direction matters."""

    @abc.abstractmethod
    def reddening_given_distance(self, mu: Float[Array, ""], position: Float[Array, " 2"]) -> Reddening:
        """p(E | μ, sky) at distance modulus μ [mag] and Galactic position [deg]."""


class TruncatedNormal(DustPrior):
    """A Gaussian cut off below 0, the same everywhere.

    Attributes:
        mean: mean before truncation [mag].
        std: width before truncation [mag].
    """

    mean: float
    std: float

    @property
    def depends_on_position(self) -> bool:
        """No."""
        return False

    def reddening_given_distance(self, mu: Float[Array, ""], position: Float[Array, " 2"]) -> Reddening:
        """The same at every distance."""
        dtype = jnp.result_type(mu)
        return Reddening.truncated_normal(jnp.asarray(self.mean, dtype), jnp.asarray(self.std, dtype))


class Exponential(DustPrior):
    """exp(−E/mean)/mean, the same everywhere.

    Attributes:
        mean: mean reddening [mag].
    """

    mean: float

    @property
    def depends_on_position(self) -> bool:
        """No."""
        return False

    def reddening_given_distance(self, mu: Float[Array, ""], position: Float[Array, " 2"]) -> Reddening:
        """The same at every distance."""
        return Reddening.exponential(jnp.asarray(self.mean, jnp.result_type(mu)))


class DustDisc(DustPrior):
    """An exponential distribution whose mean is the dust of a smooth disc in front of the star.

    mean(d, b) = floor + k ∫_0^d exp(−s |sin b| / h) ds

    Attributes:
        midplane: reddening per kpc in the plane, k [mag/kpc].
        scale_height: h [kpc].
        floor: least mean [mag], which stands for errors of the zero points too.
    """

    midplane: float
    scale_height: float
    floor: float

    @property
    def depends_on_position(self) -> bool:
        """Yes: on the latitude."""
        return True

    def reddening_given_distance(self, mu: Float[Array, ""], position: Float[Array, " 2"]) -> Reddening:
        """Exponential with the mean reddening of the disc."""
        sin_b = jnp.abs(jnp.sin(jnp.deg2rad(position[1])))
        rate = jnp.maximum(sin_b, 1e-3) / self.scale_height
        column = -jnp.expm1(-rate * distance_kpc(mu)) / rate
        return Reddening.exponential((self.floor + self.midplane * column).astype(jnp.result_type(mu)))
