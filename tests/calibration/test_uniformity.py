"""Ranks, coverage and p-values on posteriors that are known: exact ones pass, wrong ones do not."""

import numpy as np
import pytest
from scipy.stats import norm

from albireo.calibration.uniformity import (
    LEVELS,
    coverage,
    ecdf_band,
    probability_integral_transform,
    uniformity_p_value,
)

NUM_STARS = 3000
TINY = 0.001  # the p-value is at least 0.0001


@pytest.fixture(scope="module")
def gaussian():
    """Truths from N(0, 1), each measured once with an error of 1: the posterior is N(x/2, 1/2)."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=NUM_STARS)
    return truth, (truth + rng.normal(size=NUM_STARS)) / 2, np.sqrt(0.5)


def pit_of(gaussian, num_draws, *, widen=1.0, shift=0.0, seed=1):
    truth, mean, std = gaussian
    rng = np.random.default_rng(seed)
    draws = mean[:, None] + std * (shift + widen * rng.normal(size=(NUM_STARS, num_draws)))
    return probability_integral_transform(draws, None, truth, np.full(NUM_STARS, num_draws), rng)


@pytest.mark.parametrize("num_draws", [1, 7, 500])
def test_ranks_in_exact_posteriors_are_uniform_however_few_the_draws(gaussian, num_draws):
    pit = pit_of(gaussian, num_draws)
    assert uniformity_p_value(pit) > 0.01
    for level in LEVELS:
        fraction, error = coverage(pit, level)
        assert fraction == pytest.approx(level, abs=3 * error)
        assert error == pytest.approx(np.sqrt(level * (1 - level) / NUM_STARS))


@pytest.mark.parametrize("wrong", [{"widen": 0.85}, {"widen": 1.2}, {"shift": 0.15}], ids=str)
def test_ranks_in_wrong_posteriors_are_not(gaussian, wrong):
    assert uniformity_p_value(pit_of(gaussian, 500, **wrong)) < TINY


@pytest.mark.parametrize("widen", [0.5, 2.0])
def test_coverage_tells_how_wrong_the_width_is(gaussian, widen):
    pit = pit_of(gaussian, 1000, widen=widen)
    for level in LEVELS:
        inside = 1 - 2 * norm.sf(widen * norm.isf((1 - level) / 2))
        assert coverage(pit, level).fraction == pytest.approx(inside, abs=0.03)


def test_weighted_draws_are_ranked_by_their_weights(gaussian):
    truth, mean, std = gaussian
    rng = np.random.default_rng(2)
    z = 1.5 * rng.normal(size=(NUM_STARS, 1000)) + 0.5
    weight = norm.pdf(z) / norm.pdf(z, 0.5, 1.5)
    weight /= weight.sum(axis=1, keepdims=True)
    effective = 1 / np.sum(weight**2, axis=1)
    draws = mean[:, None] + std * z
    assert uniformity_p_value(probability_integral_transform(draws, weight, truth, effective, rng)) > 0.01
    assert uniformity_p_value(probability_integral_transform(draws, None, truth, effective, rng)) < TINY


def test_repeated_draws_count_as_often_as_they_are_independent(gaussian):
    truth, mean, std = gaussian
    rng = np.random.default_rng(3)
    draws = np.repeat(mean[:, None] + std * rng.normal(size=(NUM_STARS, 10)), 20, axis=1)
    effective, pretended = np.full(NUM_STARS, 10.0), np.full(NUM_STARS, 200.0)
    assert uniformity_p_value(probability_integral_transform(draws, None, truth, effective, rng)) > 0.01
    assert uniformity_p_value(probability_integral_transform(draws, None, truth, pretended, rng)) < TINY


def test_a_star_without_draws_has_no_rank():
    draws = np.array([[0.0, 1.0], [np.nan, np.nan]])
    pit = probability_integral_transform(draws, None, np.full(2, 0.5), np.full(2, 2.0), np.random.default_rng(0))
    assert list(np.isfinite(pit)) == [True, False]
    assert np.isnan(uniformity_p_value(pit[1:][np.isfinite(pit[1:])]))


def test_missing_tails_are_seen():
    even = (np.arange(2000) + 0.5) / 2000
    assert uniformity_p_value(even) > 0.5
    assert uniformity_p_value(0.005 + 0.99 * even) < 0.01


def test_p_values_and_bands_hold_as_often_as_they_say():
    rng = np.random.default_rng(4)
    samples = rng.random((400, 150))
    p = np.array([uniformity_p_value(sample) for sample in samples])
    for level in (0.05, 0.2, 0.5):
        assert np.mean(p <= level) == pytest.approx(level, abs=4 * np.sqrt(level * (1 - level) / 400))
    points, (low, high) = ecdf_band(150, 0.9)
    curve = np.mean(samples[:, :, None] <= points, axis=1)
    inside = np.all((curve >= low) & (curve <= high), axis=1)
    assert np.mean(inside) == pytest.approx(0.9, abs=4 * np.sqrt(0.9 * 0.1 / 400))
