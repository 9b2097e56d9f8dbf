"""One table of all that several tables know of the same stars (Green et al. 2021, section 3.4)."""

from typing import Any

import numpy as np
from astropy.table import MaskedColumn, Table, vstack

from albireo.bands import BANDS
from albireo.catalog import DEFAULT_LABELS
from albireo.crossmatch.pairs import Match, match_neighbours, match_positions
from albireo.errors import UserError
from albireo.tables import Columns, to_astropy

# Radii of Green et al. (2021), section 3.4: between Gaia and Pan-STARRS or spectra, and between Gaia and 2MASS or
# unWISE [arcsec].
RADIUS, INFRARED_RADIUS = 0.2, 0.4
_INFRARED = ("2mass", "wise")
_NOT_ADDED = ("ra", "dec", "glon", "glat", "pmra", "pmdec", "ref_epoch", "extended")


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
    of_surveys = {
        key: {survey: made for meta in metas for survey, made in meta.get(key, {}).items()}
        for key in ("cuts", "corrections")
    }
    return of_surveys | {"comments": [line for meta in metas for line in meta.get("comments", [])]}


def _has_labels(table: Table) -> bool:
    return all(Columns(table).find(label) for label in DEFAULT_LABELS)


def _check_not_empty(table: Table, name: str) -> None:
    if not len(table):
        raise UserError(f"the table {name} is empty; give one with at least one row.")
