"""How fast a model trains: stars times epochs in a second, and seconds for a sweep over all stars.

    python benchmarks/training.py [--stars N] [--epochs N] [--batch-size N]

Trains the paper's network on simulated stars (drawn from the bundled model and the density of its training stars).
Prints the rate of the epochs, the time of the covariance and reddening updates and of the loss of the validation stars,
what all come to for the 2.9 million stars, 20 iterations and 500 epochs of Green et al. (2021), and the peak memory.
"""

import argparse
import dataclasses
import os
import resource
import time

import jax
import jax.numpy as jnp
import numpy as np

from albireo.model import load_model
from albireo.training import TrainingConfig, TrainingSet, split_stars
from albireo.training.loop import _batch, _blank_model, _look, _mean_chi2, _resampling, _run_epoch, _start
from albireo.training.stars import refit_reddening, stars_of, sweep

PAPER_STARS = 2_888_361
PAPER_EPOCHS = 500


def simulate(num_stars: int, seed: int = 0) -> TrainingSet:
    """Stars of the bundled model with errors like those of Green et al. (2021), section 3."""
    model, rng = load_model("default"), np.random.default_rng(seed)
    theta = np.asarray(model.density.sample(jax.random.key(seed), num_stars), float)
    label_err = np.array([40.0, 0.1, 0.06])
    modulus, reddening = rng.uniform(7, 12, num_stars), rng.exponential(0.1, num_stars)
    mag = np.asarray(model.magnitudes(jnp.asarray(theta), jnp.asarray(modulus), jnp.asarray(reddening)), float)
    observed = rng.random(mag.shape) < 0.75
    observed[:, 0] = True
    mag_err = np.where(observed, 0.025, np.inf)
    parallax = 10 ** (2 - modulus / 5)
    return TrainingSet(
        theta=theta + label_err * rng.normal(size=theta.shape),
        theta_cov=np.broadcast_to(np.diag(label_err**2), (num_stars, 3, 3)),
        mag=np.where(observed, mag + 0.025 * rng.normal(size=mag.shape), 0.0),
        mag_err=mag_err,
        parallax=parallax + 0.03 * rng.normal(size=num_stars),
        parallax_err=np.full(num_stars, 0.03),
        reddening=np.maximum(reddening + 0.03 * rng.normal(size=num_stars), 0),
        reddening_err=np.full(num_stars, 0.04),
        row=np.arange(num_stars),
        bands=model.bands,
        labels=model.labels,
        num_rows=num_stars,
    )


def timed(function, *args):
    """The outcome of a call and how many seconds it took."""
    start = time.perf_counter()
    outcome = jax.block_until_ready(function(*args))
    return outcome, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--stars", type=int, default=300_000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=1024)
    options = parser.parse_args()
    config = dataclasses.replace(TrainingConfig.preset("paper"), batch_size=options.batch_size)
    training_set = simulate(options.stars)
    split = split_stars(training_set, config)
    stars, blank = stars_of(training_set), _blank_model(training_set, split, config)
    state = _start(blank, training_set, config)._replace(iteration=1)
    sweep(refit_reddening, blank, jax.tree.map(lambda a: a[:10], stars))
    _look(state, blank, stars, config)
    (precision, _), covariance_time = timed(_look, state, blank, stars, config)
    _, reddening_time = timed(sweep, refit_reddening, blank, stars)
    nobody = np.zeros(len(training_set), bool)
    weight = _resampling(stars, config)
    (batch, num), batch_time = timed(_batch, state, stars, precision, weight, nobody, split.train)
    watched = _batch(state, stars, precision, weight, nobody, split.validation)
    _mean_chi2(blank, *watched).block_until_ready()
    _, validation_time = timed(_mean_chi2, blank, *watched)
    size = -(-num // config.batch_size) * config.batch_size
    carry = state.weights, state.average, state.optimiser
    order = np.resize(np.random.default_rng(0).permutation(num).astype(np.int32), size)
    jax.block_until_ready(_run_epoch(config, blank, carry, batch, order, num))
    rates = []
    for epoch in range(options.epochs):
        order = np.resize(np.random.default_rng(epoch).permutation(num).astype(np.int32), size)
        rates.append(num / timed(_run_epoch, config, blank, carry, batch, order, num)[1])
    rate, scale = np.median(rates), PAPER_STARS / len(training_set)
    print(f"{num} training stars of {len(training_set)}, batches of {config.batch_size}, {os.cpu_count()} cores")
    print(f"epochs: {rate:,.0f} stars/s (median of {len(rates)}; best {max(rates):,.0f})")
    print(f"covariance update {covariance_time:.2f} s, reddening update {reddening_time:.2f} s;")
    print(f"  for {PAPER_STARS} stars {covariance_time * scale:.0f} s and {reddening_time * scale:.0f} s")
    epochs_time = 0.7 * PAPER_STARS * PAPER_EPOCHS / rate
    print(f"{PAPER_EPOCHS} epochs of 70 % of {PAPER_STARS} stars: {epochs_time / 60:.1f} min;")
    update_time = covariance_time + reddening_time + 1.5 * batch_time  # training and validation stars
    rest = scale * (PAPER_EPOCHS * validation_time + config.iterations * update_time)
    print(f"  with the loss of the validation stars after each, and all updates {(epochs_time + rest) / 60:.1f} min")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")


if __name__ == "__main__":
    main()
