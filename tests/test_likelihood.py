"""The likelihood, and the closed integral over distance modulus and reddening against brute force."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

from albireo import likelihood, marginal
from albireo.priors import load_prior, sightline
from stars import SUN, TRUTHS, one, simulate, stars_of, to_double, with_spread

PRIORS = ("milky-way", "edsd", "flat")
GRID_MU, GRID_REDDENING = 500, 900


@pytest.fixture(scope="module")
def priors(model):
    return {name: load_prior(name, model) for name in PRIORS}


@eqx.filter_jit
def log_posterior_grid(model, prior, star, theta, mu, reddening):
    sky = sightline(prior, star.position)

    def at(mu, e):
        return likelihood.log_posterior(model, prior, star, sky, theta, mu, e)

    return jax.vmap(lambda mu: jax.vmap(lambda e: at(mu, e))(reddening))(mu)


@eqx.filter_jit
def log_marginal(model, prior, star, theta):
    return marginal.log_marginal(model, prior, star, sightline(prior, star.position), theta)


def brute_force(model, prior, star, theta, mu, reddening, width=0.6):
    """The posterior on a grid of (μ, E), with the trapezoid rule's half weight at E = 0."""
    mu = np.linspace(mu - width, mu + width, GRID_MU)
    reddening = np.linspace(0, reddening + 0.5, GRID_REDDENING)
    log_p = np.asarray(
        log_posterior_grid(
            model, prior, star, theta, jnp.asarray(mu, jnp.float32), jnp.asarray(reddening, jnp.float32)
        ),
        float,
    )
    log_p[:, 0] -= np.log(2)
    log_area = np.log(mu[1] - mu[0]) + np.log(reddening[1] - reddening[0])
    return mu, reddening, log_p, logsumexp(log_p) + log_area


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("parallax_snr", [3.0, 100.0])
def test_marginal_likelihood_is_the_integral_over_distance_and_reddening(model, priors, prior, parallax_snr):
    stars = stars_of(simulate(model, parallax_snr=parallax_snr))
    for number, (theta, mu, reddening) in enumerate(TRUTHS):
        star, theta = one(stars, number), jnp.array(theta)
        expected = brute_force(model, priors[prior], star, theta, mu, reddening)[-1]
        assert log_marginal(model, priors[prior], star, theta) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("parallax", [5.0, 20.0, 100.0])
def test_marginal_likelihood_holds_where_a_precise_parallax_contradicts_the_photometry(model, milky_way, parallax):
    """Up to thousands of errors away: the posterior is where the parallax is, with much dust."""
    catalog = simulate(model, (SUN,))
    catalog.parallax[0], catalog.parallax_err[0] = parallax, 2e-4 * parallax
    (theta, *_), star = SUN, one(stars_of(catalog, scatter=model.scatter), 0)
    mu = 10 - 5 * np.log10(parallax)
    expected = brute_force(model, milky_way, star, jnp.array(theta), mu, 4.0, width=0.015)[-1]
    assert log_marginal(model, milky_way, star, jnp.array(theta)) == pytest.approx(expected, abs=0.05)


def test_marginal_likelihood_holds_under_the_scatter_of_the_model(model, milky_way):
    stars = stars_of(simulate(model, mag_err=0.003), scatter=model.scatter)
    for number, (theta, mu, reddening) in enumerate(TRUTHS):
        star, theta = one(stars, number), jnp.array(theta)
        expected = brute_force(model, milky_way, star, theta, mu, reddening)[-1]
        assert log_marginal(model, milky_way, star, theta) == pytest.approx(expected, abs=0.02)


def test_marginal_likelihood_holds_under_the_spread_of_the_model(model, milky_way):
    model, number = with_spread(model), 1
    star, (theta, mu, reddening) = one(stars_of(simulate(model), scatter=model.scatter), number), TRUTHS[number]
    expected = brute_force(model, milky_way, star, jnp.array(theta), mu, reddening)[-1]
    assert log_marginal(model, milky_way, star, jnp.array(theta)) == pytest.approx(expected, abs=0.02)


def test_distance_and_reddening_drawn_back_follow_their_conditional(model, milky_way):
    theta, mu, reddening = SUN
    star, theta = one(stars_of(simulate(model)), 0), jnp.array(theta)
    grid_mu, grid_reddening, log_p, _ = brute_force(model, milky_way, star, theta, mu, reddening)
    p = np.exp(log_p - log_p.max())
    u = jax.random.uniform(jax.random.key(0), (4000, 2))
    sky = eqx.filter_jit(sightline)(milky_way, star.position)
    draw = jax.jit(jax.vmap(lambda u: marginal.draw_distance_and_reddening(model, milky_way, star, sky, theta, u)))
    for draws, grid, density in zip(draw(u), (grid_mu, grid_reddening), (p.sum(axis=1), p.sum(axis=0)), strict=True):
        cumulative = (np.cumsum(density) - 0.5 * density) / density.sum()
        assert stats.kstest(np.asarray(draws), lambda x, g=grid, c=cumulative: np.interp(x, g, c)).pvalue > 0.001


def test_gradient_of_the_marginal_matches_finite_differences(model, milky_way):
    star = one(stars_of(simulate(model)), 0)
    with jax.enable_x64(True):
        model64, prior64, star64 = to_double(model), to_double(milky_way), to_double(star)
        f = eqx.filter_jit(
            lambda theta: marginal.log_marginal(model64, prior64, star64, sightline(prior64, star64.position), theta)
        )
        theta = jnp.array([5700.0, 4.4, 0.05])
        gradient = eqx.filter_jit(jax.grad(f))(theta)
        for i, step in enumerate((1.0, 1e-3, 1e-3)):
            shift = step * jnp.eye(3)[i]
            assert gradient[i] == pytest.approx(float((f(theta + shift) - f(theta - shift)) / (2 * step)), rel=1e-3)


def test_single_precision_agrees_with_double(model, milky_way):
    stars = stars_of(simulate(model))
    rng = np.random.default_rng(0)
    around = np.array([theta for theta, _, _ in TRUTHS])[:, None] + rng.normal(size=(3, 20, 3)) * (50, 0.1, 0.1)
    single = [
        [float(log_marginal(model, milky_way, one(stars, i), jnp.asarray(t, jnp.float32))) for t in around[i]]
        for i in range(3)
    ]
    with jax.enable_x64(True):
        model64, prior64, stars64 = to_double(model), to_double(milky_way), to_double(stars)
        double = [
            [float(log_marginal(model64, prior64, one(stars64, i), jnp.asarray(t))) for t in around[i]]
            for i in range(3)
        ]
    np.testing.assert_allclose(single, double, atol=0.02, rtol=1e-4)


def test_a_missing_band_has_no_weight_and_gives_no_nan(model, milky_way):
    catalog = simulate(model)
    stars = stars_of(catalog.without(model.bands[3]))
    theta = jnp.array(SUN[0])
    value, gradient = jax.value_and_grad(lambda t: log_marginal(model, milky_way, one(stars, 0), t))(theta)
    catalog.mag[0, 3] = 30.0  # whatever stands in a band without error
    again = log_marginal(model, milky_way, one(stars_of(catalog.without(model.bands[3])), 0), theta)
    assert jnp.isfinite(value)
    assert jnp.all(jnp.isfinite(gradient))
    assert value == pytest.approx(float(again), rel=1e-6)


def test_full_likelihood_is_a_product_of_gaussians(model):
    catalog = simulate(model)
    theta, mu, reddening = SUN
    predicted = np.asarray(model.magnitudes(jnp.array(theta), mu, reddening))
    expected = stats.norm.logpdf(catalog.mag[0], predicted, catalog.mag_err[0]).sum()
    expected += stats.norm.logpdf(catalog.parallax[0], 10 ** (2 - mu / 5), catalog.parallax_err[0])
    star = one(stars_of(catalog), 0)
    assert likelihood.log_likelihood(model, star, jnp.array(theta), mu, reddening) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("spread", [False, True])
def test_scatter_and_spread_correlate_the_bands(model, spread):
    """Of the bands that are observed the likelihood is that of scipy's multivariate normal."""
    model = with_spread(model) if spread else model
    catalog = simulate(model, mag_err=0.01).without(model.bands[2]).without("parallax")
    seen = np.arange(len(model.bands)) != 2
    theta, mu, reddening = SUN
    predicted = np.asarray(model.magnitudes(jnp.array(theta), mu, reddening))
    covariance = np.diag(catalog.mag_err[0, seen] ** 2) + np.asarray(model.scatter.covariance())[np.ix_(seen, seen)]
    if spread:
        at = jnp.array(theta), mu, reddening
        mag = jax.vmap(lambda layers: eqx.tree_at(lambda m: m.layers, model, layers).magnitudes(*at))
        covariance += np.cov(np.asarray(mag(model.spread.layers), float)[:, seen].T)
    expected = stats.multivariate_normal(predicted[seen], covariance).logpdf(catalog.mag[0, seen])
    star = one(stars_of(catalog, scatter=model.scatter), 0)
    assert likelihood.log_likelihood(model, star, jnp.array(theta), mu, reddening) == pytest.approx(expected, abs=0.01)
    # Each band given all others: the joint density over that of the others.
    single = np.asarray(likelihood.log_likelihood_each_band(model, star, jnp.array(theta), mu, reddening))
    difference = catalog.mag[0, seen] - predicted[seen]
    for place, band in enumerate(np.flatnonzero(seen)):
        others = np.delete(np.arange(seen.sum()), place)
        rest = stats.multivariate_normal(cov=covariance[np.ix_(others, others)]).logpdf(difference[others])
        assert single[band] == pytest.approx(expected - rest, abs=0.01)
    assert single[2] == 0


@pytest.mark.parametrize("parallax_snr", [3.0, 100.0])
def test_two_bands_are_enough_for_the_integral(model, priors, parallax_snr):
    catalog = simulate(model, parallax_snr=parallax_snr)
    for band in set(model.bands) - {"gaia_g", "2mass_ks"}:
        catalog = catalog.without(band)
    theta, mu, reddening = SUN
    star, theta = one(stars_of(catalog), 0), jnp.array(theta)
    expected = brute_force(model, priors["milky-way"], star, theta, mu, reddening)[-1]
    assert log_marginal(model, priors["milky-way"], star, theta) == pytest.approx(expected, abs=0.02)


def test_a_negative_parallax_favours_large_distances(model):
    star = one(stars_of(simulate(model)), 0)
    negative = eqx.tree_at(lambda s: s.parallax, star, jnp.array(-0.1))
    near, far = (likelihood.log_likelihood_parallax(negative, jnp.array(mu)) for mu in (8.0, 14.0))
    assert far > near
