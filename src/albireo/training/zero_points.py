"""Zero points of labels between surveys, from the stars they have in common (Green et al. 2021, section 3.1).

A survey s measures a label of star i as y_is = t_i − c_s, with an error of variance 1/w_is; t_i is the label on the
scale of the reference survey, whose c is zero, and c_s is what has to be added to the survey's labels. Least squares
over all t_i and c_s together gives, with t_i solved for,

    A c = −Σ_i w_i (y_i − ȳ_i),     A = Σ_i [diag(w_i) − w_i w_iᵀ / Σ_s w_is],     ȳ_i = Σ_s w_is y_is / Σ_s w_is.

For two surveys this is the inverse-variance-weighted mean of their differences, as in the paper; for more it uses every
overlap, and brings surveys to the reference through others where they have no stars in common with it.
"""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int, Shaped
from scipy.sparse.csgraph import connected_components

from albireo.catalog import DEFAULT_LABELS
from albireo.errors import UserError
from albireo.measurements import LABEL_UNITS, known_labels
from albireo.tables import Columns, as_text, to_astropy

if TYPE_CHECKING:
    import pandas as pd
    from astropy.table import Table

# Labels with larger errors have no say, as they have none in training (section 3.1) [K, dex, dex].
MAX_LABEL_ERR = {"teff": 200.0, "logg": 0.5, "feh": 0.5}

# Stars whose surveys differ by more sigma are left out; of good ones, one in two million. Sigma is at least that of the
# stated errors, and larger where those are too small for most stars.
CLIP = 5.0
# The start is robust: beyond so many stated sigma a star pulls with constant force (Huber 1964, AnnMathStat 35, 73).
_HUBER = 1.5
_MAX_STEPS = 30
_NORMAL_MEDIAN = 0.6745  # of |x| for a standard normal x


@dataclasses.dataclass(frozen=True, eq=False)
class ZeroPoints:
    """What to add to the labels of every survey to bring them onto one scale.

    Attributes:
        reference: the survey whose scale it is.
        surveys: names of the surveys.
        labels: names of the labels.
        offset: what to add, in the labels' own units; 0 for the reference, NaN for a label that a survey does not have.
        offset_err: their errors, times √(χ²/dof) where that is above one.
        num_stars: stars that a survey has in common with others and that were used.
        num_clipped: stars left out because their surveys differ by too much.
        chi2_per_dof: χ²/dof of the stars used; far above one, the stated errors are too small or the surveys differ
            by more than an offset.
    """

    reference: str
    surveys: tuple[str, ...]
    labels: tuple[str, ...]
    offset: Float[np.ndarray, "survey label"]
    offset_err: Float[np.ndarray, "survey label"]
    num_stars: Int[np.ndarray, "survey label"]
    num_clipped: Int[np.ndarray, " label"]
    chi2_per_dof: Float[np.ndarray, " label"]

    def apply(self, table: "Table | pd.DataFrame") -> "Table":
        """A copy of a table with its labels on the scale of the reference survey.

        Columns `<label>_zero_point` say what was added, row by row; a training set made from the table, and a model
        trained on that, hold them as a record.

        Raises:
            UserError: the table holds a survey or a label of a survey without zero point, or has them applied already.
        """
        corrected = to_astropy(table).copy()
        columns = Columns(corrected)
        survey = _text(columns, "survey")
        strange = sorted(set(survey) - set(self.surveys))
        if strange:
            raise UserError(f"there is no zero point for survey {strange[0]}; known are {', '.join(self.surveys)}.")
        order = np.argsort(self.surveys)
        offset = self.offset[order[np.searchsorted(self.surveys, survey, sorter=order)]]
        theta, _ = known_labels(columns, self.labels, len(corrected))
        for label, values, added in zip(self.labels, theta.T, offset.T, strict=True):
            if columns.find(f"{label}_zero_point"):
                raise UserError(f"zero points are applied to this table already: it has a column {label}_zero_point.")
            lost = np.isfinite(values) & np.isnan(added)
            if lost.any():
                raise UserError(
                    f"there is no zero point for {label} of survey {survey[lost][0]}; leave those rows out."
                )
            corrected[columns.find(label) or label] = _with_unit(values + added, label)
            corrected[f"{label}_zero_point"] = _with_unit(added, label)
        return corrected


def zero_points(
    table: "Table | pd.DataFrame",
    reference: str,
    *,
    labels: Sequence[str] = DEFAULT_LABELS,
    star: str = "source_id",
) -> ZeroPoints:
    """Find the offsets between surveys from stars that more than one of them has measured.

    Args:
        table: one row for every star and survey; columns `survey`, `<label>` with `<label>_err` or `theta_cov`, and an
            id that is the same in all rows of a star. A star without an id (masked, empty, zero or negative) counts as
            a star of its own. Stars of one survey may be there too.
        reference: the survey whose scale the others are brought onto.
        labels: names of the labels.
        star: name of the column with the id.

    Raises:
        UserError: a column is missing, or a survey has no stars in common with the others.
    """
    table = to_astropy(table)
    if not len(table):
        raise UserError("the table is empty; give one with a row for every star and survey.")
    columns = Columns(table)
    survey, star_number = _text(columns, "survey"), _star_numbers(columns, star)
    surveys, index = np.unique(survey, return_inverse=True)
    if reference not in surveys:
        raise UserError(f"the reference {reference!r} is not among the surveys of the table: {', '.join(surveys)}.")
    if len(surveys) == 1:
        raise UserError(f"all rows are of survey {reference}; put the tables of two surveys or more together.")
    missing = [label for label in labels if not columns.find(label)]
    if missing:
        raise UserError(f"the table has no label {missing[0]!r}; add its column, or leave it out of the labels.")
    theta, theta_cov = known_labels(columns, tuple(labels), len(survey))
    found = []
    for j, label in enumerate(labels):
        value, weight = theta[:, j], _weights(theta[:, j], theta_cov[:, j, j], MAX_LABEL_ERR.get(label, np.inf))
        has = np.isin(np.arange(len(surveys)), index[np.isfinite(value)])
        overlap = _by_star_and_survey(star_number, index, len(surveys), value, weight)
        found.append(_solve_robustly(*overlap, has, label, tuple(surveys), reference))
    offset, offset_err, num_stars, num_clipped, chi2_per_dof = (
        np.stack(part, axis=-1) for part in zip(*found, strict=True)
    )
    return ZeroPoints(
        reference, tuple(map(str, surveys)), tuple(labels), offset, offset_err, num_stars, num_clipped, chi2_per_dof
    )


def _with_unit(values, label):
    return values * LABEL_UNITS["teff"] if label == "teff" else values  # FITS has no unit dex


def _text(columns: Columns, name: str) -> Shaped[np.ndarray, " row"]:
    column = columns.column(name)
    text = as_text(column)
    empty = np.ma.getmaskarray(column.data) | (np.char.strip(text) == "")
    if empty.any():
        raise UserError(f"column {name} is empty in row {np.argmax(empty)}; fill it, or drop the row.")
    return text


def _star_numbers(columns: Columns, name: str) -> Int[np.ndarray, " row"]:
    """A number for every star, the same in all its rows; −1 without an id."""
    column = columns.column(name)
    if column.dtype.kind == "f":
        raise UserError(f"column {name} holds floats, too short for an id of 19 digits; store integers or text.")
    data = np.ma.getdata(column.data)
    known = data > 0 if data.dtype.kind in "iu" else np.char.strip(as_text(column)) != ""
    known &= ~np.ma.getmaskarray(column.data)
    number = np.full(len(data), -1)
    number[known] = np.unique(data[known] if data.dtype.kind in "iu" else as_text(column)[known], return_inverse=True)[
        1
    ]
    return number


def _weights(value, variance, max_err) -> Float[np.ndarray, " row"]:
    """Inverse variances, 0 for measurements that cannot be used."""
    usable = np.isfinite(value) & (variance > np.finfo(float).tiny) & (variance <= max_err**2)
    return np.where(usable, 1 / np.where(usable, variance, 1.0), 0.0)


def _by_star_and_survey(star, survey, num_surveys, value, weight):
    """Weighted means and weights, a row for every star that two surveys or more have measured."""
    usable = (star >= 0) & (weight > 0)
    stars, row = np.unique(star[usable], return_inverse=True)
    cell, size = row * num_surveys + survey[usable], len(stars) * num_surveys
    total = np.bincount(cell, weight[usable], size).reshape(-1, num_surveys)
    mean = np.bincount(cell, (weight * np.where(weight > 0, value, 0.0))[usable], size).reshape(-1, num_surveys)
    mean = np.where(total > 0, mean / np.where(total > 0, total, 1.0), 0.0)
    common = np.sum(total > 0, axis=1) > 1
    return mean[common], total[common]


def _solve_robustly(value, weight, has, label, surveys, reference):
    """Offsets, errors and number of stars of every survey; number of clipped stars; χ²/dof."""
    free = has & (np.array(surveys) != reference)
    pull = np.ones(len(value))
    _check_connected(weight, has, label, surveys, reference)
    for _ in range(_MAX_STEPS):
        offset, _ = _solve(value, pull[:, None] * weight, free)
        misfit, sigma = _misfit(value, weight, offset)
        pull = np.minimum(1.0, _HUBER / np.maximum(misfit, 1e-9))
    used = np.ones(len(value), bool)
    for _ in range(_MAX_STEPS):
        before, used = used, misfit <= CLIP * sigma
        _check_connected(weight[used], has, label, surveys, reference)
        offset, covariance = _solve(value[used], weight[used], free)
        misfit, sigma = _misfit(value, weight, offset)
        if np.array_equal(before, used):
            break
    measured = weight[used] > 0
    dof = measured.sum() - used.sum() - free.sum()
    chi2_per_dof = np.sum(misfit[used] ** 2 * (measured.sum(axis=1) - 1)) / dof if dof > 0 else np.nan
    err = np.sqrt(np.diag(covariance) * np.fmax(chi2_per_dof, 1.0))
    known = has | (np.array(surveys) == reference)
    return (
        np.where(known, offset, np.nan),
        np.where(known, err, np.nan),
        measured.sum(axis=0),
        np.sum(~used),
        chi2_per_dof,
    )


def _solve(value, weight, free):
    """Offsets by least squares and their covariance, zero where not `free`."""
    total = weight.sum(axis=1, keepdims=True)
    mean = np.sum(weight * value, axis=1, keepdims=True) / total
    normal = np.diag(weight.sum(axis=0)) - (weight / total).T @ weight
    covariance = np.zeros_like(normal)
    covariance[np.ix_(free, free)] = np.linalg.inv(normal[np.ix_(free, free)])
    return -covariance @ np.sum(weight * (value - mean), axis=0), covariance


def _misfit(value, weight, offset):
    """√(χ²/dof) of every star about its own mean; and what it is per sigma, by the median star, but at least one."""
    shifted, total = value + offset, weight.sum(axis=1, keepdims=True)
    mean = np.sum(weight * shifted, axis=1, keepdims=True) / total
    chi2 = np.sum(weight * (shifted - mean) ** 2, axis=1)
    misfit = np.sqrt(chi2 / (np.sum(weight > 0, axis=1) - 1))
    return misfit, max(1.0, np.median(misfit) / _NORMAL_MEDIAN) if len(misfit) else 1.0


def _check_connected(weight, has, label, surveys, reference):
    """Refuse surveys that no chain of stars in common leads to the reference from."""
    measured = (weight > 0).astype(float)
    _, group = connected_components(measured.T @ measured, directed=False)
    apart = [name for name, g, h in zip(surveys, group, has, strict=True) if h and g != group[surveys.index(reference)]]
    if apart:
        raise UserError(
            f"no stars with usable {label} link survey {' and '.join(apart)} to {reference}, not through other surveys "
            "either; add stars that both have measured, or leave the survey out."
        )
