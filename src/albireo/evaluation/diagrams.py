"""Colour–magnitude and colour–colour diagrams, observed and as the model has them (Green et al. 2021, Figs. 6 to 9)."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float
from matplotlib.figure import Figure

from albireo.bands import band_text
from albireo.errors import UserError
from albireo.evaluation.names import label_text, narrow_bands, widest_color
from albireo.figures import COLORMAP, VERMILLION
from albireo.model.stellar import StellarModel
from albireo.training.dataset import TrainingSet
from albireo.training.evaluate import match_bands
from albireo.training.stars import stars_of

# Points of a colour–colour diagram; with more of them none can be told apart.
_MAX_POINTS = 5000
_MAX_ROWS = 3
# The outermost stars of both sides do not set the limits of an axis [%].
_OUTERMOST = 0.3


def color_magnitude(model: StellarModel, stars: TrainingSet) -> Figure:
    """Colour–magnitude diagrams of stars with a usable parallax: observed, and predicted without reddening.

    The arrow is the model's extinction at the mean labels, for a reddening that the figure states.

    Raises:
        UserError: the model and the stars do not fit, there is one band only, or no star has a usable parallax.
    """
    model = match_bands(model, stars)
    blue, red = widest_color(model.bands)
    star = stars_of(stars)
    use = star.has_parallax & _observed(stars, blue, red, model.bands[0])
    if not use.any():
        raise UserError(
            f"no star has a usable parallax and is observed in {', '.join(sorted({blue, red, model.bands[0]}))}."
        )
    observed = (stars.mag - star.modulus[:, None])[use]
    figure = Figure(figsize=(7.0, 4.2), layout="constrained")
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    points = [_place(model, magnitudes, blue, red) for magnitudes in (observed, _predicted(model, stars)[use])]
    extent = _limits(*points)
    drawn = []
    for axes, (x, y), title in zip(panels, points, ("observed", "predicted, without reddening"), strict=True):
        drawn.append(axes.hexbin(x, y, gridsize=60, extent=extent, bins="log", mincnt=1, cmap=COLORMAP, linewidths=0.1))
        axes.set(title=title, xlabel=f"{band_text(blue, red)} [mag]", xlim=extent[:2], ylim=extent[:1:-1])
    most = max(2, *(hexagons.get_array().max() for hexagons in drawn))
    for hexagons in drawn:  # one scale for both, which is that of the colour bar
        hexagons.set_clim(1, most)
    panels[0].set_ylabel(f"$M$({band_text(model.bands[0])}) [mag]")
    arrow = _place(model, _mean_extinction(model, stars), blue, red)
    _draw_arrow(panels[1], arrow, (0.06, 0.22), 0.15)
    figure.colorbar(drawn[0], ax=panels, label="stars", aspect=35)
    return figure


def mean_labels(model: StellarModel, stars: TrainingSet) -> Figure:
    """Mean labels of the stars over the colour–magnitude diagram of their predicted, unreddened photometry.

    Raises:
        UserError: the model and the stars do not fit, or there is one band only.
    """
    model = match_bands(model, stars)
    blue, red = widest_color(model.bands)
    x, y = _place(model, _predicted(model, stars), blue, red)
    extent = _limits((x, y))
    figure = Figure(figsize=(1.0 + 2.1 * len(model.labels), 4.0), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(model.labels), sharex=True, sharey=True))
    for axes, label, values in zip(panels, model.labels, stars.theta.T, strict=True):
        low, high = np.percentile(values, [2, 98])
        drawn = axes.hexbin(
            x, y, C=values, gridsize=40, extent=extent, vmin=low, vmax=high, cmap=COLORMAP, linewidths=0.1
        )
        axes.set(xlabel=f"{band_text(blue, red)} [mag]", xlim=extent[:2], ylim=extent[:1:-1])
        figure.colorbar(drawn, ax=axes, location="top", label=f"mean {label_text(label)}", extend="both")
    panels[0].set_ylabel(f"predicted $M$({band_text(model.bands[0])}) [mag]")
    return figure


def color_color(model: StellarModel, stars: TrainingSet, label: str = "logg") -> Figure:
    """Colour–colour diagrams of a random choice of stars: observed, and predicted without reddening.

    Args:
        model: the model.
        stars: the stars.
        label: the label that colours the points.

    Raises:
        UserError: the model and the stars do not fit, there are fewer than three bands, no such label, or no star is
            observed in the bands of a diagram.
    """
    model = match_bands(model, stars)
    if label not in model.labels:
        raise UserError(f"it needs the label {label}; the model has {', '.join(model.labels)}.")
    bands = narrow_bands(model.bands)
    triples = [bands[i : i + 3] for i in range(0, len(bands) - 2, 2)]
    triples = [triple for triple in triples if _observed(stars, *triple).any()][:_MAX_ROWS]
    if not triples:
        raise UserError("no star is observed in three bands that follow each other in wavelength.")
    figure = Figure(figsize=(7.0, 0.8 + 2.5 * len(triples)), layout="constrained")
    grid = figure.subplots(len(triples), 2, squeeze=False)
    values = stars.theta[:, model.labels.index(label)]
    low, high = np.percentile(values, [2, 98])
    for row, triple in zip(grid, triples, strict=True):
        chosen = _some(_observed(stars, *triple))
        drawn = _color_color_row(row, model, stars[chosen], triple, {"c": values[chosen], "vmin": low, "vmax": high})
    figure.colorbar(drawn, ax=grid, label=label_text(label), extend="both", aspect=45)
    for axes, title in zip(grid[0], ("observed", "predicted, without reddening"), strict=True):
        axes.set_title(title)
    return figure


def _color_color_row(row, model, stars, triple, coloured: dict[str, Any]):
    first, second, third = triple
    points = [_two_colors(model, magnitudes, triple) for magnitudes in (stars.mag, _predicted(model, stars))]
    extent = _limits(*points)
    for axes, (x, y) in zip(row, points, strict=True):
        drawn = axes.scatter(x, y, s=4, cmap=COLORMAP, linewidths=0, **coloured)
        axes.set(xlabel=f"{band_text(first, second)} [mag]", xlim=extent[:2], ylim=extent[2:])
    row[0].set_ylabel(f"{band_text(second, third)} [mag]")
    _draw_arrow(row[1], _two_colors(model, _mean_extinction(model, stars), triple), (0.08, 0.7), 0.2)
    return drawn


def _observed(stars: TrainingSet, *bands: str) -> Bool[np.ndarray, " star"]:
    return np.logical_and.reduce([stars.observed[:, stars.bands.index(band)] for band in bands])


def _some(chosen):
    rows = np.flatnonzero(chosen)
    return np.random.default_rng(0).permutation(rows)[:_MAX_POINTS]


def _predicted(model, stars) -> Float[np.ndarray, "star band"]:
    return np.asarray(model.absolute_magnitudes(jnp.asarray(stars.theta)))


def _mean_extinction(model, stars) -> Float[np.ndarray, " band"]:
    return np.asarray(model.extinction_vector(jnp.asarray(stars.theta.mean(axis=0))))


def _place(model, mag, blue, red):
    """Colour and magnitude of the reference band."""
    return mag[..., model.bands.index(blue)] - mag[..., model.bands.index(red)], mag[..., 0]


def _two_colors(model, mag, triple):
    first, second, third = (mag[..., model.bands.index(band)] for band in triple)
    return first - second, second - third


def _limits(*panels) -> tuple[float, float, float, float]:
    """Where nearly all the stars of every panel are, with some room."""
    limits = []
    for axis in zip(*panels, strict=True):
        ends = [np.percentile(values, [_OUTERMOST, 100 - _OUTERMOST]) for values in axis]
        low, high = np.min(ends), np.max(ends)
        room = 0.1 * (high - low) + 1e-3
        limits += [float(low - room), float(high + room)]
    return limits[0], limits[1], limits[2], limits[3]


def _draw_arrow(axes, vector, start, width) -> None:
    """An extinction vector, for a round reddening at which it is at most so wide or high, as parts of the axes."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    span = np.array([right - left, top - bottom])
    per_reddening = np.array([float(vector[0]), float(vector[1])]) / span
    steps = np.array([0.05, 0.1, 0.2, 0.5, 1.0, 2.0])
    fitting = steps[steps * np.abs(per_reddening).max() <= width]
    reddening = float(fitting[-1]) if len(fitting) else float(steps[0])
    end = np.array(start) + reddening * per_reddening
    axes.annotate(
        "",
        xy=end,
        xytext=start,
        xycoords="axes fraction",
        textcoords="axes fraction",
        arrowprops={"arrowstyle": "-|>", "color": VERMILLION, "linewidth": 1.5, "shrinkA": 0, "shrinkB": 0},
    )
    above = max(start[1], end[1]) + 0.03
    axes.text(start[0], above, f"$E$ = {reddening:g} mag", color=VERMILLION, fontsize=9, transform=axes.transAxes)
