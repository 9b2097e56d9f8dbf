"""The stars to train on: labels with covariances, photometry, parallax and a first estimate of the reddening."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Int

from albireo.bands import DEFAULT_BANDS
from albireo.catalog import DEFAULT_LABELS, Catalog
from albireo.errors import UserError
from albireo.tables import as_text

if TYPE_CHECKING:
    import pandas as pd
    from astropy.table import Table

# Photometry with a larger error is treated as unobserved (Green et al. 2021, section 3.2) [mag].
MAX_MAG_ERR = 0.2

# No star but the Sun is as near as 1 pc: Proxima Centauri's parallax is 768 mas (Gaia DR2) [mas].
MAX_PARALLAX = 1000.0

# A label so many times the median deviation away from the median would spoil the normalisation of all stars. The
# hottest and coolest stars of a survey are within a hundred.
_MAX_DEVIATION = 1000.0

# Rounding to float32 in a file can take 1e-7 off the smallest eigenvalue of a correlation matrix.
_MIN_EIGENVALUE = 1e-6


@dataclasses.dataclass(frozen=True, eq=False)
class TrainingSet:
    """Stars with known labels; only stars that can be used are in it.

    Attributes:
        theta: labels, in their own units.
        theta_cov: their covariances.
        mag: apparent magnitudes [mag]; 0 where unobserved.
        mag_err: their errors [mag]; infinite where unobserved.
        parallax: parallaxes [mas]; 0 where unknown.
        parallax_err: their errors [mas]; infinite where unknown.
        reddening: first estimate of the reddening [mag].
        reddening_err: its error [mag].
        row: row of every star in the table it came from.
        bands: names of the bands; the first becomes the reference band of a model.
        labels: names of the labels.
        num_rows: rows of the table.
        survey: where the labels came from, if known.
        reddening_source: where the first estimate of the reddening came from, if known.
        zero_points: what `ZeroPoints.apply` had added to the labels of each survey, by survey and label.
        dropped: how many rows were left out, by reason.
    """

    theta: Float[np.ndarray, "star label"]
    theta_cov: Float[np.ndarray, "star label label"]
    mag: Float[np.ndarray, "star band"]
    mag_err: Float[np.ndarray, "star band"]
    parallax: Float[np.ndarray, " star"]
    parallax_err: Float[np.ndarray, " star"]
    reddening: Float[np.ndarray, " star"]
    reddening_err: Float[np.ndarray, " star"]
    row: Int[np.ndarray, " star"]
    bands: tuple[str, ...]
    labels: tuple[str, ...]
    num_rows: int
    survey: np.ndarray | None = None
    reddening_source: np.ndarray | None = None
    zero_points: dict[str, dict[str, float]] = dataclasses.field(default_factory=dict)
    dropped: dict[str, int] = dataclasses.field(default_factory=dict)

    @classmethod
    def from_table(
        cls,
        table: "Table | pd.DataFrame",
        *,
        bands: Sequence[str] | None = None,
        labels: Sequence[str] = DEFAULT_LABELS,
    ) -> "TrainingSet":
        """Take the stars from an astropy `Table` or a pandas `DataFrame`.

        Columns: `<band>` and `<band>_err` [mag]; `<label>` with `<label>_err`, or `theta_cov`; `reddening` and
        `reddening_err` [mag]; `parallax` and `parallax_err` [mas], `survey` and `reddening_source` if known. Missing
        is NaN or masked.

        Args:
            table: the stars.
            bands: bands to learn, the reference band first; by default all known bands that the table has.
            labels: labels to learn them from.

        Raises:
            UserError: the table as a whole makes no sense, a band is missing, or no star is left.
        """
        catalog = Catalog.from_table(table, bands=bands or DEFAULT_BANDS, labels=labels)
        return cls.from_catalog(_with_all(catalog, bands or ()))

    @classmethod
    def read(
        cls, path: str | Path, *, bands: Sequence[str] | None = None, labels: Sequence[str] = DEFAULT_LABELS
    ) -> "TrainingSet":
        """Take the stars from a FITS, Parquet, ECSV, CSV or VOTable file, as `from_table` does from a table."""
        catalog = Catalog.read(path, bands=bands or DEFAULT_BANDS, labels=labels)
        return cls.from_catalog(_with_all(catalog, bands or ()))

    @classmethod
    def from_catalog(cls, catalog: Catalog) -> "TrainingSet":
        """Take the stars whose labels and reddening are known from a catalogue.

        Raises:
            UserError: no star can be used.
        """
        for label, values in zip(catalog.labels, catalog.theta.T, strict=True):
            if not np.isfinite(values).any():
                raise UserError(f"no star has the label {label!r}; add its column, or choose labels that there are.")
        observed = catalog.mag_err <= MAX_MAG_ERR
        has_parallax = np.isfinite(catalog.parallax)
        everything = cls(
            theta=catalog.theta,
            theta_cov=catalog.theta_cov,
            mag=np.where(observed, catalog.mag, 0.0),
            mag_err=np.where(observed, catalog.mag_err, np.inf),
            parallax=np.where(has_parallax, catalog.parallax, 0.0),
            parallax_err=np.where(has_parallax, catalog.parallax_err, np.inf),
            reddening=catalog.reddening,
            reddening_err=catalog.reddening_err,
            row=catalog.row,
            bands=catalog.bands,
            labels=catalog.labels,
            num_rows=int(catalog.row.max()) + 1,
            survey=_words(catalog, "survey"),
            reddening_source=_words(catalog, "reddening_source"),
            zero_points=_zero_points(catalog),
        )
        return _drop_bad_stars(everything)

    def __len__(self) -> int:
        """Number of stars."""
        return len(self.theta)

    def __getitem__(self, index: Any) -> "TrainingSet":
        """The stars of an index array, a mask or a slice."""
        arrays = {name: getattr(self, name)[index] for name in PER_STAR}
        given = {name: getattr(self, name) for name in ("survey", "reddening_source")}
        words = {name: None if values is None else values[index] for name, values in given.items()}
        return dataclasses.replace(self, **arrays, **words)

    @property
    def observed(self) -> Bool[np.ndarray, "star band"]:
        """Whether a star is observed in a band."""
        return np.isfinite(self.mag_err)

    def usable_parallax(self, min_snr: float) -> Bool[np.ndarray, " star"]:
        """Whether a star's parallax constrains its distance modulus (Green et al. 2021, section 3.2)."""
        return self.parallax > min_snr * self.parallax_err

    def faults(self) -> dict[str, Bool[np.ndarray, " star"]]:
        """Why a star cannot be trained on, and which stars that holds for."""
        # χ²/dof needs a degree of freedom: one goes to the reddening, one to the distance without a parallax.
        num_needed = 2 + (self.parallax == 0)
        return {
            "a label is missing": np.any(~np.isfinite(self.theta), axis=1),
            "a label is far from those of all others": _far_off(self.theta),
            "the label errors or theta_cov are not finite and positive definite": ~_positive_definite(self.theta_cov),
            "reddening is missing, or reddening_err is not positive": ~(
                np.isfinite(self.reddening) & np.isfinite(self.reddening_err) & (self.reddening_err >= 0)
            ),
            f"the parallax is above {MAX_PARALLAX:.0f} mas": self.parallax > MAX_PARALLAX,
            "too few bands are observed": self.observed.sum(axis=1) < num_needed,
        }


PER_STAR = (
    "theta",
    "theta_cov",
    "mag",
    "mag_err",
    "parallax",
    "parallax_err",
    "reddening",
    "reddening_err",
    "row",
)


def _with_all(catalog, bands):
    """The catalogue, if it has all these bands, and every band and label once."""
    missing = [band for band in bands if band not in catalog.bands]
    if missing:
        raise UserError(f"the table has no band {missing[0]!r} with errors; add its columns, or leave it out.")
    for names in (catalog.bands, catalog.labels):
        twice = [name for i, name in enumerate(names) if name in names[:i]]
        if twice:
            raise UserError(f"{twice[0]!r} is named twice among the bands or labels; name it once.")
    return catalog


def _words(catalog, column):
    if column not in catalog.extra.colnames:
        return None
    return as_text(catalog.extra[column])


def _zero_points(catalog):
    """What was added to the labels of each survey, by the columns `<label>_zero_point`."""
    survey, found = _words(catalog, "survey"), {}
    if survey is None:
        return found
    for label in catalog.labels:
        column = f"{label}_zero_point"
        if column not in catalog.extra.colnames:
            continue
        added = np.ma.filled(np.ma.asarray(catalog.extra[column].data, float), np.nan)
        for name in np.unique(survey):
            values = np.unique(added[survey == name])
            if len(values) > 1:
                raise UserError(f"column {column} holds several values for survey {name}; correct all its rows alike.")
            if np.isfinite(values[0]):
                found.setdefault(str(name), {})[label] = float(values[0])
    return found


def _drop_bad_stars(stars: TrainingSet) -> TrainingSet:
    keep, dropped = np.ones(len(stars), bool), {}
    for reason, bad in stars.faults().items():
        if np.any(bad & keep):
            dropped[reason] = int(np.sum(bad & keep))
        keep &= ~bad
    if not keep.any():
        worst = ", ".join(f"{reason} ({count})" for reason, count in dropped.items())
        raise UserError(f"none of the table's {len(stars)} rows can be trained on: {worst}; check its columns.")
    return dataclasses.replace(stars[keep], dropped=dropped)


def _far_off(theta) -> Bool[np.ndarray, " star"]:
    """Whether a label is further from the median than any survey's stars are."""
    known = theta[np.isfinite(theta).all(axis=1)]
    if not len(known):
        return np.zeros(len(theta), bool)
    away = np.abs(theta - np.median(known, axis=0))
    deviation = np.median(away[np.isfinite(away).all(axis=1)], axis=0)
    return np.any(away > np.where(deviation > 0, _MAX_DEVIATION * deviation, np.inf), axis=1)


def _positive_definite(cov):
    """Whether covariances are finite and positive definite, judged by their correlation matrices."""
    cov = np.where(np.isfinite(cov).all(axis=(1, 2), keepdims=True), cov, 0.0)
    scale = np.sqrt(np.abs(np.diagonal(cov, axis1=1, axis2=2)))
    norm = scale[:, :, None] * scale[:, None, :]
    usable = (norm > 0).all(axis=(1, 2)) & np.isfinite(norm).all(axis=(1, 2))
    correlation = np.where(usable[:, None, None], cov / np.where(norm > 0, norm, 1.0), 0.0)
    return usable & (np.linalg.eigvalsh(correlation)[:, 0] > _MIN_EIGENVALUE)
