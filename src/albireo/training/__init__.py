"""Training a stellar model on stars of known labels, and judging it on others."""

from albireo.training.config import TrainingConfig
from albireo.training.dataset import TrainingSet
from albireo.training.evaluate import Evaluation, evaluate
from albireo.training.loop import TrainingResult, train
from albireo.training.split import Split, split_stars
from albireo.training.zero_points import ZeroPoints, zero_points

__all__ = [
    "Evaluation",
    "Split",
    "TrainingConfig",
    "TrainingResult",
    "TrainingSet",
    "ZeroPoints",
    "evaluate",
    "split_stars",
    "train",
    "zero_points",
]
