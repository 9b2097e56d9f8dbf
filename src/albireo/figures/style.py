"""What all figures share: colours, sizes, how axes are named, and how columns are read."""

from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from albireo.errors import UserError

# Colours that stay apart for colour-blind readers (Okabe & Ito 2008, "Color Universal Design").
BLUE, VERMILLION, GRAY = "#0072B2", "#D55E00", "0.6"
# Uniform in lightness, nearly the same to colour-blind readers (Nuñez, Anderton & Renslow 2018, PLOS ONE 13, e0199239).
COLORMAP = "cividis"
# The width of a journal's column [in], and the sizes of text that can be read at it [pt].
COLUMN = 3.5
TEXT, SMALL = 8, 7

_SYMBOLS = {
    "teff": r"$T_\mathrm{eff}$",
    "logg": r"$\log g$",
    "feh": "[Fe/H]",
    "alpha_fe": "[α/Fe]",
    "distance_modulus": "distance modulus",
}


def axis_label(name: str, unit: str) -> str:
    """What to write beside an axis."""
    return f"{_SYMBOLS.get(name, name.replace('_', ' '))}{f' [{unit}]' if unit else ''}"


def one_column(height: float, rows: int = 1, **options: Any) -> tuple[Figure, Any]:
    """A figure of one column's width and its axes, one or an array of them.

    Args:
        height: of the figure [in].
        rows: panels below each other.
        options: as `Figure.subplots` takes them.
    """
    figure = Figure(figsize=(COLUMN, height), layout="constrained")
    axes = figure.subplots(rows, **options)
    for each in np.atleast_1d(axes).flat:
        each.tick_params(labelsize=SMALL, length=2.5)
        each.xaxis.label.set_size(TEXT)
        each.yaxis.label.set_size(TEXT)
        each.title.set_size(TEXT)
    return figure, axes


def add_legend(axes, **options: Any) -> None:
    """A small legend without a frame."""
    axes.legend(frameon=False, fontsize=SMALL, **options)


def log_ticks(axis, low: float, high: float) -> None:
    """Plain numbers on a logarithmic axis between two values: 1, 2, 5, 10, or 1, 10, 100 on a long one."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 2000 * low else (1.0,)))
    axis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_minor_formatter(NullFormatter())


def column(table: Any, name: str) -> np.ndarray:
    """A column of an astropy Table or a pandas DataFrame as plain numbers, missing ones NaN.

    Raises:
        UserError: there is no such column.
    """
    try:
        values = table[name]
    except KeyError:
        raise UserError(
            f"the table has no column {name!r}, which this figure needs; give the summary of a run."
        ) from None
    if np.ma.isMaskedArray(values):
        values = np.ma.filled(values.astype(float), np.nan)
    return np.asarray(values)


def median_and_interval(summary: Any, name: str) -> tuple[Float[np.ndarray, " star"], Float[np.ndarray, "2 star"]]:
    """Medians of a variable, and how far the 16th and 84th percentiles lie below and above."""
    p16, p50, p84 = (column(summary, f"{name}_{percentile}") for percentile in ("p16", "p50", "p84"))
    return p50, np.stack([p50 - p16, p84 - p50])


def check_same_stars(num: int, table: Any, what: str) -> None:
    """Refuse another table that does not go with a summary row by row.

    Raises:
        UserError: as said.
    """
    if len(table) != num:
        raise UserError(f"{what} must have the summary's {num} stars in the same order; got {len(table)}.")
