"""Figures of a prior along one line of sight: what it expects before any star is measured."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator, ScalarFormatter

from albireo.catalog import DEFAULT_LABELS
from albireo.errors import UserError
from albireo.figures.style import BLUE, COLORMAP, SMALL, TEXT, axis_label, log_ticks, one_column
from albireo.priors.base import Prior, direction, sightline
from albireo.priors.distance import grid

# Okabe & Ito (2008) without their yellow, which is faint on white; with three kinds of lines for 21 components.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "0.45")
_LINES = ("-", "--", ":")
_NUM_DRAWS = 100_000
_OUTERMOST = 1e-3  # share of the stars beyond each end of the axis of distances
_DEEPEST = 1e-4  # of the density: what is less than this share of its highest value is not drawn
_NUM_BINS = 30
_MIN_DRAWS = 50  # in a bin whose quantiles are drawn
_PROBABILITIES = (0.025, 0.16, 0.5, 0.84, 0.975)


def prior_density(prior: Prior, glon: float, glat: float) -> Figure:
    """How many stars there are at each distance, by component, each with its share of all stars.

    Args:
        prior: the prior; one that has no tables along the sightline is drawn as a histogram of its draws.
        glon: Galactic longitude [deg].
        glat: Galactic latitude [deg].

    Raises:
        UserError: there is no such direction.
    """
    mu, density, names = _density(prior, glon, glat)
    total = density.sum(axis=0)
    many = len(names) > 1
    rows = -(-len(names) // 2) if many else 0
    figure, axes = one_column(2.7 + 0.16 * rows)
    axes.plot(_kpc(mu), total, color="black", linewidth=1.6, label="all" if many else None)
    for i, (name, values) in enumerate(zip(names, density, strict=True) if many else ()):
        style = {"color": _COLORS[i % len(_COLORS)], "linestyle": _LINES[i // len(_COLORS) % len(_LINES)]}
        axes.plot(_kpc(mu), values, linewidth=1.2, label=f"{name}, {_percent(values.sum() / total.sum())}", **style)
    axes.set_yscale("log")
    axes.set_ylim(_DEEPEST * total.max(), 2.5 * total.max())
    axes.set_ylabel("share of stars [mag⁻¹]")
    _distance_axis(axes, _kpc(_range(mu, total)))
    _top_axis(axes, axis_label("distance_modulus", "mag"), (_modulus, _kpc), logarithmic=False)
    _finish(figure, prior, glon, glat, columns=2 if many else 0)
    return figure


def prior_kiel(prior: Prior, glon: float, glat: float, labels: Sequence[str] = DEFAULT_LABELS, seed: int = 0) -> Figure:
    """The density of effective temperatures and surface gravities of all stars in a direction, seen or not.

    Args:
        prior: the prior.
        glon: Galactic longitude [deg].
        glat: Galactic latitude [deg].
        labels: the model's labels, in their order.
        seed: of the draws.

    Raises:
        UserError: there is no such direction, or teff or logg is not among the labels.
    """
    draws = draws_towards(prior, direction(glon, glat), labels, _NUM_DRAWS, seed)
    teff, logg = _label(draws, "teff"), _label(draws, "logg")
    figure, axes = one_column(3.0)
    ranges = [np.quantile(values, [2e-4, 1 - 2e-4]) for values in (teff, logg)]
    number, *edges = np.histogram2d(teff, logg, bins=80, range=ranges)
    per_star = 1 / (len(teff) * (edges[0][1] - edges[0][0]) * (edges[1][1] - edges[1][0]))
    density = np.where(number > 1, number * per_star, np.nan)  # a single draw says little
    mesh = axes.pcolormesh(*edges, density.T, cmap=COLORMAP, norm=LogNorm(), rasterized=True)
    axes.set(xlabel=axis_label("teff", "K"), ylabel=axis_label("logg", "dex"))
    axes.invert_xaxis()
    axes.invert_yaxis()
    bar = figure.colorbar(mesh, ax=axes, aspect=30)
    bar.set_label("density of stars [K⁻¹ dex⁻¹]", size=TEXT)
    bar.ax.tick_params(labelsize=SMALL, length=2.5)
    _finish(figure, prior, glon, glat, columns=0)
    return figure


def prior_metallicity(
    prior: Prior, glon: float, glat: float, labels: Sequence[str] = DEFAULT_LABELS, seed: int = 0
) -> Figure:
    """Metallicity against distance and, above, height from the plane through the Sun: median, 68 and 95 % of stars.

    Args:
        prior: the prior.
        glon: Galactic longitude [deg].
        glat: Galactic latitude [deg]; at 0 there are no heights to draw.
        labels: the model's labels, in their order.
        seed: of the draws.

    Raises:
        UserError: there is no such direction, or feh is not among the labels.
    """
    draws = draws_towards(prior, direction(glon, glat), labels, _NUM_DRAWS, seed)
    feh, mu = _label(draws, "feh"), _modulus(draws["distance"] / 1000)
    along, density, _ = _density(prior, glon, glat)
    nearest, farthest = _range(along, density.sum(axis=0))
    edges = np.linspace(nearest, farthest, _NUM_BINS + 1)
    figure, axes = one_column(2.7)
    bins = [feh[(low <= mu) & (mu < high)] for low, high in pairwise(edges)]
    quantiles = np.transpose([_quantiles(values) for values in bins])
    _draw_bands(axes, _kpc((edges[:-1] + edges[1:]) / 2), quantiles)
    axes.set_ylabel(axis_label("feh", "dex"))
    _distance_axis(axes, _kpc(edges[[0, -1]]))
    sine = abs(np.sin(np.radians(glat)))
    if sine > 1e-3:
        label = f"height {'above' if glat > 0 else 'below'} the Sun [kpc]"
        _top_axis(axes, label, (lambda kpc: kpc * sine, lambda kpc: kpc / sine), logarithmic=True)
    _finish(figure, prior, glon, glat, columns=4)
    return figure


def prior_reddening(prior: Prior, glon: float, glat: float) -> Figure:
    """Reddening against distance: the median and the central 68 and 95 %; grey where no dust was measured.

    Args:
        prior: the prior.
        glon: Galactic longitude [deg].
        glat: Galactic latitude [deg].

    Raises:
        UserError: there is no such direction.
    """
    mu, density, _ = _density(prior, glon, glat)
    low, high = _range(mu, density.sum(axis=0))
    mu = np.linspace(low, high, 101)
    known = _reddening(prior, direction(glon, glat), jnp.asarray(mu, jnp.float32))
    quantiles, reliable = map(np.asarray, known)
    figure, axes = one_column(2.7)
    _draw_bands(axes, _kpc(mu), quantiles.T)
    if not np.all(reliable):
        blind = {"color": "0.5", "alpha": 0.25, "linewidth": 0, "label": "dust not measured"}
        axes.fill_between(_kpc(mu), 0, 1, where=~reliable, transform=axes.get_xaxis_transform(), zorder=0, **blind)
    axes.set_ylim(0, 1.05 * np.max(quantiles))
    axes.set_ylabel(axis_label("reddening", "mag"))
    _distance_axis(axes, _kpc(mu[[0, -1]]))
    _finish(figure, prior, glon, glat, columns=4)
    return figure


def draw_all(prior: Prior, glon: float, glat: float, labels: Sequence[str] = DEFAULT_LABELS) -> dict[str, Figure]:
    """All figures that can be drawn with these labels: density, kiel, metallicity, reddening.

    Raises:
        UserError: there is no such direction.
    """
    figures = {"density": prior_density(prior, glon, glat)}
    if {"teff", "logg"} <= set(labels):
        figures["kiel"] = prior_kiel(prior, glon, glat, labels)
    if "feh" in labels:
        figures["metallicity"] = prior_metallicity(prior, glon, glat, labels)
    return figures | {"reddening": prior_reddening(prior, glon, glat)}


def draws_towards(
    prior: Prior, position: Float[Array, " 2"], labels: Sequence[str], num_draws: int, seed: int = 0
) -> dict[str, Float[np.ndarray, " draw"]]:
    """Draws of labels, distance [pc] and reddening [mag] from a prior in a direction.

    Args:
        prior: the prior.
        position: Galactic longitude and latitude [deg], NaN for the average over the sky.
        labels: what the prior's labels are called.
        num_draws: how many.
        seed: of the draws.
    """
    theta, mu, reddening = (np.asarray(a) for a in _draw(prior, position, jax.random.key(seed), num_draws))
    drawn = dict(zip(labels, theta.T, strict=True))
    return drawn | {"distance": 10 * 10 ** (mu / 5), "reddening": reddening}


@eqx.filter_jit
def _draw(prior: Prior, position: Float[Array, " 2"], key, num_draws: int):
    return prior.sample(key, sightline(prior, position), num_draws)


def _density(
    prior: Prior, glon: float, glat: float
) -> tuple[Float[np.ndarray, " grid"], Float[np.ndarray, "component grid"], Sequence[str]]:
    """Distance moduli [mag], the density of every component there [mag⁻¹], and what the components are called."""
    sky = _sightline(prior, direction(glon, glat))
    names = getattr(getattr(prior, "distance", None), "names", None)
    if names is not None and hasattr(sky, "log_number"):
        return grid(), np.exp(np.asarray(sky.log_number, float)).T, [_words(name) for name in names]
    _, mu, _ = _draw(prior, direction(glon, glat), jax.random.key(0), _NUM_DRAWS)
    density, edges = np.histogram(np.asarray(mu), 2 * _NUM_BINS, density=True)
    return (edges[:-1] + edges[1:]) / 2, density[None], ["all"]


@eqx.filter_jit
def _sightline(prior: Prior, position: Float[Array, " 2"]) -> Any:
    return sightline(prior, position)


@eqx.filter_jit
def _reddening(
    prior: Prior, position: Float[Array, " 2"], mu: Float[Array, " distance"]
) -> tuple[Float[Array, "distance quantile"], Bool[Array, " distance"]]:
    """Quantiles of the reddening at every distance [mag], and whether the dust was measured there."""
    sky = sightline(prior, position)
    reddening = jnp.concatenate([jnp.zeros(1), jnp.geomspace(1e-5, 300.0, 1000)])

    def at(mu):
        below = jax.vmap(prior.reddening_given_distance(mu, sky).probability_below)(reddening)
        return jnp.interp(jnp.asarray(_PROBABILITIES), below, reddening)

    is_reliable = getattr(prior, "dust_is_reliable", None)
    everywhere = jnp.ones_like(mu, bool)
    measured = everywhere if is_reliable is None else jax.vmap(is_reliable, in_axes=(0, None))(mu, position)
    return jax.vmap(at)(mu), measured


def _label(draws: dict[str, np.ndarray], name: str) -> Float[np.ndarray, " draw"]:
    if name not in draws:
        raise UserError(f"the model has no label {name}, which this figure needs; it cannot be drawn with this model.")
    return draws[name]


def _quantiles(values: Float[np.ndarray, " draw"]) -> Float[np.ndarray, " quantile"]:
    return np.quantile(values, _PROBABILITIES) if len(values) >= _MIN_DRAWS else np.full(len(_PROBABILITIES), np.nan)


def _range(mu: Float[np.ndarray, " grid"], density: Float[np.ndarray, " grid"]) -> Float[np.ndarray, " 2"]:
    """Distance moduli between which nearly all stars are [mag]."""
    cumulative = np.cumsum(density) / density.sum()
    return np.interp([_OUTERMOST, 1 - _OUTERMOST], cumulative, mu)


def _draw_bands(axes, kpc: Float[np.ndarray, " distance"], quantiles: Float[np.ndarray, "quantile distance"]) -> None:
    """The median and the central intervals of 68 and 95 %."""
    low95, low68, median, high68, high95 = quantiles
    axes.fill_between(kpc, low95, high95, color=BLUE, alpha=0.2, linewidth=0, label="95 %")
    axes.fill_between(kpc, low68, high68, color=BLUE, alpha=0.35, linewidth=0, label="68 %")
    axes.plot(kpc, median, color=BLUE, linewidth=1.4, label="median")


def _distance_axis(axes, limits: Float[np.ndarray, " 2"]) -> None:
    axes.set_xscale("log")
    axes.set_xlim(*limits)
    log_ticks(axes.xaxis, *limits)
    axes.set_xlabel(axis_label("distance", "kpc"))


def _top_axis(axes, label: str, functions, *, logarithmic: bool) -> None:
    """A second scale for the distances."""
    top = axes.secondary_xaxis("top", functions=functions)
    if logarithmic:
        top.set_xscale("log")
        log_ticks(top.xaxis, *functions[0](np.asarray(axes.get_xlim())))
    else:
        top.xaxis.set_major_locator(MaxNLocator(7))
        top.xaxis.set_major_formatter(ScalarFormatter())
        top.xaxis.set_minor_locator(NullLocator())
    top.set_xlabel(label, size=TEXT)
    top.tick_params(labelsize=SMALL, length=2.5)


def _finish(figure: Figure, prior: Prior, glon: float, glat: float, *, columns: int) -> None:
    """Say of which prior and direction it is, and add a legend of so many columns below."""
    name = getattr(prior, "name", "") or type(prior).__name__
    figure.suptitle(f"{name}, $l$ = ${glon:g}$°, $b$ = ${glat:g}$°", size=TEXT)
    if columns:
        figure.legend(loc="outside lower center", ncols=columns, frameon=False, fontsize=SMALL, borderpad=0)


def _words(name: str) -> str:
    """What a file calls thin-disc-to-5-gyr."""
    return " ".join({"gyr": "Gyr", "myr": "Myr"}.get(word, word) for word in name.split("-"))


def _percent(share: float) -> str:
    return "< 0.1 %" if share < 1e-3 else f"{100 * share:.2g} %"


def _kpc(mu):
    return 0.01 * 10 ** (np.asarray(mu) / 5)


def _modulus(kpc):
    return 5 * np.log10(np.maximum(kpc, 1e-9)) + 10
