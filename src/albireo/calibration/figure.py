"""The figure of a calibration."""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import binom

from albireo.calibration.uniformity import LEVELS, ecdf_band
from albireo.figures import axis_label

if TYPE_CHECKING:
    from albireo.calibration.report import Calibration

_BLUE, _VERMILLION, _GREEN, _GRAY = "#0072B2", "#D55E00", "#009E73", "0.85"  # Okabe & Ito (2008)
_NUM_BINS = 20
_HEIGHT_OF_GROUP = 0.19


def calibration_figure(calibration: "Calibration") -> Figure:
    """For every variable: ranks, their distribution function less the uniform one, and coverage by group.

    Grey is where exact posteriors would be: each bar of the histogram within the band for 99 % of the bars, the whole
    curve within its band in 95 % of calibrations. Bars of the coverages are one standard error.
    """
    names, groups = calibration.variables, calibration.groups
    below = _HEIGHT_OF_GROUP * len(groups) + 0.5
    figure = Figure(figsize=(2.5 * len(names) + 1.2, 4.0 + below), layout="constrained")
    grid = figure.subplots(3, len(names), height_ratios=[1.7, 1.7, below], sharey="row", squeeze=False)
    for (ranks, curve, bins), name in zip(grid.T, names, strict=True):
        pit = calibration.pit(name)
        _draw_histogram(ranks, pit)
        _draw_curve(curve, pit)
        _draw_coverage(bins, calibration, name)
        ranks.set_title(axis_label(name, ""))
        curve.set_xlabel("rank of the truth")
        for axes in (ranks, curve):
            axes.set(xlim=(0, 1), xticks=(0, 0.5, 1), xticklabels=("0", "½", "1"))
    grid[0, 0].set_ylabel("stars")
    grid[0, 0].set_ylim(0)
    grid[1, 0].set_ylabel("distribution − uniform")
    grid[2, 0].set_yticks(range(len(groups)), groups)
    grid[2, 0].set_ylim(len(groups) - 0.5, -0.5)
    figure.supxlabel(f"{len(calibration.stars)} stars: share whose truth is in the central interval", fontsize=10)
    return figure


def _draw_histogram(axes, pit) -> None:
    low, high = binom.interval(0.99, len(pit), 1 / _NUM_BINS)
    axes.axhspan(low, high, color=_GRAY, linewidth=0)
    axes.stairs(*np.histogram(pit, _NUM_BINS, (0, 1)), baseline=None, color=_BLUE, linewidth=1.5)


def _draw_curve(axes, pit) -> None:
    points, limits = ecdf_band(max(len(pit), 1))
    axes.fill_between(points, *(limits - points), color=_GRAY, linewidth=0)
    axes.plot(points, np.mean(pit[:, None] <= points, axis=0) - points, color=_BLUE)
    axes.axhline(0, color="black", linewidth=0.6)


def _draw_coverage(axes, calibration: "Calibration", name: str) -> None:
    rows = calibration.table[np.asarray(calibration.table["variable"]) == name]
    place = np.arange(len(rows))
    for level, color in zip(LEVELS, (_GREEN, _BLUE, _VERMILLION), strict=True):
        column = f"coverage_{100 * level:.0f}"
        axes.axvline(level, color=color, linewidth=0.8)
        axes.errorbar(rows[column], place, xerr=rows[f"{column}_err"], fmt="o", markersize=3, color=color, linewidth=1)
    axes.set_xticks(LEVELS, [f"{level:.0%}" for level in LEVELS])
    axes.set_xlim(0.35, 1.03)
