"""Scores are residuals over their standard deviations, and standard normal for stars of a known model."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from albireo import UserError
from albireo.evaluation import score, score_bands
from albireo.model import Scatter
from albireo.statistics import robust_width
from albireo.training.stars import stars_of
from training.test_covariance import dense_covariance

COMBINATIONS = [("gaia_g",), ("ps1_g", "gaia_g"), ("2mass_j", "2mass_ks"), ("2mass_ks",)]
SIGNS = np.array([[1, 0, 0, 0], [-1, 1, 0, 0], [0, 0, 1, -1], [0, 0, 0, 1]])


@pytest.fixture(scope="module")
def at_catalogue(four_labels):
    return score(*four_labels, COMBINATIONS, best_reddening=False)


def test_a_score_is_the_residual_over_the_root_of_its_variance_of_eq_4(four_labels):
    model = four_labels.model.with_scatter(Scatter(jnp.full(4, 0.02), jnp.array([[0.0], [0.02], [-0.1], [-0.15]])))
    stars = four_labels.stars
    stars = stars[np.flatnonzero(stars.observed.all(axis=1) & stars.usable_parallax(5))[:1]]
    found = score(model, stars, COMBINATIONS, best_reddening=False, with_scatter=True).values[0]
    with jax.enable_x64(True):
        star = jax.tree.map(lambda a: jnp.asarray(a[0]), stars_of(stars))
        residual = star.mag - model.magnitudes(star.theta, star.modulus, star.reddening)
        variance = np.diag(SIGNS @ dense_covariance(model, star) @ SIGNS.T)
    np.testing.assert_allclose(found, SIGNS @ np.asarray(residual) / np.sqrt(variance), rtol=1e-4, atol=1e-5)


def test_scores_of_simulated_stars_are_standard_normal(at_catalogue):
    for column in at_catalogue.values.T:
        known = column[np.isfinite(column)]
        assert len(known) > 1000
        assert abs(known.mean()) < 4 / np.sqrt(len(known))
        # A twentieth for Eq. (4), which is of first order.
        assert known.std() == pytest.approx(1, abs=4 / np.sqrt(2 * len(known)) + 0.05)


def test_scores_are_unknown_where_something_was_not_observed(four_labels, at_catalogue):
    observed, parallax = four_labels.stars.observed, four_labels.stars.usable_parallax(5)
    assert not parallax.all()
    known = [(observed | (sign == 0)).all(axis=1) & (parallax | (sign.sum() == 0)) for sign in SIGNS]
    np.testing.assert_array_equal(np.isfinite(at_catalogue.values), np.transpose(known))


def test_best_reddening_is_that_of_training_and_brings_scores_closer_to_zero(four_labels, at_catalogue):
    best = score(*four_labels, COMBINATIONS)
    assert (best.reddening >= 0).all()
    assert not np.array_equal(best.reddening, at_catalogue.reddening)
    for column, first in zip(best.values.T[1:3], at_catalogue.values.T[1:3], strict=True):
        assert abs(np.nanmedian(column)) < 0.1
        assert 0.3 < robust_width(column) < robust_width(first)


def test_bands_are_summarised_by_their_scores(four_labels):
    figures = score_bands(*four_labels)
    bands = four_labels.model.bands
    assert {band: of["num_stars"] for band, of in figures.items()} == dict(
        zip(bands, four_labels.stars.observed.sum(axis=0), strict=True)
    )
    values = score(*four_labels, [("gaia_g",), *((band, "gaia_g") for band in bands[1:])]).values
    for of, column in zip(figures.values(), values.T, strict=True):
        assert of["median"] == pytest.approx(np.nanmedian(column), abs=1e-6)
        assert of["width"] == pytest.approx(robust_width(column), abs=1e-6)


def test_a_band_in_which_no_star_was_observed_has_no_figures(four_labels):
    nothing = np.where(np.arange(4) == 1, np.inf, four_labels.stars.mag_err)
    figures = score_bands(four_labels.model, dataclasses.replace(four_labels.stars, mag_err=nothing))
    assert figures["ps1_g"]["num_stars"] == 0
    assert np.isnan([figures["ps1_g"]["median"], figures["ps1_g"]["width"]]).all()


def test_stars_of_other_labels_are_refused(four_labels, six_bands):
    with pytest.raises(UserError, match="labels"):
        score(four_labels.model, six_bands.stars, [("gaia_g",)])
