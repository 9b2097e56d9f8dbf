"""A first estimate of every star's reddening, from maps of dust (Green et al. 2021, section 3.3)."""

from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Column, Table
from jaxtyping import Float

from albireo.catalog import Catalog
from albireo.errors import UserError
from albireo.tables import to_astropy
from albireo.training.dust_maps import Map

if TYPE_CHECKING:
    import pandas as pd

# Further than this from the plane, all of a sightline's dust lies in front of a star [kpc].
HEIGHT = 0.4
# "The 5σ upper bound on parallax", and the least signal-to-noise of one that says where in the dust a star is.
_NUM_SIGMA = 5.0
_MIN_PARALLAX_SNR = 5.0
# Error of the maps as a fraction of the reddening, and what is added to all errors in quadrature [mag].
_RELATIVE_ERR, _FLOOR = 0.1, 0.02
# Draws of a star's parallax; the paper does not say, the program behind it takes 25 (gregreen/data-driven-stars,
# scripts/add_bayestar_reddenings.py).
NUM_SAMPLES = 25
# Stars whose samples are looked up together, which bounds the memory.
_CHUNK = 10_000
# Closer to zero a sampled parallax does not come: 1 Mpc, beyond all dust [mas].
_MIN_PARALLAX = 1e-3

SOURCES = ("sfd", "3d-map", "default")


def add_reddening(
    table: "Table | pd.DataFrame", sfd: Map, dust_map: Map, *, seed: int = 0, num_samples: int = NUM_SAMPLES
) -> Table:
    """Estimate the reddening of every star, with an error, for training.

    - More than 400 pc from the plane, by the 5σ upper bound on the parallax: SFD, to 10 %. ("sfd")
    - Nearer to it, within the 3-d map, and with a parallax of more than 5σ: mean and scatter of the map's reddening
      over samples of the parallax, with another 10 % in quadrature. ("3d-map")
    - All others: 0 ± SFD. ("default")

    0.02 mag is added to all errors in quadrature. The two maps must be in the same units.

    Args:
        table: with positions, and parallaxes where known.
        sfd: the map of Schlegel et al. (1998).
        dust_map: a 3-d map, Bayestar19 in the paper; asked at many distances for each star. One that returns a random
            sample of its own at each of them, such as `BayestarQuery()` by default, adds its own errors to the scatter.
        seed: of the samples.
        num_samples: samples of each parallax.

    Returns:
        The table with `reddening`, `reddening_err` [mag] and `reddening_source`. Stars without position, or outside
        the maps, have none.

    Raises:
        UserError: the table has no positions, or reddenings already; or a map cannot be asked.
    """
    stars = to_astropy(table)
    there = [name for name in stars.colnames if name.lower() in ("reddening", "reddening_err", "reddening_source")]
    if there:
        raise UserError(f"the table has a column {there[0]} already; drop it to have it estimated anew.")
    catalog = Catalog.from_table(stars)
    placed = np.isfinite(catalog.glon)
    if not placed.any():
        raise UserError("no star has a position; add the columns ra and dec, or glon and glat, in degrees.")
    reddening, err = np.full((2, len(catalog)), np.nan)
    source = np.full(len(catalog), "", dtype=f"U{max(map(len, SOURCES))}")
    reddening[placed], err[placed], source[placed] = _estimate(catalog[placed], sfd, dust_map, seed, num_samples)
    out = stars.copy()
    out["reddening"], out["reddening_err"] = Column(reddening, unit=u.mag), Column(err, unit=u.mag)
    out["reddening_source"] = source
    counts = ", ".join(f"{name} {np.sum(source == name)}" for name in SOURCES)
    meta = dict(stars.meta or {})
    out.meta = meta | {"comments": [*meta.get("comments", []), f"reddening by source: {counts}; seed {seed}"]}
    return out


def _estimate(stars: Catalog, sfd: Map, dust_map: Map, seed: int, num_samples: int):
    """Reddening, error and source of stars that have a position."""
    total = _ask(sfd, SkyCoord(stars.glon * u.deg, stars.glat * u.deg, frame="galactic"), "map of the sky")
    parallax, parallax_err = stars.parallax, stars.parallax_err
    # The height at least, z = |sin b| / (ϖ + 5σ), is above the limit; a bound below zero is no bound. False without ϖ.
    far = parallax + _NUM_SIGMA * parallax_err < np.abs(np.sin(np.deg2rad(stars.glat))) / HEIGHT
    near = np.flatnonzero(~far & (parallax > _MIN_PARALLAX_SNR * parallax_err))
    reddening, err = np.where(far, total, 0.0), np.where(far, _RELATIVE_ERR * total, total)
    source = np.where(far, "sfd", "default").astype(f"U{max(map(len, SOURCES))}")
    if len(near):
        mean, scatter = _along_parallax(stars[near], dust_map, seed, num_samples)
        inside = np.isfinite(mean) & np.isfinite(scatter)
        reddening[near[inside]] = mean[inside]
        err[near[inside]] = np.hypot(scatter, _RELATIVE_ERR * mean)[inside]
        source[near[inside]] = "3d-map"
    reddening[np.isnan(err)], source[np.isnan(err)] = np.nan, ""  # outside both maps
    return reddening, np.hypot(err, _FLOOR), source


def _along_parallax(stars: Catalog, dust_map: Map, seed: int, num_samples: int):
    """Mean and standard deviation of the map's reddening over samples of the parallax [mag]."""
    rng = np.random.default_rng(seed)
    mean, scatter = np.empty((2, len(stars)))
    for start in range(0, len(stars), _CHUNK):
        part = slice(start, min(start + _CHUNK, len(stars)))
        parallax, err = stars.parallax[part, None], stars.parallax_err[part, None]
        sampled = parallax + err * rng.normal(size=(len(parallax), num_samples))
        distance = 1 / np.maximum(sampled, _MIN_PARALLAX)
        glon, glat = (np.broadcast_to(angle[part, None], distance.shape) for angle in (stars.glon, stars.glat))
        where = SkyCoord(glon * u.deg, glat * u.deg, distance=distance * u.kpc, frame="galactic")
        reddening = _ask(dust_map, where, "3-d map")
        mean[part], scatter[part] = reddening.mean(axis=1), reddening.std(axis=1)
    return mean, scatter


def _ask(dust: Map, where: SkyCoord, what: str) -> Float[np.ndarray, "*shape"]:
    try:
        reddening = np.asarray(dust.query(where), float)
    except Exception as error:  # whatever a foreign map may raise
        raise UserError(f"the {what} could not be asked: {type(error).__name__}: {error}.") from error
    if reddening.shape != where.shape:
        raise UserError(f"the {what} must give one reddening a position, {where.shape}; it gave {reddening.shape}.")
    return reddening
