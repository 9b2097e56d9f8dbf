"""Residuals of colours and magnitudes in units of their standard deviations (Green et al. 2021, Eq. 18)."""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from albireo.model.stellar import StellarModel
from albireo.statistics import robust_width
from albireo.training.dataset import TrainingSet
from albireo.training.evaluate import match_bands
from albireo.training.stars import Star, fit_star, refit_reddening, stars_of, sweep

Combination = tuple[str] | tuple[str, str]
"""A magnitude by its band, or the colour of two bands, the first less the second."""


@dataclasses.dataclass(frozen=True)
class Scores:
    """Scores of stars: (observed − predicted)/σ.

    Attributes:
        values: the scores; NaN where a band was not observed, and of magnitudes without a usable parallax.
        reddening: the reddening that was assumed for every star [mag].
    """

    values: Float[np.ndarray, "star combination"]
    reddening: Float[np.ndarray, " star"]


def score(
    model: StellarModel,
    training_set: TrainingSet,
    combinations: Sequence[Combination],
    *,
    min_parallax_snr: float = 5.0,
    best_reddening: bool = True,
    with_scatter: bool = False,
) -> Scores:
    """Scores of magnitudes and colours of stars, with σ from the covariance of Eq. (4).

    Args:
        model: any model whose labels are those of the stars.
        training_set: the stars.
        combinations: bands and pairs of bands, all of the stars'.
        min_parallax_snr: a parallax of less signal-to-noise is not used.
        best_reddening: whether to take the reddening that fits best, Eqs. (8) and (9), as section 6 does; otherwise the
            catalogue's. As photometry went into the former, scores are then somewhat closer to zero than a unit normal.
        with_scatter: whether the covariance holds the model's scatter and spread too.

    Raises:
        UserError: the model lacks a band of the stars, or has other labels.
    """
    model = match_bands(model, training_set)
    model = model if with_scatter else model.exact()
    stars = stars_of(training_set, min_parallax_snr)
    if best_reddening:
        reddening, reddening_err = sweep(refit_reddening, model, stars)
        stars = stars._replace(reddening=reddening, reddening_err=reddening_err)
    signs = [[_sign(band, bands) for band in training_set.bands] for bands in combinations]
    return Scores(sweep(_score_star, (model, np.array(signs, float)), stars), stars.reddening)


def score_bands(
    model: StellarModel, training_set: TrainingSet, *, min_parallax_snr: float = 5.0, with_scatter: bool = False
) -> dict[str, dict[str, float]]:
    """What the scores of every band are like.

    Returns:
        For every band the number of stars observed in it, and the median and the robust width of the scores of its
        colour to the reference band; for the reference band those of its magnitude, from stars with a usable parallax.
    """
    reference, *others = training_set.bands
    combinations = [(reference,), *((band, reference) for band in others)]
    scores = score(
        model, training_set, combinations, min_parallax_snr=min_parallax_snr, with_scatter=with_scatter
    ).values
    observed = training_set.observed.sum(axis=0)
    return {
        band: {"num_stars": int(num), **_summary(column)}
        for band, num, column in zip(training_set.bands, observed, scores.T, strict=True)
    }


def _sign(band, bands):
    return float(band == bands[0]) - float(band in bands[1:])


def _score_star(model_and_signs: tuple[StellarModel, Float[Array, "combination band"]], star: Star):
    """Scores of one star, for rows of +1 and −1 that say which bands a magnitude or a colour is made of."""
    model, signs = model_and_signs
    return jax.vmap(lambda sign: _score(model, sign, star))(signs)


def _score(model, sign, star):
    """The square of a score is χ² of the star observed in nothing but the bands of a magnitude or colour.

    A colour is what is left of two bands where the distance is unconstrained.
    """
    is_magnitude, needed = jnp.sum(sign) > 0, sign != 0
    alone = star._replace(
        mag_err=jnp.where(needed, star.mag_err, jnp.inf), has_parallax=star.has_parallax & is_magnitude
    )
    fit = fit_star(model, alone)
    known = jnp.all(jnp.isfinite(star.mag_err) | ~needed) & (star.has_parallax | ~is_magnitude)
    size = jnp.sqrt(jnp.maximum(fit.chi2, 0.0))  # rounding may take it below zero
    return jnp.where(known, jnp.sign(sign @ fit.residual) * size, jnp.nan)


def _summary(scores):
    known = scores[np.isfinite(scores)]
    if not len(known):
        return {"median": float("nan"), "width": float("nan")}
    return {"median": float(np.median(known)), "width": robust_width(known)}
