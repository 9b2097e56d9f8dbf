"""The figures that the documentation states of the bundled model, on real stars."""

import jax.numpy as jnp
import numpy as np
import pytest
from astropy.table import Table

from albireo.model import load_green2020, load_model
from albireo.model.domain import MIN_DENSITY_ABSOLUTE
from albireo.model.network import to_colors
from albireo.training import TrainingConfig, TrainingSet, evaluate, split_stars


@pytest.fixture(scope="module")
def bundled():
    return load_model("default")


@pytest.fixture(scope="module")
def published(data_folder):
    return load_green2020(data_folder / "green2020_published")


@pytest.fixture(scope="module")
def real_stars(green2020_stars):
    return TrainingSet.from_table(Table.read(green2020_stars))


@pytest.fixture(scope="module")
def well_known(published, real_stars):
    theta = jnp.asarray(real_stars.theta)
    return theta[np.asarray(published.domain.density(theta)).min(axis=1) > MIN_DENSITY_ABSOLUTE]


def test_all_real_stars_can_be_used(real_stars):
    assert (len(real_stars), real_stars.dropped) == (8000, {})


def test_bundled_model_is_no_worse_than_the_published_network_on_held_out_stars(bundled, published, real_stars):
    held_out = split_stars(real_stars, TrainingConfig.from_dict(bundled.metadata["configuration"])).test
    ours, theirs = (evaluate(model, real_stars, held_out) for model in (bundled, published))
    assert ours.num_stars == 800
    assert ours.chi2_per_dof < min(0.895, theirs.chi2_per_dof)
    assert ours.outlier_fraction < min(0.032, theirs.outlier_fraction)
    assert ours.mean_log_likelihood > theirs.mean_log_likelihood
    assert ours.chi2_per_dof == pytest.approx(bundled.metadata["held_out"]["chi2_per_dof"], abs=1e-4)


def test_bundled_colors_agree_with_the_published_network(bundled, published, well_known):
    difference = bundled.absolute_magnitudes(well_known) - published.absolute_magnitudes(well_known)
    scatter = 1.4826 * np.median(np.abs(np.asarray(to_colors(difference))[:, 1:]), axis=0)
    assert (scatter < 0.02).all()


def test_bundled_extinction_agrees_with_the_published_network_up_to_ks(bundled, published, well_known):
    ratio = bundled.extinction_vector(well_known) / published.extinction_vector(well_known)
    np.testing.assert_allclose(np.median(ratio, axis=0)[:11], 1, atol=0.03)


def test_bundled_model_puts_the_sun_where_it_is(bundled):
    # M_G of the Sun = 4.67 (Casagrande & VandenBerg 2018, MNRAS 479, L102).
    assert bundled.absolute_magnitudes(jnp.array([5772.0, 4.438, 0.0]))[0] == pytest.approx(4.67, abs=0.1)
