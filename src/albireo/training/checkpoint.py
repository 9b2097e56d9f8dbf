"""The state of a training between two iterations, in a file without pickles."""

import dataclasses
import hashlib
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from albireo.errors import UserError
from albireo.training.config import TrainingConfig
from albireo.training.dataset import PER_STAR, TrainingSet
from albireo.training.history import Epoch


def save_checkpoint(path: str | Path, state: Any, training_set: TrainingSet, config: TrainingConfig) -> None:
    """Write a state, whole or not at all: a training that is killed meanwhile leaves the state before."""
    path = Path(path)
    trained = jax.tree.leaves((state.weights, state.average, state.optimiser))
    arrays = {f"trained_{i}": np.asarray(leaf) for i, leaf in enumerate(trained)}
    arrays |= {"reddening": state.reddening, "reddening_err": state.reddening_err}
    header = {"training": _fingerprint(training_set, config), "iteration": state.iteration}
    header["history"] = [dataclasses.astuple(epoch) for epoch in state.history]
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        np.savez(file, header=np.array(json.dumps(header)), **arrays)
        file.flush()
        os.fsync(file.fileno())  # or else a power failure may leave the new name with nothing in it
    partial.replace(path)


def load_checkpoint(path: str | Path, start: Any, training_set: TrainingSet, config: TrainingConfig) -> Any:
    """Read a state.

    Args:
        path: file of `save_checkpoint`.
        start: the state the training began with.
        training_set: the stars, which must be those of the checkpoint.
        config: the configuration, which must be that of the checkpoint.

    Raises:
        UserError: the file is damaged, or comes from other stars or another configuration.
    """
    try:
        with Path(path).open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = dict(file)
        header = json.loads(str(arrays["header"]))
        fingerprint, iteration = header["training"], int(header["iteration"])
        history = tuple(Epoch(*values) for values in header["history"])
    except OSError as error:
        raise UserError(
            f"the checkpoint {path} cannot be read ({error.strerror or error}); mend that, or do not resume."
        ) from None
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        # What numpy says of foreign files is advice to load them unsafely.
        raise UserError(f"the checkpoint {path} is damaged; delete it and train from the start.") from None
    if fingerprint != _fingerprint(training_set, config):
        raise UserError(
            f"the checkpoint {path} is of other stars or another configuration; use those, or do not resume."
        )
    structure = jax.tree.structure((start.weights, start.average, start.optimiser))
    leaves = [jnp.asarray(arrays[f"trained_{i}"]) for i in range(structure.num_leaves)]
    weights, average, optimiser = jax.tree.unflatten(structure, leaves)
    return start._replace(
        iteration=iteration,
        weights=weights,
        average=average,
        optimiser=optimiser,
        reddening=arrays["reddening"],
        reddening_err=arrays["reddening_err"],
        history=history,
    )


def _fingerprint(training_set, config):
    """A hash of the stars and of the configuration."""
    described = config.to_dict(), training_set.bands, training_set.labels, training_set.num_rows
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    for name in PER_STAR:
        digest.update(np.ascontiguousarray(getattr(training_set, name)).tobytes())
    return digest.hexdigest()
