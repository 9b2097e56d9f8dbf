"""The record of a training."""

import dataclasses

import numpy as np

from albireo.errors import UserError


@dataclasses.dataclass(frozen=True)
class Epoch:
    """Losses of one pass through the stars, Eq. (15) averaged over the stars that take part.

    Attributes:
        stage: "fit", with covariances held fixed, or "refine", with covariances that follow the model.
        iteration: number of the iteration, from 0.
        epoch: number of the epoch in it, from 0.
        loss: loss of the training stars while the epoch ran.
        validation_loss: loss of the validation stars after it; NaN without such stars.
    """

    stage: str
    iteration: int
    epoch: int
    loss: float
    validation_loss: float


def check_finite(record: Epoch) -> Epoch:
    """The record itself.

    Raises:
        UserError: its loss is not finite.
    """
    if not np.isfinite(record.loss):
        raise UserError(
            f"the loss is not finite in iteration {record.iteration + 1}, epoch {record.epoch + 1}: lower the learning "
            "rate, or look for stars whose magnitudes, labels or errors are far off; a checkpoint of the iteration "
            "before is kept where one was asked for."
        )
    return record
