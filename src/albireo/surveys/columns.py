"""The rows of a survey's table in albireo's columns: ids, positions, epochs, parallaxes, magnitudes and labels."""

import astropy.units as u
import numpy as np
from astropy.table import Column, Table
from jaxtyping import Float

from albireo.catalog import DEFAULT_LABELS
from albireo.errors import UserError
from albireo.measurements import LABEL_UNITS
from albireo.surveys.corrections import ZERO_POINT
from albireo.surveys.rows import Rows
from albireo.tables import as_text, refuse_radians


def columns(rows: Rows) -> Table:
    """All rows in albireo's columns, before cuts.

    Raises:
        UserError: ids or positions cannot be used.
    """
    survey, out = rows.survey, Table()
    name = rows.column(survey.id)
    if name is not None:
        out[survey.id] = _id(name, survey.id)
    out["ra"], out["dec"] = (Column(values, unit=u.deg) for values in _degrees(rows))
    out["ref_epoch"] = Column(_epoch(rows), unit=u.yr)
    if survey.proper_motion:
        for ours, theirs in zip(("pmra", "pmdec"), survey.proper_motion, strict=True):
            out[ours] = Column(rows.floats(theirs, u.mas / u.yr), unit=u.mas / u.yr)
    if survey.parallax:
        out["parallax"], out["parallax_err"] = (Column(values, unit=u.mas) for values in _parallax(rows))
    for i, band in enumerate(survey.bands):
        out[band], out[f"{band}_err"] = (Column(values[:, i], unit=u.mag) for values in (rows.mag, rows.mag_err))
    if survey.labels:
        _add_labels(out, rows, survey.labels.survey)
    return out


def _add_labels(out: Table, rows: Rows, survey: str) -> None:
    out["survey"] = np.full(len(rows), survey)
    for i, label in enumerate(DEFAULT_LABELS):
        unit = LABEL_UNITS[label] if label == "teff" else None  # FITS has no unit dex
        out[label], out[f"{label}_err"] = (Column(v[:, i], unit=unit) for v in (rows.theta, rows.theta_err))
    if np.nansum(np.abs(np.triu(rows.theta_cov, 1))) > 0:
        out["theta_cov"] = rows.theta_cov


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
    if column.unit is None:
        refuse_radians(names, ra[known], dec[known])
    return np.where(known, ra, np.nan), np.where(known, dec, np.nan)


_TO_YEARS = {"jd": 2451545.0, "mjd": 51544.5}  # J2000.0


def _epoch(rows: Rows) -> Float[np.ndarray, " row"]:
    """Epoch of every position [Julian year]; the survey's mean where it is not known."""
    survey = rows.survey
    values = rows.measured(survey.epoch_column)
    if survey.epoch_scale != "yr":
        values = 2000 + (values - _TO_YEARS[survey.epoch_scale]) / 365.25
    return np.where(np.isfinite(values) & (values > 0), values, np.nan if survey.epoch is None else survey.epoch)


def _parallax(rows: Rows) -> tuple[Float[np.ndarray, " row"], Float[np.ndarray, " row"]]:
    """Parallaxes, less their zero points where the table has these, and errors [mas]; NaN unless both are known."""
    parallax, err = (rows.measured(theirs, u.mas) for theirs in rows.survey.parallax or ())
    if rows.find(ZERO_POINT):
        parallax = parallax - rows.floats(ZERO_POINT, u.mas)
    usable = np.isfinite(parallax) & (err > 0)
    return np.where(usable, parallax, np.nan), np.where(usable, err, np.nan)
