"""Stars that were looked for in a band and not found."""

from contextlib import nullcontext
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from astropy.table import Table
from scipy import stats
from scipy.special import logsumexp

from albireo import NUTS, Catalog, Importance, Posterior, UserError, figures, infer, likelihood, marginal
from albireo.flags import Flag
from albireo.inference import in_double
from albireo.priors import sightline
from albireo.upper_limits import LIMIT_ERR
from stars import SUN, TRUTHS, one, simulate, stars_of
from test_likelihood import brute_force, log_marginal

BLUE, RED = "ps1_g", "wise_w2"
INFRARED = ("2mass_h", "2mass_ks")


def not_found(catalog: Catalog, depth: dict[str, float]) -> Catalog:
    """The stars not found in some bands, whose limits are so much fainter than the stars were."""
    limit = catalog.mag_limit.copy()
    mag = catalog.mag
    for band, deeper in depth.items():
        at = catalog.bands.index(band)
        limit[:, at] = mag[:, at] + deeper
        catalog = catalog.without(band)
    return replace(catalog, mag_limit=limit)


def scatter_of(model, catalog):
    """Covariance of the bands that were found and, last, those that were not."""
    found = np.flatnonzero(np.isfinite(catalog.mag[0]))
    limited = np.flatnonzero(np.isfinite(catalog.mag_limit[0]))
    noise = np.nan_to_num(catalog.mag_err[0], nan=LIMIT_ERR) ** 2
    covariance = np.asarray(model.scatter.covariance(), float) + np.diag(noise)
    order = np.concatenate([found, limited])
    return found, limited, covariance[np.ix_(order, order)]


@pytest.mark.parametrize("depth", [{BLUE: -0.1}, {RED: 0.3}, {BLUE: -0.3, RED: -0.2}])
def test_the_likelihood_is_the_probability_of_not_finding_it(model, depth):
    """The joint normal of all magnitudes, integrated over those beyond their limits by scipy."""
    catalog = not_found(simulate(model).without("parallax"), depth)
    theta, mu, reddening = SUN
    predicted = np.asarray(model.magnitudes(jnp.array(theta), mu, reddening), float)
    found, limited, covariance = scatter_of(model, catalog)
    n = len(found)
    residual = catalog.mag[0, found] - predicted[found]
    expected = stats.multivariate_normal(cov=covariance[:n, :n]).logpdf(residual)
    regression = covariance[n:, :n] @ np.linalg.inv(covariance[:n, :n])
    left = covariance[n:, n:] - regression @ covariance[:n, n:]
    beyond = predicted[limited] + regression @ residual - catalog.mag_limit[0, limited]
    expected += stats.multivariate_normal(cov=left).logcdf(beyond)
    star = one(stars_of(catalog, scatter=model.scatter), 0)
    value = likelihood.log_likelihood(model, star, jnp.array(theta), mu, reddening)
    assert value == pytest.approx(expected, abs=0.03)
    each = likelihood.log_likelihood_each_band(model, star, jnp.array(theta), mu, reddening)
    assert np.all(each[limited] < 0)


@pytest.mark.parametrize("depth", [{BLUE: -0.6}, {BLUE: 0.1, RED: -0.5}])
def test_the_integral_over_distance_and_reddening_holds(model, milky_way, depth):
    stars = stars_of(not_found(simulate(model), depth), scatter=model.scatter)
    for number, (theta, mu, reddening) in enumerate(TRUTHS):
        star, theta = one(stars, number), jnp.array(theta)
        expected = brute_force(model, milky_way, star, theta, mu, reddening)[-1]
        assert log_marginal(model, milky_way, star, theta) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize(("found", "mag_err", "deeper"), [(("wise_w1", "wise_w2"), 0.1, 0.0), (INFRARED, 0.05, 1.0)])
def test_the_integral_holds_where_reddening_is_uncertain(model, milky_way, found, mag_err, deeper):
    """Stars of the infrared: the scatter that bands share leaves E uncertain, and the limit says most of it."""
    catalog = not_found(only(simulate(model, mag_err=mag_err), *found, BLUE), {BLUE: deeper})
    stars = stars_of(catalog, scatter=model.scatter)
    for number, (theta, mu, reddening) in enumerate(TRUTHS):
        star, theta = one(stars, number), jnp.array(theta)
        at = theta, mu, reddening + 1.5  # the grid reaches 0.5 beyond
        expected = brute_force(model, milky_way, star, *at, width=2.5)[-1]
        assert log_marginal(model, milky_way, star, theta) == pytest.approx(expected, abs=0.02)


def only(catalog, *bands):
    for band in set(catalog.bands) - set(bands):
        catalog = catalog.without(band)
    return catalog


def test_two_bands_and_a_limit_are_enough(model, milky_way):
    """Where the limit is what tells reddening from distance, drawn back they follow their conditional."""
    catalog = not_found(only(simulate(model, parallax_snr=3.0), "gaia_g", "2mass_ks", BLUE), {BLUE: 0.5})
    star, (theta, mu, reddening) = one(stars_of(catalog), 0), SUN
    theta = jnp.array(theta)
    grid_mu, grid_reddening, log_p, expected = brute_force(model, milky_way, star, theta, mu, reddening)
    assert log_marginal(model, milky_way, star, theta) == pytest.approx(expected, abs=0.02)
    sky = jax.jit(sightline)(milky_way, star.position)
    p, u = np.exp(log_p - logsumexp(log_p)), jax.random.uniform(jax.random.key(0), (4000, 2))
    draw = jax.jit(jax.vmap(lambda u: marginal.draw_distance_and_reddening(model, milky_way, star, sky, theta, u)))
    for draws, grid, density in zip(draw(u), (grid_mu, grid_reddening), (p.sum(1), p.sum(0)), strict=True):
        cumulative = np.cumsum(density) - 0.5 * density
        assert stats.kstest(np.asarray(draws), lambda x, g=grid, c=cumulative: np.interp(x, g, c)).pvalue > 0.001


def test_gradients_are_those_of_finite_differences(model, milky_way):
    star = one(stars_of(not_found(simulate(model), {BLUE: -0.5}), scatter=model.scatter), 0)
    with jax.enable_x64(True):
        model64, prior64, star64 = in_double((model, milky_way, star))
        f = jax.jit(lambda theta: log_marginal(model64, prior64, star64, theta))
        theta = jnp.array([5700.0, 4.4, 0.05])
        gradient = jax.jit(jax.grad(f))(theta)
        for i, step in enumerate((1.0, 1e-3, 1e-3)):
            shift = step * jnp.eye(3)[i]
            assert gradient[i] == pytest.approx(float((f(theta + shift) - f(theta - shift)) / (2 * step)), rel=2e-3)


@pytest.fixture(scope="module")
def limited(model):
    """A dwarf and a giant found in two bands, each twice: as it is, and not found in a third."""
    catalog = only(simulate(model)[:2], "2mass_j", "2mass_ks", BLUE)
    table = catalog[np.array([0, 1, 0, 1])].to_table()
    limit = np.asarray(table[BLUE]) + 0.5
    table[f"{BLUE}_limit"] = np.where([False, False, True, True], limit, np.nan)
    table[BLUE] = np.nan
    table["name"] = ["dwarf", "giant", "dwarf not found", "giant not found"]
    return Catalog.from_table(table, bands=model.bands)


@pytest.fixture(scope="module")
def sampled(model, milky_way, limited):
    with pytest.warns(UserWarning, match="average over the sky") if np.isnan(limited.glon).any() else nullcontext():
        return infer(limited, model=model, prior=milky_way, sampler=Importance(num_samples=4000))


def test_a_limit_weighs_draws_by_the_probability_of_not_finding_them(model, sampled):
    stars, draws = sampled.stars_and_draws()

    def probability(star, *draw):
        return jnp.exp(jnp.sum(likelihood.log_likelihood_limits(model, star, *draw)))

    free = jax.tree.map(lambda a: a[:2, 0], draws)
    with_limits = jax.tree.map(lambda a: a[2:], stars)
    weight = jax.vmap(jax.vmap(probability, in_axes=(None, 0, 0, 0)))(with_limits, *free)
    assert np.all(np.mean(weight, axis=1) < 0.8)
    group, kish = sampled.tree["posterior"], np.asarray(sampled.tree["sample_stats"]["ess_kish"])
    share = np.sum(weight, axis=1) ** 2 / np.sum(weight**2, axis=1) / weight.shape[1]  # of draws that these leave
    error = np.sqrt(1 / (share * kish[:2]) + 1 / kish[2:])
    for name in ("teff", "logg", "distance_modulus", "reddening"):
        x = group[name].values[0]
        expected = np.average(x[:, :2], axis=0, weights=weight.T)
        assert np.all(np.abs(x[:, 2:].mean(axis=0) - expected) < 4 * error * x[:, 2:].std(axis=0)), name


def test_a_star_without_a_limit_is_what_it_is_beside_stars_with_one(model, milky_way, limited, sampled):
    alone = infer(limited[:2], model=model, prior=milky_way, sampler=Importance(num_samples=4000))
    for name in alone.variables:
        np.testing.assert_array_equal(alone.tree["posterior"][name], sampled.tree["posterior"][name][..., :2])


def test_limits_are_kept_with_the_posterior(model, milky_way, sampled, tmp_path):
    sampled.save(tmp_path / "posterior.nc")
    loaded = Posterior.load(tmp_path / "posterior.nc", model=model, prior=milky_way)
    expected = sampled.log_likelihood()["magnitude"]
    np.testing.assert_allclose(loaded.log_likelihood()["magnitude"], expected, atol=1e-5)
    assert np.all(expected.sel(band=BLUE)[..., :2] == 0)
    assert np.all(expected.sel(band=BLUE)[..., 2:] <= 0)
    assert np.all(expected.sel(band=BLUE)[..., 2:].mean("draw") < -0.1)


@pytest.mark.slow
def test_chains_and_weighted_draws_agree(model, milky_way, limited, sampled):
    chains = infer(limited, model=model, prior=milky_way, sampler=NUTS())
    for name in ("teff", "logg", "distance_modulus", "reddening"):
        one, other = (np.asarray(p.tree["posterior"][name]).reshape(-1, 4) for p in (chains, sampled))
        error = one.std(axis=0) / np.sqrt(200)
        assert np.all(np.abs(one.mean(axis=0) - other.mean(axis=0)) < 4 * error), name


@pytest.mark.slow
def test_limits_and_outliers_go_together(model, milky_way, limited):
    allowing = infer(limited, model=model, prior=milky_way, sampler=Importance(escalate=False), outliers=0.01)
    assert np.isfinite(allowing.tree["posterior"]["teff"]).all()
    assert np.all(np.nan_to_num(allowing.tree["sample_stats"]["outlier_probability"]) < 0.5)


def test_a_limit_that_contradicts_the_magnitudes_is_a_poor_fit(model, milky_way, limited, sampled):
    impossible = replace(limited, mag_limit=limited.mag_limit + 5)
    posterior = infer(impossible, model=model, prior=milky_way, sampler=Importance(num_samples=4000, escalate=False))
    np.testing.assert_array_equal(posterior.flags & int(Flag.POOR_FIT) > 0, limited.has_limit)
    assert not np.any(sampled.flags & int(Flag.POOR_FIT))


def test_arviz_is_given_limits_in_bands_without_magnitudes(sampled):
    groups = sampled.to_arviz()
    limits = groups["constant_data"]["magnitude_limit"].sel(band=BLUE)
    np.testing.assert_array_equal(np.isfinite(limits), [False, False, True, True])


def table_of(**columns):
    return Table({"gaia_g": [12.0, np.nan, 13.0], "gaia_g_err": [0.01, np.nan, 0.01]} | columns)


def test_limits_are_read_where_a_star_was_not_found():
    columns = {"2mass_j": [11.0, 11.0, np.nan], "2mass_j_err": 3 * [0.01], "2mass_j_limit": [16.0, np.nan, 16.5]}
    catalog = Catalog.from_table(table_of(**columns))
    np.testing.assert_array_equal(catalog.mag_limit, [[np.nan] * 2, [np.nan] * 2, [np.nan, 16.5]])
    np.testing.assert_array_equal(catalog.has_limit, [False, False, True])
    assert not catalog.extra.colnames
    again = Catalog.from_table(catalog.to_table())
    np.testing.assert_array_equal(again.mag_limit, catalog.mag_limit)
    assert not catalog.without("2mass_j").has_limit.any()
    assert catalog.select_bands(["wise_w1", "2mass_j"]).mag_limit[2, 1] == 16.5


@pytest.mark.parametrize("unusable", [{"2mass_j_err": [0.01, 0.01, np.nan]}, {"2mass_j": [11.0, 11.0, 70.0]}])
def test_a_star_with_an_unusable_magnitude_was_found(unusable):
    columns = {"2mass_j": [11.0, 11.0, 11.0], "2mass_j_err": 3 * [0.01], "2mass_j_limit": 3 * [16.0]}
    catalog = Catalog.from_table(table_of(**(columns | unusable)))
    assert np.isnan(catalog.mag[2, 1])
    assert not catalog.has_limit.any()


@pytest.mark.parametrize("sentinel", [np.nan, -9999.0, 99.0])
def test_a_limit_that_is_none_is_no_limit(sentinel):
    columns = {"2mass_j": [11.0, 11.0, np.nan], "2mass_j_err": 3 * [0.01], "2mass_j_limit": [16.0, 16.0, sentinel]}
    catalog = Catalog.from_table(table_of(**columns))
    assert not catalog.has_limit.any()
    assert not catalog.bad_input.any()


def test_an_impossible_limit_marks_its_star():
    columns = {"2mass_j": [11.0, 11.0, np.nan], "2mass_j_err": 3 * [0.01], "2mass_j_limit": [16.0, 16.0, 77.0]}
    catalog = Catalog.from_table(table_of(**columns))
    np.testing.assert_array_equal(catalog.bad_input, [False, False, True])
    assert not catalog.has_limit.any()


def test_limits_that_are_fluxes_are_refused():
    columns = {"2mass_j": 12 * [np.nan], "2mass_j_err": 12 * [np.nan], "2mass_j_limit": 12 * [0.001]}
    with pytest.raises(UserError, match="2mass_j_limit must hold magnitudes"):
        Catalog.from_table(Table({"gaia_g": 12 * [12.0], "gaia_g_err": 12 * [0.01]} | columns))


def test_a_limit_without_its_band_is_named():
    with pytest.warns(UserWarning, match="column 2mass_j_limit is not used: there is no column 2mass_j"):
        Catalog.from_table(table_of(**{"2mass_j_limit": [16.0, 16.0, 16.0]}))


def test_the_figure_has_a_mark_at_the_limit(sampled, limited):
    for star, at in ((0, None), (2, limited.mag_limit[2, limited.bands.index(BLUE)])):
        drawn = figures.sed(sampled, star).axes[0].lines
        marks = [line.get_ydata() for line in drawn if line.get_marker() == "v"]
        assert len(marks) == (at is not None)
        assert at is None or np.nanmax(marks[0]) == pytest.approx(at)
