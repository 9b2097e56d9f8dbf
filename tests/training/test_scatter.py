"""The scatter of simulated stars about their model is found again."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from astropy.table import Table

from albireo.model import GaussianMixture, Scatter, load_model
from albireo.model.network import to_colors
from albireo.training import TrainingConfig, TrainingSet, evaluate, split_stars
from albireo.training.scatter import MIN_SCATTER, fit_scatter
from albireo.training.stars import stars_of

from .conftest import BANDS

# One mode that brightens the infrared, as an unseen companion does.
TRUE = Scatter(jnp.array([0.02, 0.04, 0.03, 0.05]), jnp.array([[0.0], [0.02], [-0.1], [-0.15]]))


def scattered(table: Table, scatter: Scatter, outliers: float = 0.0, seed: int = 5) -> TrainingSet:
    rng = np.random.default_rng(seed)
    size = np.where(rng.random(len(table)) < outliers, 10.0, 1.0)
    noise = rng.multivariate_normal(np.zeros(len(BANDS)), scatter.covariance(), size=len(table)) * size[:, None]
    table = table.copy()
    for band, change in zip(BANDS, noise.T, strict=True):
        table[band] = table[band] + change
    return TrainingSet.from_table(table, bands=BANDS)


@pytest.mark.parametrize("outliers", [0.0, 0.03])
def test_scatter_is_found_again_in_spite_of_outliers(true_model, table, outliers):
    stars = stars_of(scattered(table, TRUE, outliers))
    found = fit_scatter(true_model, stars, np.arange(len(table)), seed=0)
    # In colours: what all bands have in common is hidden behind the errors of the distances.
    found, expected = (to_colors(to_colors(each.covariance()).T)[1:, 1:] for each in (found, TRUE))
    spread, true_spread = np.sqrt(np.diag(found)), np.sqrt(np.diag(expected))
    np.testing.assert_allclose(spread, true_spread, rtol=0.12)
    np.testing.assert_allclose(
        found / np.outer(spread, spread), expected / np.outer(true_spread, true_spread), atol=0.15
    )


def test_stars_without_scatter_leave_only_the_least(true_model, table):
    stars = stars_of(TrainingSet.from_table(table, bands=BANDS))
    found = fit_scatter(true_model, stars, np.arange(len(table)), seed=0)
    assert (np.sqrt(np.diag(found.covariance())) < 0.01).all()
    assert (found.own >= 0.99 * MIN_SCATTER).all()


def test_bundled_scatter_makes_held_out_stars_more_likely(green2020_stars):
    model = load_model("default")
    config = TrainingConfig.from_dict(model.metadata["configuration"])
    table = Table.read(green2020_stars)
    as_given = TrainingSet.from_table(table, bands=model.bands)
    for band in model.bands:
        table[f"{band}_err"] = np.sqrt(np.maximum(np.square(table[f"{band}_err"]) - config.floor_in_errors**2, 1e-8))
    measured = TrainingSet.from_table(table, bands=model.bands)
    held_out = split_stars(as_given, config).test
    floor = evaluate(model, as_given, held_out)
    scatter = evaluate(model, measured, held_out, with_scatter=True)
    assert np.median(scatter.star_log_likelihood - floor.star_log_likelihood) > 1
    assert np.median(scatter.star_chi2_per_dof) == pytest.approx(1, abs=0.1)


def test_density_is_deconvolved_from_the_errors_of_the_points():
    rng = np.random.default_rng(0)
    narrow, wide = np.array([0.3, 1.0]), np.array([1.0, 0.3])
    points = np.concatenate([rng.normal(size=(1500, 2)) * narrow - 2, rng.normal(size=(1500, 2)) * wide + 2])
    errors = 0.5 * np.tile(np.linalg.cholesky([[1.0, 0.3], [0.3, 1.0]]), (3000, 1, 1))
    noisy = points + np.einsum("nij,nj->ni", errors, rng.normal(size=(3000, 2)))
    plain, clean = GaussianMixture.fit(noisy, 2, 0), GaussianMixture.fit(noisy, 2, 0, errors)
    order = np.argsort(clean.mean[:, 0])
    std = np.sqrt(np.sum(np.square(clean.cholesky[order]), axis=-1))
    np.testing.assert_allclose(std, [narrow, wide], atol=0.08)
    np.testing.assert_allclose(clean.mean[order], [[-2, -2], [2, 2]], atol=0.1)
    np.testing.assert_allclose(np.exp(clean.log_weight), 0.5, atol=0.02)
    truth = jnp.asarray(points)
    gain = jax.vmap(clean.log_prob)(truth) - jax.vmap(plain.log_prob)(truth)
    assert gain.mean() > 0.2
