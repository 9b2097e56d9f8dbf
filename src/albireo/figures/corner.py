"""Corner plot of one star."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from albireo.errors import UserError
from albireo.figures.of_prior import draws_towards
from albireo.figures.style import BLUE, GRAY, VERMILLION, axis_label

if TYPE_CHECKING:
    from albireo.posterior import Posterior

# Digits after the point; other variables get three significant digits.
_DIGITS = {"teff": 0, "logg": 2, "feh": 2, "distance_modulus": 2, "distance": 0, "reddening": 3, "extinction": 3}


def corner(
    posterior: "Posterior",
    star: str | int,
    truth: Mapping[str, float] | None = None,
    prior_draws: Mapping[str, Float[np.ndarray, " draw"]] | None = None,
) -> Figure:
    """Corner plot of one star's labels, distance and reddening: contours hold 39 and 86 % (1 and 2 σ) of the draws.

    With this many panels it takes the width of a page to be readable, not that of a column.

    Args:
        posterior: the posterior of one or more stars.
        star: the star's id, or its place among the stars.
        truth: published values to mark, by variable name, in the variables' units.
        prior_draws: draws from the prior by variable name, see `draw_from_prior`; drawn faint beside the marginals.

    Raises:
        UserError: there is no such star, or it could not be sampled.
    """
    from corner import corner as draw_corner

    drawn = posterior.tree["posterior"].to_dataset().isel(star=posterior.index(star))
    names = (*posterior.tree.attrs["labels"].split(","), "distance", "reddening")
    draws = {name: drawn[name].values.ravel() for name in names}
    if not all(np.isfinite(values).all() for values in draws.values()):
        raise UserError(
            f"star {drawn['star'].item()} could not be sampled, so there is nothing to draw; see its flags."
        )
    truth = {name: float(value) for name, value in (truth or {}).items() if np.isfinite(value)}
    figure = Figure(figsize=(1.4 * len(names), 1.4 * len(names)))
    draw_corner(
        np.stack(list(draws.values()), axis=-1),
        bins=24,
        range=[_range(draws[name], truth.get(name)) for name in names],
        labels=[axis_label(name, drawn[name].attrs.get("units", "")) for name in names],
        labelpad=0.05,
        truths=[truth.get(name) for name in names],
        truth_color=VERMILLION,
        color=BLUE,
        levels=1 - np.exp(-0.5 * np.array([1.0, 2.0]) ** 2),
        smooth=1.2,
        fill_contours=True,
        plot_datapoints=False,
        plot_density=False,
        max_n_ticks=3,
        hist_kwargs={"density": True, "linewidth": 1.2},
        fig=figure,
    )
    grid = np.array(figure.axes).reshape(len(names), len(names))
    for axes, name in zip(np.diag(grid), names, strict=True):
        _add_prior(axes, (prior_draws or {}).get(name))
        axes.set_title(_interval_text(name, draws[name]), fontsize=9)
    for axes in grid.flat:
        axes.tick_params(labelsize=8, length=3)
    figure.subplots_adjust(left=0.11, bottom=0.1, right=0.98, top=0.96)
    _add_legend(figure, str(drawn["star"].item()), has_prior=bool(prior_draws), has_truth=bool(truth))
    return figure


def draw_from_prior(
    posterior: "Posterior", star: str | int, num_draws: int = 20_000, seed: int = 0
) -> dict[str, Float[np.ndarray, " draw"]]:
    """Draws of labels, distance [pc] and reddening [mag] from the prior along a star's line of sight.

    Raises:
        UserError: the posterior was read from a file, which does not hold the prior, or there is no such star.
    """
    if posterior.problem is None:
        raise UserError("this posterior was loaded from a file, without its prior; infer again to draw from it.")
    constant = posterior.tree["constant_data"].to_dataset().isel(star=posterior.index(star))
    problem = posterior.problem
    position = jnp.asarray([constant["glon"].item(), constant["glat"].item()], jnp.float32)
    return draws_towards(problem.prior, position, problem.model.labels, num_draws, seed)


def _range(draws: Float[np.ndarray, " draw"], truth: float | None) -> tuple[float, float]:
    """All but the outermost draws, and the published value, with some room; never of zero width."""
    low, high = np.quantile(draws, [0.002, 0.998])
    if truth is not None:
        low, high = min(low, truth), max(high, truth)
    room = 0.05 * (high - low) + 1e-6 * abs(high) + 1e-9
    return low - room, high + room


def _add_prior(axes, draws: Float[np.ndarray, " draw"] | None) -> None:
    """The prior's density on the scale of the marginal; a broad prior is a low line."""
    if draws is None:
        return
    low, high = axes.get_xlim()
    edges = np.linspace(low, high, 21)
    counts, _ = np.histogram(draws, edges)
    axes.stairs(counts / len(draws) / (edges[1] - edges[0]), edges, fill=True, color=GRAY, alpha=0.5, zorder=0)


def _interval_text(name: str, draws: Float[np.ndarray, " draw"]) -> str:
    p16, p50, p84 = np.quantile(draws, [0.16, 0.5, 0.84])
    digits = _DIGITS.get(name, max(0, 2 - int(np.floor(np.log10(p84 - p16 + 1e-12)))))
    return f"${p50:.{digits}f}^{{+{p84 - p50:.{digits}f}}}_{{-{p50 - p16:.{digits}f}}}$"


def _add_legend(figure: Figure, title: str, *, has_prior: bool, has_truth: bool) -> None:
    lines = [Line2D([], [], color=BLUE, label="posterior")]
    if has_prior:
        lines.append(Line2D([], [], color=GRAY, alpha=0.5, linewidth=6, label="prior"))
    if has_truth:
        lines.append(Line2D([], [], color=VERMILLION, marker="s", label="published"))
    figure.legend(handles=lines, title=title, loc="upper right", bbox_to_anchor=(0.95, 0.95), frameon=False)
