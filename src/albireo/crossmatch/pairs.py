"""Which rows of two tables are the same star: by position, or by a table of neighbours."""

from dataclasses import dataclass, replace

import astropy.units as u
import numpy as np
from astropy.table import Table
from jaxtyping import Float, Int, Shaped
from scipy.spatial import cKDTree

from albireo.errors import UserError
from albireo.surveys.columns import check_unique
from albireo.tables import Columns, as_text, id_columns

_ARCSEC = np.deg2rad(1 / 3600)
_MAS = _ARCSEC / 1000
# Stars looked up at a time, which bounds the memory for their neighbours.
_CHUNK = 100_000


@dataclass(frozen=True, eq=False)
class Match:
    """Which rows of two tables are the same star; each row has one partner at most.

    Attributes:
        reference: rows of the reference table.
        other: rows of the other table.
        separation: how far apart they are [arcsec]; NaN where a table of neighbours does not say.
        several: stars of the reference with more than one source to choose from.
        shared: sources that more than one star of the reference could have had.
        moved: pairs for which the star was moved to the epoch of the source.
    """

    reference: Int[np.ndarray, " pair"]
    other: Int[np.ndarray, " pair"]
    separation: Float[np.ndarray, " pair"]
    several: int
    shared: int
    moved: int = 0


def match_positions(reference: Table, other: Table, radius: float) -> Match:
    """Match by position, with the reference's proper motions.

    Every star of the reference is moved to the epoch of every source of the other table: along a great circle, at its
    proper motion. A pair is a match if each is the nearest of the other within the radius; the first row wins a tie.

    Args:
        reference: with `ra`, `dec` [deg]; and `pmra` (times cos dec), `pmdec` [mas/yr] and `ref_epoch` [yr]. Where one
            of these is not known, the star stays where it is.
        other: with `ra`, `dec`, and `ref_epoch`, without which stars stay where they are.
        radius: the largest separation [arcsec].

    Raises:
        UserError: a table has no positions.
    """
    place, motion, epoch = _place(reference, "reference")
    source, _, source_epoch = _place(other, "other table")
    stars, sources = (np.flatnonzero(np.isfinite(p).all(axis=1)) for p in (place, source))
    if not len(stars) or not len(sources):
        return _nearest_both_ways(stars[:0], sources[:0], np.zeros(0))
    tree = cKDTree(source[sources])
    longest, speed = _longest(source_epoch[sources], epoch), np.linalg.norm(motion, axis=1)
    pairs = []
    for start in range(0, len(stars), _CHUNK):
        chunk = stars[start : start + _CHUNK]
        reach = speed[chunk] * longest[chunk] + radius * _ARCSEC
        # One radius for all, as a search of astropy's takes, would be that of the fastest star.
        found = tree.query_ball_point(place[chunk], 2 * np.tan(np.minimum(reach, 1.5) / 2) + 1e-12)
        star = np.repeat(chunk, [len(near) for near in found])
        partner = sources[np.concatenate([np.asarray(near, int) for near in found])]
        elapsed = np.nan_to_num(source_epoch[partner] - epoch[star])
        separation = _separation(_moved(place[star], motion[star], elapsed), source[partner])
        close = separation <= radius
        pairs.append((star[close], partner[close], separation[close]))
    match = _nearest_both_ways(*(np.concatenate(part) for part in zip(*pairs, strict=True)))
    elapsed = np.nan_to_num(source_epoch[match.other] - epoch[match.reference])
    return replace(match, moved=int(np.sum((elapsed != 0) & (speed[match.reference] > 0))))


def match_neighbours(reference: Table, other: Table, neighbours: Table) -> Match:
    """Match by a table of neighbours, such as the Gaia archive's `tmass_best_neighbour`.

    Args:
        reference: with `source_id`.
        other: with an id that is found in `original_ext_source_id`.
        neighbours: with `source_id`, `original_ext_source_id` and, to choose by, `angular_distance` [arcsec].

    Raises:
        UserError: a column is missing, or an id of the reference or of the other table is there twice.
    """
    columns, name = Columns(neighbours), _own_id(other)
    gaia = Columns(reference).column("source_id")
    check_unique(reference, gaia.name)
    check_unique(other, name)
    star = _rows_of(_ids(columns.column("source_id")), _ids(gaia))
    source = _rows_of(_ids(columns.column("original_ext_source_id")), _ids(other[name]))
    both = (star >= 0) & (source >= 0)
    separation = columns.floats("angular_distance", u.arcsec)
    return _nearest_both_ways(star[both], source[both], separation[both])


def _place(table: Table, what: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit vectors of positions, proper motions [rad/yr] along the sky, and epochs [yr]."""
    columns = Columns(table)
    if not (columns.find("ra") and columns.find("dec")):
        raise UserError(f"the {what} has no columns ra and dec to match by; add them, or read it with `albireo read`.")
    ra, dec = (np.deg2rad(columns.floats(name, u.deg)) for name in ("ra", "dec"))
    if np.nanmax(np.abs(dec), initial=0) > np.pi / 2 * (1 + 1e-9):
        raise UserError(f"column dec of the {what} goes beyond ±90 deg; convert the positions to degrees.")
    place = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)
    east = np.stack([-np.sin(ra), np.cos(ra), np.zeros_like(ra)], axis=1)
    north = np.stack([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)], axis=1)
    pmra, pmdec = (columns.floats(name, u.mas / u.yr) * _MAS for name in ("pmra", "pmdec"))
    motion = np.nan_to_num(east * pmra[:, None] + north * pmdec[:, None])
    return place, motion, columns.floats("ref_epoch", u.yr)


def _longest(source_epoch, epoch):
    """The longest time between each star's epoch and that of any source [yr]; 0 where not known."""
    known = source_epoch[np.isfinite(source_epoch)]
    if not len(known):
        return np.zeros(len(epoch))
    return np.nan_to_num(np.maximum(np.abs(known.min() - epoch), np.abs(known.max() - epoch)))


def _moved(place, motion, years):
    """Where stars are after some years: in uniform, straight motion across the line of sight."""
    moved = place + motion * years[:, None]
    return moved / np.linalg.norm(moved, axis=1, keepdims=True)


def _separation(one, other):
    """Angles between unit vectors [arcsec]."""
    return 2 * np.arcsin(np.minimum(np.linalg.norm(one - other, axis=1) / 2, 1)) / _ARCSEC


def _nearest_both_ways(star, source, separation) -> Match:
    """Pairs of which each is the nearest of the other, of all pairs within reach."""
    order = np.lexsort((source, star, separation))  # NaN comes last
    star, source, separation = star[order], source[order], separation[order]
    _, first_of_star, num_of_star = np.unique(star, return_index=True, return_counts=True)
    _, first_of_source, num_of_source = np.unique(source, return_index=True, return_counts=True)
    both = np.intersect1d(first_of_star, first_of_source)
    several, shared = int(np.sum(num_of_star > 1)), int(np.sum(num_of_source > 1))
    return Match(star[both], source[both], separation[both], several, shared)


def _ids(column) -> Shaped[np.ndarray, " row"]:
    if column.dtype.kind == "f":
        raise UserError(f"column {column.name} holds floats, too short for an id of 19 digits; store integers or text.")
    return as_text(column)


def _rows_of(ids: Shaped[np.ndarray, " row"], among: Shaped[np.ndarray, " star"]) -> Int[np.ndarray, " row"]:
    """Where each id is among others; −1 where it is not."""
    order = np.argsort(among)
    place = np.minimum(np.searchsorted(among, ids, sorter=order), len(among) - 1)
    return np.where(among[order[place]] == ids, order[place], -1)


def _own_id(table: Table) -> str:
    names = [name for name in id_columns(table) if name.lower() not in ("survey", "source_id")]
    if not names:
        raise UserError("the other table has no id that a table of neighbours could lead to; keep its id column.")
    return names[0]
