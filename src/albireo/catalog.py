"""The catalogue: what was measured of stars, in albireo's own units, with missing values as NaN."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np
from astropy.table import Table
from jaxtyping import Bool, Float, Int, Shaped

from albireo.bands import BANDS, DEFAULT_BANDS
from albireo.errors import UserError
from albireo.tables import Columns, naming_column, read_table, refuse_radians, star_ids, to_astropy

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_LABELS = ("teff", "logg", "feh")

# No star is brighter than Sirius, V = -1.5, or an infrared star, K = -4 (Betelgeuse, R Doradus); no survey of stars
# goes deeper than 32 mag.
_MAG_RANGE = (-5.0, 40.0)
# Fewer than 20 stars of the sky are brighter than this in the optical: a table of mostly such values holds fluxes.
_BRIGHT_MAG = 1.0
_ENOUGH_TO_JUDGE = 10
# Rounding in a table may put an error that is all floor below it; and no magnitude is known better than this [mag].
_ROUNDING, _MIN_ERR = 1e-3, 1e-4
# What surveys write for "no magnitude", with either sign (Pan-STARRS -999, SDSS -9999, SExtractor 99, PARSEC 999.999);
# with a minus they stand for other missing values too (APOGEE and LAMOST: labels of -9999).
_NOTHING = (99.0, 99.9, 99.99, 99.999, 999.0, 999.9, 999.99, 999.999, 9999.0)


@dataclass(frozen=True, eq=False)
class Catalog:
    """Photometry and whatever else is known of stars. Missing is NaN.

    Attributes:
        bands: names of the bands.
        labels: names of the stellar labels.
        mag: apparent magnitudes [mag]; NaN where the band is not used.
        mag_err: their standard errors [mag]; NaN where the band is not used.
        mag_limit: where a star was looked for and not found, the magnitude of S/N 5 there [mag]; NaN elsewhere.
        parallax: parallaxes [mas], NaN unless usable; negative ones are data.
        parallax_err: their standard errors [mas], NaN unless usable.
        glon: Galactic longitude [deg].
        glat: Galactic latitude [deg].
        theta: labels known from elsewhere (teff [K], logg [dex], feh [dex]).
        theta_cov: their covariance, in the squares of those units.
        reddening: reddening known from elsewhere [mag].
        reddening_err: its standard error [mag].
        ids: a name for each star.
        row: row number in the file or table that the catalogue was made from.
        bad_input: whether an invalid magnitude, parallax, position or error of the star was left out.
        extra: the table's other columns.
    """

    bands: tuple[str, ...]
    labels: tuple[str, ...]
    mag: Float[np.ndarray, "star band"]
    mag_err: Float[np.ndarray, "star band"]
    mag_limit: Float[np.ndarray, "star band"]
    parallax: Float[np.ndarray, " star"]
    parallax_err: Float[np.ndarray, " star"]
    glon: Float[np.ndarray, " star"]
    glat: Float[np.ndarray, " star"]
    theta: Float[np.ndarray, "star label"]
    theta_cov: Float[np.ndarray, "star label label"]
    reddening: Float[np.ndarray, " star"]
    reddening_err: Float[np.ndarray, " star"]
    ids: Shaped[np.ndarray, " star"]
    row: Int[np.ndarray, " star"]
    bad_input: Bool[np.ndarray, " star"]
    extra: Table

    @classmethod
    def read(
        cls,
        path: str | Path,
        *,
        bands: Sequence[str] = DEFAULT_BANDS,
        labels: Sequence[str] = DEFAULT_LABELS,
        rows: slice | None = None,
    ) -> "Catalog":
        """Read a FITS, Parquet, ECSV, CSV or VOTable file.

        Args:
            path: the file; its ending says which format.
            bands: bands to look for, each a column `<band>` and a column `<band>_err` [mag], and for stars that were
                not found a column `<band>_limit`.
            labels: known labels to look for, `<label>` with `<label>_err`, or all together as `theta_cov`.
            rows: rows to keep; the whole file is checked all the same.

        Raises:
            UserError: the file cannot be read, or its table as a whole makes no sense.
        """
        try:
            catalog = cls.from_table(read_table(path), bands=bands, labels=labels)
        except UserError as error:
            message = str(error)
            raise UserError(message if str(path) in message else f"{path}: {message}") from None
        if rows is None:
            return catalog
        selected = catalog[rows]
        if not len(selected):
            raise UserError(
                f"rows {rows.start}:{rows.stop} of {path} hold no star; it has rows 0 to {len(catalog) - 1}."
            )
        return selected

    @classmethod
    def from_table(
        cls,
        table: "Table | pd.DataFrame",
        *,
        bands: Sequence[str] = DEFAULT_BANDS,
        labels: Sequence[str] = DEFAULT_LABELS,
        first_row: int = 0,
        checked: bool = False,
    ) -> "Catalog":
        """From an astropy Table or a pandas DataFrame; columns with units are converted.

        Args:
            table: the table.
            bands: bands to look for, each a column `<band>` and a column `<band>_err` [mag], and for stars that were
                not found a column `<band>_limit`.
            labels: known labels to look for.
            first_row: row number of the table's first row, if it is a part of a longer table.
            checked: whether another part of that table was found to make sense: whatever values this part holds,
                those that are invalid are then left out and marked, and none is refused.

        Raises:
            UserError: the table as a whole makes no sense. Single bad rows are kept and marked in `bad_input`.
        """
        table = to_astropy(table)
        if not len(table):
            raise UserError("the table is empty; give one with at least one star.")
        columns = Columns(table, strict=not checked)
        bands, mag, mag_err, mag_limit, bad_mag = _photometry(columns, bands)
        parallax, parallax_err, bad_parallax = _measured(columns, "parallax", u.mas)
        glon, glat, bad_position = _positions(columns)
        theta, theta_cov = known_labels(columns, tuple(labels), len(table))
        reddening, reddening_err, _ = _measured(columns, "reddening", u.mag)
        extra, row = columns.rest(), first_row + np.arange(len(table))
        return cls(
            bands=bands,
            labels=tuple(labels),
            mag=mag,
            mag_err=mag_err,
            mag_limit=mag_limit,
            parallax=parallax,
            parallax_err=parallax_err,
            glon=glon,
            glat=glat,
            theta=theta,
            theta_cov=theta_cov,
            reddening=reddening,
            reddening_err=reddening_err,
            ids=star_ids(extra, naming_column(extra), row),
            row=row,
            bad_input=bad_mag | bad_parallax | bad_position,
            extra=extra,
        )

    def __len__(self) -> int:
        return len(self.row)

    def __repr__(self) -> str:
        known = {"parallax": self.parallax, "position": self.glon, "reddening": self.reddening}
        known |= dict(zip(self.labels, self.theta.T, strict=True))
        also = [name for name, values in known.items() if np.isfinite(values).any()]
        return f"<Catalog of {len(self)} stars; bands {', '.join(self.bands)}; {', '.join(also) or 'nothing else'}>"

    def __getitem__(self, index: slice | Shaped[np.ndarray, " selected"] | int) -> "Catalog":
        """The catalogue of some of the stars: a slice, a mask, an array of indices, or one index."""
        index = np.arange(len(self))[index]
        index = np.atleast_1d(index)
        selected = {name: getattr(self, name)[index] for name in _STAR_FIELDS}
        # A table without columns has no rows to select.
        return replace(self, **selected, extra=self.extra[index] if self.extra.colnames else self.extra)

    @property
    def n_bands(self) -> Int[np.ndarray, " star"]:
        """Number of used bands of each star."""
        return np.isfinite(self.mag).sum(axis=1)

    @property
    def has_limit(self) -> Bool[np.ndarray, " star"]:
        """Whether a star has an upper limit in any band."""
        return np.any(np.isfinite(self.mag_limit), axis=1)

    def select_bands(self, bands: Sequence[str]) -> "Catalog":
        """The catalogue of exactly these bands, in this order; a band it does not have is NaN."""
        missing = np.full((len(self), 1), np.nan)
        index = [self.bands.index(band) if band in self.bands else -1 for band in bands]
        mag, mag_err, mag_limit = (
            np.hstack([values, missing])[:, index] for values in (self.mag, self.mag_err, self.mag_limit)
        )
        return replace(self, bands=tuple(bands), mag=mag, mag_err=mag_err, mag_limit=mag_limit)

    def with_error_floor(self, floor: float) -> "Catalog":
        """The catalogue with `floor` [mag] added in quadrature to every magnitude's error."""
        if not (np.isfinite(floor) and floor >= 0):
            raise UserError(f"the error floor must be zero or a positive number of magnitudes; got {floor}.")
        return replace(self, mag_err=np.hypot(self.mag_err, floor))

    def without_error_floor(self, floor: float, *, checked: bool = False) -> "Catalog":
        """The catalogue with `floor` [mag], which its errors hold in quadrature, taken off again.

        An error below the floor cannot hold it. It is refused or, if the catalogue is `checked` (see `from_table`), it
        and its magnitude are left out and the star is marked.
        """
        if checked:
            invalid = self.mag_err < floor * (1 - _ROUNDING)
            mag, mag_err = (np.where(invalid, np.nan, values) for values in (self.mag, self.mag_err))
            self = replace(self, mag=mag, mag_err=mag_err, bad_input=self.bad_input | invalid.any(axis=1))
        return replace(self, mag_err=remove_error_floor(self.mag_err, floor))

    def without(self, name: str) -> "Catalog":
        """The catalogue as if a measurement had not been made: "parallax" or the name of a band."""
        if name == "parallax":
            nothing = np.full(len(self), np.nan)
            return replace(self, parallax=nothing, parallax_err=nothing)
        if name in self.bands:
            keep = np.where([band == name for band in self.bands], np.nan, 0.0)
            changed = {field: getattr(self, field) + keep for field in ("mag", "mag_err", "mag_limit")}
            return replace(self, **changed)
        raise UserError(f"cannot leave out {name!r}; name parallax or one of {', '.join(self.bands)}.")

    def named_by(self, column: str | None) -> "Catalog":
        """The catalogue with stars called what a column of `extra` says, or their row numbers."""
        return replace(self, ids=star_ids(self.extra, column, self.row))

    def to_table(self) -> Table:
        """An astropy Table that `from_table` reads back: albireo's columns with units, and the other columns."""
        table = Table(self.extra)
        for band, mag, mag_err in zip(self.bands, self.mag.T, self.mag_err.T, strict=True):
            table[band], table[f"{band}_err"] = mag * u.mag, mag_err * u.mag
        for band, limit in zip(self.bands, self.mag_limit.T, strict=True):
            if np.isfinite(limit).any():
                table[f"{band}_limit"] = limit * u.mag
        table["parallax"], table["parallax_err"] = self.parallax * u.mas, self.parallax_err * u.mas
        table["glon"], table["glat"] = self.glon * u.deg, self.glat * u.deg
        for label, values in zip(self.labels, self.theta.T, strict=True):
            table[label] = values * u.K if label == "teff" else values  # FITS has no unit dex
        table["theta_cov"] = self.theta_cov
        table["reddening"], table["reddening_err"] = self.reddening * u.mag, self.reddening_err * u.mag
        return table


_STAR_FIELDS = [field.name for field in fields(Catalog) if field.name not in ("bands", "labels", "extra")]
LABEL_UNITS = {"teff": u.K, "logg": u.dex, "feh": u.dex}


def _photometry(columns: Columns, bands: Sequence[str]):
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
    mag = without_marks(mag, np.abs(mag))
    outside = impossible_magnitudes(mag, f"column {band}") if columns.strict else _outside_range(mag)
    bad = outside | (~np.isnan(mag) & (np.isinf(err) | (err <= 0)))
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


def _measured(columns: Columns, name: str, unit: u.UnitBase):
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


def _positions(columns: Columns):
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
    return *((lon, lat) if galactic else _to_galactic(lon, lat)), bad


def _to_galactic(ra, dec):
    from astropy.coordinates import ICRS, Galactic

    galactic = ICRS(ra * u.deg, dec * u.deg).transform_to(Galactic())
    return galactic.l.to_value(u.deg), galactic.b.to_value(u.deg)


def known_labels(columns: Columns, labels: tuple[str, ...], n_star: int):
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


def remove_error_floor(mag_err: Float[np.ndarray, "*shape"], floor: float) -> Float[np.ndarray, "*shape"]:
    """Errors of magnitudes [mag] without a floor that was added to them in quadrature; at least 0.1 mmag is left.

    Raises:
        UserError: an error is below the floor, so that it cannot hold it.
    """
    if not (np.isfinite(floor) and floor >= 0):
        raise UserError(f"the floor in the errors must be zero or a positive number of magnitudes; got {floor}.")
    if floor == 0:
        return mag_err
    smallest = np.nanmin(mag_err, initial=np.inf)
    if smallest < floor * (1 - _ROUNDING):
        raise UserError(
            f"errors of magnitudes that hold a floor of {floor} mag cannot be as small as {smallest:.4g}; "
            "give the floor that was added to them, or none."
        )
    return np.sqrt(np.maximum(np.square(mag_err) - floor**2, _MIN_ERR**2))
