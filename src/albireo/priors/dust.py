"""Dust priors p(E | μ, sky) on E ≥ 0."""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from albireo.errors import UserError
from albireo.priors.distance import MU_MAX, MU_MIN, distance_kpc
from albireo.priors.healpix import find_pixel, whole_sky
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

    def is_reliable(self, mu: Float[Array, ""], position: Float[Array, " 2"]) -> Bool[Array, ""]:
        """Whether the dust was measured there; a smooth law claims nothing of the kind and is taken to hold."""
        del position
        return jnp.ones_like(mu, bool)


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


class DustMap(DustPrior):
    """A 3-d map: a Gaussian about the map's cumulative reddening, cut off below 0.

    Positions are Galactic longitude and latitude [deg], μ is the distance modulus [mag].

    Its width is √((fractional · E)² + absolute²) where the map is reliable. Nearer and farther the map is a guess: the
    width there is as large as the reddening, and at least 0.1 mag.

    Attributes:
        reddening: cumulative reddening of every HEALPix pixel (nested, Galactic) at even steps of μ [mag].
        first: distance modulus of the first step [mag].
        step: between two steps [mag].
        nearest: distance moduli of every pixel from which the map is reliable [mag].
        farthest: and up to which [mag].
        fractional: scatter about the map, as a fraction of it.
        absolute: scatter about the map [mag].
    """

    reddening: Float[Array, "pixel step"]
    first: float
    step: float
    nearest: Float[Array, " pixel"]
    farthest: Float[Array, " pixel"]
    fractional: float
    absolute: float

    @classmethod
    def from_array(
        cls,
        reddening: Float[np.ndarray, "pixel step"],
        distance_modulus: Float[np.ndarray, " step"],
        *,
        nested: bool = True,
        nearest: Float[np.ndarray, " pixel"] | float = -np.inf,
        farthest: Float[np.ndarray, " pixel"] | float = np.inf,
        fractional: float = 0.2,
        absolute: float = 0.03,
    ) -> "DustMap":
        """From the reddening within each distance, of every pixel of the sky in Galactic coordinates.

        Args:
            reddening: cumulative, in the units of SFD [mag]; kept in half precision.
            distance_modulus: of its columns, at even steps [mag].
            nested: the order of the pixels: nested, or else ring.
            nearest: distance modulus from which the map is reliable, in the same order of pixels or one for all.
            farthest: and up to which; by default the ends of the map.
            fractional: scatter about the map, as a fraction of it.
            absolute: scatter about the map [mag].

        Raises:
            UserError: not a whole sky, steps that are not even, values that are not finite or below 0, or limits or
                scatter that make no sense.
        """
        values, mu = whole_sky(reddening, 2, nested=nested), np.asarray(distance_modulus, float)
        steps = np.diff(mu)
        even = len(mu) > 1 and mu.ndim == 1 and steps[0] > 0 and np.ptp(steps) <= 1e-3 * steps[0]
        if mu.shape != (values.shape[1],) or not even:
            raise UserError(
                f"a dust map of {values.shape[1]} columns needs as many distance moduli, rising in even steps; "
                f"got {mu.size}."
            )
        check_scatter(fractional, absolute)
        return cls(
            jnp.asarray(values, jnp.float16),
            float(mu[0]),
            float(mu[1] - mu[0]),
            jnp.asarray(np.clip(_limits(nearest, len(values), nested=nested), mu[0], MU_MAX), jnp.float32),
            jnp.asarray(np.clip(_limits(farthest, len(values), nested=nested), MU_MIN, mu[-1]), jnp.float32),
            fractional,
            absolute,
        )

    @classmethod
    def from_query(
        cls,
        query: Callable[..., Any],
        *,
        nside: int = 32,
        distance_modulus: Float[np.ndarray, " step"] | None = None,
        **settings: Any,
    ) -> "DustMap":
        """From a map of the `dustmaps` package, asked at the centre of every pixel.

        Args:
            query: for instance `BayestarQuery()`: called with an astropy SkyCoord that has distances.
            nside: of the HEALPix pixels: 32 is 1.8°, which takes 3 MB, and 45 while it is made.
            distance_modulus: where to ask; by default every 0.125 mag from 4 to 19 [mag].
            settings: as `from_array` takes them.

        Raises:
            UserError: the query fails, or does not cover the sky.
        """
        import astropy.units as u
        import healpy
        from astropy.coordinates import SkyCoord

        if not healpy.isnsideok(nside, nest=True):
            raise UserError(f"nside must be a power of 2; got {nside}.")
        mu = np.arange(4, 19.01, 0.125) if distance_modulus is None else np.asarray(distance_modulus, float)
        glon, glat = healpy.pix2ang(nside, np.arange(healpy.nside2npix(nside)), nest=True, lonlat=True)
        distance = 10 ** (mu / 5 + 1) * u.pc
        where = SkyCoord(glon[:, None] * u.deg, glat[:, None] * u.deg, distance=distance[None], frame="galactic")
        try:
            reddening = np.asarray(query(where), float)
        except Exception as error:  # whatever a foreign map may raise
            cause = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise UserError(f"the dust map could not be asked ({cause}); mend the query.") from error
        return cls.from_array(reddening, mu, **settings)

    @property
    def depends_on_position(self) -> bool:
        """Yes."""
        return True

    def mean(self, mu: Float[Array, ""], position: Float[Array, " 2"]) -> Float[Array, ""]:
        """The map's reddening [mag], linear between its steps; nearer than the first it falls as the distance."""
        x = (mu - self.first) / self.step
        last = self.reddening.shape[1] - 1
        i = jnp.clip(jnp.floor(x), 0, last - 1).astype(int)
        along = self.reddening[find_pixel(len(self.reddening), position)].astype(jnp.result_type(mu))
        inside = along[i] + jnp.clip(x - i, 0, 1) * (along[i + 1] - along[i])
        return inside * jnp.minimum(10 ** (0.2 * (mu - self.first)), 1.0)

    def is_reliable(self, mu: Float[Array, ""], position: Float[Array, " 2"]) -> Bool[Array, ""]:
        """Whether this distance is within the pixel's range."""
        pixel = find_pixel(len(self.reddening), position)
        return (mu >= self.nearest[pixel]) & (mu <= self.farthest[pixel])

    def reddening_given_distance(self, mu: Float[Array, ""], position: Float[Array, " 2"]) -> Reddening:
        """A Gaussian about the map, truncated at 0."""
        mean = self.mean(mu, position)
        reliable = self.is_reliable(mu, position)
        fractional, absolute = jnp.where(reliable, self.fractional, 1.0), jnp.where(reliable, self.absolute, 0.1)
        return Reddening.truncated_normal(mean, jnp.hypot(fractional * mean, absolute).astype(mean.dtype))


def check_scatter(fractional: float, absolute: float) -> None:
    """Refuse a scatter about a map that is no width.

    Raises:
        UserError: as said.
    """
    if not (0 <= fractional < np.inf and 0 < absolute < np.inf):
        raise UserError(
            f"the scatter about a dust map must be at least 0 of it and more than 0 mag; got {fractional:g} and "
            f"{absolute:g} mag."
        )


def _limits(limit: Float[np.ndarray, " pixel"] | float, num_pixels: int, *, nested: bool):
    """A limit for every pixel, in nested order."""
    import healpy

    values = np.asarray(limit, float)
    if values.shape not in ((), (num_pixels,)) or np.isnan(values).any():
        raise UserError(f"the limits of a dust map must be one number, or {num_pixels} for its pixels, without NaN.")
    values = np.broadcast_to(values, num_pixels)
    return values if nested else values[healpy.nest2ring(healpy.npix2nside(num_pixels), np.arange(num_pixels))]
