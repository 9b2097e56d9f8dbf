"""Figures: each function returns a matplotlib Figure, which the caller saves or shows."""

from albireo.figures.chains import rank, trace
from albireo.figures.corner import corner, draw_from_prior
from albireo.figures.diagrams import color_magnitude, kiel_diagram, sightline
from albireo.figures.of_prior import prior_density, prior_kiel, prior_metallicity, prior_reddening
from albireo.figures.pulls import pulls
from albireo.figures.sed import sed
from albireo.figures.style import BLUE, COLORMAP, GRAY, VERMILLION, axis_label

__all__ = [
    "BLUE",
    "COLORMAP",
    "GRAY",
    "VERMILLION",
    "axis_label",
    "color_magnitude",
    "corner",
    "draw_from_prior",
    "kiel_diagram",
    "prior_density",
    "prior_kiel",
    "prior_metallicity",
    "prior_reddening",
    "pulls",
    "rank",
    "sed",
    "sightline",
    "trace",
]
