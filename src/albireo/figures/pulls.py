"""Inferred labels against those of a reference catalogue."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import norm

from albireo.catalog import Catalog
from albireo.errors import UserError
from albireo.figures.style import BLUE, SMALL, TEXT, VERMILLION, axis_label, check_same_stars, column, one_column
from albireo.statistics import robust_width

_NUM_BINS, _LIMIT = 32, 6.0


def pulls(summary: Any, reference: Catalog) -> Figure:
    """Differences to a reference in units of both errors, a panel a label, over the Gaussian that they should follow.

    Each panel names the median and the robust width (half of the central 68 %) of all pulls; those beyond ±6 are in
    the outermost bins.

    Args:
        summary: as for `kiel_diagram`.
        reference: the same stars in the same order, with known labels and their errors.

    Raises:
        UserError: there are other numbers of stars, or the reference has no label with an error.
    """
    of_label = {label: pull_of(summary, reference, label) for label in reference.labels}
    of_label = {label: values[np.isfinite(values)] for label, values in of_label.items()}
    shown = {label: values for label, values in of_label.items() if len(values)}
    if not shown:
        names = ", ".join(f"{label} and {label}_err" for label in reference.labels)
        raise UserError(f"the reference has no labels with errors; give a table with {names}.")
    figure, panels = one_column(0.5 + 1.15 * len(shown), len(shown), sharex=True, squeeze=False)
    x = np.linspace(-_LIMIT, _LIMIT, 200)
    edges = np.linspace(-_LIMIT, _LIMIT, _NUM_BINS + 1)
    for axes, (label, values) in zip(panels.flat, shown.items(), strict=True):
        inside = np.clip(values, -_LIMIT + 1e-6, _LIMIT - 1e-6)
        axes.hist(inside, edges, color=BLUE, alpha=0.6)
        axes.plot(x, len(values) * (edges[1] - edges[0]) * norm.pdf(x), color=VERMILLION, linewidth=1)
        axes.set_ylabel(f"stars, {axis_label(label, '')}")
        text = f"{len(values)} stars\nmedian {np.median(values):+.2f}\nwidth {robust_width(values):.2f}"
        axes.text(0.98, 0.94, text.replace("-", "−"), ha="right", va="top", fontsize=SMALL, transform=axes.transAxes)
    panels.flat[-1].set_xlabel("(albireo − reference) / σ", size=TEXT)
    return figure


def pull_of(summary: Any, reference: Catalog, label: str) -> np.ndarray:
    """(median − reference) / √(std² + error²) of a label for every star; NaN where something is missing.

    Raises:
        UserError: there are other numbers of stars.
    """
    ours, std = column(summary, f"{label}_p50"), column(summary, f"{label}_std")
    check_same_stars(len(ours), reference, "reference")
    i = reference.labels.index(label)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (ours - reference.theta[:, i]) / np.sqrt(std**2 + reference.theta_cov[:, i, i])
