"""Distance priors p(component, μ | sky), normalised along the sightline.

A distance prior is a number of components, each a space density. Along a sightline their number per unit distance
modulus, ∝ density × d³, is tabulated on a fixed grid of μ; between the points its logarithm is linear, and the
integral of that is exact, so every prior is normalised and sampled by the same few lines.
"""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float, PRNGKeyArray

# Distance moduli of the tables [mag]: from 1 pc to 100 kpc.
MU_MIN, MU_MAX, NUM_MU = -5.0, 20.0, 251
MU_STEP = (MU_MAX - MU_MIN) / (NUM_MU - 1)
_LOG_TEN_FIFTH = np.log(10) / 5


class DistancePrior(eqx.Module):
    """Space densities of one or several components."""

    @abc.abstractmethod
    def log_number(self, mu: Float[Array, ""], position: Float[Array, " 2"]) -> Float[Array, " component"]:
        """Log number of stars of every component per unit μ and solid angle, on one scale for all the sky."""

    @abc.abstractmethod
    def all_sky(self) -> Float[Array, "component grid"]:
        """The table averaged over the sky, for a star whose position is unknown."""

    def sightline(self, position: Float[Array, " 2"]) -> Float[Array, "component grid"]:
        """log p(component, μ | sky) on the grid of distance moduli."""
        known = jnp.all(jnp.isfinite(position))
        table = normalise(_tabulate(self, jnp.where(known, position, 0.0)))
        return jnp.where(known, table, self.all_sky().astype(table.dtype))


def log_prob(mu: Float[Array, ""], table: Float[Array, "component grid"]) -> Float[Array, " component"]:
    """log p(component, μ) [mag⁻¹] from a sightline's table; beyond its ends it falls by 1000 nats a magnitude."""
    x = (mu - MU_MIN) / MU_STEP
    i = jnp.clip(jnp.floor(x), 0, NUM_MU - 2).astype(int)
    t = jnp.clip(x - i, 0, 1)
    beyond = jnp.maximum(MU_MIN - mu, 0) + jnp.maximum(mu - MU_MAX, 0)
    return (1 - t) * table[:, i] + t * table[:, i + 1] - 1000 * beyond


def sample(key: PRNGKeyArray, table: Float[Array, "component grid"], num_samples: int) -> Float[Array, " sample"]:
    """Draws of μ [mag] from a sightline's table, whatever the component."""
    key_cell, key_within = jax.random.split(key)
    total = logsumexp(table, axis=0)
    cell = jax.random.choice(key_cell, NUM_MU - 1, (num_samples,), p=jax.nn.softmax(_log_cells(total)))
    u = jax.random.uniform(key_within, (num_samples,), dtype=table.dtype)
    slope = total[cell + 1] - total[cell]
    steep = jnp.abs(slope) > 1e-3
    safe = jnp.where(steep, slope, 1)
    # Invert the cumulative of exp(slope·t) on [0, 1].
    t = jnp.where(steep, jnp.log1p(u * jnp.expm1(safe)) / safe, u)
    return MU_MIN + MU_STEP * (cell + t)


def grid() -> Float[np.ndarray, " grid"]:
    """Distance moduli of the tables [mag]."""
    return np.linspace(MU_MIN, MU_MAX, NUM_MU)


def _tabulate(prior: DistancePrior, position):
    mu = jnp.asarray(grid(), position.dtype)
    return jax.vmap(lambda mu: prior.log_number(mu, position), out_axes=1)(mu)


def normalise(table: Float[Array, "component grid"]) -> Float[Array, "component grid"]:
    """Scale a table so that all components together integrate to one."""
    return table - logsumexp(jax.vmap(_log_cells)(table))


def _log_cells(log_f):
    """Logarithm of the integral over each cell of the density whose logarithm is linear between grid points."""
    slope = log_f[1:] - log_f[:-1]
    steep = jnp.abs(slope) > 1e-3
    safe = jnp.where(steep, slope, 1)
    ratio = jnp.where(steep, jnp.expm1(safe) / safe, 1 + slope / 2)
    return log_f[:-1] + jnp.log(ratio) + np.log(MU_STEP)


class FlatInDistanceModulus(DistancePrior):
    """Uniform in μ between 1 pc and 100 kpc: a reference for tests, not a Galaxy."""

    def log_number(self, mu: Float[Array, ""], position: Float[Array, " 2"]) -> Float[Array, " component"]:
        """A constant."""
        return jnp.zeros(1, jnp.result_type(mu))

    def all_sky(self) -> Float[Array, "component grid"]:
        """The same as along any sightline."""
        return normalise(_tabulate(self, jnp.zeros(2)))


class ExponentiallyDecreasing(DistancePrior):
    """p(d) = d² exp(−d/L) / 2L³ (Bailer-Jones 2015, PASP 127, 994).

    Attributes:
        scale: length scale L [kpc].
    """

    scale: float

    def log_number(self, mu: Float[Array, ""], position: Float[Array, " 2"]) -> Float[Array, " component"]:
        """3 log d − d/L, as p(μ) ∝ p(d) d."""
        return jnp.atleast_1d(3 * _LOG_TEN_FIFTH * mu - distance_kpc(mu) / self.scale)

    def all_sky(self) -> Float[Array, "component grid"]:
        """The same as along any sightline."""
        return normalise(_tabulate(self, jnp.zeros(2)))


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


class Galaxy(DistancePrior):
    """A sum of components along the sightline.

    Attributes:
        components: density laws, each 1 at the Sun's radius in the plane.
        fractions: their local number densities relative to the first.
        solar_radius: distance of the Sun from the Galactic centre [kpc].
        solar_height: height of the Sun above the plane [kpc].
        names: names of the components.
        average: the table averaged over the sky.
    """

    components: tuple[Any, ...]
    fractions: tuple[float, ...]
    solar_radius: float
    solar_height: float
    names: tuple[str, ...] = eqx.field(static=True)
    average: Float[Array, "component grid"]

    @classmethod
    def build(cls, components: dict[str, tuple[Any, float]], *, solar_radius: float, solar_height: float) -> "Galaxy":
        """From `{name: (density law, local fraction)}`; tabulates the average over the sky."""
        laws, fractions = zip(*components.values(), strict=True)
        galaxy = cls(laws, fractions, solar_radius, solar_height, tuple(components), jnp.zeros(0))
        return eqx.tree_at(lambda g: g.average, galaxy, _average_over_sky(galaxy))

    def log_number(self, mu: Float[Array, ""], position: Float[Array, " 2"]) -> Float[Array, " component"]:
        """log ρ + 3 log d of every component."""
        radius, z = self.galactocentric(mu, position)
        log_density = [
            jnp.log(fraction) + law.log_density(radius, z, self.solar_radius)
            for law, fraction in zip(self.components, self.fractions, strict=True)
        ]
        return jnp.stack(log_density) + 3 * _LOG_TEN_FIFTH * mu

    def all_sky(self) -> Float[Array, "component grid"]:
        """Tabulated once, by `build`."""
        return self.average

    def galactocentric(self, mu, position):
        """Cylindrical radius and height [kpc] at distance modulus μ in this direction [deg]."""
        d, (glon, glat) = distance_kpc(mu), jnp.deg2rad(position)
        x = self.solar_radius - d * jnp.cos(glat) * jnp.cos(glon)
        y = d * jnp.cos(glat) * jnp.sin(glon)
        return jnp.sqrt(x**2 + y**2), d * jnp.sin(glat) + self.solar_height


@eqx.filter_jit
def _average_over_sky(galaxy: Galaxy):
    """The mean number over the pixels of a HEALPix map (nside 16: 3.7° pixels)."""
    import healpy

    glon, glat = healpy.pix2ang(16, np.arange(healpy.nside2npix(16)), lonlat=True)
    positions = jnp.stack([jnp.asarray(glon), jnp.asarray(glat)], axis=-1)
    tables = jax.vmap(lambda position: _tabulate(galaxy, position))(positions)
    return normalise(logsumexp(tables, axis=0) - np.log(len(glon)))
