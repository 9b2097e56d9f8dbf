"""Trainings that go wrong: killed at the worst moment, or given stars or options that cannot be learned from."""

import dataclasses
import json
import signal
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from albireo.errors import UserError
from albireo.training import TrainingConfig, TrainingSet, evaluate, split_stars, train
from albireo.training.blame import blame
from albireo.training.history import Epoch
from albireo.training.refine import refine
from albireo.training.stars import stars_of
from albireo.training.weights import weights_of

from .conftest import BANDS, simulate

SMALL = TrainingConfig(
    hidden=(8, 8),
    iterations=3,
    epochs=20,
    batch_size=64,
    learning_rate=1e-2,
    l2=1e-6,
    average=0.9,
    chi2_cut_iterations=3,
    density_components=2,
    members=2,
)


@pytest.fixture(scope="module")
def small_table(true_model):
    table = simulate(true_model, 200)
    for name in table.colnames:
        table[name] = np.asarray(table[name], float)
    return table


@pytest.fixture(scope="module")
def small(small_table):
    return TrainingSet.from_table(small_table, bands=BANDS)


# Trains in a process of its own, and says when the moment has come to be killed.
TRAIN_UNTIL_KILLED = """
import io, json, sys, time
import numpy as np
from astropy.table import Table
from albireo.training import TrainingConfig, TrainingSet, checkpoint, train

stars, path, config, moment = sys.argv[1:]
write = np.savez

def wait():
    print("now", flush=True)
    time.sleep(600)

def in_an_epoch(epoch):
    if moment == "in an epoch" and (epoch.iteration, epoch.epoch) == (1, 1):
        wait()

def write_half(file, **arrays):
    whole = io.BytesIO()
    write(whole, **arrays)
    if moment == "in writing" and json.loads(str(arrays["header"]))["iteration"] == 2:
        file.write(whole.getvalue()[: len(whole.getvalue()) // 2])
        file.flush()
        wait()
    file.write(whole.getvalue())

checkpoint.np.savez = write_half
training_set = TrainingSet.from_table(Table.read(stars), bands=BANDS)
train(training_set, TrainingConfig.from_dict(json.loads(config)), checkpoint=path, callback=in_an_epoch)
"""
MOMENTS = ("in an epoch", "in writing")


@pytest.fixture(scope="module")
def checkpoints(small_table, tmp_path_factory):
    """Checkpoints of trainings that were killed in their second iteration, or while the second one was written."""
    folder = tmp_path_factory.mktemp("killed")
    small_table.write(folder / "stars.fits")
    paths = {moment: folder / f"{moment}.checkpoint" for moment in MOMENTS}
    script = TRAIN_UNTIL_KILLED.replace("BANDS", repr(BANDS))
    started = []
    for moment, path in paths.items():
        arguments = [folder / "stars.fits", path, json.dumps(SMALL.to_dict()), moment]
        command = [sys.executable, "-c", script, *map(str, arguments)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    said = [process.stdout.readline() for process in started]
    for process in started:
        process.send_signal(signal.SIGKILL)
    errors = [process.communicate()[1] for process in started]
    assert said == ["now\n"] * len(MOMENTS), errors
    assert [process.returncode for process in started] == [-signal.SIGKILL] * len(MOMENTS)
    return paths


@pytest.fixture(scope="module")
def undisturbed(small):
    return train(small, SMALL)


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_training_killed_with_sigkill_resumes_to_the_same_weights_bit_for_bit(checkpoints, small, undisturbed, moment):
    path, seen = checkpoints[moment], []
    partial = path.with_name(path.name + ".partial")
    assert partial.exists() == (moment == "in writing")
    resumed = train(small, SMALL, checkpoint=path, resume=True, callback=seen.append)
    assert (seen[0].iteration, len(seen)) == (1, 2 * SMALL.epochs)
    assert not partial.exists()
    ours, theirs = (jax.tree.leaves((result.model, result.reddening)) for result in (resumed, undisturbed))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)
    assert resumed.history == undisturbed.history


def training_row(small):
    return int(small.row[split_stars(small, SMALL).train[7]])


def test_star_that_makes_the_loss_infinite_is_named(small, small_table):
    row, bad = training_row(small), small_table.copy()
    bad["reddening"][row] = 1e30
    # A row above it that is dropped must not shift the number.
    bad["teff"][0] = np.nan
    with pytest.raises(
        UserError, match=rf"in iteration 1, epoch 1, step [123]: row {row} of the table cannot be fitted"
    ):
        train(TrainingSet.from_table(bad, bands=BANDS), SMALL)


def test_several_stars_and_stars_for_validation_are_named(small):
    split = split_stars(small, SMALL)
    train_rows, watched = split.train[:8], split.validation[:1]
    reddening = small.reddening.copy()
    reddening[watched] = 1e30
    with pytest.raises(UserError, match=rf"iteration 1, epoch 1: row {watched[0]} of"):
        train(dataclasses.replace(small, reddening=reddening), SMALL)
    reddening[train_rows] = 1e30
    with pytest.raises(UserError, match=r"step 1: rows (\d+, ){4}\d+ and 4 more of the table"):
        train(dataclasses.replace(small, reddening=reddening), SMALL)


def test_checkpoint_before_a_loss_that_is_not_finite_is_kept_and_resumed(small, small_table, tmp_path):
    """A reddening error too large to square: the star sits out the first iteration and spoils the second."""
    row, bad, path, seen = training_row(small), small_table.copy(), tmp_path / "state", []
    bad["reddening_err"][row] = 1e300
    stars = TrainingSet.from_table(bad, bands=BANDS)
    for resume in (False, True):
        with pytest.raises(UserError, match=rf"iteration 2, epoch 1, step \d: row {row} of the table"):
            train(stars, SMALL, checkpoint=path, resume=resume, callback=seen.append)
        assert path.exists()
    assert [epoch.iteration for epoch in seen] == [0] * SMALL.epochs


def test_weights_that_run_away_are_not_blamed_on_a_star(small, tmp_path):
    wild = dataclasses.replace(SMALL, learning_rate=1e30)
    with pytest.raises(UserError, match=r"iteration 1, epoch \d, and no single star is to blame: lower learning_rate"):
        train(small, wild, checkpoint=tmp_path / "state")
    assert not (tmp_path / "state").exists()


def test_weights_that_ran_away_before_the_epoch_are_not_blamed_on_the_stars(small, true_model):
    def brightness(model, star):  # overflows for every star under the model below
        return model.extinction_vector(star.theta)[0] ** 2

    wild = eqx.tree_at(lambda model: model.extinction.bias, true_model, jnp.full(4, 100.0))
    record, part = Epoch("fit", 1, 2, np.nan, np.nan), (stars_of(small), small.row)
    error = blame(record, brightness, wild, part, part, np.arange(len(small))[None])
    assert "iteration 2, epoch 3, and no single star is to blame" in str(error)


def test_optimiser_that_overflows_while_the_loss_is_finite_is_noticed(small):
    """A gradient whose square overflows would stop the weights from moving for the rest of the training, unseen."""
    row = training_row(small)
    spoiled = dataclasses.replace(small, reddening=np.where(small.row == row, 1e15, small.reddening))
    with pytest.raises(UserError, match=rf"iteration 1, epoch 1, step [123]: row {row} of"):
        train(spoiled, SMALL)


def test_refinement_names_its_star_or_its_learning_rate(small, undisturbed):
    config = dataclasses.replace(SMALL, refine_epochs=2, refine_batch_size=50, refine_learning_rate=1e200)
    weights, once = jax.tree.map(lambda a: a[None], weights_of(undisturbed.model)), np.ones((1, len(small)))
    with pytest.raises(UserError, match=r"epoch 1 of the refinement, and no single star .* lower refine_learning_rate"):
        refine(undisturbed.model, weights, stars_of(small), small.row, once, undisturbed.split, config)


def test_iteration_without_any_star_says_why(small):
    with pytest.raises(UserError, match=r"no star takes part in iteration 1: .* max_first_reddening_err"):
        train(small, dataclasses.replace(SMALL, max_first_reddening_err=0.01))


def test_running_mean_of_few_steps_does_not_hold_the_weights_they_started_from(small, undisturbed):
    """A mean over many more steps than were made is one over those that were made."""
    long = dataclasses.replace(SMALL, average=0.9999, iterations=2, chi2_cut_iterations=2, members=0)
    far, near = (
        np.median(evaluate(result.model, small, result.split.train).star_chi2_per_dof)
        for result in (train(small, long), undisturbed)
    )
    assert far < 5 * near
