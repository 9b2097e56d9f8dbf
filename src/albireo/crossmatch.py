"""Matching tables of stars, by position or by a table of neighbours (Green et al. 2021, section 3.4)."""

from dataclasses import dataclass, replace
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import MaskedColumn, Table, vstack
from jaxtyping import Float, Int, Shaped
from scipy.spatial import cKDTree

from albireo.bands import BANDS
from albireo.catalog import DEFAULT_LABELS
from albireo.errors import UserError
from albireo.surveys.read import check_unique
from albireo.tables import Columns, as_text, id_columns, to_astropy

# Radii of Green et al. (2021), section 3.4: between Gaia and Pan-STARRS or spectra, and between Gaia and 2MASS or
# unWISE [arcsec].
RADIUS, INFRARED_RADIUS = 0.2, 0.4
_INFRARED = ("2mass", "wise")

_ARCSEC = np.deg2rad(1 / 3600)
_MAS = _ARCSEC / 1000
# Stars looked up at a time, which bounds the memory for their neighbours.
_CHUNK = 100_000
_NOT_ADDED = ("ra", "dec", "glon", "glat", "pmra", "pmdec", "ref_epoch", "extended")


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
    # How far a star gets from the middle of the other table's epochs, at most.
    known = np.isfinite(source_epoch[sources])
    ends = (source_epoch[sources][known].min(), source_epoch[sources][known].max()) if known.any() else (np.nan, np.nan)
    years = np.nan_to_num(np.stack([end - epoch for end in ends], axis=1))
    speed = np.linalg.norm(motion, axis=1)
    pairs = []
    for start in range(0, len(stars), _CHUNK):
        chunk = stars[start : start + _CHUNK]
        reach = speed[chunk] * np.abs(years[chunk]).max(axis=1) + radius * _ARCSEC
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
    columns = Columns(neighbours)
    for table in (reference, neighbours):
        Columns(table).column("source_id")
    name = _own_id(other)
    check_unique(reference, str(Columns(reference).find("source_id")))
    check_unique(other, name)
    star = _rows_of(as_text(columns.column("source_id")), as_text(Columns(reference).column("source_id")))
    source = _rows_of(as_text(columns.column("original_ext_source_id")), as_text(other[name]))
    both = (star >= 0) & (source >= 0)
    separation = columns.floats("angular_distance", u.arcsec)
    return _nearest_both_ways(star[both], source[both], separation[both])


def add_columns(reference: Table, other: Table, match: Match) -> Table:
    """The reference with the other table's columns, but for its positions; missing where there is no match.

    A column that both have goes by `<survey>_<name>` in the other. Stars that match a source marked `extended` are left
    out.

    Raises:
        UserError: both have a band or a label.
    """
    out, row = reference.copy(), np.full(len(reference), -1)
    row[match.reference] = match.other
    for name in other.colnames:
        if name.lower() in _NOT_ADDED:
            continue
        added = _new_name(out, other, name)
        out[added] = _taken(other[name], row)
    out.meta = _joined_meta(reference, other)
    if "extended" not in other.colnames:
        return out
    return Table(out[~(np.asarray(other["extended"], bool)[row] & (row >= 0))])


def match_tables(
    reference: Any, others: dict[str, Any], *, radius: float | None = None, neighbours: dict[str, Any] | None = None
) -> Table:
    """One table of all that is known of the stars of a reference.

    Photometry is added where there is any. Of tables with labels there may be several: the result then has one row for
    each star and survey, as `zero_points` wants it, and stars without labels are left out.

    Args:
        reference: the table that says which stars there are, Gaia's as a rule.
        others: tables by a name to call them by, as `albireo.surveys.read` returns them.
        radius: largest separation [arcsec]; by default 0.4 for 2MASS and WISE, or else 0.2.
        neighbours: tables of neighbours, by the name of the table that they lead to, in place of positions.

    Returns:
        The table; `meta["matches"]` has for each other table how many matched, and how many there were to choose from.

    Raises:
        UserError: a table cannot be matched.
    """
    stars = to_astropy(reference)
    _check_not_empty(stars, "reference")
    others = {name: to_astropy(table) for name, table in others.items()}
    photometry = {name: table for name, table in others.items() if not _has_labels(table)}
    spectra = {name: table for name, table in others.items() if _has_labels(table)}
    counts: dict[str, dict[str, int]] = {}
    for name, table in photometry.items():
        stars = _add(stars, table, name, radius, (neighbours or {}).get(name), counts)
    if spectra:
        stars = _stack(
            [_add(stars, table, name, radius, (neighbours or {}).get(name), counts) for name, table in spectra.items()]
        )
    meta = dict(stars.meta or {})
    said = [f"{name}: " + ", ".join(f"{num} {what}" for what, num in found.items()) for name, found in counts.items()]
    stars.meta = meta | {"matches": counts, "comments": [*meta.get("comments", []), *said]}
    return stars


def _add(stars: Table, table: Table, name: str, radius, neighbours, counts) -> Table:
    """The stars with a table's columns; only those that match, if these are labels."""
    _check_not_empty(table, name)
    if neighbours is None:
        match = match_positions(stars, table, default_radius(table) if radius is None else radius)
    else:
        match = match_neighbours(stars, table, to_astropy(neighbours))
    out = add_columns(stars, table, match)
    counts[name] = {
        "matched": len(match.reference),
        "of them moved to the epoch of the source": match.moved,
        "stars with several sources to choose from": match.several,
        "sources that several stars could have had": match.shared,
    }
    if "extended" in table.colnames:
        counts[name]["stars left out as extended"] = len(stars) - len(out)
    if not _has_labels(table):
        return out
    known = np.zeros(len(stars), bool)
    known[match.reference] = True
    counts[name]["stars without labels left out"] = int(np.sum(~known))
    return Table(out[known])


def _stack(tables: list[Table]) -> Table:
    filled = [table for table in tables if len(table)]
    if not filled:
        raise UserError("no star of the reference matches a star with labels; check positions, epochs and radius.")
    return vstack(filled, metadata_conflicts="silent")


def default_radius(table: Table) -> float:
    """The radius of Green et al. (2021), section 3.4, for the bands that a table holds [arcsec]."""
    infrared = any(name.lower().startswith(_INFRARED) for name in table.colnames if name.lower() in BANDS)
    return INFRARED_RADIUS if infrared else RADIUS


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
    pmra, pmdec = (np.nan_to_num(columns.floats(name, u.mas / u.yr) * _MAS) for name in ("pmra", "pmdec"))
    return place, east * pmra[:, None] + north * pmdec[:, None], columns.floats("ref_epoch", u.yr)


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


def _new_name(out: Table, other: Table, name: str) -> str:
    taken = {column.lower() for column in out.colnames}
    if name.lower() not in taken:
        return name
    stem = name.lower().removesuffix("_err")
    if stem in BANDS or stem in (*DEFAULT_LABELS, "parallax", "theta_cov", "survey"):
        raise UserError(f"the reference and another table both have a column {name}; leave one of them out.")
    prefix = next((column.split("_")[0] for column in other.colnames if column in BANDS), "other")
    renamed = f"{prefix}_{name}"
    if renamed.lower() in taken:
        raise UserError(f"two tables besides the reference have a column {name}; rename one of them.")
    return renamed


def _taken(column, row):
    """A column's values at some rows; missing where the row is −1."""
    taken = column[np.maximum(row, 0)]
    if taken.dtype.kind == "f":
        taken[row < 0] = np.nan
        return taken
    mask = np.ma.getmaskarray(taken.data) | (row < 0).reshape(-1, *[1] * (taken.ndim - 1))
    return MaskedColumn(np.ma.getdata(taken.data), mask=mask, unit=taken.unit)


def _joined_meta(reference: Table, other: Table) -> dict[str, Any]:
    metas = [dict(table.meta or {}) for table in (reference, other)]
    cuts = {survey: made for meta in metas for survey, made in meta.get("cuts", {}).items()}
    comments = [line for meta in metas for line in meta.get("comments", [])]
    return {"cuts": cuts, "comments": comments}


def _has_labels(table: Table) -> bool:
    return all(Columns(table).find(label) for label in DEFAULT_LABELS)


def _check_not_empty(table: Table, name: str) -> None:
    if not len(table):
        raise UserError(f"the table {name} is empty; give one with at least one row.")
