"""HEALPix maps of dust in Galactic coordinates: arrays that hold a whole sky of reddenings, and FITS files of them."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Array, Float, Int, Shaped

from albireo.errors import UserError

logging.getLogger("jax_healpy").setLevel(logging.ERROR)  # single precision is enough to find pixels of this size
import jax_healpy  # noqa: E402

# No sightline has as much dust [mag], and half precision reaches farther.
_MAX_REDDENING = 1e4


def whole_sky(values: Any, num_axes: int, *, nested: bool) -> Shaped[np.ndarray, "pixel *step"]:
    """Reddenings of the whole sky with their pixels in nested order.

    Args:
        values: reddenings [mag], their first axis the pixels.
        num_axes: how many axes they should have.
        nested: the order of the pixels: nested, or else ring.

    Raises:
        UserError: not numbers, not a whole sky, or values that are missing, below 0 or not finite.
    """
    import healpy

    values = np.ma.asanyarray(values)
    if values.dtype.kind not in "fiu":
        raise UserError(f"a dust map needs numbers, but holds {values.dtype}; make it anew.")
    if values.ndim != num_axes or not _is_sky(len(values)):
        raise UserError(
            f"a dust map needs a {'value' if num_axes == 1 else 'row'} for each of the 12·nside² pixels of the sky, "
            f"nside a power of 2; it has the shape {values.shape}."
        )
    values = values.astype(float).filled(np.nan) if np.ma.is_masked(values) else np.asarray(values)
    good = np.isfinite(values) & (values >= 0) & (values <= _MAX_REDDENING)
    if not good.all():
        bad = int(np.sum(~good.reshape(len(values), -1).all(axis=1)))
        raise UserError(f"a dust map needs finite reddenings of at least 0; {bad} pixels have others: fill them first.")
    return values if nested else values[healpy.nest2ring(healpy.npix2nside(len(values)), np.arange(len(values)))]


def _is_sky(num_pixels: int) -> bool:
    nside = round((num_pixels / 12) ** 0.5)
    return 12 * nside**2 == num_pixels > 0 and nside & (nside - 1) == 0


def find_pixel(num_pixels: int, position: Float[Array, " 2"]) -> Int[Array, ""]:
    """Which of the pixels of a sky, in nested order, holds a Galactic longitude and latitude [deg]."""
    nside = round((num_pixels / 12) ** 0.5)
    return jax_healpy.ang2pix(nside, position[0], position[1], nest=True, lonlat=True)


def read_sky(path: str | Path) -> Float[np.ndarray, " pixel"]:
    """A map of the sky from a FITS file, in ring order whatever the order in the file; not checked to be whole.

    Raises:
        UserError: it cannot be read, does not say the order of its pixels, or is not in Galactic coordinates.
    """
    import healpy
    from astropy.io import fits

    try:
        with fits.open(path, memmap=False) as file:
            values, header = healpy.read_map(file, dtype=float, h=True)
    except Exception as error:  # a damaged file raises whatever its reader stumbles over
        cause = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(
            f"{path} could not be read as a HEALPix map in FITS ({cause}); name another or fetch it anew."
        ) from None
    header = dict(header)
    ordering, frame = (str(header.get(key, "")).strip().upper() for key in ("ORDERING", "COORDSYS"))
    if ordering not in ("RING", "NESTED"):
        raise UserError(f"{path} has ORDERING = {ordering!r} in its header; write there RING or NESTED, as is true.")
    if frame and not frame.startswith("G"):
        raise UserError(f"{path} has COORDSYS = {frame!r} in its header; rotate the map to Galactic coordinates.")
    return np.asarray(values)
