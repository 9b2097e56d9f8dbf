"""A Galaxy as a distance prior: a sum of components, each with its density law and its metallicities."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from albireo.priors.density import DensityLaw, Place
from albireo.priors.distance import LOG_TEN_FIFTH, DistancePrior, distance_kpc
from albireo.priors.metallicity import Metallicity, MetallicityLaw


class Component(NamedTuple):
    """A part of the Galaxy.

    Attributes:
        density: its density law.
        fraction: its number density at the law's place of reference, on one scale for all components.
        feh: metallicity of its stars.
    """

    density: DensityLaw
    fraction: float
    feh: MetallicityLaw


class Galaxy(DistancePrior):
    """A sum of components along the sightline.

    Attributes:
        components: its parts.
        solar_radius: distance of the Sun from the Galactic centre [kpc].
        solar_height: height of the Sun above the plane [kpc].
        names: names of the components.
    """

    components: tuple[Component, ...]
    solar_radius: float
    solar_height: float
    names: tuple[str, ...] = eqx.field(static=True)

    @property
    def depends_on_position(self) -> bool:
        """Yes."""
        return True

    def log_number(self, mu: Float[Array, ""], position: Float[Array, " 2"]) -> Float[Array, " component"]:
        """log ρ + 3 log d of every component."""
        place = self.place(mu, position)
        log_density = [jnp.log(part.fraction) + part.density.log_density(place) for part in self.components]
        return jnp.stack(log_density) + 3 * LOG_TEN_FIFTH * mu

    def metallicity(self, mu: Float[Array, ""], position: Float[Array, " 2"]) -> Metallicity:
        """By each component's law."""
        place = self.place(mu, position)
        mean = jnp.stack([part.feh.mean_at(place) for part in self.components])
        return Metallicity(mean, jnp.stack([jnp.asarray(part.feh.std, mean.dtype) for part in self.components]))

    def place(self, mu: Float[Array, ""], position: Float[Array, " 2"]) -> Place:
        """Where one is at distance modulus μ in this direction [deg]."""
        d, (glon, glat) = distance_kpc(mu), jnp.deg2rad(position)
        x = self.solar_radius - d * jnp.cos(glat) * jnp.cos(glon)
        y = d * jnp.cos(glat) * jnp.sin(glon)
        return Place(x, y, d * jnp.sin(glat) + self.solar_height, jnp.asarray(self.solar_radius, x.dtype))
