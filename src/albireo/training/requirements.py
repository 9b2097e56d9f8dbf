"""What a training set must have for a model to be learned from it."""

import numpy as np

from albireo.errors import UserError
from albireo.training.config import TrainingConfig
from albireo.training.dataset import TrainingSet
from albireo.training.split import Split

# A model of thirteen bands has 1,600 weights; below these numbers a fit means nothing.
MIN_STARS = 100
MIN_STARS_PER_BAND = 20


def check_can_be_learned(training_set: TrainingSet, split: Split, config: TrainingConfig) -> None:
    """Refuse stars from which nothing can be learned, before any time goes into them.

    Raises:
        UserError: too few stars, in a band, with a parallax or for their density; a label that does not vary or has no
            bandwidth; a star that cannot be used.
    """
    learned = training_set[split.train]
    if len(learned) < MIN_STARS:
        raise UserError(
            f"training needs at least {MIN_STARS} stars to learn from; of the {len(training_set)} that can be used the "
            f"split leaves {len(learned)}: give more."
        )
    num_known = len(split.train) + len(split.validation)
    if config.density_components > num_known:
        raise UserError(
            f"training option density_components must be at most the number of training and validation stars, "
            f"{num_known}; got {config.density_components}."
        )
    _check_counts(learned, config)
    _check_stars(training_set)
    _check_labels(learned, config)


def _check_counts(learned, config):
    for band, count in zip(learned.bands, learned.observed.sum(axis=0), strict=True):
        if count < MIN_STARS_PER_BAND:
            raise UserError(
                f"band {band!r} needs {MIN_STARS_PER_BAND} training stars and has {count}; leave it out, or give more."
            )
    count = learned.usable_parallax(config.min_parallax_snr).sum()
    if count < MIN_STARS_PER_BAND:
        raise UserError(
            f"absolute magnitudes need {MIN_STARS_PER_BAND} training stars with a parallax above "
            f"{config.min_parallax_snr:g} times its error and have {count}; give more."
        )


def _check_stars(training_set):
    for fault, bad in training_set.faults().items():
        if bad.any():
            raise UserError(
                f"{bad.sum()} stars cannot be trained on, the first in row {training_set.row[bad][0]}: {fault}; make "
                "the training set with from_table or from_catalog, which leave such stars out."
            )


def _check_labels(learned, config):
    for label, values in zip(learned.labels, learned.theta.T, strict=True):
        if label not in config.bandwidth:
            raise UserError(f"training option bandwidth has no width for label {label!r}; add it, in the label's unit.")
        if not np.ptp(values) > 0:
            raise UserError(
                f"label {label!r} is the same for all training stars; leave it out, or give stars that differ in it."
            )
