"""What the model's extinction is like, beside theory and other measurements (Green et al. 2021, Figs. 10 and 11)."""

import math

import jax.numpy as jnp
import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from albireo.bands import band_text, in_order
from albireo.errors import UserError
from albireo.evaluation.names import label_text
from albireo.evaluation.passbands import relative_extinction
from albireo.figures import COLORMAP, VERMILLION
from albireo.model.stellar import StellarModel
from albireo.training.dataset import TrainingSet
from albireo.training.evaluate import match_bands

# Schlafly et al. (2016, ApJ 821, 78): reddening vector at x = 0 and its derivative by x, up to a constant that is the
# same in all bands, which no reddening depends on. These are the numbers of the authors' published implementation of
# their curve, `extcurve_s16`, checked against four copies of it in other packages.
_SCHLAFLY = {
    "ps1_g": (0.65373283, -0.54278669),
    "ps1_r": (0.39063843, 0.03404903),
    "ps1_i": (0.20197893, 0.36841725),
    "ps1_z": (0.07871701, 0.42265873),
    "ps1_y": (-0.00476316, 0.38247769),
    "2mass_j": (-0.14213929, 0.14148814),
    "2mass_h": (-0.23660605, -0.04020524),
    "2mass_ks": (-0.28522577, -0.13457319),
    "wise_w1": (-0.321301, -0.26883343),
    "wise_w2": (-0.33503192, -0.36269229),
}
# R_V = 3.3 + 9.1 x, as users of the curve take it; its authors say that x = 0.04 is about R_V = 3.6.
_MEAN_R_V, _R_V_PER_X = 3.3, 9.1
_SHOWN_R_V = (2.9, 3.3, 3.7)

_MAX_COLUMNS = 5


def extinction_variation(model: StellarModel, stars: TrainingSet) -> Figure:
    """R of every star against its effective temperature, relative to R at the mean labels, Eq. (17), in every band.

    Where a passband is known the curve is R of black bodies behind thin dust of Fitzpatrick (1999), R_V = 3.1.

    Raises:
        UserError: the model and the stars do not fit, or teff or another label is not there.
    """
    model = match_bands(model, stars)
    others = [label for label in model.labels if label != "teff"]
    if len(others) == len(model.labels) or not others:
        raise UserError(f"it needs the label teff and another one; the model has {', '.join(model.labels)}.")
    shade = "logg" if "logg" in others else others[0]
    teff, shading = (stars.theta[:, model.labels.index(label)] for label in ("teff", shade))
    mean = model.extinction_vector(jnp.asarray(stars.theta.mean(axis=0)))
    percent = 100 * np.asarray(model.extinction_vector(jnp.asarray(stars.theta)) / mean - 1)
    low, high = np.percentile(teff, [0.5, 99.5])
    bands = in_order(model.bands)
    rows = math.ceil(len(bands) / _MAX_COLUMNS)
    columns = math.ceil(len(bands) / rows)
    figure = Figure(figsize=(7.5, 1.0 + 1.6 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    reach = 1.15 * np.percentile(np.abs(percent), 99.7, axis=0).max() + 1
    limits = {
        "extent": (low, high, -reach, reach),
        "vmin": np.percentile(shading, 2),
        "vmax": np.percentile(shading, 98),
    }
    missing = {}
    for axes, band in zip(grid.flat, bands, strict=False):
        drawn = axes.hexbin(
            teff, percent[:, model.bands.index(band)], C=shading, gridsize=30, cmap=COLORMAP, linewidths=0.1, **limits
        )
        try:
            at = np.linspace(low, high, 60)
            axes.plot(at, 100 * relative_extinction(band, at, teff.mean()), color=VERMILLION, linewidth=1.5)
        except UserError as error:
            missing.setdefault(str(error), []).append(band)
        axes.text(0.05, 0.9, band_text(band), va="top", transform=axes.transAxes)
        axes.set(xlim=(low, high), ylim=(-reach, reach))
    for number, axes in enumerate(grid.flat):
        axes.set_visible(number < len(bands))
        axes.tick_params(labelbottom=number + columns >= len(bands))
    figure.colorbar(drawn, ax=grid, label=f"mean {label_text(shade)}", extend="both", aspect=45)
    figure.supxlabel(label_text("teff"), fontsize=10)
    figure.supylabel("Δ$R$ / $R$ [%]", fontsize=10)
    _explain(figure, len(bands), missing)
    return figure


def _explain(figure, num_bands, missing) -> None:
    """What the curves are, or why there are none."""
    words = ["curves: black bodies behind thin dust of Fitzpatrick (1999), $R_V$ = 3.1"]
    if sum(map(len, missing.values())) == num_bands:
        words = []
    for why, bands in missing.items():
        where = "no curves" if len(bands) == num_bands else f"no curve in {', '.join(map(band_text, bands))}"
        words.append(f"{where}: {why.rstrip('.')}")
    figure.suptitle("\n".join(words), fontsize=9)


def reddening_slopes(model: StellarModel, stars: TrainingSet) -> Figure:
    """Ratios of reddenings, E(a − b) / E(b − c) of bands that follow each other, beside Schlafly et al. (2016).

    Raises:
        UserError: the model and the stars do not fit, or fewer than three of the bands are among theirs.
    """
    model = match_bands(model, stars)
    bands = [band for band in in_order(model.bands) if band in _SCHLAFLY]
    if len(bands) < 3:
        raise UserError(f"it needs three of the bands {', '.join(_SCHLAFLY)}; there are {', '.join(bands) or 'none'}.")
    extinction = np.asarray(model.extinction_vector(jnp.asarray(stars.theta)), float)
    slopes = _slopes(extinction[:, [model.bands.index(band) for band in bands]])
    low, middle, high = np.percentile(slopes, [16, 50, 84], axis=0)
    place = np.arange(len(middle))
    figure = Figure(figsize=(7.0, 4.0), layout="constrained")
    axes = figure.subplots()
    axes.fill_between(place, low, high, color="0.75", label="model, 16 to 84 % of the stars")
    axes.plot(place, middle, color="black", linewidth=1.8, label="model, median")
    colors = matplotlib.colormaps[COLORMAP](np.linspace(0.05, 0.9, len(_SHOWN_R_V)))
    for r_v, color, marker in zip(_SHOWN_R_V, colors, "v.^", strict=True):
        label = f"Schlafly et al. (2016), $R_V$ = {r_v}"
        axes.plot(place, schlafly_slopes(bands, r_v), color=color, marker=marker, linestyle="--", label=label)
    names = [f"{band_text(*bands[i : i + 2])}\n{band_text(*bands[i + 1 : i + 3])}" for i in place]
    axes.set_xticks(place, names)
    axes.tick_params(axis="x", labelsize=8)
    axes.set(xlabel="colours $a − b$ over $b − c$", ylabel="$E(a − b)$ / $E(b − c)$")
    axes.legend(frameon=False, fontsize=9)
    return figure


def schlafly_slopes(bands: list[str], r_v: float) -> Float[np.ndarray, " slope"]:
    """E(a − b) / E(b − c) of bands that follow each other, after Schlafly et al. (2016)."""
    mean, derivative = np.array([_SCHLAFLY[band] for band in bands]).T
    return _slopes(mean + (r_v - _MEAN_R_V) / _R_V_PER_X * derivative)


def _slopes(extinction: Float[np.ndarray, "*star band"]) -> Float[np.ndarray, "*star slope"]:
    reddening = -np.diff(extinction, axis=-1)
    return reddening[..., :-1] / reddening[..., 1:]
