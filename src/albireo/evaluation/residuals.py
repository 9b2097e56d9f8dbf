"""Scores of stars against what they might depend on (Green et al. 2021, section 6, Figs. 12 and 13)."""

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from albireo.bands import band_text
from albireo.evaluation.compare import density_of
from albireo.evaluation.names import label_text, narrow_bands
from albireo.evaluation.scores import Combination, score
from albireo.figures import BLUE, VERMILLION, axis_label
from albireo.model.domain import MIN_DENSITY_ABSOLUTE, MIN_DENSITY_COLOR
from albireo.model.stellar import StellarModel
from albireo.training.dataset import TrainingSet
from albireo.training.evaluate import match_bands

# Scores and densities beyond these are drawn at the edge.
_MAX_SCORE, _MIN_LOG_DENSITY = 3.5, -5.0
# The lines are of bins of equally many stars.
_STARS_PER_BIN, _MAX_BINS = 50, 20
_PERCENTILES = (16, 50, 84)
_SIGN = "Δ: observed less predicted; lines: 16, 50 and 84 % of the stars"


def residuals(model: StellarModel, stars: TrainingSet) -> Figure:
    """Scores of four colours against every label and the reddening that fits best.

    The shade says how many stars there are, the lines are 16, 50 and 84 % of bins of equally many stars.

    Raises:
        UserError: the model and the stars do not fit, there are fewer than three bands, or too few stars.
    """
    model = match_bands(model, stars)
    colors = _telling_colors(model.bands)
    scores = score(model, stars, colors)
    against = {label_text(name): values for name, values in zip(model.labels, stars.theta.T, strict=True)}
    against[axis_label("reddening", "mag")] = scores.reddening
    figure = Figure(figsize=(1.0 + 1.9 * len(against), 0.8 + 1.7 * len(colors)), layout="constrained")
    grid = figure.subplots(len(colors), len(against), sharex="col", sharey=True, squeeze=False)
    for row, color, values in zip(grid, colors, scores.values.T, strict=True):
        for axes, x in zip(row, against.values(), strict=True):
            _draw_running(axes, x, values)
        row[0].set_ylabel(f"Δ({band_text(*color)}) / σ")
    for axes, name in zip(grid[-1], against, strict=True):
        axes.set_xlabel(name)
    figure.suptitle(_SIGN, fontsize=9)
    return figure


def residuals_by_density(model: StellarModel, stars: TrainingSet) -> Figure:
    """Scores of the reference band and of up to three colours to it against the density of training stars.

    The dashed lines are the densities below which the paper advises against a magnitude or colour of the model.

    Raises:
        UserError: the model and the stars do not fit, the model does not know its domain, or there are too few stars.
    """
    model = match_bands(model, stars)
    reference, *others = model.bands
    narrow = [band for band in narrow_bands(model.bands) if band in others]
    num = len(narrow)
    shown = narrow[:3] if num < 5 else [narrow[i] for i in (1, num // 2, num - 2)]
    combinations: list[Combination] = [(reference,), *((band, reference) for band in shown)]
    density = density_of(model, stars.theta)
    columns = [0, *(1 + model.bands.index(band) for band in shown)]
    scores = score(model, stars, combinations).values
    figure = Figure(figsize=(1.0 + 1.9 * len(combinations), 3.0), layout="constrained")
    panels = figure.subplots(1, len(combinations), sharey=True)
    for axes, bands, column, values in zip(panels, combinations, columns, scores.T, strict=True):
        _draw_running(axes, np.log10(np.maximum(density[:, column], 10**_MIN_LOG_DENSITY)), values)
        axes.axvline(np.log10(MIN_DENSITY_COLOR if column else MIN_DENSITY_ABSOLUTE), color=VERMILLION, linestyle="--")
        axes.set_title(f"Δ({band_text(*bands)})" if column else f"Δ$M$({band_text(*bands)})", fontsize=10)
        axes.set_xlabel(f"log density, {band_text(bands[0]) if column else 'parallax'}")
    panels[0].set_ylabel("Δ / σ")
    figure.suptitle(_SIGN, fontsize=9)
    return figure


def _telling_colors(bands) -> list[tuple[str, str]]:
    """Two colours to the reference band, and two of neighbours without it, of the blue and of the middle."""
    others = [band for band in narrow_bands(bands) if band != bands[0]]
    last = len(others) - 1
    middle = min(max(2, len(others) // 2), last)
    neighbours = [(others[0], others[1]), (others[middle - (middle == last)], others[min(middle + 1, last)])]
    return list(dict.fromkeys([*neighbours, (others[1], bands[0]), (others[middle], bands[0])]))


def _draw_running(axes, x: Float[np.ndarray, " star"], scores: Float[np.ndarray, " star"]) -> None:
    known = np.isfinite(x) & np.isfinite(scores)
    x, scores = x[known], np.clip(scores[known], -_MAX_SCORE, _MAX_SCORE)
    if len(x) < 2 * _STARS_PER_BIN:
        axes.text(0.5, 0.5, "too few stars", ha="center", va="center", transform=axes.transAxes)
        return
    low, high = np.percentile(x, [0.3, 99.7])
    extent = (low, high + 1e-6, -_MAX_SCORE, _MAX_SCORE)
    axes.hexbin(x, scores, gridsize=(28, 16), extent=extent, bins="log", mincnt=1, cmap="Greys", linewidths=0.1)
    bins = np.array_split(np.argsort(x, kind="stable"), min(_MAX_BINS, len(x) // _STARS_PER_BIN))
    at = [np.median(x[rows]) for rows in bins]
    lines = np.array([np.percentile(scores[rows], _PERCENTILES) for rows in bins])
    for line, width in zip(lines.T, (1.2, 2.0, 1.2), strict=True):
        axes.plot(at, line, color=BLUE, linewidth=width)
    for level in (-1, 0, 1):
        axes.axhline(level, color="black", linewidth=0.6, linestyle=":")
    axes.set(xlim=extent[:2], ylim=extent[2:])
