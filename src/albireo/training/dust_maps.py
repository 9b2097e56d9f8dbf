"""Maps of dust that the first reddenings come from: HEALPix arrays, asked as maps of the `dustmaps` package are."""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import astropy.units as u
import numpy as np
from jaxtyping import Bool, Float

from albireo.errors import UserError

if TYPE_CHECKING:
    from albireo.priors.dust import DustMap

# Maps of the `dustmaps` package (Green 2018, JOSS 3, 695) that can be named.
_DUSTMAPS = {"sfd": ("dustmaps.sfd", "SFDQuery"), "bayestar": ("dustmaps.bayestar", "BayestarQuery")}


class Map(Protocol):
    """A map of dust, such as those of the `dustmaps` package."""

    def query(self, coords: Any, /) -> Any:
        """Reddening at an astropy SkyCoord [mag], in the units of SFD; NaN where the map does not reach."""


class SkyMap:
    """A map of all dust of each sightline: HEALPix pixels in Galactic coordinates."""

    def __init__(self, reddening: Float[np.ndarray, " pixel"], *, nested: bool = False):
        """Take the pixels [mag] in ring order, or else nested.

        Raises:
            UserError: not a whole sky.
        """
        import healpy

        reddening = np.asarray(reddening, float)
        if reddening.ndim != 1 or not healpy.isnpixok(len(reddening)):
            raise UserError(f"a map of the sky needs 12·nside² pixels; it has the shape {reddening.shape}.")
        self._reddening, self._nested = reddening, nested

    def query(self, coords: Any, /) -> Float[np.ndarray, "*shape"]:
        """Reddening in the pixel of each position [mag]."""
        return self._reddening[_pixels(coords, len(self._reddening), nested=self._nested)]


class DistanceMap:
    """A 3-d map: cumulative reddening of HEALPix pixels in Galactic coordinates, as the dust of a prior has it."""

    def __init__(self, dust: "DustMap", covered: Bool[np.ndarray, " pixel"] | None = None):
        """Ask a prior's map; pixels, in nested order, that it does not cover give NaN."""
        self._dust, self._covered = dust, covered

    @classmethod
    def from_array(
        cls,
        reddening: Float[np.ndarray, "pixel step"],
        distance_modulus: Float[np.ndarray, " step"],
        *,
        nested: bool = True,
    ) -> "DistanceMap":
        """From the reddening within each distance [mag], at even steps of the distance modulus [mag].

        Pixels with a value that is not finite are outside the map.

        Raises:
            UserError: not a whole sky, steps that are not even, or values below 0.
        """
        import healpy

        from albireo.priors.dust import DustMap

        values = np.asarray(reddening)
        covered = np.isfinite(values).all(axis=-1)
        dust = DustMap.from_array(np.where(covered[..., None], values, 0), distance_modulus, nested=nested)
        if not nested:
            covered = covered[healpy.nest2ring(healpy.npix2nside(len(values)), np.arange(len(values)))]
        return cls(dust, covered)

    def query(self, coords: Any, /) -> Float[np.ndarray, "*shape"]:
        """Cumulative reddening at each position and distance [mag]."""
        import jax
        import jax.numpy as jnp

        mu = 5 * np.log10(coords.distance.to_value(u.pc)) - 5
        position = np.stack([coords.galactic.l.deg, coords.galactic.b.deg], axis=-1).reshape(-1, 2)
        mean = jax.jit(jax.vmap(self._dust.mean))
        found = mean(jnp.asarray(mu.ravel(), jnp.float32), jnp.asarray(position, jnp.float32))
        reddening = np.asarray(found, float).reshape(mu.shape)
        if self._covered is None:
            return reddening
        return np.where(self._covered[_pixels(coords, len(self._covered), nested=True)], reddening, np.nan)


def load_sky_map(source: str | Path) -> Map:
    """A FITS file of a HEALPix map in Galactic coordinates, or the map `sfd` of the `dustmaps` package.

    Raises:
        UserError: it cannot be read.
    """
    if str(source) in _DUSTMAPS:
        return _from_dustmaps(str(source))
    from albireo.priors.healpix import read_sky

    _check_file(source)
    return SkyMap(read_sky(source))


def load_distance_map(source: str | Path, ends: tuple[float, float] | None = None, *, nested: bool = True) -> Map:
    """A .npy file of cumulative reddenings, or the map `bayestar` of the `dustmaps` package.

    Args:
        source: the file, a row for every HEALPix pixel and a column for every distance; or the name.
        ends: distance moduli of the file's first and last column, between which they are even [mag].
        nested: the order of the file's pixels: nested, or else ring.

    Raises:
        UserError: it cannot be read.
    """
    if str(source) in _DUSTMAPS:
        return _from_dustmaps(str(source))
    _check_file(source)
    if ends is None:
        raise UserError(f"say at which distance moduli the first and last column of {source} are (FIRST:LAST, in mag).")
    try:
        reddening = np.load(source, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{source} could not be read as a .npy file ({error}); make it anew.") from None
    try:
        return DistanceMap.from_array(reddening, np.linspace(*ends, reddening.shape[-1]), nested=nested)
    except UserError as error:
        raise UserError(f"{source}: {error}") from None


def _pixels(coords: Any, num_pixels: int, *, nested: bool):
    import healpy

    galactic, nside = coords.galactic, healpy.npix2nside(num_pixels)
    return healpy.ang2pix(nside, galactic.l.deg, galactic.b.deg, nest=nested, lonlat=True)


def _check_file(source: str | Path) -> None:
    if not Path(source).is_file():
        raise UserError(f"there is no file {source}; give a map's path, or {' or '.join(_DUSTMAPS)} of dustmaps.")


def _from_dustmaps(name: str) -> Map:
    module, query = _DUSTMAPS[name]
    try:
        return getattr(import_module(module), query)()
    except ImportError:
        raise UserError(f"the map {name} needs the package dustmaps; install it, or give the path of a map.") from None
    except Exception as error:  # it may be missing or damaged
        cause = " ".join(str(error).split())[:200]
        raise UserError(f"dustmaps could not load its map {name} ({cause}); fetch it with {module}.fetch().") from None
