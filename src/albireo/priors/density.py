"""Density laws of the parts of the Galaxy, and the places at which they are asked.

The laws of discs and halos are 1 in the plane at the Sun's Galactic radius, that of a bar is 1 at its centre.
"""

import abc
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float


class Place(NamedTuple):
    """A place in the Galaxy, in Cartesian coordinates about its centre [kpc].

    Attributes:
        x: towards the Sun.
        y: in the plane, in the sense of Galactic longitude 90° as seen from the Sun.
        z: towards the North Galactic Pole.
        solar_radius: distance of the Sun from the centre.
    """

    x: Float[Array, ""]
    y: Float[Array, ""]
    z: Float[Array, ""]
    solar_radius: Float[Array, ""]

    @property
    def radius(self) -> Float[Array, ""]:
        """Distance from the axis [kpc]."""
        return jnp.sqrt(self.x**2 + self.y**2)

    @property
    def at_solar_radius(self) -> "Place":
        """In the plane as far out as the Sun."""
        zero = jnp.zeros_like(self.z)
        return Place(self.solar_radius + zero, zero, zero, self.solar_radius)


class DensityLaw(eqx.Module):
    """A space density of stars."""

    @abc.abstractmethod
    def log_density(self, place: Place) -> Float[Array, ""]:
        """log ρ, where ρ is 1 at the law's own place of reference."""


class Local(DensityLaw):
    """A law that is 1 in the plane at the Sun's Galactic radius."""

    def log_density(self, place: Place) -> Float[Array, ""]:
        """log ρ at the place less that in the plane at the Sun's radius."""
        return self.log_shape(place) - self.log_shape(place.at_solar_radius)

    @abc.abstractmethod
    def log_shape(self, place: Place) -> Float[Array, ""]:
        """log ρ on any scale."""


class Disc(Local):
    """An exponential disc, ρ ∝ exp(−√(R² + c²)/L − |z|/H).

    Attributes:
        scale_length: L [kpc].
        scale_height: H [kpc].
        core: c [kpc].
    """

    scale_length: float
    scale_height: float
    core: float

    def log_shape(self, place: Place) -> Float[Array, ""]:
        """Falls linearly."""
        radius = jnp.sqrt(place.x**2 + place.y**2 + self.core**2)
        return -radius / self.scale_length - jnp.abs(place.z) / self.scale_height


class RoundedDisc(Local):
    """A disc whose vertical profile is a parabola up to a height and exponential above (Robin et al. 2003, table 3).

    ρ ∝ exp(−R/L) × (1 − z²/(h (2H + h)) for |z| < h, 2H/(2H + h) exp((h − |z|)/H) above).

    Attributes:
        scale_length: L [kpc].
        scale_height: H [kpc].
        rounded_height: h [kpc].
    """

    scale_length: float
    scale_height: float
    rounded_height: float

    def log_shape(self, place: Place) -> Float[Array, ""]:
        """Value and slope of the two profiles agree where they meet."""
        height, low, both = jnp.abs(place.z), self.rounded_height, 2 * self.scale_height + self.rounded_height
        parabola = jnp.log1p(-(jnp.minimum(height, low) ** 2) / (low * both))
        above = jnp.log(2 * self.scale_height / both) + (low - height) / self.scale_height
        return -place.radius / self.scale_length + jnp.where(height < low, parabola, above)


class EllipsoidalDisc(Local):
    """A disc with a hole in its middle, ρ ∝ f(a/L) − f(a/l), of flattened radius a² = R² + (z/ε)².

    f(x) = exp(−√(¼ + x²)) (Robin et al. 2003, A&A 409, 523, table 3, without warp and flare).

    Attributes:
        axis_ratio: ε.
        scale_length: L [kpc].
        hole_length: l [kpc].
    """

    axis_ratio: float
    scale_length: float
    hole_length: float

    def log_shape(self, place: Place) -> Float[Array, ""]:
        """The difference of the two terms, which at the very centre is small and not 0."""
        a_squared = place.radius**2 + (place.z / self.axis_ratio) ** 2
        disc, hole = self._log_profile(a_squared, self.scale_length), self._log_profile(a_squared, self.hole_length)
        return disc + jnp.log(-jnp.expm1(jnp.minimum(hole - disc, -1e-6)))

    def _log_profile(self, a_squared, length):
        return -jnp.sqrt(0.25 + a_squared / length**2)


class YoungDisc(EllipsoidalDisc):
    """The same with f(x) = exp(−x²), for stars younger than 0.15 Gyr (Robin et al. 2003)."""

    def _log_profile(self, a_squared, length):
        return -a_squared / length**2


class Halo(Local):
    """A power law in flattened radius, ρ ∝ (r_q² + c²)^(−n/2), steeper beyond a radius of break.

    r_q² = R² + (z/q)², with q(r) = q_∞ − (q_∞ − q_0) exp(1 − √(r² + r_s²)/r_s) (Xue et al. 2015, ApJ 809, 144).

    Attributes:
        slope: n.
        flattening_center: q_0.
        flattening_outer: q_∞.
        flattening_scale: r_s [kpc].
        core: c [kpc], within which the density stops rising.
        break_radius: beyond which the slope is another [kpc].
        outer_slope: n there.
    """

    slope: float
    flattening_center: float
    flattening_outer: float
    flattening_scale: float
    core: float
    break_radius: float
    outer_slope: float

    def log_shape(self, place: Place) -> Float[Array, ""]:
        """By the logarithm of the flattened radius."""
        r_squared = place.x**2 + place.y**2 + place.z**2
        rise = jnp.exp(1 - jnp.sqrt(r_squared + self.flattening_scale**2) / self.flattening_scale)
        q = self.flattening_outer - (self.flattening_outer - self.flattening_center) * rise
        log_r = 0.5 * jnp.log(place.x**2 + place.y**2 + (place.z / q) ** 2 + self.core**2)
        beyond = jnp.maximum(log_r - jnp.log(self.break_radius), 0)
        return -self.slope * log_r - (self.outer_slope - self.slope) * beyond


class Bar(DensityLaw):
    """A triaxial bar in the plane, 1 at its centre, of generalised radius r (Robin et al. 2012, A&A 538, A106).

    r^p = [(|x|/a)^c + (|y|/b)^c]^(p/c) + (|z|/h)^p, with x along the bar, whose near end lies at positive longitudes.

    Attributes:
        length: a [kpc].
        width: b [kpc].
        height: h [kpc].
        boxiness_in_plane: c; 2 is an ellipse.
        boxiness: p; 2 is an ellipsoid.
        angle: between the bar and the line from the Sun to the centre [deg].
        cutoff_radius: cylindrical radius [kpc] beyond which the density falls as a Gaussian as well.
        cutoff_width: standard deviation of that [kpc].
        profile: the logarithm of the density as a function of r: one of `PROFILES`.
    """

    length: float
    width: float
    height: float
    boxiness_in_plane: float
    boxiness: float
    angle: float
    cutoff_radius: float
    cutoff_width: float
    profile: str = eqx.field(static=True)

    def log_density(self, place: Place) -> Float[Array, ""]:
        """The profile of r, and the cutoff."""
        cos, sin = jnp.cos(jnp.deg2rad(self.angle)), jnp.sin(jnp.deg2rad(self.angle))
        along, across = place.x * cos + place.y * sin, place.y * cos - place.x * sin
        in_plane = _power(along / self.length, self.boxiness_in_plane) + _power(
            across / self.width, self.boxiness_in_plane
        )
        r = in_plane ** (self.boxiness / self.boxiness_in_plane) + _power(place.z / self.height, self.boxiness)
        outside = jnp.maximum(place.radius - self.cutoff_radius, 0) / self.cutoff_width
        return PROFILES[self.profile](r ** (1 / self.boxiness)) - 0.5 * outside**2


def _power(x, exponent):
    """|x|^exponent, smoothed within 1e-3 of 0, where its gradient may not be finite."""
    return (x**2 + 1e-6) ** (exponent / 2)


PROFILES = {
    "exponential": lambda r: -r,
    "gaussian": lambda r: -0.5 * r**2,
    "sech2": lambda r: -2 * (r + jnp.log1p(jnp.exp(-2 * r)) - jnp.log(2.0)),
}
