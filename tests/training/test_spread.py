"""The spread of a trained model stands for the error of its network."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from albireo.model.network import to_colors
from albireo.training import train

from .test_loop import QUICK

pytestmark = pytest.mark.science

MEMBERS = dataclasses.replace(QUICK, members=5, iterations=3, refine_epochs=8)


@pytest.fixture(scope="module")
def ensemble(stars):
    return train(stars, MEMBERS).model


def errors(model, true_model, theta):
    """What the model is off by, and what its spread says of that, in colours and the reference band."""
    theta = jnp.asarray(theta)
    off = to_colors(model.absolute_magnitudes(theta) - true_model.absolute_magnitudes(theta))
    directions = model.spread.directions(model.standardise(theta))
    return np.asarray(off), np.linalg.norm(to_colors(jnp.swapaxes(directions, -1, -2)), axis=-2)


def test_spread_is_as_large_as_the_error_of_the_model(stars, ensemble, true_model):
    off, spread = errors(ensemble, true_model, stars.theta)
    ratio = np.sqrt(np.mean(off**2, axis=0) / np.mean(spread**2, axis=0))
    assert ((ratio > 0.4) & (ratio < 2.5)).all()


def test_spread_grows_where_there_are_few_stars(stars, ensemble, true_model):
    _, spread = errors(ensemble, true_model, stars.theta)
    x = (stars.theta - np.mean(stars.theta, axis=0)) / np.std(stars.theta, axis=0)
    far = np.linalg.norm(x, axis=1) > 2.5
    assert far.sum() > 30
    assert (np.median(spread[far], axis=0) > 1.5 * np.median(spread[~far], axis=0)).all()


def test_members_leave_the_models_own_network_as_it_is(stars, ensemble, true_model):
    alone = train(stars, dataclasses.replace(MEMBERS, members=0)).model
    assert alone.spread is None
    _, spread = errors(ensemble, true_model, stars.theta)
    difference, _ = errors(ensemble, alone, stars.theta)
    # Not bit for bit: sums are taken in another order, and training amplifies that.
    assert (np.sqrt(np.mean(difference**2, axis=0)) < np.sqrt(np.mean(spread**2, axis=0))).all()
