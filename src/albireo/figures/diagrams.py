"""Diagrams of many stars: Kiel, colour against magnitude, and reddening against distance."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from albireo.bands import band_text, in_order
from albireo.catalog import Catalog
from albireo.errors import UserError
from albireo.figures.style import (
    BLUE,
    COLORMAP,
    GRAY,
    SMALL,
    TEXT,
    VERMILLION,
    add_legend,
    axis_label,
    check_same_stars,
    column,
    log_ticks,
    median_and_interval,
    one_column,
)
from albireo.model import StellarModel
from albireo.model.domain import KernelDomain

# Colours that most diagrams are drawn in, those that tell temperatures apart best first.
_COLORS = (("gaia_bp", "gaia_rp"), ("ps1_g", "ps1_i"), ("gaia_g", "2mass_ks"), ("2mass_j", "2mass_ks"))
_MAX_LOCUS = 4000
# So many stars are drawn small.
_MANY = 500
_REDDENINGS = np.array([0.05, 0.1, 0.2, 0.5, 1.0, 2.0])


def kiel_diagram(summary: Any, reference: Any = None) -> Figure:
    """Effective temperature against surface gravity, coloured by metallicity, with 16 to 84 % intervals.

    Args:
        summary: a table as `Posterior.summary` returns it or as `summary.parquet` holds it; flagged stars are crosses.
        reference: a table of the same stars in the same order with published `teff` [K] and `logg` [dex], which thin
            lines join to ours.

    Raises:
        UserError: the summary has no teff, logg and feh, or the reference has another number of stars.
    """
    teff, logg, feh = (median_and_interval(summary, name) for name in ("teff", "logg", "feh"))
    figure, axes = one_column(3.0)
    if reference is not None:
        check_same_stars(len(teff[0]), reference, "reference")
        _join_published(axes, teff[0], logg[0], column(reference, "teff"), column(reference, "logg"))
    width = _bar_width(len(teff[0]))
    axes.errorbar(teff[0], logg[0], xerr=teff[1], yerr=logg[1], fmt="none", ecolor=GRAY, elinewidth=width, zorder=2)
    _scatter_by_feh(figure, axes, summary, teff[0], logg[0], feh[0])
    axes.set(xlabel=axis_label("teff", "K"), ylabel=axis_label("logg", "dex"))
    axes.invert_xaxis()
    axes.invert_yaxis()
    add_legend(axes, loc="upper left", handletextpad=0.2, borderpad=0.1)
    return figure


def color_magnitude(summary: Any, catalog: Catalog, model: StellarModel) -> Figure:
    """Colours of stars against their absolute magnitudes, dust included, over the model's locus without dust.

    Absolute magnitudes are the measured ones less the posterior's distance modulus, with its 16 to 84 % interval. Grey
    is where the model puts its training stars. The arrow is the model's extinction at the median labels.

    Args:
        summary: as for `kiel_diagram`.
        catalog: the photometry of the same stars in the same order.
        model: the model they were inferred with.

    Raises:
        UserError: there are other numbers of stars, or no star has two of the model's bands.
    """
    mu = median_and_interval(summary, "distance_modulus")
    check_same_stars(len(mu[0]), catalog, "catalog")
    mag = catalog.select_bands(model.bands).mag
    blue, red, bright = choose_color(model.bands, np.isfinite(mag))
    color, magnitude = mag[:, blue] - mag[:, red], mag[:, bright] - mu[0]
    figure, axes = one_column(3.2)
    _draw_locus(axes, model, (blue, red, bright))
    width = _bar_width(len(color))
    axes.errorbar(color, magnitude, yerr=mu[1][::-1], fmt="none", ecolor=GRAY, elinewidth=width, zorder=2)
    _scatter_by_feh(figure, axes, summary, color, magnitude, median_and_interval(summary, "feh")[0])
    names = model.bands[blue], model.bands[red]
    axes.set(xlabel=f"{band_text(*names)} [mag]", ylabel=f"{band_text(model.bands[bright])} − distance modulus [mag]")
    axes.invert_yaxis()
    _draw_arrow(axes, extinction_of(model, (blue, red, bright)))
    add_legend(axes, loc="lower left", handletextpad=0.2, borderpad=0.1)
    return figure


def sightline(summary: Any) -> Figure:
    """Reddenings of stars against their distances, with the 16 to 84 % intervals of both.

    Args:
        summary: as for `kiel_diagram`; flagged stars are faint.

    Raises:
        UserError: the summary has no distance and reddening, or no star has both.
    """
    distance, reddening = (median_and_interval(summary, name) for name in ("distance", "reddening"))
    known = np.isfinite(distance[0]) & np.isfinite(reddening[0])
    if not known.any():
        raise UserError("no star has a distance and a reddening, so there is nothing to draw; see their flags.")
    figure, axes = one_column(2.6)
    flagged = column(summary, "flags") != 0
    width = 1.5 * _bar_width(len(known))
    for chosen, color, label in ((known & flagged, GRAY, "flagged"), (known & ~flagged, BLUE, "not flagged")):
        if chosen.any():
            x, y = ((value[chosen], interval[:, chosen]) for value, interval in (distance, reddening))
            axes.errorbar(
                x[0] / 1000,
                y[0],
                xerr=x[1] / 1000,
                yerr=y[1],
                fmt="o",
                color=color,
                markersize=2,
                elinewidth=width,
                alpha=0.6,
                label=f"{label} ({chosen.sum()})",
            )
    axes.set_xscale("log")
    log_ticks(axes.xaxis, *axes.get_xlim())
    axes.set(xlabel=axis_label("distance", "kpc"), ylabel=axis_label("reddening", "mag"))
    axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
    add_legend(axes, loc="upper left", handletextpad=0.2, borderpad=0.1)
    return figure


def choose_color(bands: tuple[str, ...], observed: np.ndarray) -> tuple[int, int, int]:
    """Two bands whose difference to draw and one for the magnitude: places among the bands, measured of most stars.

    Args:
        bands: names of the bands.
        observed: whether each star has each band, axes (star, band).

    Raises:
        UserError: no star has two of the bands.
    """
    usual = [(blue, red) for blue, red in _COLORS if {blue, red} <= set(bands)]
    ordered = in_order([band for band, any_star in zip(bands, observed.any(axis=0), strict=True) if any_star])
    pairs = [*usual, (ordered[0], ordered[-1])] if len(ordered) > 1 else usual
    places = [(bands.index(blue), bands.index(red)) for blue, red in pairs]
    num = [np.sum(observed[:, blue] & observed[:, red]) for blue, red in places]
    if not any(num):
        raise UserError("no star has two magnitudes, so there is no colour to draw; give the stars' photometry.")
    blue, red = places[int(np.argmax(num))]
    both = observed[:, blue] & observed[:, red]
    candidates = [0, blue, red]
    return blue, red, candidates[int(np.argmax([np.sum(both & observed[:, band]) for band in candidates]))]


def locus(model: StellarModel, places: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Colour and absolute magnitude [mag] of stars like the training stars, without dust; empty if not known."""
    if not isinstance(model.domain, KernelDomain):
        return np.empty(0), np.empty(0)
    with_parallax = np.flatnonzero(np.asarray(model.domain.count)[:, 0] > 0)
    chosen = np.random.default_rng(0).permutation(with_parallax)[:_MAX_LOCUS]
    return _place(np.asarray(model.absolute_magnitudes(model.domain.center[chosen])), places)


def extinction_of(model: StellarModel, places: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Change of colour and magnitude [mag] by a reddening of one, at the median labels of the training stars."""
    return _place(np.asarray(model.extinction_vector(jnp.asarray(model.label_median))), places)


def _place(mag: Float[np.ndarray, "*star band"], places: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    blue, red, bright = places
    return mag[..., blue] - mag[..., red], mag[..., bright]


def _draw_locus(axes, model: StellarModel, places: tuple[int, int, int]) -> None:
    x, y = locus(model, places)
    if len(x):
        axes.plot(x, y, ".", markersize=1.2, color="0.8", zorder=1, label="model, no dust")


def _draw_arrow(axes, per_reddening: tuple[np.ndarray, np.ndarray]) -> None:
    """The extinction vector in the upper right corner, for the largest round reddening that fits there."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    vector = np.array([float(per_reddening[0]) / (right - left), float(per_reddening[1]) / (top - bottom)])
    fitting = _REDDENINGS[_REDDENINGS * np.abs(vector).max() <= 0.25]
    reddening = float(fitting[-1]) if len(fitting) else float(_REDDENINGS[0])
    end = np.array([0.95, 0.7]) + np.minimum(0, reddening * vector)
    style = {"arrowstyle": "-|>", "color": VERMILLION, "linewidth": 1.2, "shrinkA": 0, "shrinkB": 0}
    start = end - reddening * vector
    axes.annotate("", end, start, "axes fraction", "axes fraction", arrowprops=style)
    above = max(start[1], end[1]) + 0.02
    text = f"$E$ = {reddening:g} mag"
    axes.text(0.97, above, text, color=VERMILLION, fontsize=SMALL, ha="right", transform=axes.transAxes)


def _join_published(axes, teff, logg, published_teff, published_logg) -> None:
    axes.plot([teff, published_teff], [logg, published_logg], color=VERMILLION, linewidth=0.4, alpha=0.6, zorder=1)
    axes.plot(
        published_teff,
        published_logg,
        "o",
        markersize=2.5,
        markerfacecolor="white",
        markeredgewidth=0.7,
        color=VERMILLION,
        label="published",
        zorder=1.5,
    )


def _bar_width(num: int) -> float:
    """Of an interval's bar [pt]: thin where many would hide the points."""
    return 0.4 if num < _MANY else 0.2


def _scatter_by_feh(figure: Figure, axes, summary: Any, x, y, feh: Float[np.ndarray, " star"]) -> None:
    """Points coloured by metallicity; flagged stars are crosses."""
    low, high = np.nanpercentile(feh, [2, 98]) if np.isfinite(feh).any() else (0, 1)
    flagged = column(summary, "flags") != 0
    size = 14 if len(feh) < _MANY else 5
    points = None
    for chosen, marker, label in ((~flagged, "o", "albireo"), (flagged, "X", "albireo, flagged")):
        if chosen.any():
            points = axes.scatter(
                x[chosen],
                y[chosen],
                c=feh[chosen],
                marker=marker,
                s=size,
                vmin=low,
                vmax=high,
                cmap=COLORMAP,
                edgecolors="white",
                linewidths=0.3,
                zorder=3,
                label=label,
            )
    bar = figure.colorbar(points, ax=axes, extend="both", aspect=30)
    bar.set_label(axis_label("feh", "dex"), size=TEXT)
    bar.ax.tick_params(labelsize=SMALL, length=2.5)
