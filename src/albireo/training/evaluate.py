"""How well a model predicts stars it has not seen (Green et al. 2021, sections 4 and 5)."""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from albireo.errors import UserError
from albireo.model.stellar import StellarModel
from albireo.training.dataset import TrainingSet
from albireo.training.stars import fit_star, stars_of, sweep

# Stars above this χ²/dof count as outliers (section 4).
OUTLIER = 5.0


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Figures of a model on a set of stars.

    Attributes:
        num_stars: stars looked at.
        loss: mean χ² per band of the model, observed or not, of the stars below 5: Eq. (15) without its penalties.
        chi2_per_dof: mean χ²/dof of the stars below 5.
        outlier_fraction: fraction of stars above 5.
        mean_log_likelihood: mean log density of a star's magnitudes, all stars.
        by_survey: the same figures for the stars of every survey, where it is known.
        by_reddening_source: the same for every source of the first estimate of the reddening, where it is known.
        star_chi2_per_dof: χ²/dof of every star; NaN without a degree of freedom, and then in none of the means of it.
        star_log_likelihood: log density of every star.
    """

    num_stars: int
    loss: float
    chi2_per_dof: float
    outlier_fraction: float
    mean_log_likelihood: float
    by_survey: dict[str, dict[str, float]]
    by_reddening_source: dict[str, dict[str, float]]
    star_chi2_per_dof: Float[np.ndarray, " star"] = dataclasses.field(repr=False)
    star_log_likelihood: Float[np.ndarray, " star"] = dataclasses.field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """The figures alone, as plain values."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: value for name, value in values.items() if not name.startswith("star_")}


def evaluate(
    model: StellarModel,
    training_set: TrainingSet,
    indices: Int[np.ndarray, " selected"] | None = None,
    *,
    min_parallax_snr: float = 5.0,
    with_scatter: bool = False,
) -> Evaluation:
    """Compare a model with stars of known labels.

    The covariance is that of Eq. (4) with the catalogue's reddening and its error. Degrees of freedom are the observed
    bands, less one for the reddening, less one without a usable parallax.

    Args:
        model: any model whose labels are those of the stars; of its bands those of the stars are used.
        training_set: the stars.
        indices: which of them; all by default.
        min_parallax_snr: a parallax of less signal-to-noise is not used.
        with_scatter: whether the covariance holds the model's scatter and spread too, for stars whose errors hold no
            floor.

    Raises:
        UserError: the model lacks a band of the stars, or has other labels.
    """
    stars = training_set if indices is None else training_set[indices]
    model = match_bands(model, stars)
    fit = sweep(fit_star, model if with_scatter else model.exact(), stars_of(stars, min_parallax_snr))
    # Two bands and a parallax of too little signal-to-noise leave no degree of freedom.
    dof = np.where(fit.dof > 0, fit.dof, np.nan)
    figures = _Figures(fit.chi2 / dof, fit.chi2 / len(stars.bands), fit.log_likelihood)
    return Evaluation(
        **figures.of(np.ones(len(stars), bool)),
        by_survey=figures.by(stars.survey),
        by_reddening_source=figures.by(stars.reddening_source),
        star_chi2_per_dof=figures.ratio,
        star_log_likelihood=figures.log_likelihood,
    )


def match_bands(model: StellarModel, training_set: TrainingSet) -> StellarModel:
    """The model with the bands of the stars.

    Raises:
        UserError: the model lacks a band of the stars, or has other labels.
    """
    if model.labels != training_set.labels:
        raise UserError(f"the model has labels {model.labels}, the stars have {training_set.labels}; they must agree.")
    missing = [band for band in training_set.bands if band not in model.bands]
    if missing:
        raise UserError(f"the model has no band {missing[0]!r} of the stars; read them with bands={model.bands}.")
    return model.select_bands(training_set.bands)


@dataclasses.dataclass(frozen=True)
class _Figures:
    """What stars add to the figures, for the figures of any group of them."""

    ratio: Float[np.ndarray, " star"]
    chi2_per_band: Float[np.ndarray, " star"]
    log_likelihood: Float[np.ndarray, " star"]

    def of(self, chosen):
        below = chosen & (self.ratio < OUTLIER)
        return {
            "num_stars": int(chosen.sum()),
            "loss": _mean(self.chi2_per_band[below]),
            "chi2_per_dof": _mean(self.ratio[below]),
            "outlier_fraction": _mean(self.ratio[chosen & np.isfinite(self.ratio)] >= OUTLIER),
            "mean_log_likelihood": _mean(self.log_likelihood[chosen]),
        }

    def by(self, names):
        return {} if names is None else {str(name): self.of(names == name) for name in np.unique(names)}


def _mean(values):
    return float(values.mean()) if len(values) else float("nan")
