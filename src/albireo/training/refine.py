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
from albireo.training.split import Split
from albireo.training.stars import Star, fit_star, sweep
from albireo.training.weights import Weights, first_not_finite, one_of, with_weights


def refine(
    model: StellarModel,
    weights: Weights,
    stars: Star,
    rows: Int[np.ndarray, " star"],
    resampling: Float[np.ndarray, "network star"],
    split: Split,
    config: TrainingConfig,
    callback: Callable[[Epoch], None] | None = None,
) -> tuple[Weights, tuple[Epoch, ...]]:
    """Minimise the mean χ² of the stars whose χ²/dof the first network brings below the last cut.

    Args:
        model: the model that the networks are of.
        weights: trained networks.
        stars: all stars, with their first estimates of the reddening.
        rows: their rows in the user's table.
        resampling: how often each network sees each star.
        split: which of them to learn from, and which to watch.
        config: `refine_epochs`, `refine_batch_size` and `refine_learning_rate`, which falls to zero as a cosine;
            penalties, cut and seed as before.
        callback: called after every epoch.

    Returns:
        The networks, and the losses of every epoch of the first.

    Raises:
        UserError: no star is below the cut, or the loss is not finite.
    """
    fit = sweep(fit_star, with_weights(model, one_of(weights, 0)), stars)
    good = fit.chi2 < config.chi2_cut_end * fit.dof
    train, validation = split.train[good[split.train]], split.validation[good[split.validation]]
    if not len(train):
        raise UserError(
            f"no training star has χ²/dof below {config.chi2_cut_end} after {config.iterations} iterations; train for "
            "longer, or check that the errors of magnitudes and labels are not too small."
        )
    size, history = min(config.refine_batch_size, len(train)), []
    steps = len(train) // size
    with jax.enable_x64(True):
        model, weights = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), (model, weights))
        data, seen = (jax.tree.map(lambda a, rows=rows: jnp.asarray(a[rows]), stars) for rows in (train, validation))
        counts = jnp.asarray(resampling[:, train])
        carry = weights, _optimiser(config, steps).init(weights)
        for epoch in range(config.refine_epochs):
            # Iterations of the first stage count from 0: this stage is the one after them.
            order = np.random.default_rng((config.seed, config.iterations, epoch)).permutation(len(train))
            order = jnp.asarray(order[: steps * size].reshape(steps, size))
            before = carry
            carry, loss = _run_epoch(config, model, carry, data, counts, order)
            watched = float(_loss(config, model, one_of(carry[0], 0), seen)) if len(validation) else float("nan")
            record = Epoch("refine", config.iterations, epoch, float(loss), watched)
            if not is_finite(record, carry, watched=len(validation) > 0):
                started = with_weights(model, one_of(before[0], first_not_finite(carry[0])))
                raise blame(record, _chi2, started, (data, rows[train]), (seen, rows[validation]), np.asarray(order))
            history.append(record)
            if callback is not None:
                callback(history[-1])
        weights = jax.device_get(carry[0])
    return jax.tree.map(lambda a: jnp.asarray(a, float), weights), tuple(history)


def _optimiser(config, steps):
    return optax.adam(optax.cosine_decay_schedule(config.refine_learning_rate, config.refine_epochs * steps))


def _chi2(model, star) -> Float[Array, ""]:
    return fit_star(model, star).chi2


@functools.partial(jax.jit, static_argnums=0)
def _loss(config, model, weights, stars, count=1.0) -> Float[Array, ""]:
    model = with_weights(model, weights)
    chi2 = jax.vmap(_chi2, (None, 0))(model, stars)
    return jnp.mean(count * chi2) / len(model.bands) + penalty(model, config.l2, config.l1)


@functools.partial(jax.jit, static_argnums=0)
def _run_epoch(config, model, carry, stars, counts, order):
    optimiser = _optimiser(config, len(order))

    def objective(weights, batch, count):
        losses = jax.vmap(lambda weights, count: _loss(config, model, weights, batch, count))(weights, count)
        return jnp.sum(losses), losses[0]

    def step(carry, rows):
        weights, state = carry
        batch = jax.tree.map(lambda a: a[rows], stars)
        gradient, value = jax.grad(objective, has_aux=True)(weights, batch, counts[:, rows])
        updates, state = optimiser.update(gradient, state)
        return (optax.apply_updates(weights, updates), state), value

    carry, values = jax.lax.scan(step, carry, order)
    return carry, jnp.mean(values)
