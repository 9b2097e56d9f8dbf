"""All figures of an evaluation by the names of their files."""

from collections.abc import Callable

from matplotlib.figure import Figure

from albireo.errors import UserError
from albireo.evaluation.diagrams import color_color, color_magnitude, mean_labels
from albireo.evaluation.extinction import extinction_variation, reddening_slopes
from albireo.evaluation.residuals import residuals, residuals_by_density
from albireo.model.stellar import StellarModel
from albireo.training.dataset import TrainingSet


def _color_color_logg(model: StellarModel, stars: TrainingSet) -> Figure:
    return color_color(model, stars, "logg")


def _color_color_feh(model: StellarModel, stars: TrainingSet) -> Figure:
    return color_color(model, stars, "feh")


FIGURES: dict[str, Callable[[StellarModel, TrainingSet], Figure]] = {
    "color_magnitude": color_magnitude,
    "mean_labels": mean_labels,
    "color_color_logg": _color_color_logg,
    "color_color_feh": _color_color_feh,
    "extinction_variation": extinction_variation,
    "reddening_slopes": reddening_slopes,
    "residuals": residuals,
    "residuals_by_density": residuals_by_density,
}


def draw_figures(model: StellarModel, stars: TrainingSet) -> tuple[dict[str, Figure], dict[str, str]]:
    """Draw what the model and the stars have the bands and labels for.

    Returns:
        The figures by name, and by name the reason why one was left out.
    """
    figures, left_out = {}, {}
    for name, draw in FIGURES.items():
        try:
            figures[name] = draw(model, stars)
        except UserError as error:
            left_out[name] = str(error)
    return figures, left_out
