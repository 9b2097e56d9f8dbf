"""A dust prior with a cap: all dust of a sightline from a map of the sky, spread along it as a smooth layer."""

from pathlib import Path
from typing import Any, Literal

import jax.numpy as jnp
from jaxtyping import Array, Float

from albireo.errors import UserError
from albireo.priors.distance import distance_kpc
from albireo.priors.dust import DustPrior, check_scatter
from albireo.priors.healpix import find_pixel, read_sky, whole_sky
from albireo.priors.reddening import Reddening

# SFD's E(B-V) times this is that of Schlafly & Finkbeiner (2011, ApJ 737, 103); a model's reddening is on SFD's scale.
UNITS = {"sfd": 1.0, "schlafly-finkbeiner": 0.86}


class DustCap(DustPrior):
    """A Gaussian, cut off below 0, about the share of the map's reddening that a smooth layer puts before the star.

    Positions are Galactic longitude l and latitude b [deg]; at a distance d, of the modulus μ [mag],

    mean(d, l, b) = E_map(l, b) [1 − exp(−d (|sin b|/h + cos b/L))]

    is the map's at infinity: the layer of `DustDisc`, which thins out along the plane too, for that alone has no end
    at b = 0. The width of the Gaussian is √((fractional · mean)² + absolute²).

    Attributes:
        total: reddening at infinity of every HEALPix pixel (nested, Galactic) [mag].
        scale_height: h [kpc].
        scale_length: L [kpc].
        fractional: scatter, as a fraction of the mean.
        absolute: scatter [mag].
    """

    total: Float[Array, " pixel"]
    scale_height: float
    scale_length: float
    fractional: float
    absolute: float

    @classmethod
    def from_array(
        cls,
        total: Any,
        *,
        nested: bool = False,
        units: Literal["sfd", "schlafly-finkbeiner"] = "sfd",
        scale_height: float = 0.15,
        scale_length: float = 10.0,
        fractional: float = 0.4,
        absolute: float = 0.03,
    ) -> "DustCap":
        """From the reddening of every pixel of the sky in Galactic coordinates.

        The layer and the scatter are by default what comes nearest to a 3-d map (Bayestar17, Green et al. 2018, and
        Combined19 below |b| of 20°) between 0.1 and 6 kpc, with the map of Schlegel, Finkbeiner & Davis (1998).

        Args:
            total: a value a pixel [mag], as `healpy.read_map` returns it.
            nested: the order of the pixels: nested, or else ring.
            units: the scale of the map: that of SFD, or 0.86 of it.
            scale_height: of the layer [kpc].
            scale_length: of the layer along the plane [kpc].
            fractional: scatter, as a fraction of the mean.
            absolute: scatter [mag].

        Raises:
            UserError: not a whole sky, values that are not finite or below 0, or other units or scales.
        """
        if units not in UNITS:
            raise UserError(f"the units of a dust map must be one of {', '.join(UNITS)}; got {units!r}.")
        if not (0 < scale_height < float("inf") and 0 < scale_length < float("inf")):
            raise UserError(f"the layer's scales must be greater than 0 kpc; got {scale_height:g}, {scale_length:g}.")
        check_scatter(fractional, absolute)
        values = whole_sky(total, 1, nested=nested) / UNITS[units]
        return cls(jnp.asarray(values, jnp.float32), scale_height, scale_length, fractional, absolute)

    @classmethod
    def read(cls, path: str | Path, **settings: Any) -> "DustCap":
        """From a FITS file, whose header says the order of the pixels.

        Args:
            path: the file.
            settings: as `from_array` takes them.

        Raises:
            UserError: as said there, and by `read_sky`.
        """
        return cls.from_array(read_sky(path), nested=False, **settings)

    @property
    def depends_on_position(self) -> bool:
        """Yes."""
        return True

    def mean(self, mu: Float[Array, ""], position: Float[Array, " 2"]) -> Float[Array, ""]:
        """The layer's reddening in front of the star [mag]."""
        b = jnp.deg2rad(position[1])
        rate = jnp.abs(jnp.sin(b)) / self.scale_height + jnp.cos(b) / self.scale_length
        total = self.total[find_pixel(self.total.shape[0], position)]
        return (-total * jnp.expm1(-rate * distance_kpc(mu))).astype(jnp.result_type(mu))

    def reddening_given_distance(self, mu: Float[Array, ""], position: Float[Array, " 2"]) -> Reddening:
        """A Gaussian about the layer, truncated at 0."""
        mean = self.mean(mu, position)
        return Reddening.truncated_normal(mean, jnp.hypot(self.fractional * mean, self.absolute).astype(mean.dtype))
