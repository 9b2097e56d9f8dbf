"""A survey's own table, read into albireo's columns."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from astropy.table import Table

from albireo.catalog import DEFAULT_LABELS
from albireo.errors import UserError
from albireo.surveys.base import Survey
from albireo.surveys.columns import check_unique, columns
from albireo.surveys.corrections import ZERO_POINT, make_corrections
from albireo.surveys.cuts import make_cuts
from albireo.surveys.registry import SURVEYS
from albireo.surveys.rows import Rows, missing_column
from albireo.tables import read_table, to_astropy

if TYPE_CHECKING:
    import pandas as pd


class NothingLeft(UserError):
    """No row of a table passes the cuts."""


# Epochs of two releases differ by half a year at least [yr].
_SAME_EPOCH = 0.2


def read(
    table: "Table | pd.DataFrame | str | Path",
    survey: str,
    *,
    without_cuts: Sequence[str] = (),
    without_corrections: Sequence[str] = (),
    error_floors: bool = True,
) -> Table:
    """Read a survey's own table.

    Args:
        table: with the columns of the survey's archive or of VizieR; or the path of its file.
        survey: name of the survey, one of `SURVEYS`.
        without_cuts: names of cuts that are not to be made.
        without_corrections: names of corrections of the parallaxes that are not to be made.
        error_floors: whether to add the floors of Green et al. (2021), sections 3.1 and 3.2, in quadrature: 0.02 mag in
            every band, and 10 K, 0.05 dex and 0.03 dex in teff, logg and feh.

    Returns:
        A table with albireo's columns and units; the id of each source; `ra`, `dec` [deg], `ref_epoch` [yr], `pmra` and
        `pmdec` [mas/yr] where known, which matching needs. `meta["cuts"][survey]` holds how many rows, or values, each
        cut removed of those that the cuts before it had left, `meta["corrections"][survey]` how many parallaxes each
        correction changed, and by how much, and `meta["comments"]` the same in words.

    Raises:
        UserError: there is no such survey, cut or correction, the table is not the survey's, or a column cannot be
            used.
    """
    described = find_survey(survey)
    without = {"cut": set(without_cuts), "correction": set(without_corrections)}
    if not isinstance(table, str | Path):
        return _read(to_astropy(table), described, without, error_floors=error_floors)
    try:
        return _read(read_table(table), described, without, error_floors=error_floors)
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
        pairs += [(where.value, band), *((name, f"{band}_err") for name in rows.error_columns(where)[-1:])]
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


def _read(table: Table, survey: Survey, without: dict[str, set[str]], *, error_floors: bool) -> Table:
    if not len(table):
        raise UserError("the table is empty; give one with at least one row.")
    for kind, known in (("cut", survey.cuts), ("correction", survey.corrections)):
        strange, names = sorted(without[kind] - {one.name for one in known}), ", ".join(one.name for one in known)
        if strange:
            raise UserError(f"{survey.name} has no {kind} {strange[0]!r}; its {kind}s are {names or 'none'}.")
    rows = Rows(table, survey)
    _check_survey(rows)
    rows.measure(error_floors=error_floors)
    out = columns(rows)
    keep, removed, comments = make_cuts(rows, out, without["cut"])
    if not keep.any():
        worst = max(removed, key=lambda name: removed[name])
        raise NothingLeft(
            f"no row passes the cuts of {survey.name}, most fail {worst}; leave that cut out, or check it."
        )
    made, said = make_corrections(rows, out, keep, without["correction"])
    out = Table(out[keep])
    if survey.unique:
        check_unique(out, survey.id)
    floors = "with" if error_floors else "without"
    comments += [*said, f"errors {floors} floors", *_notes(rows)]
    out.meta = {"cuts": {survey.name: removed}} | ({"corrections": {survey.name: made}} if made else {})
    out.meta["comments"] = [f"{survey.name}: {line}" for line in comments]
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
        needed = missing_column(rows, (first.value, *first.error_columns[0]))
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
    return any(rows.find(where.value) and rows.error_columns(where) for where in survey.bands.values())


def _notes(rows: Rows) -> list[str]:
    notes = [rows.survey.notes] if rows.survey.notes else []
    if rows.survey.parallax and rows.find(ZERO_POINT):
        notes.append(f"parallaxes less their zero points in the column {rows.find(ZERO_POINT)}")
    return notes
