"""The rows of a survey's table by the survey's own column names, however the table spells them."""

import re
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import Table
from jaxtyping import Float, Int, Shaped

from albireo.measurements import impossible_magnitudes, without_marks
from albireo.surveys.base import LABEL_FLOORS, MAG_FLOOR, POGSON, Flux, Magnitude, Survey
from albireo.tables import Columns, as_text

_LABEL_UNITS = (u.K, u.dex, u.dex)


class Rows:
    """A survey's table; a measurement that is missing is NaN.

    Attributes:
        survey: the survey.
        table: its table.
        mag: magnitudes in the systems of `albireo.bands` [mag], where both they and their errors are known.
        mag_err: their errors [mag].
        theta: teff, logg and feh.
        theta_err: their errors.
        theta_cov: their covariances.
    """

    mag: Float[np.ndarray, "row band"]
    mag_err: Float[np.ndarray, "row band"]
    theta: Float[np.ndarray, "row 3"]
    theta_err: Float[np.ndarray, "row 3"]
    theta_cov: Float[np.ndarray, "row 3 3"]

    def __init__(self, table: Table, survey: Survey):
        self.survey, self.table = survey, table

    def __len__(self) -> int:
        return len(self.table)

    def find(self, name: str) -> str | None:
        """How the table spells a column of the survey, None if it has no such column."""
        for spelling in self.survey.spellings(name) if name else ():
            stem, index = _entry(spelling)
            # In a table of two surveys, Gmag may be Gaia's and gmag that of Pan-STARRS.
            found = stem if stem in self.table.colnames else Columns(self.table).find(stem.lower())
            if found and (index is None or _has_entry(self.table[found], index)):
                return found if index is None else f"{found}[{index}]"
        return None

    def floats(self, name: str, unit: u.UnitBase | None = None) -> Float[np.ndarray, " row"]:
        """A column of numbers, in `unit` if it has one; NaN where missing, or throughout without such a column."""
        found = self.find(name)
        if found is None:
            return np.full(len(self), np.nan)
        stem, index = _entry(found)
        values = self._alone(stem).floats(stem.lower(), unit, one_value=index is None)
        return values if index is None else values[:, index]

    def measured(self, name: str, unit: u.UnitBase | None = None) -> Float[np.ndarray, " row"]:
        """A column of measurements: as `floats`, and NaN where a number such as -999 stands for a missing one."""
        marks = self.floats(name)
        values = marks if unit is None else self.floats(name, unit)
        return np.where(np.isfinite(without_marks(marks, -marks)), values, np.nan)

    def each(self, names: tuple[str, ...]) -> Float[np.ndarray, "row column"]:
        """Several columns of numbers side by side."""
        return np.stack([self.measured(name) for name in names], axis=1)

    def bits(self, name: str) -> Int[np.ndarray, " row"]:
        """A column of flags; all bits are set where it is missing."""
        values = self.floats(name)  # exact up to bit 52
        return np.where(np.isfinite(values), values, -1).astype(np.int64)

    def text(self, name: str) -> Shaped[np.ndarray, " row"]:
        """A column of words without blanks around them; empty where missing."""
        found = self.find(name)
        if found is None:
            return np.full(len(self), "")
        column = self.table[found]
        return np.where(np.ma.getmaskarray(column.data), "", np.char.strip(as_text(column)))

    def characters(self, name: str, num: int) -> Shaped[np.ndarray, "row num"]:
        """A column with a character for each band, such as AAB, ??? where missing.

        One that was read as a number lost the zeros on its left, which come back.
        """
        text = self.text(name)
        text = np.where(text == "", "?" * num, np.char.zfill(text, num)).astype(f"U{num}")
        return np.ascontiguousarray(text).view("U1").reshape(len(text), num)

    def vectors(self, name: str) -> Float[np.ndarray, "row *entry"] | None:
        """A column of vectors or matrices, None without such a column."""
        found = self.find(name)
        return None if found is None else self._alone(found).floats(found.lower(), one_value=False)

    def column(self, name: str) -> Any:
        """A column as it is, None without it."""
        found = self.find(name)
        return None if found is None else self.table[found]

    def _alone(self, name: str) -> Columns:
        return Columns(Table([self.table[name]], names=[name], copy=False))

    def measure(self, *, error_floors: bool) -> None:
        """Take magnitudes and labels out of the table, with floors in their errors if asked for."""
        bands = self.survey.bands
        self.mag, self.mag_err = np.full((2, len(self), len(bands)), np.nan)
        for i, (band, where) in enumerate(bands.items()):
            self.mag[:, i], self.mag_err[:, i] = self._magnitude(band, where)
        if error_floors:
            self.mag_err = np.hypot(self.mag_err, MAG_FLOOR)
        if self.survey.labels:
            self._measure_labels(LABEL_FLOORS if error_floors else (0.0, 0.0, 0.0))

    def _magnitude(self, band: str, where: Magnitude | Flux):
        """Magnitudes of a band and their errors [mag]; NaN unless both are known."""
        if isinstance(where, Flux):
            flux, flux_err = self.measured(where.value), self.measured(where.error)
            flux = np.where(flux > 0, flux, np.nan)
            mag, err = where.zero_point - 2.5 * np.log10(flux), POGSON * flux_err / flux
        else:
            mag, err = self.measured(where.value, u.mag), self._magnitude_error(where)
            mag, err = without_marks(mag, mag) + where.offset, without_marks(err, err)
            mag[impossible_magnitudes(mag, f"column {self.find(where.value) or where.value} ({band})")] = np.nan
        usable = np.isfinite(mag) & (err > 0)
        return np.where(usable, mag, np.nan), np.where(usable, err, np.nan)

    def error_columns(self, where: Magnitude | Flux) -> tuple[str, ...]:
        """The survey's names of the columns that the error of a magnitude comes from; none if the table lacks them."""
        return next((names for names in where.error_columns if all(map(self.find, names))), ())

    def _magnitude_error(self, where: Magnitude):
        names = self.error_columns(where) or (where.error,)
        if names == (where.error,):
            return self.measured(where.error, u.mag)
        snr, *errors = (self.measured(name) for name in names)
        for err in errors:  # of a flux that stands for it
            snr = snr / np.where(err > 0, err, np.nan)
        return POGSON / np.where(snr > 0, snr, np.nan)

    def _measure_labels(self, floors: tuple[float, ...]) -> None:
        labels = self.survey.labels
        assert labels
        columns = zip(labels.columns, _LABEL_UNITS, strict=True)
        pairs = [[self.measured(name, unit) for name in names] for names, unit in columns]
        self.theta = np.stack([value for value, _ in pairs], axis=1)
        err = np.stack([err for _, err in pairs], axis=1)
        # An error of zero is none: the survey has no calibrated error for the star, nor a calibrated label.
        usable = np.isfinite(self.theta) & (err > 0)
        self.theta, err = np.where(usable, self.theta, np.nan), np.where(usable, err, np.nan)
        cov = np.eye(3) * np.square(err)[:, None, :]
        if labels.covariance:
            fitted = labels.covariance(self)
            known = np.isfinite(fitted).all(axis=(1, 2))
            off_diagonal = np.where(known[:, None, None] & ~np.eye(3, dtype=bool), fitted, 0.0)
            fitted_variance = np.where(known[:, None], np.diagonal(fitted, axis1=1, axis2=2), 0.0)
            cov = off_diagonal + np.eye(3) * np.maximum(np.square(err), fitted_variance)[:, None, :]
        self.theta_cov = cov + np.diag(np.square(floors))
        self.theta_err = np.sqrt(np.diagonal(self.theta_cov, axis1=1, axis2=2))


def missing_column(rows: Rows, names: tuple[str, ...]) -> str | None:
    """The first of some columns that the table does not have, with its other spellings."""
    for name in names:
        if rows.find(name) is None:
            return " or ".join(rows.survey.spellings(name))
    return None


def _entry(spelling: str) -> tuple[str, int | None]:
    """`name[i]` as name and i; None for a plain name. Brackets such as those of [M/H] are part of a name."""
    entry = re.fullmatch(r"(.+)\[(\d+)\]", spelling)
    return (entry[1], int(entry[2])) if entry else (spelling, None)


def _has_entry(column, index: int) -> bool:
    return column.ndim == 2 and column.shape[1] > index
