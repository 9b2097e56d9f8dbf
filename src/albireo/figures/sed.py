"""Magnitudes of one star, as observed and as its posterior has them, band by band."""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from albireo.bands import in_order
from albireo.errors import UserError
from albireo.figures.style import BLUE, GRAY, TEXT, VERMILLION, add_legend, one_column
from albireo.fit import fit_of_magnitudes

if TYPE_CHECKING:
    from albireo.posterior import Posterior


def sed(posterior: "Posterior", star: str | int) -> Figure:
    """Magnitudes of a star: observed, and the median and 68 % of what its labels, distance and reddening predict.

    Below are the residuals, each given the star's other magnitudes and in units of its error then: the scatter of the
    model correlates the bands. A band that was not measured has a prediction and no point, and where the star was
    looked for and not found, a triangle at the limit points to fainter magnitudes.

    Args:
        posterior: the posterior of one or more stars, with its model.
        star: the star's id, or its place among the stars.

    Raises:
        UserError: there is no such star, it could not be sampled, or the posterior does not know its model.
    """
    fit = fit_of_magnitudes(posterior[star]).isel(star=0)
    if not np.isfinite(fit["predicted"]).any():
        raise UserError(f"star {fit['star'].item()} could not be sampled, so there is nothing to draw; see its flags.")
    fit = fit.sel(band=in_order([str(band) for band in fit["band"].values]))
    place = np.arange(fit.sizes["band"])
    figure, (above, below) = one_column(3.4, 2, sharex=True, height_ratios=[2.2, 1])
    _draw_magnitudes(above, place, fit)
    _draw_residuals(below, place, fit)
    above.set_title(str(fit["star"].item()), fontsize=TEXT)
    below.set_xticks(place, fit["band"].values, rotation=90)
    figure.align_ylabels()
    return figure


def _draw_magnitudes(axes, place, fit) -> None:
    low, middle, high = fit["predicted"].values
    axes.fill_between(place, low, high, color=BLUE, alpha=0.25, linewidth=0, label="predicted, 68 %")
    axes.plot(place, middle, color=BLUE, linewidth=1, label="median")
    error = {"markersize": 3.5, "elinewidth": 0.8, "color": VERMILLION, "markerfacecolor": "white"}
    axes.errorbar(place, fit["magnitude"], fit["magnitude_err"], fmt="o", label="observed", zorder=3, **error)
    limit = fit["magnitude_limit"].values
    if np.isfinite(limit).any():
        mark = {"markersize": 4.5, "color": VERMILLION, "markerfacecolor": "white", "zorder": 3}
        axes.plot(place, limit, "v", label="not found, limit", **mark)
    axes.set_ylabel("magnitude [mag]")
    axes.invert_yaxis()
    add_legend(axes, loc="best")


def _draw_residuals(axes, place, fit) -> None:
    low, middle, high = fit["residual"].values
    for width in (1, 2):
        axes.axhspan(-width, width, color=GRAY, alpha=0.18, linewidth=0)
    axes.axhline(0, color=BLUE, linewidth=0.8)
    bars = np.stack([middle - low, high - middle])
    axes.errorbar(place, middle, bars, fmt="o", markersize=3.5, elinewidth=0.8, color=VERMILLION)
    limit = max(3.0, 1.1 * float(np.nanmax(np.abs(fit["residual"].values), initial=0)))
    axes.set(ylabel="residual [σ]", ylim=(-limit, limit))
