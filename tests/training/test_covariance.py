import jax
import jax.numpy as jnp
import numpy as np
import pytest

from albireo.model.network import to_colors
from albireo.model.scatter import Scatter
from albireo.training.loss import pack, packed_product
from albireo.training.reddening import update_reddening
from albireo.training.scatter import OUTLIER_SCALE, outlier_gain
from albireo.training.stars import fit_star, refit_reddening, stars_of, sweep
from stars import with_spread

SCATTER = Scatter(
    np.array([0.01, 0.02, 0.03, 0.04]), np.array([[0.02, 0.01], [0.03, -0.01], [0.0, 0.04], [-0.02, 0.0]])
)


def one(stars, i):
    return jax.tree.map(lambda a: jnp.asarray(a[i]), stars)


@pytest.fixture(autouse=True)
def _double_precision():
    with jax.enable_x64(True):
        yield


def dense_covariance(model, star):
    """Eq. (4) as it is written, for a star with all bands and a parallax."""
    slopes = jax.jacfwd(lambda t: model.magnitudes(t, star.modulus, star.reddening))(star.theta)
    labels = star.theta_cholesky @ star.theta_cholesky.T
    extinction = model.extinction_vector(star.theta)
    distance = (5 / np.log(10) * star.relative_parallax_err) ** 2
    shared = slopes @ labels @ slopes.T + star.reddening_err**2 * jnp.outer(extinction, extinction) + distance
    scatter = 0 if model.scatter is None else model.scatter.covariance()
    spread = np.zeros((4, 1)) if model.spread is None else model.spread.directions(model.standardise(star.theta))
    return np.asarray(shared + jnp.diag(star.mag_err**2) + scatter + spread @ spread.T)


@pytest.fixture
def whole_star(stars):
    i = np.flatnonzero(stars.observed.all(axis=1) & stars.usable_parallax(5))[0]
    return one(stars_of(stars), i)


@pytest.mark.parametrize("scatter", [None, SCATTER])
def test_precision_is_inverse_of_covariance_of_eq_4(true_model, whole_star, scatter):
    model = with_spread(true_model).with_scatter(scatter)
    fit = fit_star(model, whole_star)
    np.testing.assert_allclose(fit.precision @ dense_covariance(model, whole_star), np.eye(4), atol=1e-6)


@pytest.mark.parametrize("scatter", [None, SCATTER])
def test_log_likelihood_is_that_of_scipy(true_model, whole_star, scatter):
    from scipy.stats import multivariate_normal

    model = with_spread(true_model).with_scatter(scatter)
    fit = fit_star(model, whole_star)
    expected = multivariate_normal(np.zeros(4), dense_covariance(model, whole_star)).logpdf(fit.residual)
    assert fit.log_likelihood == pytest.approx(expected, rel=1e-8)


def test_outlier_is_a_normal_of_larger_covariance(true_model, whole_star):
    from scipy.stats import multivariate_normal

    fit = fit_star(true_model, whole_star)
    wide = multivariate_normal(np.zeros(4), OUTLIER_SCALE**2 * dense_covariance(true_model, whole_star))
    assert fit.log_likelihood + outlier_gain(fit) == pytest.approx(wide.logpdf(fit.residual), rel=1e-6)


def test_covariance_matches_monte_carlo(true_model, whole_star):
    """Magnitudes of a star whose labels, reddening and parallax scatter by their errors scatter as Eq. (4) says."""
    rng = np.random.default_rng(0)
    num = 200_000
    # A tenth of the errors: Eq. (4) is of first order in them.
    star = whole_star._replace(
        theta_cholesky=0.1 * whole_star.theta_cholesky, relative_parallax_err=0.1 * whole_star.relative_parallax_err
    )
    theta = star.theta + rng.normal(size=(num, 3)) @ star.theta_cholesky.T
    reddening = star.reddening + star.reddening_err * rng.normal(size=num)
    modulus = star.modulus - 5 * np.log10(1 + star.relative_parallax_err * rng.normal(size=num))
    mag = true_model.magnitudes(jnp.asarray(theta), jnp.asarray(modulus), jnp.asarray(reddening))
    mag = np.asarray(mag) + np.asarray(star.mag_err) * rng.normal(size=(num, 4))
    np.testing.assert_allclose(np.cov(mag.T), dense_covariance(true_model, star), rtol=0.02)


def test_unobserved_band_drops_out(true_model, whole_star):
    star = whole_star._replace(mag_err=whole_star.mag_err.at[2].set(jnp.inf), mag=whole_star.mag.at[2].set(0.0))
    rest = jnp.array([0, 1, 3])
    fit, expected = fit_star(true_model, star), dense_covariance(true_model, whole_star)[np.ix_(rest, rest)]
    np.testing.assert_allclose(fit.precision[jnp.ix_(rest, rest)] @ expected, np.eye(3), atol=1e-6)
    assert not np.any(fit.precision[2])
    assert fit.dof == fit_star(true_model, whole_star).dof - 1


def test_star_without_parallax_is_fitted_by_its_colors(true_model, whole_star):
    """χ² and density are those of the colours under C_c = B C_m Bᵀ, Eq. (6), whatever the brightness."""
    from scipy.stats import multivariate_normal

    star = whole_star._replace(has_parallax=jnp.array(False), modulus=whole_star.modulus + 3)
    fit = fit_star(true_model, star)
    to_color = np.asarray(to_colors(jnp.eye(4))).T
    covariance = (to_color @ dense_covariance(true_model, whole_star) @ to_color.T)[1:, 1:]
    color = np.asarray(to_colors(fit.residual))[1:]
    assert fit.chi2 == pytest.approx(color @ np.linalg.solve(covariance, color), rel=1e-6)
    expected = multivariate_normal(np.zeros(3), covariance).logpdf(color)
    assert fit.log_likelihood == pytest.approx(expected, rel=1e-6)


def test_packed_product_is_a_matrix_product():
    rng = np.random.default_rng(0)
    root, vector = rng.normal(size=(7, 5, 5)), jnp.asarray(rng.normal(size=(7, 5)))
    matrix = jnp.asarray(root + root.transpose(0, 2, 1))
    np.testing.assert_allclose(packed_product(jax.vmap(pack)(matrix), vector), jnp.einsum("nij,nj->ni", matrix, vector))


def test_updated_reddening_is_the_posterior_of_eqs_8_and_9(true_model, whole_star):
    star = whole_star._replace(reddening_err=jnp.array(0.3))
    unreddened = star._replace(reddening=jnp.zeros(()), reddening_err=jnp.zeros(()))
    fit = fit_star(true_model, unreddened)
    extinction = np.asarray(true_model.extinction_vector(star.theta))
    inverse = np.linalg.inv(dense_covariance(true_model, unreddened))
    weight = extinction @ inverse @ extinction + 1 / 0.3**2
    mean = (float(star.reddening) / 0.3**2 + extinction @ inverse @ np.asarray(fit.residual)) / weight
    reddening, err = refit_reddening(true_model, star)
    assert reddening == pytest.approx(max(mean, 0), rel=1e-6)
    assert err == pytest.approx(np.sqrt(max(1 / weight, 0.02**2 + (0.1 * reddening) ** 2)), rel=1e-6)


@pytest.mark.parametrize("first_err", [0.0, 0.01, 5.0])
def test_updated_reddening_is_never_negative_and_keeps_its_floor(true_model, whole_star, first_err):
    from albireo.training.covariance import tangent

    at = tangent(true_model, whole_star.theta)
    residual = -jnp.ones(4)  # a star too bright and too blue for any reddening
    precision = jnp.diag(jnp.full(4, 1 / 0.03**2))
    reddening, err = update_reddening(precision, at, residual, jnp.array(0.0), jnp.array(first_err))
    assert reddening == 0
    assert err >= 0.02


def test_sweep_by_chunks_equals_one_sweep(true_model, stars):
    some = stars_of(stars[:50])
    whole, chunks = sweep(fit_star, true_model, some), sweep(fit_star, true_model, some, chunk=16)
    np.testing.assert_allclose(chunks.chi2, whole.chi2, rtol=1e-9)
    assert whole.precision.dtype == np.float64


def test_parallax_correction_is_that_of_exact_moments(stars):
    """Eq. (A17) against the mean distance modulus under a Gaussian parallax and a prior p(ϖ) ∝ ϖ^slope."""
    slope, rng = -1.5, np.random.default_rng(0)
    i = int(np.argmax(stars.parallax / stars.parallax_err < 20))
    parallax, err = stars.parallax[i], stars.parallax_err[i]
    draws = parallax + err * rng.normal(size=1_000_000)
    draws = draws[draws > 0]
    expected = np.average(10 - 5 * np.log10(draws), weights=draws**slope)
    plain, corrected = (stars_of(stars, parallax_prior_slope=s).modulus[i] for s in (None, slope))
    # What is left is of fourth order in the relative error.
    assert corrected - plain == pytest.approx(expected - plain, rel=0.1, abs=2e-4)
