"""The rate of training beside that of TensorFlow/Keras: same network, same stars, same batches, in one run.

    pip install tensorflow; python -m benchmarks.keras_training [--stars N] [--epochs N] [--batch-size N]

Both minimise the loss of Eq. (15) of Green et al. (2021) with fixed covariances. Keras is given what it is fastest
with: a compiled model, the reduced Cholesky factor of every star's inverse covariance, and arrays in memory. Epochs of
the two alternate, so that both see the same machine. TensorFlow is needed for this benchmark alone.
"""

import argparse
import time

import jax
import jax.numpy as jnp
import numpy as np

from albireo.model.network import to_colors
from albireo.training import TrainingConfig, split_stars
from albireo.training.loop import _batch, _blank_model, _look, _resampling, _run_epoch, _start
from albireo.training.stars import stars_of
from benchmarks.training import simulate


def keras_model(num_labels: int, num_bands: int, config: TrainingConfig):
    """The network of the paper; its output is the whitened residual, which is to be zero."""
    import keras
    from keras import layers, ops, regularizers

    x, reddening = keras.Input((num_labels,)), keras.Input((1,))
    target, cholesky = keras.Input((num_bands,)), keras.Input((num_bands, num_bands))
    hidden, l2 = x, regularizers.L2(config.l2)
    for width in config.hidden:
        hidden = layers.Dense(width, "sigmoid", kernel_regularizer=l2)(hidden)
    colors = layers.Dense(num_bands, kernel_regularizer=l2)(hidden)
    log_extinction = layers.Dense(num_bands, kernel_regularizer=regularizers.L1(config.l1))(x)
    # Everything is in magnitude and colours, as in the paper: B is taken into the factor and the target.
    extinction = layers.Lambda(ops.exp, output_shape=(num_bands,))(log_extinction)
    to_color = np.eye(num_bands, dtype=np.float32)
    to_color[0, 1:] = -1
    extinction = layers.Lambda(lambda r: ops.matmul(r, to_color), output_shape=(num_bands,))(extinction)
    residual = layers.Subtract()([target, layers.Add()([colors, layers.Multiply()([reddening, extinction])])])
    white = layers.Dot((2, 1))([cholesky, residual])
    model = keras.Model([x, reddening, target, cholesky], white)
    model.compile(keras.optimizers.Adam(config.learning_rate), "mse", jit_compile="auto")
    return model


def main() -> None:
    """Print both rates and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--stars", type=int, default=300_000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=1024)
    options = parser.parse_args()
    config = TrainingConfig(batch_size=options.batch_size)
    training_set = simulate(options.stars)
    split, stars = split_stars(training_set, config), stars_of(training_set)
    blank = _blank_model(training_set, split, config)
    state = _start(blank, training_set, config)
    precision, excluded = _look(state, blank, stars, config)
    batch, num = _batch(state, stars, precision, _resampling(stars, config), excluded, split.train)
    carry = state.weights, state.average, state.optimiser

    taken = split.train[~excluded[split.train]]
    full = np.zeros((num, 13, 13), np.float32)
    upper = np.triu_indices(13)
    full[:, *upper] = precision[0][taken]
    full += np.triu(full, 1).swapaxes(1, 2)
    # C⁻¹ = L Lᵀ; without a parallax, or with bands missing, it is singular: a ridge far below every weight.
    full += 1e-6 * np.trace(full, axis1=1, axis2=2)[:, None, None] * np.eye(13, dtype=np.float32)
    cholesky = np.linalg.cholesky(full)
    from_color = np.eye(13, dtype=np.float32)
    from_color[1:, 0] = 1
    factor = np.swapaxes(cholesky, 1, 2) @ from_color
    inputs = [
        np.asarray(blank.standardise(jnp.asarray(stars.theta[taken])), np.float32),
        stars.reddening[taken, None].astype(np.float32),
        np.asarray(to_colors(jnp.asarray(stars.mag[taken] - stars.modulus[taken, None])), np.float32),
        factor,
    ]
    zeros = np.zeros((num, 13), np.float32)
    model = keras_model(3, 13, config)
    fit = {"batch_size": options.batch_size, "epochs": 1, "verbose": 0}
    model.fit(inputs, zeros, **fit)
    rates = {"albireo": [], "keras": []}
    for epoch in range(-1, options.epochs):
        order = np.random.default_rng(epoch + 1).permutation(num).astype(np.int32)
        order = np.resize(order, -(-len(split.train) // config.batch_size) * config.batch_size)
        start = time.perf_counter()
        carry, _ = jax.block_until_ready(_run_epoch(config, blank, carry, batch, order, num))
        middle = time.perf_counter()
        model.fit(inputs, zeros, **fit)
        if epoch >= 0:  # the first compiles
            rates["albireo"].append(num / (middle - start))
            rates["keras"].append(num / (time.perf_counter() - middle))
    ours, theirs = (np.median(each) for each in rates.values())
    print(f"{num} stars, batches of {options.batch_size}: albireo {ours:,.0f} stars/s, Keras {theirs:,.0f} stars/s,")
    print(f"ratio {ours / theirs:.1f} (medians of {options.epochs} epochs)")


if __name__ == "__main__":
    main()
