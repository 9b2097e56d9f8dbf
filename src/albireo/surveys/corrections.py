"""Corrections of a survey's parallaxes."""

import numpy as np
from astropy.table import Table
from jaxtyping import Bool, Float

from albireo.errors import UserError
from albireo.surveys.base import Correction, Survey
from albireo.surveys.rows import Rows, missing_column

# What a user may have put in a column of this name: the zero point of each parallax [mas], which is subtracted.
ZERO_POINT = "parallax_zero_point"


def make_corrections(
    rows: Rows, out: Table, keep: Bool[np.ndarray, " row"], without: set[str]
) -> tuple[dict[str, dict[str, float]], list[str]]:
    """Correct the parallaxes, and their errors, in a table of albireo's columns.

    Args:
        rows: the survey's own table.
        out: the same rows in albireo's columns, cuts made.
        keep: rows that will be kept; the others do not count.
        without: names of corrections that are not made.

    Returns:
        By the name of each correction: how many parallaxes it changed, how many of these were outside its range, how
        many it left alone for want of a value, and the median, least and greatest amount; and the same in words.

    Raises:
        UserError: a column that a correction needs is missing.
    """
    made, comments = {}, []
    used = keep & np.isfinite(np.asarray(out["parallax"])) if rows.survey.parallax else keep
    for correction in rows.survey.corrections:
        reason = "left out" if correction.name in without else _not_to_correct(correction, rows)
        if reason:
            comments.append(f"correction {correction.name}: {reason} ({correction.what})")
            continue
        lacking = missing_column(rows, correction.needs)
        if lacking:
            raise UserError(
                f"the correction {correction.name} of {rows.survey.name} needs the column {lacking}; add it, or leave "
                "out the correction."
            )
        amounts, outside = correction.amounts(rows)
        known = np.isfinite(amounts)
        if correction.of == "parallax":
            out["parallax"][known] -= amounts[known]
        else:
            out["parallax_err"][known] *= amounts[known]
        counts = {"corrected": used & known, "outside_range": used & known & outside, "left_alone": used & ~known}
        made[correction.name] = {name: int(np.sum(which)) for name, which in counts.items()}
        made[correction.name] |= _spread(amounts[used & known])
        comments.append(f"correction {correction.name}: {_in_words(correction, made[correction.name])}")
    return made, comments


def planned(table: Table, survey: Survey) -> dict[str, str]:
    """What reading a survey's table will do by each of its corrections, and which columns are lacking for that."""
    rows = Rows(table, survey)
    plans = {}
    for correction in survey.corrections:
        lacking = missing_column(rows, correction.needs)
        plans[correction.name] = _not_to_correct(correction, rows) or (
            f"needs the column {lacking}; add it, or leave out the correction" if lacking else correction.what
        )
    return plans


def _not_to_correct(correction: Correction, rows: Rows) -> str:
    """Why there is nothing to correct in a table; empty if there is."""
    if missing_column(rows, rows.survey.parallax or ()):
        return "not made, for there are no parallaxes with errors"
    given = rows.find(ZERO_POINT) if correction.of == "parallax" else None
    return f"not made, for the column {given} holds what is subtracted" if given else ""


def _spread(amounts: Float[np.ndarray, " used"]) -> dict[str, float]:
    if not len(amounts):
        return {}
    return {name: float(how(amounts)) for name, how in (("median", np.median), ("least", np.min), ("most", np.max))}


def _in_words(correction: Correction, made: dict[str, float]) -> str:
    if correction.of == "parallax":
        words, amounts = (
            f"{made['corrected']} parallaxes",
            "less {median:.3f} mas in the median ({least:.3f} to {most:.3f})",
        )
    else:
        words, amounts = (
            f"{made['corrected']} errors of parallaxes",
            "times {median:.3f} in the median ({least:.3f} to {most:.3f})",
        )
    if made["corrected"]:
        words += f", {amounts.format(**made)}"
    if made["outside_range"]:
        words += f", {made['outside_range']} of them outside its range by the value at its edge"
    if made["left_alone"]:
        words += f"; {made['left_alone']} left alone, for the table lacks what it needs of them"
    return f"{words} ({correction.what})"
