"""How a survey's own table is described: its columns, what they mean in albireo's, cuts on quality and corrections."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Bool, Float

if TYPE_CHECKING:
    from albireo.surveys.rows import Rows

# Errors of Green et al. (2021): added in quadrature to every magnitude (section 3.2) and to teff, logg and feh (3.1).
MAG_FLOOR = 0.02
LABEL_FLOORS = (10.0, 0.05, 0.03)
# Larger errors, with the floor in them, do not count: section 3.2 for magnitudes, 3.1 for labels.
MAX_MAG_ERR = 0.2
MAX_LABEL_ERRS = (200.0, 0.5, 0.5)

# From the error of a flux, as a fraction of it, to that of a magnitude.
POGSON = 2.5 / np.log(10)


@dataclass(frozen=True)
class Magnitude:
    """Columns that hold a magnitude.

    Attributes:
        value: the magnitude [mag].
        error: its standard error [mag].
        snr: in a table without the error, its flux over the error of that.
        flux: in a table without that either, the flux and its error.
        offset: what brings it to the system of `albireo.bands` [mag].
    """

    value: str
    error: str
    snr: str = ""
    flux: tuple[str, ...] = ()
    offset: float = 0.0

    @property
    def error_columns(self) -> tuple[tuple[str, ...], ...]:
        """The columns that an error can come from, the likeliest first."""
        return tuple(names for names in ((self.error,), (self.snr,), self.flux) if all(names) and names)


@dataclass(frozen=True)
class Flux:
    """Columns that hold a flux, of which zero_point − 2.5 log10(flux) is the magnitude.

    Attributes:
        value: the flux.
        error: its standard error, in the same unit.
        zero_point: magnitude of a unit of flux, in the system of `albireo.bands` [mag].
    """

    value: str
    error: str
    zero_point: float

    @property
    def error_columns(self) -> tuple[tuple[str, ...], ...]:
        """The columns that an error can come from."""
        return ((self.error,),)


@dataclass(frozen=True)
class Labels:
    """Columns that hold what spectra say of stars.

    Attributes:
        survey: what the column `survey` of the table read is to say.
        columns: value and error of teff [K], logg [dex] and feh [dex].
        covariance: their covariances, if the survey has any off the diagonal; NaN where a star has none.
    """

    survey: str
    columns: tuple[tuple[str, str], tuple[str, str], tuple[str, str]]
    covariance: "Callable[[Rows], Float[np.ndarray, 'row 3 3']] | None" = None


@dataclass(frozen=True)
class Cut:
    """A cut on quality, which can be left out by its name.

    Attributes:
        name: its name.
        keep: what it says, with the source.
        passes: from the rows of a table, a mask of what passes: for every row, or for every row and entry of `blanks`.
        needs: columns that it looks at.
        removes: what becomes of the others: the "row" goes; the "values" named in `blanks` do; or the "star": the row
            stays without magnitudes, marked `extended`, so that matching can leave out the star that it belongs to.
        blanks: bands, or "parallax".
        optional: whether a table without those columns is read all the same, without the cut.
    """

    name: str
    keep: str
    passes: "Callable[[Rows], Bool[np.ndarray, 'row *entry']]"
    needs: tuple[str, ...] = ()
    removes: Literal["row", "values", "star"] = "row"
    blanks: tuple[str, ...] = ()
    optional: bool = False

    def effect(self) -> str:
        """What becomes of the others, in words."""
        return {
            "row": "the row is dropped",
            "values": f"the {'parallax' if self.blanks == ('parallax',) else 'band'} is blanked",
            "star": "all bands are blanked and matching drops the star",
        }[self.removes]


@dataclass(frozen=True)
class Correction:
    """A correction of parallaxes or of their errors, which can be left out by its name.

    Attributes:
        name: its name.
        what: what it does, with the source.
        amounts: from the rows of a table, what to subtract from every parallax [mas], or by what to multiply its error,
            NaN where that is not known; and which rows are outside the range that it is made for, where the amounts are
            those at the nearest edge.
        needs: columns that it looks at.
        of: what it changes: the "parallax" or its "error".
    """

    name: str
    what: str
    amounts: "Callable[[Rows], tuple[Float[np.ndarray, ' row'], Bool[np.ndarray, ' row']]]"
    needs: tuple[str, ...] = ()
    of: Literal["parallax", "error"] = "parallax"


@dataclass(frozen=True, kw_only=True)
class Survey:
    """A survey's table.

    Columns go by the archive's names, in any case; `name[i]` is entry i of a column of vectors.

    Attributes:
        name: how to call it.
        title: what it is.
        source: where its columns are described.
        id: column that names a source; kept under this name.
        other_names: other spellings of the archive's names, those of VizieR above all.
        unique: whether every source has one row.
        position: right ascension and declination [deg].
        epoch: mean epoch of the positions [Julian year], None if it is not known.
        epoch_column: the epoch of each position.
        epoch_scale: what that holds: Julian years, Julian dates or modified ones.
        epoch_is_release: whether the epoch tells this release of the survey from another.
        proper_motion: in right ascension (times cos dec) and declination [mas/yr].
        parallax: parallax and error [mas].
        bands: where each band is.
        labels: where labels are.
        own_cuts: its cuts, in the order in which they are made.
        corrections: of its parallaxes.
        notes: what else a user should know.
    """

    name: str
    title: str
    source: str
    id: str
    other_names: Mapping[str, tuple[str, ...]]
    unique: bool = True
    position: tuple[str, str] = ("ra", "dec")
    epoch: float | None = None
    epoch_column: str = ""
    epoch_scale: Literal["yr", "jd", "mjd"] = "yr"
    epoch_is_release: bool = False
    proper_motion: tuple[str, str] | None = None
    parallax: tuple[str, str] | None = None
    bands: Mapping[str, Magnitude | Flux] = field(default_factory=dict)
    labels: Labels | None = None
    own_cuts: tuple[Cut, ...] = ()
    corrections: tuple[Correction, ...] = ()
    notes: str = ""

    @property
    def cuts(self) -> tuple[Cut, ...]:
        """Its own cuts, then those on large errors."""
        cuts = self.own_cuts
        if self.bands:
            cuts += (
                Cut(
                    "large-errors",
                    f"error of at most {MAX_MAG_ERR} mag, with the floor if added (Green et al. 2021, section 3.2)",
                    lambda rows: rows.mag_err <= MAX_MAG_ERR,
                    removes="values",
                    blanks=tuple(self.bands),
                ),
            )
        if self.labels:
            teff, logg, feh = MAX_LABEL_ERRS
            cuts += (
                Cut(
                    "labels",
                    "teff, logg and feh known with positive errors",
                    lambda rows: np.isfinite(rows.theta_err).all(axis=1),
                ),
                Cut(
                    "large-label-errors",
                    f"errors of at most {teff:g} K in teff, {logg} dex in logg, {feh} dex in feh, with the floor if "
                    "added (Green et al. 2021, section 3.1)",
                    lambda rows: ~(rows.theta_err > MAX_LABEL_ERRS).any(axis=1),
                ),
            )
        return cuts

    def spellings(self, name: str) -> tuple[str, ...]:
        """A column's names, the archive's first."""
        return (name, *self.other_names.get(name, ()))
