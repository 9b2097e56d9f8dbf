"""Why a loss is not finite: looked for once it has happened, so that the epochs lose no time to it."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from albireo.errors import UserError
from albireo.model.stellar import StellarModel
from albireo.training.history import Epoch
from albireo.training.stars import sweep
from albireo.training.weights import weights_of, with_weights

# Epochs run in single precision, where Adam squares the gradient.
_LARGEST = float(np.finfo(np.float32).max)
# A derivative by every weight for so many stars at a time.
_CHUNK = 512
# So many rows are named in a message.
_NAMED = 5

Chi2 = Callable[[StellarModel, Any], Float[Array, ""]]


def is_finite(record: Epoch, carry: Any, *, watched: bool) -> bool:
    """Whether the losses of an epoch, and the weights and the optimiser's state after it, are all finite.

    Args:
        record: the losses.
        carry: weights and state.
        watched: whether there are validation stars; their loss is NaN otherwise.
    """
    return bool(
        np.isfinite(record.loss) and (not watched or np.isfinite(record.validation_loss)) and _all_finite(carry)
    )


@jax.jit
def _all_finite(tree):
    return jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]).all()


def blame(
    record: Epoch,
    chi2: Chi2,
    model: StellarModel,
    train: tuple[Any, Int[np.ndarray, " train"]],
    validation: tuple[Any, Int[np.ndarray, " validation"]],
    steps: Int[np.ndarray, "step star"],
) -> UserError:
    """The error to raise for an epoch whose outcome is not finite.

    Stars are at fault whose χ² or its gradient cannot be represented even with the weights from before the epoch. If
    most stars are, or none is, it is the weights that ran away.

    Args:
        record: the epoch.
        chi2: function of a model and one star.
        model: the model before the epoch.
        train: the stars that the epoch learned from, and their rows in the user's table.
        validation: the stars that it watched, and their rows.
        steps: which of the training stars were in each step; −1 for none.
    """
    where = f"iteration {record.iteration + 1}, epoch {record.epoch + 1}"
    if record.stage == "refine":
        where = f"epoch {record.epoch + 1} of the refinement"
    kept = "a checkpoint of the iteration before is kept where one was asked for"
    bad, bad_watched = (_unbounded(chi2, model, stars) for stars, _ in (train, validation))
    num_bad, num = bad.sum() + bad_watched.sum(), len(bad) + len(bad_watched)
    if not 0 < 2 * num_bad < num:
        option = "refine_learning_rate" if record.stage == "refine" else "learning_rate"
        return UserError(
            f"the loss is not finite in {where}, and no single star is to blame: lower {option}, or check that labels, "
            f"magnitudes and errors have the units of the table of columns in docs/input.md; {kept}."
        )
    rows = np.sort(np.concatenate([train[1][bad], validation[1][bad_watched]]))
    first = np.flatnonzero(np.isin(steps, np.flatnonzero(bad)).any(axis=1))
    if len(first):
        where += f", step {first[0] + 1}"
    return UserError(
        f"the loss is not finite in {where}: {_name(rows)} of the table cannot be fitted; check the magnitudes, "
        f"parallax, labels, reddening and errors there, or drop what is wrong; {kept}."
    )


def _unbounded(chi2: Chi2, model: StellarModel, stars: Any) -> Bool[np.ndarray, " star"]:
    """Whether a star's χ² or its squared gradient is beyond single precision."""
    if not len(stars.theta):
        return np.zeros(0, bool)
    return np.logical_not(sweep(_largest(chi2), model, stars, _CHUNK) < _LARGEST)  # a NaN is not below it


@functools.cache
def _largest(chi2: Chi2) -> Chi2:
    def largest(model, star):
        value, gradient = jax.value_and_grad(lambda weights: chi2(with_weights(model, weights), star))(
            weights_of(model)
        )
        return jnp.stack([jnp.abs(value), *(jnp.max(g**2) for g in jax.tree.leaves(gradient))]).max()

    return largest


def _name(rows) -> str:
    more = f" and {len(rows) - _NAMED} more" if len(rows) > _NAMED else ""
    return f"row{'s' * (len(rows) > 1)} {', '.join(map(str, rows[:_NAMED]))}{more}"
