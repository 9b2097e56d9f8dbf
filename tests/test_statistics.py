"""Weighted draws are chosen among and summarised as by the plain arithmetic."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from albireo.random import choose
from albireo.statistics import STATISTICS, summarise, systematic


@pytest.fixture
def weight():
    weight = np.random.default_rng(0).gamma(0.3, size=(5, 60))
    weight[1, ::2] = 0
    weight[2, :-1] = 0
    return weight


@pytest.mark.parametrize("num", [1, 60, 200])
def test_systematic_resampling_puts_even_points_among_the_summed_weights(weight, num):
    u = np.array([0.0, 0.1, 0.5, 0.9, 0.999])
    index = systematic(u, weight, num)
    assert index.shape == (5, num)
    for star in range(len(u)):
        cumulative = np.cumsum(weight[star]) / np.sum(weight[star])
        expected = np.searchsorted(cumulative, (np.arange(num) + u[star]) / num, side="right")
        np.testing.assert_array_equal(np.sort(index[star]), np.minimum(expected, 59))
    assert num < 60 or np.any(np.diff(index[0]) < 0)  # out of order


def test_draws_without_weight_are_not_chosen_and_a_star_without_any_has_one_all_the_same(weight):
    weight[0, 3:], weight[3], weight[4] = np.nan, np.nan, 0
    index = systematic(np.full(5, 0.3), weight, 60)
    assert index[0].max() < 3
    assert (index[3:] == 59).all()
    assert systematic(np.zeros(0), np.zeros((0, 60)), 10).shape == (0, 10)


@pytest.mark.parametrize("num", [1, 2, 60])
def test_percentiles_are_interpolated_between_the_middles_of_the_weights(weight, num):
    values, weight = np.random.default_rng(1).normal(size=(5, num)), weight[:, :num] + 1e-3
    summary = summarise(values, weight)
    assert tuple(summary) == STATISTICS
    for star in range(5):
        order = np.argsort(values[star])
        share = weight[star, order] / np.sum(weight[star])
        middle = np.cumsum(share) - 0.5 * share
        for name, at in (("p16", 0.16), ("p50", 0.5), ("p84", 0.84)):
            assert summary[name][star] == pytest.approx(np.interp(at, middle, values[star, order]))
        mean = np.average(values[star], weights=weight[star])
        assert summary["mean"][star] == pytest.approx(mean)
        variance = np.average((values[star] - mean) ** 2, weights=weight[star])
        assert summary["std"][star] == pytest.approx(np.sqrt(variance), abs=1e-7)


def test_nothing_is_said_of_draws_whose_weights_are_unknown():
    summary = summarise(np.ones((1, 9)), np.full((1, 9), np.nan))
    assert all(np.isnan(summary[name][0]) for name in STATISTICS)


def test_what_is_left_of_a_choice_is_uniform_too():
    log_weight = jnp.log(jnp.array([0.5, 0.0, 0.1, 0.4, 0.0]))
    u = jax.random.uniform(jax.random.key(0), (20_000,))
    index, rest = map(np.asarray, jax.vmap(lambda u: choose(u, log_weight))(u))
    counts = np.bincount(index, minlength=5)
    assert counts[1] == counts[4] == 0
    assert stats.chisquare(counts[[0, 2, 3]], 20_000 * np.array([0.5, 0.1, 0.4])).pvalue > 0.001
    for chosen in (0, 2, 3):
        assert stats.kstest(rest[index == chosen], "uniform").pvalue > 0.001


def test_a_choice_among_nothing_leaves_a_number():
    _, rest = choose(jnp.asarray(0.3), jnp.full(3, -jnp.inf))
    assert 0 < float(rest) < 1
