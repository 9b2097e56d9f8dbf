"""The record of a training."""

import dataclasses


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
