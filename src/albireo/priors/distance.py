"""Distance priors p(component, μ | sky), normalised along the sightline.

A distance prior is a number of components, each a space density. Along a sightline their number per unit distance
modulus, ∝ density × d³, is tabulated on a fixed grid of μ; between the points the logarithm of the total is nearly
linear, and the integral of that is exact, so every prior is normalised and sampled by the same few lines.
"""

import abc
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float, Int, PRNGKeyArray

# Distance moduli of the tables [mag]: from 1 pc to 100 kpc.
MU_MIN, MU_MAX, NUM_MU = -5.0, 20.0, 251
MU_STEP = (MU_MAX - MU_MIN) / (NUM_MU - 1)
_LOG_TEN_FIFTH = np.log(10) / 5


class Metallicity(NamedTuple):
    """The Gaussian distribution of [Fe/H] of every component at one place [dex]."""

    mean: Float[Array, " component"]
    std: Float[Array, " component"]


class DistancePrior(eqx.Module):
    """Space densities of one or several components, and the metallicities of their stars."""

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
    safe = jnp.where(steep, slope, 1)
    # Invert the cumulative of exp(slope·t) on [0, 1].
    t = jnp.where(steep, jnp.log1p(u * jnp.expm1(safe)) / safe, u)
    return MU_MIN + MU_STEP * (cell + t), component


def grid() -> Float[np.ndarray, " grid"]:
    """Distance moduli of the tables [mag]."""
    return np.linspace(MU_MIN, MU_MAX, NUM_MU)


def _log_cells(log_f):
    """Logarithm of the integral over each cell of the density whose logarithm is linear between grid points."""
    slope = log_f[1:] - log_f[:-1]
    steep = jnp.abs(slope) > 1e-3
    safe = jnp.where(steep, slope, 1)
    ratio = jnp.where(steep, jnp.expm1(safe) / safe, 1 + slope / 2)
    return log_f[:-1] + jnp.log(ratio) + np.log(MU_STEP)


class SameEverywhere(DistancePrior):
    """One component whose density and metallicity do not depend on the direction.

    Attributes:
        feh: its metallicity.
    """

    feh: "MetallicityGradient"

    @property
    def depends_on_position(self) -> bool:
        """No."""
        return False

    def metallicity(self, mu: Float[Array, ""], position: Float[Array, " 2"]) -> Metallicity:
        """The same at every place."""
        del mu, position
        return Metallicity(jnp.atleast_1d(jnp.asarray(self.feh.mean)), jnp.atleast_1d(jnp.asarray(self.feh.std)))


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
        return jnp.atleast_1d(3 * _LOG_TEN_FIFTH * mu - distance_kpc(mu) / self.scale)


def distance_kpc(mu: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """Distance [kpc] at distance modulus μ [mag]."""
    return 0.01 * jnp.exp(_LOG_TEN_FIFTH * mu)


class Disc(eqx.Module):
    """An exponential disc, ρ ∝ exp(−R/L − |z|/H), 1 at the Sun's Galactic radius in the plane.

    Attributes:
        scale_length: L [kpc].
        scale_height: H [kpc].
    """

    scale_length: float
    scale_height: float

    def log_density(self, radius, z, solar_radius):
        """log ρ at cylindrical radius and height [kpc]."""
        return -(radius - solar_radius) / self.scale_length - jnp.abs(z) / self.scale_height


class Halo(eqx.Module):
    """A power law in flattened radius, ρ ∝ r_q^−n, 1 at the Sun's Galactic radius in the plane.

    r_q² = R² + (z/q)², with q(r) = q_∞ − (q_∞ − q_0) exp(1 − √(r² + r_s²)/r_s) (Xue et al. 2015, ApJ 809, 144).

    Attributes:
        slope: n.
        flattening_center: q_0.
        flattening_outer: q_∞.
        flattening_scale: r_s [kpc].
        core: radius [kpc] within which the density stops rising.
    """

    slope: float
    flattening_center: float
    flattening_outer: float
    flattening_scale: float
    core: float

    def log_density(self, radius, z, solar_radius):
        """log ρ at cylindrical radius and height [kpc]."""
        return self._power_law(radius, z) - self._power_law(solar_radius, 0.0)

    def _power_law(self, radius, z):
        r = jnp.sqrt(radius**2 + z**2)
        rise = jnp.exp(1 - jnp.sqrt(r**2 + self.flattening_scale**2) / self.flattening_scale)
        q = self.flattening_outer - (self.flattening_outer - self.flattening_center) * rise
        return -0.5 * self.slope * jnp.log(radius**2 + (z / q) ** 2 + self.core**2)


class MetallicityGradient(eqx.Module):
    """A Gaussian distribution of [Fe/H] whose mean changes with the place: mean + radial·(R − R0) + vertical·|z|.

    Attributes:
        mean: in the plane at the Sun's Galactic radius [dex].
        std: at one place [dex].
        radial: gradient [dex/kpc].
        vertical: gradient [dex/kpc].
    """

    mean: float
    std: float
    radial: float
    vertical: float

    def at(self, radius, z, solar_radius):
        """The mean at cylindrical radius and height [kpc]; the gradients end at 15 kpc and at 3 kpc."""
        outward = jnp.clip(radius, 0, 15.0) - solar_radius
        return self.mean + self.radial * outward + self.vertical * jnp.minimum(jnp.abs(z), 3.0)


class Component(NamedTuple):
    """A part of the Galaxy.

    Attributes:
        density: its density law, 1 at the Sun's radius in the plane.
        fraction: local number density, on one scale for all components.
        feh: metallicity of its stars.
    """

    density: Disc | Halo
    fraction: float
    feh: MetallicityGradient


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
        radius, z = self.galactocentric(mu, position)
        log_density = [
            jnp.log(part.fraction) + part.density.log_density(radius, z, self.solar_radius) for part in self.components
        ]
        return jnp.stack(log_density) + 3 * _LOG_TEN_FIFTH * mu

    def metallicity(self, mu: Float[Array, ""], position: Float[Array, " 2"]) -> Metallicity:
        """By each component's gradients."""
        radius, z = self.galactocentric(mu, position)
        mean = jnp.stack([part.feh.at(radius, z, self.solar_radius) for part in self.components])
        return Metallicity(mean, jnp.stack([jnp.asarray(part.feh.std, mean.dtype) for part in self.components]))

    def galactocentric(self, mu, position):
        """Cylindrical radius and height [kpc] at distance modulus μ in this direction [deg]."""
        d, (glon, glat) = distance_kpc(mu), jnp.deg2rad(position)
        x = self.solar_radius - d * jnp.cos(glat) * jnp.cos(glon)
        y = d * jnp.cos(glat) * jnp.sin(glon)
        return jnp.sqrt(x**2 + y**2), d * jnp.sin(glat) + self.solar_height
