"""Judging a trained model as Green et al. (2021) do in sections 5 and 6: figures, tables and pictures.

The pictures are in `albireo.evaluation.figures`, which needs matplotlib.
"""

from albireo.evaluation.compare import compare
from albireo.evaluation.report import Report, judge
from albireo.evaluation.scores import Scores, score, score_bands

__all__ = ["Report", "Scores", "compare", "judge", "score", "score_bands"]
