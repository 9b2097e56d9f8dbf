"""Cuts on the quality of a survey's rows."""

import numpy as np
from astropy.table import Table
from jaxtyping import Bool

from albireo.errors import UserError
from albireo.surveys.base import Cut, Survey
from albireo.surveys.rows import Rows, missing_column

Row = Bool[np.ndarray, " row"]


def make_cuts(rows: Rows, out: Table, without: set[str]) -> tuple[Row, dict[str, int], list[str]]:
    """Make a survey's cuts on a table of albireo's columns, in which values are blanked.

    Args:
        rows: the survey's own table, measured.
        out: the same rows in albireo's columns; a column `extended` is added if a cut marks stars.
        without: names of cuts that are not made.

    Returns:
        Which rows to keep; how many rows or values each cut removed, of what the cuts before it left; that in words.

    Raises:
        UserError: a column that a cut needs is missing.
    """
    keep, extended = np.ones(len(rows), bool), np.zeros(len(rows), bool)
    removed, comments = {}, []
    for cut in rows.survey.cuts:
        reason = _why_not(cut, rows, without)
        if reason:
            comments.append(f"cut {cut.name}: {reason} ({cut.keep})")
            continue
        fails = ~np.asarray(cut.passes(rows), bool)
        if cut.removes == "values":
            removed[cut.name] = _blank(out, cut.blanks, fails.reshape(len(rows), -1), keep)
        elif cut.removes == "row":
            removed[cut.name] = int(np.sum(fails & keep))
            keep &= ~fails
        else:
            removed[cut.name] = int(np.sum(fails & keep & ~extended))
            extended |= fails
            _blank(out, tuple(rows.survey.bands), fails[:, None], keep)
        comments.append(f"cut {cut.name}: {removed[cut.name]} removed ({cut.keep}, or else {cut.effect()})")
    if any(cut.removes == "star" for cut in rows.survey.cuts):
        out["extended"] = extended
    return keep, removed, comments


def impossible_cuts(table: Table, survey: Survey) -> dict[str, str]:
    """The cuts that a survey's table lacks columns for, so that it is not read with them, and which columns."""
    rows = Rows(table, survey)
    lacking = {cut.name: missing_column(rows, cut.needs) for cut in survey.cuts if not cut.optional}
    return {name: column for name, column in lacking.items() if column}


def _why_not(cut: Cut, rows: Rows, without: set[str]) -> str:
    """Why a cut is not made; empty if it is."""
    if cut.name in without:
        return "left out"
    lacking = missing_column(rows, cut.needs)
    if lacking and not cut.optional:
        raise UserError(
            f"the cut {cut.name} of {rows.survey.name} needs the column {lacking}; add it, or leave out the cut."
        )
    return f"not made, for there is no column {lacking}" if lacking else ""


def _blank(out: Table, names: tuple[str, ...], fails: Bool[np.ndarray, "row entry"], keep) -> int:
    """Set values to NaN; returns how many were there, of the rows still kept."""
    count = 0
    for i, name in enumerate(names):
        bad = fails[:, min(i, fails.shape[1] - 1)]  # one column stands for all
        count += int(np.sum(bad & keep & np.isfinite(np.asarray(out[name]))))
        out[name][bad] = np.nan
        out[f"{name}_err"][bad] = np.nan
    return count
