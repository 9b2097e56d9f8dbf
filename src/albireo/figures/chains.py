"""How the chains of one star ran, drawn by ArviZ."""

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Text

from albireo.errors import UserError
from albireo.figures.style import TEXT
from albireo.groups import arviz_version, as_arviz, labels_of

if TYPE_CHECKING:
    from albireo.posterior import Posterior


def trace(posterior: "Posterior", star: str | int) -> Figure:
    """Draws of one star's labels, distance and reddening in the order they were made, and their densities by chain.

    Args:
        posterior: the posterior of one or more stars, of a sampler that runs chains.
        star: the star's id, or its place among the stars.

    Raises:
        UserError: there is no such star, it could not be sampled, or its draws are no chains.
    """
    return _drawn(posterior, star, {0: "plot_trace", 1: "plot_trace_dist"}, {0: {"figsize": (7, 7.5)}})


def rank(posterior: "Posterior", star: str | int) -> Figure:
    """Ranks of each chain's draws among those of all chains: even where the chains agree.

    Args and Raises are those of `trace`.
    """
    return _drawn(posterior, star, {0: "plot_rank", 1: "plot_rank"}, {0: {"figsize": (7, 5)}})


def _drawn(posterior: "Posterior", star: str | int, names: dict[int, str], options: dict[int, dict]) -> Figure:
    """What ArviZ's function draws of a star; its name and options depend on whether ArviZ is of version 0 or later."""
    import arviz as az

    version = min(arviz_version(), 1)
    data, variables = _chains(posterior, star)
    figure = _without_pyplot(lambda: getattr(az, names[version])(data, var_names=variables, **options.get(version, {})))
    figure.set_layout_engine("constrained")
    figure.suptitle(str(posterior[star].tree["posterior"]["star"].values[0]))
    for text in figure.findobj(Text):
        text.set_fontsize(TEXT)
    return figure


def _chains(posterior: "Posterior", star: str | int) -> tuple[Any, list[str]]:
    """One star's draws and the statistics of its sampler for ArviZ, and the variables to draw."""
    one = posterior[star].tree
    name = str(one["posterior"]["star"].values[0])
    if "weighted_posterior" in one.children or one["posterior"].sizes["chain"] < 2:
        raise UserError(f"the draws of {name} are no chains; infer it with `--sampler nuts` to see some.")
    groups = {group: one[group].to_dataset().isel(star=0, drop=True) for group in ("posterior", "sample_stats")}
    if not np.isfinite(groups["posterior"]["distance"]).all():
        raise UserError(f"star {name} could not be sampled, so there is nothing to draw; see its flags.")
    return as_arviz(groups, {}), [*labels_of(one), "distance", "reddening"]


def _without_pyplot(draw: Callable[[], Any]) -> Figure:
    """The figure that a function makes with pyplot, taken out of pyplot's hands."""
    from matplotlib import pyplot as plt

    before = set(plt.get_fignums())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # remarks on what ArviZ calls of matplotlib are for its developers
        draw()
    (number,) = set(plt.get_fignums()) - before
    figure = plt.figure(number)
    plt.close(figure)
    return figure
