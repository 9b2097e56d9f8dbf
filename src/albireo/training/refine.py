"""The last stage of training: χ² with everything in it that depends on the model.

The paper holds covariances fixed while the network learns. But the labels have errors, and by Eq. (4) the covariance
depends on the slopes of the model: with fixed covariances a fit leans towards E[m | observed θ], which is flatter
than m(true θ). Differentiating the covariance too makes it an errors-in-variables fit (total least squares), whose
slopes are not diluted to first order. The log det C of Eq. (7) stays out: it prefers flat models and small R whatever
the data say.
Reddenings need no update, for the error of the first estimate is in the covariance.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from albireo.errors import UserError
from albireo.model.stellar import StellarModel
from albireo.training.blame import blame, is_finite
from albireo.training.config import TrainingConfig
from albireo.training.history import Epoch
from albireo.training.loss import penalty
from albireo.training.stars import Star, fit_star, sweep
from albireo.training.weights import weights_of, with_weights


def refine(
    model: StellarModel,
    stars: Star,
    rows: Int[np.ndarray, " star"],
    train: Int[np.ndarray, " train"],
    validation: Int[np.ndarray, " validation"],
    config: TrainingConfig,
    callback: Callable[[Epoch], None] | None = None,
) -> tuple[StellarModel, tuple[Epoch, ...]]:
    """Minimise the mean χ² of the stars whose χ²/dof the model brings below the last cut.

    Args:
        model: a trained model.
        stars: all stars, with their first estimates of the reddening.
        rows: their rows in the user's table.
        train: which of them to learn from.
        validation: which of them to watch.
        config: `refine_epochs`, `refine_batch_size` and `refine_learning_rate`, which falls to zero as a cosine;
            penalties, cut and seed as before.
        callback: called after every epoch.

    Returns:
        The model, and the losses of every epoch.

    Raises:
        UserError: no star is below the cut, or the loss is not finite.
    """
    start, fit = model, sweep(fit_star, model, stars)
    good = fit.chi2 < config.chi2_cut_end * fit.dof
    train, validation = train[good[train]], validation[good[validation]]
    if not len(train):
        raise UserError(
            f"no training star has χ²/dof below {config.chi2_cut_end} after {config.iterations} iterations; train for "
            "longer, or check that the errors of magnitudes and labels are not too small."
        )
    size, history = min(config.refine_batch_size, len(train)), []
    steps = len(train) // size
    with jax.enable_x64(True):
        model = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), model)
        data, seen = (jax.tree.map(lambda a, rows=rows: jnp.asarray(a[rows]), stars) for rows in (train, validation))
        carry = weights_of(model), _optimiser(config, steps).init(weights_of(model))
        for epoch in range(config.refine_epochs):
            # Iterations of the first stage count from 0: this stage is the one after them.
            order = np.random.default_rng((config.seed, config.iterations, epoch)).permutation(len(train))
            order = jnp.asarray(order[: steps * size].reshape(steps, size))
            before = carry
            carry, loss = _run_epoch(config, model, carry, data, order)
            watched = float(_loss(config, model, carry[0], seen)) if len(validation) else float("nan")
            record = Epoch("refine", config.iterations, epoch, float(loss), watched)
            if not is_finite(record, carry, watched=len(validation) > 0):
                started, parts = with_weights(model, before[0]), ((data, rows[train]), (seen, rows[validation]))
                raise blame(record, _chi2, started, *parts, np.asarray(order))
            history.append(record)
            if callback is not None:
                callback(history[-1])
        weights = jax.device_get(carry[0])
    return with_weights(start, jax.tree.map(lambda a: jnp.asarray(a, float), weights)), tuple(history)


def _optimiser(config, steps):
    return optax.adam(optax.cosine_decay_schedule(config.refine_learning_rate, config.refine_epochs * steps))


def _chi2(model, star) -> Float[Array, ""]:
    return fit_star(model, star).chi2


@functools.partial(jax.jit, static_argnums=0)
def _loss(config, model, weights, stars) -> Float[Array, ""]:
    model = with_weights(model, weights)
    chi2 = jax.vmap(_chi2, (None, 0))(model, stars)
    return jnp.mean(chi2) / len(model.bands) + penalty(model, config.l2, config.l1)


@functools.partial(jax.jit, static_argnums=0)
def _run_epoch(config, model, carry, stars, order):
    optimiser = _optimiser(config, len(order))

    def step(carry, rows):
        weights, state = carry
        batch = jax.tree.map(lambda a: a[rows], stars)
        value, gradient = jax.value_and_grad(lambda w: _loss(config, model, w, batch))(weights)
        updates, state = optimiser.update(gradient, state)
        return (optax.apply_updates(weights, updates), state), value

    carry, values = jax.lax.scan(step, carry, order)
    return carry, jnp.mean(values)
