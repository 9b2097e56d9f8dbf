"""Flags: each is raised by what it is for, and not by its opposite."""

import dataclasses

import numpy as np
import pytest

from albireo import Importance, infer
from albireo.certificate import _outside_domain
from albireo.flags import Flag
from albireo.labels import PriorOfLabels, judge_labels
from stars import SUN, simulate

SAMPLER = Importance(escalate=False, batch_size=2)
DRAWS = np.random.default_rng(0).normal(size=2000)


@pytest.mark.parametrize(
    ("draws", "shares"),
    [
        (DRAWS, (1,)),
        (np.exp(DRAWS), (1,)),
        (np.random.default_rng(1).uniform(size=2000), (1,)),
        (np.concatenate([DRAWS[:1900], 10 + DRAWS[1900:]]), (0.95, 0.05)),
        (np.concatenate([DRAWS[:1980], 10 + DRAWS[1980:]]), (0.99, 0.01)),
        (np.concatenate([DRAWS[:900], 8 + 0.3 * DRAWS[900:]]), (0.55, 0.45)),
        (np.concatenate([DRAWS[:900], 10 + DRAWS[900:1950], np.linspace(3.5, 6.5, 50)]), (0.55, 0.45)),
        (np.concatenate([DRAWS[:1200], 8 + 0.3 * DRAWS[1200:1700], 24 + DRAWS[1700:]]), (0.6, 0.25, 0.15)),
        (DRAWS + np.repeat([0, 10, 50, 60], (800, 600, 400, 200)), (0.4, 0.3, 0.2, 0.1)),
    ],
    ids=["normal", "lognormal", "uniform", "far twentieth", "far hundredth", "halves", "bridge", "three", "four"],
)
def test_modes_are_counted_and_told_from_one_broad_one(draws, shares):
    """The few draws between two modes, which a cut leaves standing apart, are no third."""
    found = judge_labels(PriorOfLabels.of(DRAWS[None]), np.random.default_rng(4).permutation(draws)[None, :, None])
    assert found.num_modes[0] == len(shares)
    assert found.mode_share[0] == pytest.approx(np.array([*shares, 0, 0][:3]), abs=0.025)


@pytest.mark.parametrize("num", [1, 2, 4, 10])
def test_few_draws_are_one_mode(num):
    draws = np.random.default_rng(6).normal(size=(100, num, 3))
    found = judge_labels(PriorOfLabels.of(np.random.default_rng(7).normal(size=(3, 4096))), draws)
    assert np.all(found.num_modes == 1)
    np.testing.assert_array_equal(found.mode_share, np.broadcast_to([1.0, 0.0, 0.0], (100, 3)))


@pytest.mark.parametrize("repeats", [1, 20])
def test_a_long_tail_is_no_mode(repeats):
    """Nor is a draw of large weight, which stands there several times."""
    draws = np.random.default_rng(8).standard_t(2, size=(200, 2000 // repeats, 1)).repeat(repeats, axis=1)
    found = judge_labels(PriorOfLabels.of(np.random.default_rng(9).normal(size=(1, 4096))), draws)
    assert np.mean(found.num_modes > 1) < 0.02


def test_modes_that_no_one_label_tells_apart_are_counted():
    """Two groups of a label, one of which is two groups of another."""
    rng = np.random.default_rng(5)
    group = np.repeat([0, 1, 2], (500, 300, 200))
    draws = rng.normal(size=(1000, 2)) + np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 12.0]])[group]
    found = judge_labels(PriorOfLabels.of(rng.normal(size=(2, 4096))), draws[None])
    assert found.num_modes[0] == 3
    assert found.mode_share[0] == pytest.approx(np.array([0.5, 0.3, 0.2]), abs=1e-9)


@pytest.mark.parametrize(("mean", "width"), [(0, 1), (0, 0.5), (1, 0.3), (2, 0.05)])
def test_information_is_the_divergence_of_gaussians(mean, width):
    rng = np.random.default_rng(2)
    prior = PriorOfLabels.of(rng.normal(size=(2, 4096)))
    gained = judge_labels(prior, mean + width * rng.normal(size=(50, 2000, 2))).information
    exact = -np.log(width) + (width**2 + mean**2 - 1) / 2
    assert gained.shape == (50, 2)
    assert np.mean(gained) == pytest.approx(exact, abs=0.05 + 0.05 * exact)
    assert np.std(gained) < 0.1


def test_information_bears_a_draw_of_large_weight():
    """Of 2,000 resampled draws 60 are the same one."""
    rng = np.random.default_rng(3)
    draws = np.concatenate([np.zeros((50, 60, 1)), rng.normal(size=(50, 1940, 1))], axis=1)
    draws = 0.3 * rng.permuted(draws, axis=1)
    gained = judge_labels(PriorOfLabels.of(rng.normal(size=(1, 4096))), draws).information
    assert np.mean(gained) == pytest.approx(-np.log(0.3) + (0.3**2 - 1) / 2, abs=0.1)


@pytest.fixture(scope="module")
def flagged(model, milky_way):
    def flags(catalog):
        return infer(catalog, model=model, prior=milky_way, sampler=SAMPLER).flags

    return flags


def test_a_clean_star_has_no_flag(model, flagged):
    assert np.all(flagged(simulate(model, (SUN,) * 4)) == 0)


def test_a_parallax_far_from_what_photometry_predicts_is_in_tension(model, flagged):
    catalog = simulate(model, (SUN,) * 4, parallax_snr=10)
    shift = np.array([0.0, 1.0, 10.0, -8.0])
    off = dataclasses.replace(catalog, parallax=catalog.parallax + shift * catalog.parallax_err)
    tension = flagged(off) & Flag.PARALLAX_TENSION > 0
    assert not tension[:2].any()
    assert tension[2]


@pytest.mark.parametrize(
    ("theta", "outside"), [(SUN[0], False), ((9500.0, 4.2, 0.0), True), ((5780.0, 1.0, 0.0), True)]
)
def test_labels_without_training_stars_are_outside_the_domain(model, theta, outside):
    x = np.broadcast_to(np.asarray(model.standardise(np.array(theta))), (1, 40, 3))
    assert _outside_domain(model, x, simulate(model, (SUN,)))[0] == outside


def test_two_bands_leave_the_prior_in_charge(model, flagged):
    catalog = simulate(model, (SUN,) * 4).without("parallax")
    for band in model.bands[2:]:
        catalog = catalog.without(band)
    flags = flagged(catalog)[0]
    assert flags & Flag.FEW_BANDS
    assert flags & Flag.PRIOR_DOMINATED
