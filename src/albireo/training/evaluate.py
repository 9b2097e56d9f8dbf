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
        chi2_per_dof: mean χ²/dof of the stars below 5.
        outlier_fraction: fraction of stars above 5.
        mean_log_likelihood: mean log density of a star's magnitudes, all stars.
        by_survey: the same figures for the stars of every survey, where it is known.
        star_chi2_per_dof: χ²/dof of every star.
        star_log_likelihood: log density of every star.
    """

    num_stars: int
    chi2_per_dof: float
    outlier_fraction: float
    mean_log_likelihood: float
    by_survey: dict[str, dict[str, float]]
    star_chi2_per_dof: Float[np.ndarray, " star"] = dataclasses.field(repr=False)
    star_log_likelihood: Float[np.ndarray, " star"] = dataclasses.field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """The figures alone, as plain values."""
        return {
            "num_stars": self.num_stars,
            "chi2_per_dof": self.chi2_per_dof,
            "outlier_fraction": self.outlier_fraction,
            "mean_log_likelihood": self.mean_log_likelihood,
            "by_survey": self.by_survey,
        }


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
    if model.labels != training_set.labels:
        raise UserError(f"the model has labels {model.labels}, the stars have {training_set.labels}; they must agree.")
    missing = [band for band in training_set.bands if band not in model.bands]
    if missing:
        raise UserError(f"the model has no band {missing[0]!r} of the stars; read them with bands={model.bands}.")
    stars = training_set if indices is None else training_set[indices]
    model = model.select_bands(stars.bands)
    fit = sweep(fit_star, model if with_scatter else model.exact(), stars_of(stars, min_parallax_snr))
    ratio, log_likelihood = fit.chi2 / fit.dof, fit.log_likelihood
    surveys = {} if stars.survey is None else {str(name): stars.survey == name for name in np.unique(stars.survey)}
    return Evaluation(
        **_figures(ratio, log_likelihood),
        by_survey={name: _figures(ratio[chosen], log_likelihood[chosen]) for name, chosen in surveys.items()},
        star_chi2_per_dof=ratio,
        star_log_likelihood=log_likelihood,
    )


def _figures(ratio, log_likelihood):
    below = ratio < OUTLIER
    return {
        "num_stars": len(ratio),
        "chi2_per_dof": float(ratio[below].mean()) if below.any() else float("nan"),
        "outlier_fraction": float(np.mean(~below)),
        "mean_log_likelihood": float(log_likelihood.mean()),
    }
