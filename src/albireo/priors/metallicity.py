"""The metallicity of a component of the Galaxy: at every place a Gaussian distribution of [Fe/H]."""

import abc
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from albireo.priors.density import Place

# Gradients were measured within these limits, and end there.
_MAX_RADIUS, _MAX_HEIGHT = 15.0, 3.0  # [kpc]


class Metallicity(NamedTuple):
    """The Gaussian distribution of [Fe/H] of every component at one place [dex]."""

    mean: Float[Array, " component"]
    std: Float[Array, " component"]


class MetallicityLaw(eqx.Module):
    """How the Gaussian distribution of [Fe/H] changes from place to place.

    Attributes:
        std: its width at one place [dex].
    """

    std: float

    @abc.abstractmethod
    def mean_at(self, place: Place) -> Float[Array, ""]:
        """Its mean at a place [dex]."""


class Gradients(MetallicityLaw):
    """mean + radial·(R − R0) + vertical·|z|; the gradients end at R = 15 kpc and at |z| = 3 kpc.

    Attributes:
        mean: in the plane at the Sun's Galactic radius [dex].
        radial: gradient [dex/kpc].
        vertical: gradient [dex/kpc].
    """

    mean: float
    radial: float
    vertical: float

    def mean_at(self, place: Place) -> Float[Array, ""]:
        """By the gradients."""
        outward = jnp.minimum(place.radius, _MAX_RADIUS) - place.solar_radius
        return self.mean + self.radial * outward + self.vertical * jnp.minimum(jnp.abs(place.z), _MAX_HEIGHT)


class DeclineWithHeight(MetallicityLaw):
    """far + (plane − far) exp(−|z|/h), as Ivezić et al. (2008, ApJ 684, 287) have it for the disc.

    Attributes:
        plane: mean in the plane [dex].
        far: mean far from the plane [dex].
        scale_height: h [kpc].
    """

    plane: float
    far: float
    scale_height: float

    def mean_at(self, place: Place) -> Float[Array, ""]:
        """By the height alone."""
        return self.far + (self.plane - self.far) * jnp.exp(-jnp.abs(place.z) / self.scale_height)
