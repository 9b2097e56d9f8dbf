"""A survey's own table, read into albireo's columns."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np
from astropy.table import Column, Table
from jaxtyping import Bool, Float

from albireo.catalog import DEFAULT_LABELS, LABEL_UNITS
from albireo.errors import UserError
from albireo.surveys.base import Flux, Survey
from albireo.surveys.registry import SURVEYS
from albireo.surveys.rows import Rows, missing_column
from albireo.tables import as_text, read_table, to_astropy

if TYPE_CHECKING:
    import pandas as pd

# What a user may have put in a column of this name: the zero point of each parallax [mas], which is subtracted.
ZERO_POINT = "parallax_zero_point"

# Epochs of two releases differ by half a year at least [yr].
_SAME_EPOCH = 0.2
# So many positions tell degrees from radians.
_ENOUGH_TO_JUDGE = 10


def read(
    table: "Table | pd.DataFrame | str | Path",
    survey: str,
    *,
    without_cuts: Sequence[str] = (),
    error_floors: bool = True,
) -> Table:
    """Read a survey's own table.

    Args:
        table: with the columns of the survey's archive or of VizieR; or the path of its file.
        survey: name of the survey, one of `SURVEYS`.
        without_cuts: names of cuts that are not to be made.
        error_floors: whether to add the floors of Green et al. (2021), sections 3.1 and 3.2, in quadrature: 0.02 mag in
            every band, and 10 K, 0.05 dex and 0.03 dex in teff, logg and feh.

    Returns:
        A table with albireo's columns and units; the id of each source; `ra`, `dec` [deg], `ref_epoch` [yr], `pmra` and
        `pmdec` [mas/yr] where known, which matching needs. `meta["cuts"][survey]` holds how many rows, or values, each
        cut removed of those that the cuts before it had left, and `meta["comments"]` the same in words.

    Raises:
        UserError: there is no such survey or cut, the table is not the survey's, or a column cannot be used.
    """
    if not isinstance(table, str | Path):
        return _read(to_astropy(table), find_survey(survey), set(without_cuts), error_floors=error_floors)
    try:
        return _read(read_table(table), find_survey(survey), set(without_cuts), error_floors=error_floors)
    except UserError as error:
        message = str(error)
        raise UserError(message if str(table) in message else f"{table}: {message}") from None


def recognise(table: "Table | pd.DataFrame") -> tuple[str, ...]:
    """Names of the surveys whose columns a table has: the id, and a band with errors or all labels."""
    table = to_astropy(table)
    every = [Rows(table, survey) for survey in SURVEYS.values()]
    return tuple(
        rows.survey.name
        for rows in every
        if rows.find(rows.survey.id) and _has_measurements(rows) and _is_release(rows)
    )


def understood(table: "Table | pd.DataFrame", survey: str) -> dict[str, str]:
    """What the columns of a table are taken for: albireo's columns by the table's own."""
    described = find_survey(survey)
    rows = Rows(to_astropy(table), described)
    pairs: list[tuple[str, str]] = [(described.id, described.id), *zip(described.position, ("ra", "dec"), strict=True)]
    pairs += zip(described.proper_motion or (), ("pmra", "pmdec"), strict=False)
    pairs += [(described.epoch_column, "ref_epoch")]
    pairs += zip(described.parallax or (), ("parallax", "parallax_err"), strict=False)
    for band, where in described.bands.items():
        pairs += [(where.value, band), (where.error, f"{band}_err")]
        if not isinstance(where, Flux) and not rows.find(where.error):
            pairs.append((where.snr, f"{band}_err"))
    if described.labels:
        for label, names in zip(DEFAULT_LABELS, described.labels.columns, strict=True):
            pairs += zip(names, (label, f"{label}_err"), strict=True)
    found = [(rows.find(name), ours) for name, ours in pairs]
    return {name: ours for name, ours in found if name}


def find_survey(name: str) -> Survey:
    """The survey of a name.

    Raises:
        UserError: there is none.
    """
    if name not in SURVEYS:
        raise UserError(f"there is no survey {name!r}; choose one of {', '.join(SURVEYS)}.")
    return SURVEYS[name]


def _read(table: Table, survey: Survey, without_cuts: set[str], *, error_floors: bool) -> Table:
    if not len(table):
        raise UserError("the table is empty; give one with at least one row.")
    strange = sorted(without_cuts - {cut.name for cut in survey.cuts})
    if strange:
        known = ", ".join(cut.name for cut in survey.cuts)
        raise UserError(f"{survey.name} has no cut {strange[0]!r}; its cuts are {known}.")
    rows = Rows(table, survey)
    _check_survey(rows)
    rows.measure(error_floors=error_floors)
    out = _columns(rows)
    keep, removed, comments = _make_cuts(rows, out, without_cuts)
    if not keep.any():
        worst = max(removed, key=lambda name: removed[name])
        raise UserError(f"no row passes the cuts of {survey.name}, most fail {worst}; leave that cut out, or check it.")
    out = Table(out[keep])
    if survey.unique:
        check_unique(out, survey.id)
    floors = "with" if error_floors else "without"
    comments += [f"errors {floors} floors", *_notes(rows)]
    out.meta = {"cuts": {survey.name: removed}, "comments": [f"{survey.name}: {line}" for line in comments]}
    return out


def _check_survey(rows: Rows) -> None:
    """Refuse a table that is not the survey's."""
    if not _is_release(rows):
        raise UserError(
            f"the epoch of this table is {_median_epoch(rows):g}, that of {rows.survey.name} {rows.survey.epoch}; "
            f"name the right release: {' or '.join(recognise(rows.table)) or 'none of these'}."
        )
    if _has_measurements(rows):
        return
    survey = rows.survey
    if survey.bands:
        first = next(iter(survey.bands.values()))
        needed = missing_column(rows, (first.value, first.error))
    else:
        assert survey.labels
        needed = missing_column(rows, tuple(name for pair in survey.labels.columns for name in pair))
    others = recognise(rows.table)
    hint = f"it looks like {' or '.join(others)}" if others else "see which with `albireo surveys`, or rename columns"
    raise UserError(f"this is not a table of {survey.name}, for it has no column {needed}; {hint}.")


def _is_release(rows: Rows) -> bool:
    """Whether the epoch, where it tells releases apart and is given, is that of the survey."""
    survey = rows.survey
    if survey.epoch is None or not survey.epoch_is_release:
        return True
    return bool(~(np.abs(_median_epoch(rows) - survey.epoch) > _SAME_EPOCH))


def _median_epoch(rows: Rows) -> float:
    """Of the table itself; NaN where it says none."""
    epoch = rows.measured(rows.survey.epoch_column)
    known = epoch[np.isfinite(epoch)]
    return float(np.median(known)) if len(known) else np.nan


def _has_measurements(rows: Rows) -> bool:
    """Whether there is a band with errors, or all labels."""
    survey = rows.survey
    if survey.labels:
        return all(rows.find(name) for pair in survey.labels.columns for name in pair)
    return any(
        rows.find(where.value) and (rows.find(where.error) or (not isinstance(where, Flux) and rows.find(where.snr)))
        for where in survey.bands.values()
    )


def _columns(rows: Rows) -> Table:
    """All rows in albireo's columns, before cuts."""
    survey, out = rows.survey, Table()
    name = rows.column(survey.id)
    if name is not None:
        out[survey.id] = _id(name, survey.id)
    ra, dec = _degrees(rows)
    out["ra"], out["dec"] = Column(ra, unit=u.deg), Column(dec, unit=u.deg)
    out["ref_epoch"] = Column(_epoch(rows), unit=u.yr)
    if survey.proper_motion:
        for ours, theirs in zip(("pmra", "pmdec"), survey.proper_motion, strict=True):
            out[ours] = Column(rows.floats(theirs, u.mas / u.yr), unit=u.mas / u.yr)
    if survey.parallax:
        parallax, err = (rows.measured(theirs, u.mas) for theirs in survey.parallax)
        usable = np.isfinite(parallax) & (err > 0)
        out["parallax"] = Column(np.where(usable, parallax - _zero_point(rows), np.nan), unit=u.mas)
        out["parallax_err"] = Column(np.where(usable, err, np.nan), unit=u.mas)
    for i, band in enumerate(survey.bands):
        out[band], out[f"{band}_err"] = (Column(values[:, i], unit=u.mag) for values in (rows.mag, rows.mag_err))
    if survey.labels:
        out["survey"] = np.full(len(rows), survey.labels.survey)
        for i, label in enumerate(DEFAULT_LABELS):
            unit = LABEL_UNITS[label] if label == "teff" else None  # FITS has no unit dex
            out[label], out[f"{label}_err"] = (Column(v[:, i], unit=unit) for v in (rows.theta, rows.theta_err))
        if np.nansum(np.abs(np.triu(rows.theta_cov, 1))) > 0:
            out["theta_cov"] = rows.theta_cov
    return out


def _make_cuts(rows: Rows, out: Table, without: set[str]) -> tuple[Bool[np.ndarray, " row"], dict[str, int], list[str]]:
    """Make the cuts: which rows to keep, how many rows or values each cut removed, and that in words."""
    keep, extended = np.ones(len(rows), bool), np.zeros(len(rows), bool)
    removed, comments = {}, []
    for cut in rows.survey.cuts:
        lacking = missing_column(rows, cut.needs)
        if cut.name in without or (cut.optional and lacking):
            reason = "left out" if cut.name in without else f"not made, for there is no column {lacking}"
            comments.append(f"cut {cut.name}: {reason} ({cut.keep})")
            continue
        if lacking:
            raise UserError(
                f"the cut {cut.name} of {rows.survey.name} needs the column {lacking}; add it, or leave out the cut."
            )
        fails = ~np.asarray(cut.passes(rows), bool)
        if cut.removes == "row":
            removed[cut.name] = int(np.sum(fails & keep))
            keep &= ~fails
        elif cut.removes == "star":
            removed[cut.name] = int(np.sum(fails & keep & ~extended))
            extended |= fails
            _blank(out, tuple(rows.survey.bands), fails[:, None], keep)
        else:
            removed[cut.name] = _blank(out, cut.blanks, fails.reshape(len(rows), -1), keep)
        comments.append(f"cut {cut.name}: {removed[cut.name]} removed ({cut.keep}, or else {cut.effect()})")
    if any(cut.removes == "star" for cut in rows.survey.cuts):
        out["extended"] = extended
    return keep, removed, comments


def _blank(out: Table, names: tuple[str, ...], fails: Bool[np.ndarray, "row entry"], keep) -> int:
    """Set values to NaN; returns how many were there, of the rows still kept."""
    count = 0
    for i, name in enumerate(names):
        bad = fails[:, min(i, fails.shape[1] - 1)]  # one column stands for all
        count += int(np.sum(bad & keep & np.isfinite(np.asarray(out[name]))))
        out[name][bad] = np.nan
        out[f"{name}_err"][bad] = np.nan
    return count


def _id(column: Column, name: str):
    if column.dtype.kind == "f":
        raise UserError(f"column {column.name} holds floats, too short for an id of 19 digits; store integers or text.")
    named = column.copy()
    named.name = name
    return named


def check_unique(table: Table, name: str) -> None:
    """Refuse a table in which a source is there twice.

    Raises:
        UserError: as said.
    """
    if name not in table.colnames:
        return
    ids = as_text(table[name])
    known = ~np.ma.getmaskarray(table[name].data) & (ids != "")
    values, count = np.unique(ids[known], return_counts=True)
    if np.any(count > 1):
        again = values[np.argmax(count > 1)]
        rows = np.flatnonzero(known & (ids == again))[:2]
        raise UserError(f"{name} {again} is there twice, in rows {rows[0]} and {rows[1]}; keep one of them.")


def _degrees(rows: Rows) -> tuple[Float[np.ndarray, " row"], Float[np.ndarray, " row"]]:
    """Right ascension and declination [deg], NaN where one of them makes no sense."""
    ra, dec = (rows.floats(name, u.deg) for name in rows.survey.position)
    given, known = ~np.isnan(ra) & ~np.isnan(dec), (np.abs(ra) <= 360) & (np.abs(dec) <= 90)
    names = " and ".join(str(rows.find(name)) for name in rows.survey.position)
    if 2 * known.sum() < given.sum():
        raise UserError(f"columns {names} must be within ±360 and ±90 deg; most positions are not, convert them.")
    column = rows.column(rows.survey.position[0])
    if known.sum() >= _ENOUGH_TO_JUDGE and column.unit is None:
        # A field of the sky of just this size and place, 6.28 by 3.14 deg about the vernal equinox, is less likely.
        small = (np.abs(ra[known]) <= 2 * np.pi).all() and (np.abs(dec[known]) <= np.pi / 2).all()
        if small and np.ptp(ra[known]) > 1 and np.ptp(dec[known]) > 1:
            raise UserError(f"columns {names} look like radians; give them their unit, deg or rad, or convert them.")
    return np.where(known, ra, np.nan), np.where(known, dec, np.nan)


_TO_YEARS = {"jd": 2451545.0, "mjd": 51544.5}  # J2000.0


def _epoch(rows: Rows) -> Float[np.ndarray, " row"]:
    """Epoch of every position [Julian year]; the survey's mean where it is not known."""
    survey = rows.survey
    values = rows.measured(survey.epoch_column)
    if survey.epoch_scale != "yr":
        values = 2000 + (values - _TO_YEARS[survey.epoch_scale]) / 365.25
    return np.where(np.isfinite(values) & (values > 0), values, np.nan if survey.epoch is None else survey.epoch)


def _zero_point(rows: Rows) -> Float[np.ndarray, " row"]:
    return rows.floats(ZERO_POINT, u.mas) if rows.find(ZERO_POINT) else np.zeros(len(rows))


def _notes(rows: Rows) -> list[str]:
    notes = [rows.survey.notes] if rows.survey.notes else []
    if rows.survey.parallax:
        given = rows.find(ZERO_POINT)
        notes.append(
            f"parallaxes less their zero points in the column {given}"
            if given
            else "parallaxes as they are in the catalogue, without correction of their zero point"
        )
    return notes
