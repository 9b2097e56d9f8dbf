"""Columns of a table as measurements, in albireo's units: bad values are left out and marked, bad tables refused.

Of a table that is `strict` the values as a whole have to make sense; of a part of one that did, none is refused.
"""

import warnings
from collections.abc import Sequence

import astropy.units as u
import numpy as np
from jaxtyping import Bool, Float

from albireo.bands import BANDS
from albireo.errors import UserError
from albireo.tables import Columns, refuse_radians

# No star is brighter than Sirius, V = -1.5, or an infrared star, K = -4 (Betelgeuse, R Doradus); no survey of stars
# goes deeper than 32 mag.
_MAG_RANGE = (-5.0, 40.0)
# Fewer than 20 stars of the sky are brighter than this in the optical: a table of mostly such values holds fluxes.
_BRIGHT_MAG = 1.0
_ENOUGH_TO_JUDGE = 10
# A magnitude of a larger error [mag] says nothing, and single precision has no digits left for the others.
_MAX_ERR = 1e3
# Rounding in a table may put an error that is all floor below it; and no magnitude is known better than this [mag].
_ROUNDING, _MIN_ERR = 1e-3, 1e-4
# What surveys write for "no magnitude", with either sign (Pan-STARRS -999, SDSS -9999, SExtractor 99, PARSEC 999.999);
# with a minus they stand for other missing values too (APOGEE and LAMOST: labels of -9999).
_NOTHING = (99.0, 99.9, 99.99, 99.999, 999.0, 999.9, 999.99, 999.999, 9999.0)
LABEL_UNITS = {"teff": u.K, "logg": u.dex, "feh": u.dex}


def photometry(
    columns: Columns, bands: Sequence[str]
) -> tuple[
    tuple[str, ...],
    Float[np.ndarray, "star band"],
    Float[np.ndarray, "star band"],
    Float[np.ndarray, "star band"],
    Bool[np.ndarray, " star"],
]:
    """Bands found, their magnitudes, errors and upper limits, and which stars had invalid ones."""
    found = [band for band in bands if columns.find(band)]
    if not found:
        have = ", ".join(columns.rest().colnames[:8])
        raise UserError(f"no known band: expected columns such as {', '.join(bands[:3])}; found {have}.")
    used = [band for band in found if columns.find(f"{band}_err")]
    if not used:
        raise UserError(f"no band has errors: expected a column {found[0]}_err [mag] beside {found[0]}, and so on.")
    for band in set(found) - set(used) if columns.strict else ():
        warnings.warn(f"band {band} is not used: there is no column {band}_err.", stacklevel=4)
    for band in set(bands) - set(found) if columns.strict else ():
        if columns.find(f"{band}_limit"):
            warnings.warn(f"column {band}_limit is not used: there is no column {band}, empty or not.", stacklevel=4)
    mag, mag_err, given, bad = zip(*(_magnitudes(columns, band) for band in used), strict=True)
    limit, bad_limit = zip(*(_limits(columns, band) for band in used), strict=True)
    limit = np.where(given, np.nan, limit)  # a star that was found has none, even where its magnitude is not usable
    if columns.strict:
        _refuse_fluxes(np.concatenate(mag), "the bands")  # a short table has too few values in each
    if columns.strict and not np.isfinite(mag).any():
        raise UserError("no star can be used: no row has a magnitude with a positive error; check the columns.")
    return tuple(used), np.stack(mag, axis=1), np.stack(mag_err, axis=1), limit.T, np.any([*bad, *bad_limit], axis=0)


def _magnitudes(columns: Columns, band: str):
    """One band: magnitudes, errors (NaN unless both are valid), which stars had any, and which invalid ones."""
    mag, err = columns.floats(band, u.mag), columns.floats(f"{band}_err", u.mag)
    system = columns.magnitude_system(band)
    if band in BANDS and system not in (None, BANDS[band].system):
        raise UserError(
            f"column {band} is in {system} magnitudes; convert it to {BANDS[band].system} magnitudes first."
        )
    _check_errors(columns, err, f"{band}_err")
    mag, err = without_marks(mag, np.abs(mag)), without_marks(err, np.abs(err))
    outside = impossible_magnitudes(mag, f"column {band}") if columns.strict else _outside_range(mag)
    useless = (err <= 0) | (err > _MAX_ERR)
    bad = outside | (~np.isnan(mag) & useless)
    err = np.where(useless, np.nan, err)
    valid_mag, valid_err, bad = _valid(np.where(outside, np.nan, mag), err, bad)
    return valid_mag, valid_err, ~np.isnan(mag), bad


def _limits(columns: Columns, band: str):
    """Upper limits in one band, and which stars had invalid ones."""
    limit = columns.floats(f"{band}_limit", u.mag)
    limit = without_marks(limit, np.abs(limit))
    outside = impossible_magnitudes(limit, f"column {band}_limit") if columns.strict else _outside_range(limit)
    return np.where(outside, np.nan, limit), outside


def impossible_magnitudes(mag: Float[np.ndarray, " value"], where: str) -> Bool[np.ndarray, " value"]:
    """Which magnitudes no star has.

    Raises:
        UserError: most of them are such, or so bright that they are fluxes.
    """
    outside = _outside_range(mag)
    _refuse_fluxes(mag, where, always=2 * outside.sum() > np.sum(~np.isnan(mag)))
    return outside


def _outside_range(mag: Float[np.ndarray, " value"]) -> Bool[np.ndarray, " value"]:
    return ~np.isnan(mag) & ~((mag >= _MAG_RANGE[0]) & (mag <= _MAG_RANGE[1]))


def without_marks(value: Float[np.ndarray, " star"], mark: Float[np.ndarray, " star"]) -> Float[np.ndarray, " star"]:
    """The values, NaN where the mark is a number that stands for a missing one."""
    return np.where(np.isclose(mark[:, None], _NOTHING, rtol=1e-6).any(axis=1), np.nan, value)


def _refuse_fluxes(mag: Float[np.ndarray, " value"], where: str, *, always: bool = False) -> None:
    """Refuse values most of which are brighter than nearly all stars, if there are enough of them to judge."""
    given = mag[~np.isnan(mag)]
    if always or (len(given) >= _ENOUGH_TO_JUDGE and 2 * np.sum(given < _BRIGHT_MAG) > len(given)):
        raise UserError(
            f"{where} must hold magnitudes; most values are none (median {np.median(given):.4g}), "
            "convert fluxes to magnitudes."
        )


def measured(
    columns: Columns, name: str, unit: u.UnitBase
) -> tuple[Float[np.ndarray, " star"], Float[np.ndarray, " star"], Bool[np.ndarray, " star"]]:
    """A quantity and its error (NaN unless both are valid), and which stars had invalid ones."""
    value, err = columns.floats(name, unit), columns.floats(f"{name}_err", unit)
    if columns.strict and columns.find(name) and not columns.find(f"{name}_err"):
        warnings.warn(f"{name} is not used: there is no column {name}_err.", stacklevel=4)
    _check_errors(columns, err, f"{name}_err")
    value = without_marks(value, -value)
    return _valid(value, err, np.isinf(value) | (~np.isnan(value) & (np.isinf(err) | (err <= 0))))


def _valid(value, err, bad):
    usable = np.isfinite(value) & np.isfinite(err) & (err > 0)
    return np.where(usable, value, np.nan), np.where(usable, err, np.nan), bad


def _check_errors(columns: Columns, err: Float[np.ndarray, " star"], name: str) -> None:
    given = err[~np.isnan(err)]
    if columns.strict and given.size and np.all(given <= 0):
        raise UserError(f"column {name} must hold positive errors; all are zero or negative, leave unknown ones empty.")


def positions(
    columns: Columns,
) -> tuple[Float[np.ndarray, " star"], Float[np.ndarray, " star"], Bool[np.ndarray, " star"]]:
    """Galactic longitude and latitude [deg], NaN where unknown, and which stars had invalid positions."""
    galactic = columns.find("glon") or columns.find("glat")
    names = ("glon", "glat") if galactic else ("ra", "dec")
    if bool(columns.find(names[0])) != bool(columns.find(names[1])):
        raise UserError(f"a position needs both columns {names[0]} and {names[1]}; add the other or drop this one.")
    lon, lat = (columns.floats(name, u.deg) for name in names)
    valid = (np.abs(lon) <= 360) & (np.abs(lat) <= 90)
    bad = ~valid & ~np.isnan(lon) & ~np.isnan(lat)
    if columns.strict and 2 * bad.sum() > bad.size:
        raise UserError(f"columns {names[0]} and {names[1]} must be within ±360 and ±90 deg; most positions are not.")
    if columns.strict and not galactic and columns.find("ra") and columns.column("ra").unit is None:
        known = valid & ~np.isnan(lon) & ~np.isnan(lat)  # of Galactic ones, a field at the centre is as likely
        refuse_radians("ra and dec", lon[known], lat[known])
    lon, lat = np.where(valid, lon, np.nan) % 360, np.where(valid, lat, np.nan)
    glon, glat = (lon, lat) if galactic else _to_galactic(lon, lat)
    return glon, glat, bad


def _to_galactic(ra, dec):
    from astropy.coordinates import ICRS, Galactic

    galactic = ICRS(ra * u.deg, dec * u.deg).transform_to(Galactic())
    return galactic.l.to_value(u.deg), galactic.b.to_value(u.deg)


def known_labels(
    columns: Columns, labels: tuple[str, ...], n_star: int
) -> tuple[Float[np.ndarray, "star label"], Float[np.ndarray, "star label label"]]:
    """Labels and their covariance, NaN where unknown."""
    theta, variance = np.full((2, n_star, len(labels)), np.nan)
    for i, label in enumerate(labels):
        value, err = (columns.floats(name, LABEL_UNITS.get(label)) for name in (label, f"{label}_err"))
        _check_errors(columns, err, f"{label}_err")
        theta[:, i] = without_marks(np.where(np.isfinite(value), value, np.nan), -value)
        with np.errstate(over="ignore"):  # an error too large to square is infinite
            variance[:, i] = np.where(np.isfinite(err) & (err > 0), err**2, np.nan)
    diagonal = np.where(np.eye(len(labels), dtype=bool), variance[:, :, None], 0.0)
    if not columns.find("theta_cov"):
        return theta, diagonal
    cov = columns.floats("theta_cov", one_value=False)
    if cov.shape != (n_star, len(labels), len(labels)):
        raise UserError(
            f"column theta_cov must hold a {len(labels)} by {len(labels)} matrix a row, for {', '.join(labels)}; "
            f"got shape {cov.shape[1:]}."
        )
    cov = 0.5 * (cov + np.swapaxes(cov, 1, 2))  # single precision leaves it a little asymmetric
    # Of stacked tables, that of one survey may have covariances and that of another errors alone.
    return theta, np.where(np.isnan(cov).all(axis=(1, 2), keepdims=True), diagonal, cov)


def below_floor(mag_err: Float[np.ndarray, "*shape"], floor: float) -> Bool[np.ndarray, "*shape"]:
    """Which errors [mag] cannot hold this floor in quadrature."""
    return mag_err < floor * (1 - _ROUNDING)


def remove_error_floor(mag_err: Float[np.ndarray, "*shape"], floor: float) -> Float[np.ndarray, "*shape"]:
    """Errors of magnitudes [mag] without a floor that was added to them in quadrature; at least 0.1 mmag is left.

    Raises:
        UserError: an error is below the floor, so that it cannot hold it.
    """
    if not (np.isfinite(floor) and floor >= 0):
        raise UserError(f"the floor in the errors must be zero or a positive number of magnitudes; got {floor}.")
    if floor == 0:
        return mag_err
    if below_floor(mag_err, floor).any():
        raise UserError(
            f"errors of magnitudes that hold a floor of {floor} mag cannot be as small as {np.nanmin(mag_err):.4g}; "
            "give the floor that was added to them, or none."
        )
    return np.sqrt(np.maximum(np.square(mag_err) - floor**2, _MIN_ERR**2))
