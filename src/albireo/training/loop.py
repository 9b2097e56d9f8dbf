"""Training: the network at fixed covariances, then covariances and reddenings at a fixed network, in turn.

Green et al. (2021), sections 2 and 4. The members of a spread are trained beside the model's own network, with which
they share the order of the stars and the cut, but neither start, reddenings nor covariances.
"""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Bool, Float

from albireo.cache import keep_compiled_code
from albireo.errors import UserError
from albireo.measurements import remove_error_floor
from albireo.model.domain import KernelDomain
from albireo.model.mixture import GaussianMixture
from albireo.model.spread import Spread
from albireo.model.stellar import StellarModel
from albireo.training.blame import blame, is_finite
from albireo.training.checkpoint import load_checkpoint, save_checkpoint
from albireo.training.config import TrainingConfig
from albireo.training.dataset import TrainingSet
from albireo.training.evaluate import evaluate
from albireo.training.history import Epoch
from albireo.training.loss import OVER_NETWORKS, Batch, chi2, chi2_of_star, loss, pack, penalty
from albireo.training.refine import refine
from albireo.training.requirements import check_can_be_learned
from albireo.training.scatter import fit_scatter
from albireo.training.split import Split, split_stars
from albireo.training.stars import Star, first_information, fit_star, refit_reddening, stars_of, sweep
from albireo.training.weights import Weights, first_not_finite, one_of, weights_of, with_weights

# The scatter of thirteen bands has 52 parameters; with fewer validation stars it is learned from training stars too.
MIN_STARS_FOR_SCATTER = 500


@dataclasses.dataclass(frozen=True, eq=False)
class TrainingResult:
    """What training leaves.

    Attributes:
        model: the trained model with its density, domain and metadata.
        history: training and validation loss of every epoch.
        reddening: updated reddening of every star of the training set [mag].
        reddening_err: its error [mag].
        excluded: stars that the last χ²/dof cut leaves out.
        split: which stars were for training, validation and testing.
    """

    model: StellarModel
    history: tuple[Epoch, ...]
    reddening: Float[np.ndarray, " star"]
    reddening_err: Float[np.ndarray, " star"]
    excluded: Bool[np.ndarray, " star"]
    split: Split


def train(
    training_set: TrainingSet,
    config: TrainingConfig | None = None,
    *,
    callback: Callable[[Epoch], None] | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
) -> TrainingResult:
    """Learn M(θ) and R(θ) from stars of known labels.

    Args:
        training_set: the stars; test stars are set aside and never looked at.
        config: every choice of the training; the `default` preset if not given.
        callback: called after every epoch.
        checkpoint: file to keep the state in after every iteration.
        resume: go on from that file if it is there; the outcome is that of a training that was never stopped.

    Raises:
        UserError: too few stars, or in a band; no bandwidth for a label; a loss that is not finite; a checkpoint that
            is damaged or of another training.
    """
    keep_compiled_code()
    config = TrainingConfig.preset("default") if config is None else config
    if checkpoint is not None and not Path(checkpoint).absolute().parent.is_dir():
        raise UserError(
            f"the checkpoint {checkpoint} cannot be written; give the path of a file in an existing folder."
        )
    split = split_stars(training_set, config)
    check_can_be_learned(training_set, split, config)
    measured_err = remove_error_floor(training_set.mag_err, config.floor_in_errors)
    stars = stars_of(training_set, config.min_parallax_snr, config.parallax_prior_slope)
    stars = stars._replace(mag_err=np.hypot(measured_err, config.error_floor))
    blank = _blank_model(training_set, split, config)
    state = start = _start(blank, training_set, config)
    if checkpoint is not None and resume and Path(checkpoint).exists():
        state = load_checkpoint(checkpoint, start, training_set, config)
    while state.iteration < config.iterations:
        state = _iterate(state, blank, stars, training_set.row, split, config, callback)
        if checkpoint is not None:
            save_checkpoint(checkpoint, state, training_set, config)
    _, excluded = _look(state, blank, stars, config)
    weights, history = _mean_weights(state, start, config), state.history
    if config.refine_epochs:
        resampling = _resampling(stars, config)
        weights, more = refine(blank, weights, stars, training_set.row, resampling, split, config, callback)
        history += more
    model = with_weights(blank, one_of(weights, 0))
    if config.members:
        model = model.with_spread(Spread(one_of(weights, slice(1, None))[0]))
    if config.scatter:
        stars = stars._replace(mag_err=measured_err)
        model = model.with_scatter(fit_scatter(model, stars, _unseen(split), config.seed))
    model = _describe(model, training_set, measured_err, split, config)
    return TrainingResult(model, history, state.reddening[0], state.reddening_err[0], excluded, split)


class State(NamedTuple):
    """Everything that an iteration hands to the next; the model's own network is the first."""

    iteration: int
    weights: Weights
    average: Weights
    optimiser: Any
    reddening: Float[np.ndarray, "network star"]
    reddening_err: Float[np.ndarray, "network star"]
    history: tuple[Epoch, ...]


def _blank_model(training_set, split, config):
    theta = training_set.theta[split.train]
    return StellarModel.initialise(
        jax.random.key(config.seed),
        bands=training_set.bands,
        labels=training_set.labels,
        label_median=jnp.asarray(np.median(theta, axis=0), jnp.float32),
        label_std=jnp.asarray(np.std(theta, axis=0), jnp.float32),
        hidden=config.hidden,
    )


def _start(blank, training_set, config):
    key, networks = jax.random.key(config.seed), jnp.arange(1 + config.members)
    weights = jax.vmap(lambda k: weights_of(blank.restart(jax.random.fold_in(key, k))))(networks)
    weights = jax.tree.map(lambda a: a.astype(jnp.float32), weights)
    reddening, err = (
        np.repeat(a[None], len(networks), axis=0) for a in (training_set.reddening, training_set.reddening_err)
    )
    return State(0, weights, weights, _optimiser(config).init(weights), reddening, err, ())


def _mean_weights(state, start, config):
    """The running mean of the weights, less what it still holds of those it started from after few steps."""
    left = config.average ** int(state.optimiser.count)
    return jax.tree.map(lambda mean, first: (mean - left * first) / (1 - left), state.average, start.weights)


def _resampling(stars, config):
    """How often each network sees each star: the model's own once; a member as often as a bootstrap draws it."""
    rng, num = np.random.default_rng((config.seed, config.members)), len(stars.theta)
    return np.concatenate([np.ones((1, num)), rng.poisson(1.0, (config.members, num))])


def _optimiser(config):
    return optax.inject_hyperparams(optax.adam)(learning_rate=config.learning_rate)


def _iterate(state, blank, stars, rows, split, config, callback):
    """One iteration: covariances and cut, the epochs, then the reddenings."""
    precision, excluded = _look(state, blank, stars, config)
    weight = _resampling(stars, config)
    train_batch, num_train = _batch(state, stars, precision, weight, excluded, split.train)
    if not num_train:
        raise UserError(
            f"no star takes part in iteration {state.iteration + 1}: all have errors of the reddening above "
            f"max_first_reddening_err or χ²/dof above the cut; check the errors in the table, or raise those options."
        )
    validation_batch, num_validation = _batch(state, stars, precision, weight, excluded, split.validation)
    state.optimiser.hyperparams["learning_rate"] = jnp.float32(config.learning_rate_at(state.iteration))
    carry, history = (state.weights, state.average, state.optimiser), []
    for epoch in range(config.epochs):
        order = np.random.default_rng((config.seed, state.iteration, epoch)).permutation(num_train)
        order = np.resize(order.astype(np.int32), _round_up(len(split.train), config.batch_size))
        before = carry
        carry, train_chi2 = _run_epoch(config, blank, carry, train_batch, order, num_train)
        model = with_weights(blank, one_of(carry[0], 0))
        watched = _mean_chi2(model, validation_batch, num_validation) if num_validation else np.nan
        prior = float(penalty(model, config.l2, config.l1))
        record = Epoch("fit", state.iteration, epoch, float(train_chi2) + prior, float(watched) + prior)
        if not is_finite(record, carry, watched=num_validation > 0):
            worst = first_not_finite(carry[0])
            train = _taking_part(train_batch.of(worst), rows, excluded, split.train)
            validation = _taking_part(validation_batch.of(worst), rows, excluded, split.validation)
            steps = np.where(np.arange(len(order)) < num_train, order, -1).reshape(-1, config.batch_size)
            raise blame(record, chi2_of_star, with_weights(blank, one_of(before[0], worst)), train, validation, steps)
        history.append(record)
        if callback is not None:
            callback(record)
    weights, average, optimiser = carry
    history = (*state.history, *history)
    state = State(state.iteration + 1, weights, average, optimiser, state.reddening, state.reddening_err, history)
    if not config.update_reddening:
        return state
    updates = [sweep(refit_reddening, model, stars) for model in _models(state, blank)]
    reddening, reddening_err = (np.stack(parts) for parts in zip(*updates, strict=True))
    return state._replace(reddening=reddening, reddening_err=reddening_err)


def _models(state, blank):
    return [with_weights(blank, one_of(state.weights, k)) for k in range(len(state.reddening))]


def _look(state, blank, stars, config):
    """Inverse covariances of all stars for every network's next iteration, and which stars sit it out."""
    if state.iteration == 0:
        precision = sweep(_first_precision, blank, stars)
        precision = np.broadcast_to(precision, (len(state.reddening), *precision.shape))
        return precision, stars.reddening_err > config.max_first_reddening_err
    looks = [
        sweep(_precision_and_ratio, model, stars._replace(reddening=reddening, reddening_err=err))
        for model, reddening, err in zip(_models(state, blank), state.reddening, state.reddening_err, strict=True)
    ]
    precision, ratio = zip(*looks, strict=True)
    return np.stack(precision), ratio[0] > config.chi2_cut_after(state.iteration - 1)


def _first_precision(_, star: Star):
    return pack(first_information(star).precision).astype(jnp.float32)


def _precision_and_ratio(model: StellarModel, star: Star):
    fit = fit_star(model, star)
    return pack(fit.precision).astype(jnp.float32), fit.chi2 / fit.dof


def _round_up(num, size):
    return -(-num // size) * size


def _batch(state, stars, precision, weight, excluded, chosen):
    """The chosen stars on the device in single precision, those that take part first; and how many do."""
    chosen = _taking_part_first(excluded, chosen)
    target = stars.mag[chosen] - stars.modulus[chosen, None]
    own = (a[:, chosen] for a in (state.reddening, precision, weight))
    arrays = stars.theta[chosen], target, *own
    return Batch(*(jnp.asarray(a, jnp.float32) for a in arrays)), int(np.sum(~excluded[chosen]))


def _taking_part_first(excluded, chosen):
    return chosen[np.argsort(excluded[chosen], kind="stable")]


def _taking_part(batch, rows, excluded, chosen):
    """The stars of a batch that take part, and their rows in the user's table."""
    num = np.sum(~excluded[chosen])
    return jax.tree.map(lambda a: a[:num], batch), rows[_taking_part_first(excluded, chosen)[:num]]


@functools.partial(jax.jit, static_argnums=0)
def _run_epoch(config, blank, carry, stars, order, num):
    """One pass through the first `num` entries of `order`, in batches; returns the model's mean χ² per band too."""
    optimiser = _optimiser(config)

    def objective(weights, batch):
        losses, totals = jax.vmap(
            lambda weights, batch: loss(with_weights(blank, weights), batch, config.l2, config.l1), (0, OVER_NETWORKS)
        )(weights, batch)
        return jnp.sum(losses), totals[0]

    def step(i, carry):
        (weights, average, state), total = carry
        start = i * config.batch_size
        rows = jax.lax.dynamic_slice(order, (start,), (config.batch_size,))
        batch = stars.take(rows)
        batch = batch._replace(weight=batch.weight * (start + jnp.arange(config.batch_size) < num))
        gradient, batch_chi2 = jax.grad(objective, has_aux=True)(weights, batch)
        updates, state = optimiser.update(gradient, state)
        weights = optax.apply_updates(weights, updates)
        average = optax.incremental_update(weights, average, 1 - config.average)
        return (weights, average, state), total + batch_chi2

    num_steps = (num + config.batch_size - 1) // config.batch_size
    carry, total = jax.lax.fori_loop(0, num_steps, step, (carry, jnp.zeros((), jnp.float32)))
    return carry, total / num


@jax.jit
def _mean_chi2(model, stars, num):
    value = chi2(model, stars.of(0)) / len(model.bands)
    return jnp.sum(jnp.where(jnp.arange(len(value)) < num, value, 0.0)) / num


def _unseen(split):
    """Stars to learn the scatter from: those the weights were not fitted to, if there are enough."""
    enough = len(split.validation) >= MIN_STARS_FOR_SCATTER
    return split.validation if enough else np.concatenate([split.train, split.validation])


def _describe(model, training_set, measured_err, split, config):
    """The model with its density, its domain and its metadata."""
    learned = training_set[np.concatenate([split.train, split.validation])]
    usable = learned.usable_parallax(config.min_parallax_snr)
    observed = np.concatenate([usable[:, None], learned.observed], axis=1)
    bandwidth = np.array([config.bandwidth[label] for label in training_set.labels])
    metadata = {
        "configuration": config.to_dict(),
        "num_stars": {name: len(rows) for name, rows in split._asdict().items()},
        "dropped": training_set.dropped,
        "zero_points": training_set.zero_points,
    }
    if len(split.test):
        judged = dataclasses.replace(training_set, mag_err=np.hypot(measured_err, config.error_floor))
        held_out = evaluate(model, judged, split.test, min_parallax_snr=config.min_parallax_snr)
        metadata["held_out"] = held_out.to_dict()
    return dataclasses.replace(
        model,
        density=GaussianMixture.fit(
            learned.theta, config.density_components, config.seed, np.linalg.cholesky(learned.theta_cov)
        ),
        domain=KernelDomain.fit(learned.theta, observed, bandwidth),
        metadata=metadata,
    )
