"""Which stars a model learns from, and which it is judged by."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from albireo.training.config import TrainingConfig
from albireo.training.dataset import TrainingSet


class Split(NamedTuple):
    """Stars of a training set by what they are for."""

    train: Int[np.ndarray, " train"]
    validation: Int[np.ndarray, " validation"]
    test: Int[np.ndarray, " test"]


def split_stars(training_set: TrainingSet, config: TrainingConfig) -> Split:
    """Training, validation and test stars, by a random rank of the rows of the table they came from.

    The first ranks are for testing: which stars these are depends on `split_seed`, on the number of rows and on the
    fraction of test stars alone, not on how the others are divided, nor on which rows could be used.
    """
    rows = np.random.default_rng(config.split_seed).permutation(training_set.num_rows)
    rank = np.empty(training_set.num_rows)
    rank[rows] = np.arange(training_set.num_rows) / training_set.num_rows
    rank = rank[training_set.row]
    _, validation, test = config.split
    parts = rank >= test + validation, (rank >= test) & (rank < test + validation), rank < test
    return Split(*(np.flatnonzero(part) for part in parts))
