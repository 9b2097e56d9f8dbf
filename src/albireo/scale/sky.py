"""Maps of the sky from the summary of a run: how many stars, their mean reddening by distance, how many are flagged."""

from collections.abc import Sequence
from pathlib import Path

import healpy as hp
import numpy as np
from jaxtyping import Float

from albireo.errors import UserError
from albireo.output import write_files
from albireo.scale.summaries import Summary

DISTANCES = (0.0, 500.0, 1000.0, 2000.0, 4000.0)
"""Edges of the slices of distance [pc]."""

_COLUMNS = ("glon", "glat", "distance_p50", "reddening_p50", "flags")


def sky_maps(
    run: Path, nside: int, distances: Sequence[float] = DISTANCES
) -> dict[str, tuple[Float[np.ndarray, " pixel"], str]]:
    """HEALPix maps (RING, Galactic) by name, each with its unit; NaN in a pixel without a star.

    Args:
        run: a folder of `albireo infer`, of any size.
        nside: of the maps, a power of two.
        distances: edges of the slices [pc] that the medians of stars' distances are sorted into.

    Returns:
        `count`; `flagged`, the share of stars with any flag; and `reddening_0_500` and so on, the mean of the stars'
        median reddenings [mag] in each slice.

    Raises:
        UserError: there is no such run or nside, the edges do not rise, or no star has a position.
    """
    if not hp.isnsideok(nside, nest=True) or nside > 8192:
        raise UserError(f"nside must be a power of two up to 8192; got {nside}.")
    if len(distances) < 2 or np.any(np.diff(distances) <= 0):
        raise UserError("distances must be at least two rising numbers of parsecs, such as 0:500:1000.")
    num = hp.nside2npix(nside)
    count, flagged = np.zeros((2, num))
    number, reddening = np.zeros((2, len(distances) - 1, num))
    for batch in Summary(run).batches(_COLUMNS):
        columns = (batch[name].to_numpy(zero_copy_only=False).astype(float) for name in _COLUMNS)
        glon, glat, distance, e, flags = columns
        known = np.isfinite(glon) & np.isfinite(glat)
        pixel = hp.ang2pix(nside, glon[known], glat[known], lonlat=True)
        count += np.bincount(pixel, minlength=num)
        flagged += np.bincount(pixel, flags[known] != 0, minlength=num)
        part = np.digitize(distance[known], distances) - 1
        inside = (part >= 0) & (part < len(number)) & np.isfinite(e[known])
        np.add.at(number, (part[inside], pixel[inside]), 1)
        np.add.at(reddening, (part[inside], pixel[inside]), e[known][inside])
    if not count.any():
        raise UserError(f"no star in {run} has a position; infer a table with ra and dec, or glon and glat.")
    with np.errstate(invalid="ignore"):
        maps = {"count": (count, ""), "flagged": (flagged / count, "")}
        for i, mean in enumerate(reddening / number):
            maps[f"reddening_{distances[i]:g}_{distances[i + 1]:g}"] = mean, "mag"
    return maps


def write_sky_maps(maps: dict[str, tuple[Float[np.ndarray, " pixel"], str]], output: Path) -> None:
    """Write `sky_maps.fits`, a column a map, and `sky_maps.png`, in Mollweide's projection, into a new folder.

    Raises:
        UserError: the folder cannot be written; nothing is left of it.
    """
    values = [np.where(np.isnan(values), hp.UNSEEN, values) for values, _ in maps.values()]
    options = {"column_names": list(maps), "column_units": [unit for _, unit in maps.values()], "coord": "G"}
    write_files(
        output,
        {
            "sky_maps.fits": lambda path: hp.write_map(path, values, dtype=np.float32, **options),
            "sky_maps.png": lambda path: _write_picture(maps, path),
        },
    )


def _write_picture(maps: dict[str, tuple[Float[np.ndarray, " pixel"], str]], path: Path) -> None:
    from matplotlib import pyplot as plt

    rows = -(-len(maps) // 2)
    figure, axes = plt.subplots(rows, 2, figsize=(11, 3.3 * rows), subplot_kw={"projection": "mollweide"})
    slices = [values for name, (values, _) in maps.items() if name.startswith("reddening")]
    highest = float(np.nanpercentile(np.stack(slices), 98)) if np.isfinite(slices).any() else 1.0
    for axis in axes.flat[len(maps) :]:
        axis.remove()
    for axis, (name, (values, unit)) in zip(axes.flat, maps.items(), strict=False):
        limit = {"count": None, "flagged": 1.0}.get(name, highest)
        _draw(axis, name, np.where(values == 0, np.nan, values) if name == "count" else values, unit, limit)
    figure.tight_layout()
    try:
        figure.savefig(path, dpi=120)
    finally:
        plt.close(figure)


def _draw(axis, name: str, values: Float[np.ndarray, " pixel"], unit: str, highest: float | None) -> None:
    """One map in Mollweide's projection, longitude 0 in the middle and growing to the left."""
    glon, glat = np.linspace(-180, 180, 721), np.linspace(-90, 90, 361)
    middle = np.meshgrid((glon[1:] + glon[:-1]) / 2, (glat[1:] + glat[:-1]) / 2)
    shown = values[hp.ang2pix(hp.npix2nside(len(values)), *middle, lonlat=True)]
    mesh = axis.pcolormesh(-np.radians(glon), np.radians(glat), shown, vmin=0, vmax=highest, rasterized=True)
    kind, *edges = name.split("_")
    title = {"count": "stars", "flagged": "share of flagged stars"}.get(
        kind, f"mean reddening, {' to '.join(edges)} pc"
    )
    axis.set(title=title, xticklabels=[], yticklabels=[], facecolor="0.92")
    axis.grid(color="0.6", linewidth=0.4)
    axis.figure.colorbar(
        mesh, ax=axis, orientation="horizontal", shrink=0.5, pad=0.05, label=f"[{unit}]" if unit else ""
    )
