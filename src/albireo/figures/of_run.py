"""Figures of a run by the names that the command line has for them."""

import contextlib

import numpy as np
from matplotlib.figure import Figure

from albireo.errors import UserError
from albireo.figures.chains import rank, trace
from albireo.figures.corner import corner, draw_from_prior
from albireo.figures.diagrams import color_magnitude, kiel_diagram, sightline
from albireo.figures.pulls import pulls
from albireo.figures.sed import sed
from albireo.runs import Run


def draw(kind: str, run: Run, star: str | None = None) -> Figure:
    """Draw a figure of a run.

    Args:
        kind: "corner", "sed", "trace" or "rank" of one star; "kiel", "cmd", "sightline" or "pulls" of all.
        run: the run.
        star: the star's id; the first one that could be sampled by default.

    Raises:
        UserError: there is no such star, or the run does not hold what the figure needs.
    """
    if kind in _OF_ONE_STAR:
        return _OF_ONE_STAR[kind](run, run.index(star))
    return _OF_ALL[kind](run)


def _corner(run: Run, index: int) -> Figure:
    posterior = run.posterior(index)
    prior = None if posterior.problem is None else draw_from_prior(posterior, 0)
    truth = {}
    with contextlib.suppress(UserError):  # without the input no labels are known, and the rest is drawn all the same
        catalog = run.catalog()[index]
        truth = dict(zip(catalog.labels, catalog.theta[0], strict=True))
    return corner(posterior, 0, truth, prior)


def _sed(run: Run, index: int) -> Figure:
    posterior = run.posterior(index)
    if posterior.problem is None:
        run.problem()  # says why the model is not to be had
    return sed(posterior, 0)


def _color_magnitude(run: Run) -> Figure:
    return color_magnitude(run.summary, run.catalog(), run.problem().model)


def _pulls(run: Run) -> Figure:
    catalog = run.catalog()
    if not np.isfinite(catalog.theta).any():
        raise UserError("the input has no labels to compare with; add columns teff and teff_err, and so on, to it.")
    return pulls(run.summary, catalog)


_OF_ONE_STAR = {
    "corner": _corner,
    "sed": _sed,
    "trace": lambda run, index: trace(run.posterior(index), 0),
    "rank": lambda run, index: rank(run.posterior(index), 0),
}
_OF_ALL = {
    "kiel": lambda run: kiel_diagram(run.summary),
    "cmd": _color_magnitude,
    "sightline": lambda run: sightline(run.summary),
    "pulls": _pulls,
}
