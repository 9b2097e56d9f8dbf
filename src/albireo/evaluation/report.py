"""The figures of one or more models on the same stars, for a terminal, as JSON and as tables."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from astropy import units as u
from astropy.table import Table
from jaxtyping import Int

from albireo.errors import UserError
from albireo.evaluation.compare import compare
from albireo.evaluation.scores import score_bands
from albireo.measurements import remove_error_floor
from albireo.model.stellar import StellarModel
from albireo.training.dataset import TrainingSet
from albireo.training.evaluate import Evaluation, evaluate

WITH_SCATTER = "with scatter"
_GROUPS = ("survey", "reddening_source")


@dataclasses.dataclass(frozen=True)
class Report:
    """What was found out about models.

    Attributes:
        evaluations: figures by the name of the model.
        by_band: scores by the name of the model and by band, see `score_bands`; empty if not asked for.
        difference: the first model less the second, see `compare`; None if not asked for, or not known.
        notes: what is left out, and why, a sentence each.
    """

    evaluations: dict[str, Evaluation]
    by_band: dict[str, dict[str, dict[str, float]]] = dataclasses.field(default_factory=dict)
    difference: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values; what is not known is None."""
        values: dict[str, Any] = {name: each.to_dict() for name, each in self.evaluations.items()}
        for name, bands in self.by_band.items():
            values[name]["by_band"] = bands
        if self.difference is not None:
            values["difference"] = self.difference
        return {name: _without_nan(value) for name, value in values.items()}

    def to_text(self) -> str:
        """Lines for a terminal."""
        each = self.evaluations.values()
        rows = {
            "": list(self.evaluations),
            "stars": [f"{one.num_stars}" for one in each],
            "loss": [f"{one.loss:.3f}" for one in each],
            "chi2/dof": [f"{one.chi2_per_dof:.3f}" for one in each],
            "above 5": [f"{100 * one.outlier_fraction:.2f} %" for one in each],
            "mean log-likelihood": [f"{one.mean_log_likelihood:.3f}" for one in each],
        }
        lines = [f"{title:20}" + "".join(f"{cell:>14}" for cell in cells) for title, cells in rows.items()]
        if self.difference is not None:
            lines += ["", *_difference_lines(self.difference)]
        return "\n".join(lines)

    def to_tables(self) -> dict[str, Table]:
        """Tables by name: `evaluation`, a row a model and group of stars; `bands`; `difference`."""
        groups = [row for name, one in self.evaluations.items() for row in _group_rows(name, one)]
        tables = {"evaluation": Table(rows=groups)}
        bands = [
            {"model": name, "band": band, **figures}
            for name, by_band in self.by_band.items()
            for band, figures in by_band.items()
        ]
        if bands:
            tables["bands"] = Table(rows=bands)
        if self.difference is not None:
            rows = [{"band": band, **figures} for band, figures in self.difference["by_band"].items()]
            tables["difference"] = _with_units(Table(rows=rows))
        return tables


def judge(
    models: Mapping[str, StellarModel],
    stars: TrainingSet,
    indices: Int[np.ndarray, " selected"] | None = None,
    floor_in_errors: float = 0.0,
    *,
    in_detail: bool = False,
) -> Report:
    """Judge models by the same stars.

    Args:
        models: the model by its name, and another one to set beside it if there is one.
        stars: stars of known labels.
        indices: which of them; all by default.
        floor_in_errors: what the errors of magnitudes hold in quadrature [mag]; where the first model knows its
            scatter, that takes its place in the figures called "with scatter".
        in_detail: whether to look at every band, and at the difference of the models, too.

    Raises:
        UserError: a model does not fit the stars, or a floor is to be taken off and the model has no scatter.
    """
    chosen = stars if indices is None else stars[indices]
    ours, *theirs = models.values()
    cases = {name: (model, chosen, False) for name, model in models.items()}
    if ours.scatter is not None:
        # All stars, not the chosen alone, say whether their errors hold the floor.
        mag_err = remove_error_floor(stars.mag_err, floor_in_errors)
        measured = dataclasses.replace(chosen, mag_err=mag_err if indices is None else mag_err[indices])
        cases[WITH_SCATTER] = (ours, measured, True)
    elif floor_in_errors:
        raise UserError("the model has no scatter to take the place of the floor; leave out --floor-in-errors.")
    evaluations = {
        name: evaluate(model, observed, with_scatter=scatter) for name, (model, observed, scatter) in cases.items()
    }
    if not in_detail:
        return Report(evaluations)
    by_band = {
        name: score_bands(model, observed, with_scatter=scatter) for name, (model, observed, scatter) in cases.items()
    }
    notes = [
        f"figures by {name.replace('_', ' ')} are left out: the table has no column {name}."
        for name in _GROUPS
        if getattr(stars, name) is None
    ]
    difference = None
    if theirs:
        try:
            difference = compare(ours.select_bands(stars.bands), theirs[0], chosen.theta)
        except UserError as error:
            notes.append(f"the difference of the models is left out: {error}")
    return Report(evaluations, by_band, difference, tuple(notes))


def _group_rows(name, evaluation):
    figures = evaluation.to_dict()
    groups = {group: figures.pop(f"by_{group}") for group in _GROUPS}
    rows = [{"model": name, "group": "all", "name": "all", **figures}]
    for group, members in groups.items():
        rows += [{"model": name, "group": group, "name": member, **values} for member, values in members.items()]
    return rows


def _with_units(table: Table) -> Table:
    for name in table.colnames[1:]:
        table[name].unit = u.percent if name.endswith("_percent") else u.mag
    return table


def _difference_lines(difference):
    head = f"{difference['num_stars']} stars known to both models (density above 1e-2), the first less the second:"
    lines = [head, f"{'':10}{'colour: median':>16}{'68 % within':>14}{'R: median':>14}{'68 % within':>14}"]
    for band, of in difference["by_band"].items():
        lines.append(
            f"{band:10}{of['color_median']:>12.4f} mag{of['color_size']:>10.4f} mag"
            f"{_percent(of['extinction_median_percent']):>14}{_percent(of['extinction_size_percent']):>14}"
        )
    return lines


def _percent(value):
    return f"{value:.2f} %" if abs(value) < 1000 else f"{value:.1e} %"


def _without_nan(values):
    if isinstance(values, dict):
        return {name: _without_nan(value) for name, value in values.items()}
    return None if isinstance(values, float) and not math.isfinite(values) else values
