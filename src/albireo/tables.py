"""Reading table files, and taking columns of numbers out of tables: names, units and missing values in one place."""

import csv
import gzip
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np
from astropy.table import Column, Table
from astropy.utils.exceptions import AstropyWarning
from jaxtyping import Float, Int, Shaped

from albireo.errors import UserError
from albireo.output import write_whole

if TYPE_CHECKING:
    import pandas as pd

FORMATS = {
    ".fits": "fits",
    ".fit": "fits",
    ".fits.gz": "fits",
    ".fit.gz": "fits",
    ".parquet": "parquet",
    ".ecsv": "ascii.ecsv",
    ".csv": "ascii.csv",
    ".csv.gz": "ascii.csv",
    ".tbl": "ascii.ipac",
    ".vot": "votable",
    ".vot.gz": "votable",
    ".xml": "votable",
}
# What archives give out and nobody need write.
_READ_ONLY = (".csv.gz", ".vot.gz", ".tbl")
_FORMAT_NAMES = "FITS (.fits), Parquet (.parquet), ECSV (.ecsv), CSV (.csv), VOTable (.vot, .xml) or IPAC (.tbl)"


def read_table(path: str | Path) -> Table:
    """Read a table file; the name's ending says which format.

    Raises:
        UserError: no such file, an unknown ending, or a file that is not what its ending says.
    """
    path = Path(path)
    with reading(path) as file_format, warnings.catch_warnings():
        # Odd units or dates in a header are no concern of ours: the columns we take are checked one by one.
        warnings.simplefilter("ignore", AstropyWarning)
        return _read(path, file_format)


@contextmanager
def reading(path: Path) -> Iterator[str]:
    """While a table file is read, whatever goes wrong becomes a sentence; yields the format that its ending says.

    Raises:
        UserError: no such file, an unknown ending, or a file that is not what its ending says.
    """
    ending = check_table(path)
    try:
        yield FORMATS[ending]
    except UserError:
        raise
    except Exception as error:  # a damaged file raises whatever its reader stumbles over
        cause = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{path} could not be read as a {ending} table ({cause}); mend it or export it anew.") from None


def check_table(path: Path) -> str:
    """Refuse what is no table file by its name; returns the ending.

    Raises:
        UserError: no such file, or an unknown ending.
    """
    if not path.is_file():
        raise UserError(f"there is no file {path}; give the path of a table in {_FORMAT_NAMES}.")
    return _ending(path)


def _read(path: Path, file_format: str) -> Table:
    if file_format == "votable":
        return Table.read(path, format="votable", use_names_over_ids=True)  # an ID cannot begin with a digit
    if file_format == "ascii.csv":
        check_csv(path)
    if file_format != "parquet":
        return Table.read(path, format=file_format)
    import pandas as pd
    from pyarrow import parquet

    if b"table_meta_yaml" in (parquet.read_schema(path).metadata or {}):
        return Table.read(path, format="parquet")  # astropy wrote it, units and all
    return to_astropy(pd.read_parquet(path))


def check_csv(path: Path) -> None:
    """Refuse a CSV file of lines of unequal length: readers would take what is not there for missing.

    Raises:
        UserError: a line has more or fewer values than the header.
    """
    opened = gzip.open if path.name.lower().endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file)
        names = next(lines, [])
        for values in lines:
            if values and len(values) != len(names):
                raise UserError(
                    f"line {lines.line_num} of {path} has {len(values)} values, the header {len(names)} names; mend it."
                )


def _ending(path: Path) -> str:
    ending = next((ending for ending in FORMATS if path.name.lower().endswith(ending)), None)
    if ending is None:
        raise UserError(f"{path} has no ending that albireo knows; convert it to {_FORMAT_NAMES}.")
    return ending


def write_table(table: Table, path: str | Path) -> None:
    """Write a table file, whole or not at all; the name's ending says which format.

    Raises:
        UserError: an unknown ending, columns that the format cannot hold, or a full disk.
    """
    path = Path(path)
    if _ending(path) in _READ_ONLY:
        raise UserError(f"the table {path} cannot be written, {_ending(path)} is only read; choose .fits or another.")
    file_format = FORMATS[_ending(path)]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            write_whole(path, partial(table.write, format=file_format, overwrite=True), "make room and start again")
    except UserError:  # a ValueError, too
        raise
    except (TypeError, ValueError) as error:
        cause = " ".join(str(error).split())[:200]
        raise UserError(f"the table cannot be written to {path} ({cause}); choose another format.") from None


def to_astropy(table: "Table | pd.DataFrame") -> Table:
    """An astropy Table of plain columns, each with its unit, from an astropy table or a pandas DataFrame."""
    if isinstance(table, Table):
        return Table(table, copy=False)  # a QTable's quantities become columns
    if not (hasattr(table, "columns") and hasattr(table, "index")):
        raise UserError(f"table must be an astropy Table or a pandas DataFrame; got {type(table).__name__}.")
    if table.index.name is not None:
        table = table.reset_index()
    twice = table.columns[table.columns.duplicated()]
    if len(twice):
        raise UserError(f"there are two columns named {twice[0]!r}; rename or drop one of them.")
    return Table.from_pandas(table)


class Columns:
    """A table's columns by name, whatever their case, as floats in the unit asked for; it remembers what was taken.

    Where it is not `strict`, what should be a number and is none counts as infinite, which no measurement is.
    """

    def __init__(self, table: Table, *, strict: bool = True):
        self.strict = strict
        self._table = table
        self._taken: set[str] = set()

    def find(self, name: str) -> str | None:
        """The table's own spelling of a column name, None if there is no such column."""
        found = [column for column in self._table.colnames if column.lower() == name]
        # Readers of text files number a name that comes twice: gaia_g_1, gaia_g.1.
        again = [column for column in self._table.colnames if re.fullmatch(rf"{re.escape(name)}[._]\d", column.lower())]
        if found and len(found + again) > 1:
            raise UserError(
                f"column {name} is there twice ({' and '.join(found + again)}); rename or drop one of them."
            )
        return found[0] if found else None

    def column(self, name: str) -> Column:
        """A column as it is.

        Raises:
            UserError: there is none of that name, or it holds more than a value a star.
        """
        found = self.find(name.lower())
        if found is None:
            raise UserError(f"there is no column {name}; add it, or rename the one that holds it.")
        column = self._table[found]
        if not isinstance(column, Column) or column.ndim != 1:
            raise UserError(f"column {found} must hold one value a star; mend or drop it.")
        return column

    def floats(
        self, name: str, unit: u.UnitBase | None = None, *, one_value: bool = True
    ) -> Float[np.ndarray, "star *shape"]:
        """A column as float64, in `unit` if the column has one; NaN where missing, or throughout without such a column.

        Raises:
            UserError: the column does not hold numbers, or its unit cannot be converted.
        """
        found = self.find(name)
        if found is None:
            return np.full(len(self._table), np.nan)
        self._taken.add(found)
        column = self._table[found]
        if not isinstance(column, Column) or (one_value and column.ndim != 1):
            raise UserError(f"column {found} must hold one number a star; mend or drop it.")
        return _to_floats(column, found, strict=self.strict) * _factor(column.unit, unit, found)

    def magnitude_system(self, name: str) -> str | None:
        """AB, ST or Bol if the column's unit says so."""
        zero_point = getattr(self._table[self.find(name)].unit, "physical_unit", None)
        return str(zero_point) if zero_point in (u.AB, u.ST, u.Bol) else None

    def rest(self) -> Table:
        """The plain columns that were not taken, one value a star or more."""
        rest = self._table.copy(copy_data=False)
        mixins = [name for name in rest.colnames if not isinstance(rest[name], Column)]
        rest.remove_columns({*self._taken, *mixins})
        return rest


# How tables write that a number is missing.
_NOTHING = ("", "-", "--", "null", "none", "nan", "n/a", "na", "<na>")


def _to_floats(column, name: str, *, strict: bool) -> Float[np.ndarray, "star *shape"]:
    """Numbers, or text that spells them, as float64."""
    data = column.data
    if data.dtype.kind in "fiub":
        return np.ma.filled(np.ma.asarray(data).astype(float), np.nan)
    values = np.full(data.shape, np.nan)
    for place, entry in np.ndenumerate(data):
        text = entry.decode(errors="replace") if isinstance(entry, bytes) else entry
        if text is None or text is np.ma.masked or str(text).strip().lower() in _NOTHING:
            continue
        try:
            values[place] = float(text)
        except (TypeError, ValueError):
            if not strict:
                values[place] = np.inf
                continue
            raise UserError(
                f"column {name} must hold numbers; row {place[0]} holds {str(text)!r}, mend or drop it."
            ) from None
    return values


def _factor(given: u.UnitBase | None, wanted: u.UnitBase | None, name: str) -> float:
    """What to multiply a column by; logarithmic units such as mag(AB) or dex(cm/s2) count as plain mag and dex."""
    if given is None or wanted is None or given == u.dimensionless_unscaled:
        return 1.0
    try:
        return float(np.asarray(u.Quantity(1.0, getattr(given, "function_unit", given)).to_value(wanted)))
    except u.UnitConversionError:
        raise UserError(f"column {name} is in {given}; convert it to {wanted} first.") from None


# So many positions tell degrees from radians.
_ENOUGH_TO_JUDGE = 10


def refuse_radians(names: str, ra: Float[np.ndarray, " position"], dec: Float[np.ndarray, " position"]) -> None:
    """Refuse what should be degrees and looks like radians, of columns without a unit.

    Raises:
        UserError: as said.
    """
    # A field of half this size and in just this place, 6.28 by 3.14 deg about the vernal equinox, is less likely.
    small = (np.abs(ra) <= 2 * np.pi).all() and (np.abs(dec) <= np.pi / 2).all()
    if len(ra) >= _ENOUGH_TO_JUDGE and small and np.ptp(ra) > np.pi and np.ptp(dec) > 1:
        raise UserError(f"columns {names} look like radians; give them their unit, deg or rad, or convert them.")


# Whole words that identify a star, besides every name that ends in "id".
_ID_WORDS = ("name", "source_id", "obj_id", "id", "designation", "star", "object", "target", "kic", "tic", "hip", "hd")


def is_id_name(name: str) -> bool:
    """Whether a column of this name may tell stars apart."""
    return name.lower() in _ID_WORDS or name.lower().endswith("id")


def id_columns(table: Table) -> list[str]:
    """Names of the columns that tell stars apart: integers or strings by a known name, the likeliest first."""
    plain = [name for name in table.colnames if table[name].ndim == 1 and table[name].dtype.kind in "iuSUO"]
    known = [name for word in _ID_WORDS for name in plain if name.lower() == word]
    return known + [name for name in plain if is_id_name(name) and name not in known]


def naming_column(table: Table) -> str | None:
    """The first id column that tells all stars apart; None if none does."""
    for name in id_columns(table):
        text = as_text(table[name])
        if len(set(text)) == len(text) and not np.ma.getmaskarray(table[name].data).any():
            return name
    return None


def star_ids(table: Table, column: str | None, row: Int[np.ndarray, " star"]) -> Shaped[np.ndarray, " star"]:
    """A string a star: what a column says of it, or else its row number."""
    if column is None:
        return row.astype(str)
    text = as_text(table[column])
    return np.where(np.ma.getmaskarray(table[column].data) | (text == ""), row.astype(str), text)


def as_text(column: Column) -> Shaped[np.ndarray, " star"]:
    """A column of names or numbers as strings."""
    return np.array([entry.decode() if isinstance(entry, bytes) else str(entry) for entry in column], dtype=str)
