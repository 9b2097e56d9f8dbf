"""What the columns of a summary are: unit, IVOA content descriptor and a line of description for each.

The one table of columns: every writer takes its metadata from here, and so does docs/results.md. Content descriptors
are of the IVOA's UCD1+ vocabulary, https://www.ivoa.net/documents/UCD1+/ (list 1.6, 2024), in which a statistic that
cannot stand first follows what it is of. Texts are ASCII, for FITS headers can hold nothing else.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from astropy.table import Table

from albireo.flags import describe_flags
from albireo.tables import is_id_name


class Column(NamedTuple):
    """What a column is.

    Attributes:
        unit: as astropy, FITS and VOTable write it; "" if it has none.
        ucd: content descriptor, "" where the vocabulary has no word.
        description: a line of ASCII.
    """

    unit: str
    ucd: str
    description: str


# No common file format has a unit "dex": such columns say it in their description.
DEX = "dex"

VARIABLES: dict[str, Column] = {
    "teff": Column("K", "phys.temperature.effective", "effective temperature"),
    "logg": Column(DEX, "phys.gravity", "log10 of surface gravity in cm/s2 [dex]"),
    "feh": Column(DEX, "phys.abund.Fe", "metallicity [Fe/H] [dex]"),
    "distance_modulus": Column("mag", "phot.mag.distMod", "distance modulus 5 log10(d / 10 pc), without extinction"),
    "reddening": Column("mag", "phot.color.excess", "reddening E in units of SFD and Bayestar19"),
    "distance": Column("pc", "pos.distance", "distance"),
    "extinction": Column("mag", "phys.absorption", "extinction in the model's reference band"),
}
"""Every variable of the posterior."""

UNITS = {name: variable.unit for name, variable in VARIABLES.items()}

STATISTICS: dict[str, tuple[str, str]] = {
    "mean": ("{ucd};stat.mean", "posterior mean"),
    "std": ("stat.error;{ucd}", "posterior standard deviation"),
    "p16": ("{ucd};stat.percentile", "16th percentile of the posterior"),
    "p50": ("{ucd};stat.median", "posterior median"),
    "p84": ("{ucd};stat.percentile", "84th percentile of the posterior"),
}
"""Content descriptor and description of what a summary holds of every variable."""

FLAGS_SUM = "what may be wrong with the star, sum of: " + ", ".join(
    f"{bit} {name}" for bit, name, _ in describe_flags()
)

OTHERS: dict[str, Column] = {
    "star": Column("", "meta.id;meta.main", "the star's name, from an id column of the input or its row"),
    "row": Column("", "meta.record", "row of the star in the input, from 0"),
    "glon": Column("deg", "pos.galactic.lon", "Galactic longitude"),
    "glat": Column("deg", "pos.galactic.lat", "Galactic latitude"),
    "chi2": Column("", "stat.fit.chi2", "chi2 of the magnitudes at the best of some hundred draws"),
    "n_bands": Column("", "meta.number", "number of magnitudes used"),
    "n_modes": Column("", "meta.number", "number of modes: groups of draws far apart in a label"),
    "first_mode": Column("", "", "share of the draws in the largest mode"),
    "second_mode": Column("", "", "share of the draws in the second mode, 0 if there is one mode"),
    "third_mode": Column("", "", "share of the draws in the third mode, 0 if there are fewer"),
    "log_evidence": Column("", "stat.likelihood", "natural logarithm of the evidence, the marginal likelihood"),
    "log_evidence_err": Column("", "stat.error", "standard error of log_evidence"),
    "r_hat_max": Column("", "", "largest rank-normalised split r_hat of all variables; 1 is converged"),
    "ess_bulk": Column("", "meta.number", "least bulk effective sample size of all variables"),
    "ess_tail": Column("", "meta.number", "least tail effective sample size of all variables"),
    "ess_min": Column("", "meta.number", "the lesser of the two"),
    "n_divergent": Column("", "meta.number", "number of divergent transitions"),
    "k_hat": Column("", "", "Pareto k_hat of the weights; above 0.7 they cannot be trusted"),
    "ess_kish": Column("", "meta.number", "Kish effective sample size of the engine's weighted draws"),
    "ess_mean": Column("", "meta.number", "least effective sample size of the weighted means of all variables"),
    "engine": Column("", "meta.code;meta.software", "sampler that served the star"),
    "outlier": Column("", "instr.bandpass", "band of the magnitude that is more likely an outlier than not, or empty"),
    "flags": Column("", "meta.code.qual", FLAGS_SUM),
}
"""Every column that is not of a variable."""

_INFORMATION = "information_"

_ID = Column("", "meta.id", "name of the star in the input")

TITLE = "albireo: posteriors of stars, one row a star"
FLAG_MEANINGS = [f"flag {bit} {name}: {text}" for bit, name, text in describe_flags()]


def column_of(name: str) -> Column | None:
    """What a column of a summary is; None of one that the user brought along, such as another id."""
    if name in OTHERS:
        return OTHERS[name]
    if name.startswith(_INFORMATION):
        return Column("", "", f"how much more the data say of {name.removeprefix(_INFORMATION)} than the prior [nat]")
    variable, _, statistic = name.rpartition("_")
    if not variable or statistic not in STATISTICS:
        return None
    of = VARIABLES.get(variable, Column("", "", variable))
    ucd, text = STATISTICS[statistic]
    return Column(of.unit, ucd.format(ucd=of.ucd) if of.ucd else "", f"{text} of {of.description}")


def describe(table: Table, others: Mapping[str, Column] = MappingProxyType({})) -> None:
    """Give the columns of a summary their units, content descriptors (`meta["ucd"]`) and descriptions.

    Columns with a unit keep it; columns that are neither of a summary nor name the star stay as they are, but for
    those that `others` describes.
    """
    for name in table.colnames:
        column = others.get(name) or column_of(name) or (_ID if is_id_name(name) else None)
        if column is None:
            continue
        info = table[name].info
        info.description = column.description
        if column.ucd:
            info.meta = dict(info.meta or {}) | {"ucd": column.ucd}
        if column.unit not in ("", DEX) and info.unit is None:
            info.unit = column.unit
