"""Stars of a known model, with every error source of Green et al. (2021), give that model back."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from astropy.table import Table

from albireo.model import load_model
from albireo.model.network import to_colors
from albireo.training import TrainingConfig, TrainingSet, train

pytestmark = pytest.mark.science


def resimulate(stars, model, seed):
    """The same stars, whose true labels and reddenings are those observed, as that model would show them."""
    rng = np.random.default_rng(seed)
    num = len(stars)
    spread = np.linalg.cholesky(stars.theta_cov)
    true_parallax = np.where(stars.usable_parallax(3), stars.parallax, 0.2)
    modulus = 10 - 5 * np.log10(true_parallax)
    mag = np.asarray(model.magnitudes(*map(jnp.asarray, (stars.theta, modulus, stars.reddening))), float)
    noise = np.where(stars.observed, stars.mag_err, 0.0) * rng.normal(size=mag.shape)
    return dataclasses.replace(
        stars,
        theta=stars.theta + np.einsum("nij,nj->ni", spread, rng.normal(size=(num, 3))),
        mag=np.where(stars.observed, mag + noise, 0.0),
        parallax=true_parallax
        + np.where(np.isfinite(stars.parallax_err), stars.parallax_err, 0) * rng.normal(size=num),
        reddening=stars.reddening + stars.reddening_err * rng.normal(size=num),
    )


@pytest.fixture(scope="module")
def recovered(green2020_stars):
    true = load_model("default")
    stars = TrainingSet.from_table(Table.read(green2020_stars))
    simulated = resimulate(stars, true, seed=1)
    default = TrainingConfig.preset("default")
    fits = {
        "refined": train(simulated, default).model,
        "first order": train(simulated, dataclasses.replace(default, refine_epochs=0)).model,
    }
    well_known = np.asarray(true.domain.density(jnp.asarray(stars.theta)))[:, 0] > 1e-2
    return true, fits, jnp.asarray(stars.theta[well_known])


def scatter(difference):
    return 1.4826 * np.median(np.abs(difference), axis=0)


def magnitude_error(model, true, theta):
    return scatter(np.asarray(to_colors(model.absolute_magnitudes(theta) - true.absolute_magnitudes(theta))))


def test_training_recovers_magnitudes_and_colors(recovered):
    true, fits, theta = recovered
    error = magnitude_error(fits["refined"], true, theta)
    assert error[0] < 0.1
    assert (error[1:] < 0.02).all()


def test_training_recovers_extinction(recovered):
    true, fits, theta = recovered
    ratio = np.median(np.asarray(fits["refined"].extinction_vector(theta) / true.extinction_vector(theta)), axis=0)
    np.testing.assert_allclose(ratio[:9], 1, atol=0.05)  # gaia_g to 2mass_j, where extinction is more than its errors


def test_refinement_undoes_the_dilution_of_slopes(recovered):
    true, fits, theta = recovered
    refined, first_order = (magnitude_error(fits[name], true, theta) for name in ("refined", "first order"))
    assert refined[0] < 0.75 * first_order[0]
