"""The catalogue: what was measured of stars, in albireo's own units, with missing values as NaN."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np
from astropy.table import Table
from jaxtyping import Bool, Float, Int, Shaped

from albireo.bands import DEFAULT_BANDS
from albireo.errors import UserError
from albireo.measurements import below_floor, known_labels, measured, photometry, positions, remove_error_floor
from albireo.tables import Columns, naming_column, read_table, star_ids, to_astropy

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_LABELS = ("teff", "logg", "feh")


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
        bands, mag, mag_err, mag_limit, bad_mag = photometry(columns, bands)
        parallax, parallax_err, bad_parallax = measured(columns, "parallax", u.mas)
        glon, glat, bad_position = positions(columns)
        theta, theta_cov = known_labels(columns, tuple(labels), len(table))
        reddening, reddening_err, _ = measured(columns, "reddening", u.mag)
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
            invalid = below_floor(self.mag_err, floor)
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
