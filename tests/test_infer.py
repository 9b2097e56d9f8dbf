"""infer() and Posterior: what users and ArviZ get, and what a bad star does."""

import dataclasses
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from albireo import NUTS, Catalog, Importance, Nested, Posterior, UserError, infer
from albireo.flags import Flag, flag_names
from albireo.priors import Prior, Reddening
from stars import PLANET_HOSTS, TRUTHS, simulate

QUICK = Importance(escalate=False, batch_size=2)
CHAINS = NUTS(num_chains=4, num_warmup=100, num_samples=500, escalate=False, batch_size=2)


@pytest.fixture(scope="module")
def hosts():
    return Catalog.read(PLANET_HOSTS)[:3]


@pytest.fixture(scope="module")
def weighted(model, milky_way, hosts):
    return infer(hosts, model=model, prior=milky_way, sampler=QUICK, seed=1)


@pytest.fixture(scope="module")
def chains(model, milky_way, hosts):
    return infer(hosts, model=model, prior=milky_way, sampler=CHAINS, seed=1)


def test_simulated_stars_are_recovered(model, milky_way):
    summary = infer(simulate(model), model=model, prior=milky_way, sampler=QUICK).summary()
    for i, (theta, mu, reddening) in enumerate(TRUTHS):
        truth = dict(zip(model.labels, theta, strict=True)) | {"distance_modulus": mu, "reddening": reddening}
        for name, value in truth.items():
            mean, std = (float(np.asarray(summary[f"{name}_{s}"])[i]) for s in ("mean", "std"))
            assert abs(mean - value) < 4 * std, (i, name)


@pytest.mark.parametrize("result", ["weighted", "chains"])
def test_arviz_summarises_the_posterior(result, request, model):
    import arviz as az

    posterior = request.getfixturevalue(result)
    data = posterior.to_arviz(posterior_predictive=True)
    summary = az.summary(data)
    for name in (*model.labels, "distance_modulus", "reddening", "distance", "extinction"):
        assert any(str(row).startswith(f"{name}[") for row in summary.index)
        assert data["posterior"][name].attrs["units"]
    assert set(data["posterior"].dims) == {"chain", "draw", "star"}
    for group in ("sample_stats", "log_likelihood", "observed_data", "constant_data", "posterior_predictive"):
        assert group in (data.children if isinstance(data, xr.DataTree) else data.groups())


def test_summary_has_one_row_a_star_with_units(weighted, hosts):
    summary = weighted.summary()
    assert len(summary) == len(hosts)
    assert str(summary["distance_p50"].unit) == "pc"
    assert np.all(np.asarray(summary["teff_p16"]) < np.asarray(summary["teff_p84"]))
    assert {"chi2", "n_bands", "log_evidence", "k_hat", "ess_kish", "flags"} <= set(summary.colnames)


def test_chains_carry_their_certificate(chains):
    summary = chains.summary()
    assert {"r_hat_max", "ess_bulk", "ess_tail", "n_divergent", "flags"} <= set(summary.colnames)
    np.testing.assert_array_equal(summary["ess_min"], np.minimum(summary["ess_bulk"], summary["ess_tail"]))
    assert np.all(np.asarray(summary["r_hat_max"]) < 1.1)


@pytest.mark.parametrize("result", ["weighted", "chains"])
def test_save_and_load_round_trip(result, request, tmp_path):
    posterior = request.getfixturevalue(result)
    posterior.save(tmp_path / "posterior.nc")
    loaded = Posterior.load(tmp_path / "posterior.nc")
    for name in posterior.variables:
        np.testing.assert_array_equal(loaded.tree["posterior"][name], posterior.tree["posterior"][name])
    np.testing.assert_array_equal(loaded.flags, posterior.flags)
    assert loaded.tree.attrs == posterior.tree.attrs
    assert loaded.summary().colnames == posterior.summary().colnames
    xr.testing.assert_allclose(loaded.log_likelihood(), posterior.log_likelihood())
    with pytest.raises(UserError, match="without its model and prior"):
        loaded.posterior_predictive()
    with pytest.raises(UserError, match="both the model and the prior"):
        Posterior.load(tmp_path / "posterior.nc", prior="flat")


class Cut(eqx.Module):
    """A prior that another one becomes where `allowed` says so."""

    prior: Prior
    allowed: Callable = eqx.field(static=True)

    def log_prob(self, theta, mu, reddening, sky):
        return jnp.where(self.allowed(theta), self.prior.log_prob(theta, mu, reddening, sky), -jnp.inf)

    def __getattr__(self, name):
        return getattr(self.prior, name)


# Of the same form as the default, so that it needs no other compiled code.
DUSTIER = """extends = "milky-way"
description = "More halo, more dust"
[distance.components.halo]
fraction = 0.1
[dust]
midplane_mag_per_kpc = 1.0
"""


@pytest.mark.parametrize("result", ["weighted", "chains"])
def test_another_prior_afterwards_is_that_prior_from_the_start(result, request, model, hosts, tmp_path):
    other = tmp_path / "other.toml"
    other.write_text(DUSTIER)
    posterior = request.getfixturevalue(result)
    posterior.save(tmp_path / "posterior.nc")
    loaded = Posterior.load(tmp_path / "posterior.nc", model=model, prior="milky-way")
    ours = loaded.reweight(other).summary()
    direct = infer(hosts, model=model, prior=other, sampler=QUICK, seed=3).summary()
    good = np.asarray(ours["k_hat"]) < 0.7
    assert good.sum() >= 2
    assert np.max(np.asarray(ours["reddening_p50"] - loaded.summary()["reddening_p50"])) > 0.01
    for name in ("teff", "logg", "feh", "distance_modulus", "reddening"):
        low, middle, high = (np.asarray(direct[f"{name}_{p}"], float)[good] for p in ("p16", "p50", "p84"))
        shift = np.asarray(ours[f"{name}_p50"], float)[good] - middle
        # Both have at least 400 effective draws: five standard errors of a difference of medians.
        np.testing.assert_array_less(np.abs(shift), 5 * 1.25 * (high - low) / 2 * np.sqrt(2 / 400))
    difference = np.asarray(ours["log_evidence"]) - np.asarray(direct["log_evidence"])
    np.testing.assert_allclose(difference[good], 0, atol=0.25)


def test_reweighting_does_not_pretend(model, milky_way, hosts, weighted):
    """A prior that leaves hardly any draw flags the star; one that leaves none makes it NaN."""
    highest = weighted.tree["weighted_posterior"]["teff"].max(("chain", "draw")).values
    few = weighted.reweight(Cut(milky_way, lambda theta: theta[0] > highest.max() - 1))
    hottest = int(np.argmax(highest))
    assert few.flags[hottest] & Flag.NOT_CONVERGED
    assert np.all(few.flags[np.arange(len(hosts)) != hottest] & Flag.NOT_SAMPLED)
    assert np.isnan(few.summary()["teff_p50"][np.arange(len(hosts)) != hottest]).all()


def test_reweighting_mends_no_star_and_spoils_none(milky_way, weighted):
    """One that had not converged stays so; one with another sampler's draws, equally weighted, is no worse for it."""
    tree = weighted.tree.copy(deep=True)
    tree["sample_stats"]["flags"][1] |= int(Flag.NOT_CONVERGED)
    tree["weighted_posterior"]["log_weight"][:, :, 2] = -np.log(weighted.tree["posterior"].sizes["draw"])
    tree["sample_stats"]["ess_kish"][2] = 500
    again = Posterior(tree, weighted.problem).reweight(milky_way)
    np.testing.assert_array_equal((again.flags & Flag.NOT_CONVERGED) > 0, [False, True, False])
    summary = again.summary()
    assert summary["ess_kish"][2] == pytest.approx(500)
    np.testing.assert_array_equal(summary["engine"], weighted.summary()["engine"])


@pytest.mark.parametrize("content", [None, b"no netCDF", b"\x89HDF\r\n\x1a\n" + bytes(100)])
def test_what_is_no_posterior_is_refused(tmp_path, content):
    path = tmp_path / "posterior.nc"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"posterior\.nc"):
        Posterior.load(path)


def test_same_seed_same_numbers_and_neighbours_do_not_matter(model, milky_way, hosts, weighted):
    again = infer(hosts[[2, 0]], model=model, prior=milky_way, sampler=QUICK, seed=1)
    ours, theirs = again.tree["posterior"]["teff"].values, weighted.tree["posterior"]["teff"].values
    other = infer(hosts[[0, 1]], model=model, prior=milky_way, sampler=QUICK, seed=2)
    np.testing.assert_allclose(np.sort(ours[0, :, 1]).mean(), np.sort(theirs[0, :, 0]).mean(), rtol=5e-3)
    np.testing.assert_array_equal(
        again.tree["weighted_posterior"]["teff"].values[0, :, 1],
        weighted.tree["weighted_posterior"]["teff"].values[0, :, 0],
    )
    before, after = (each.tree["weighted_posterior"]["teff"].values[0, :, 0] for each in (weighted, other))
    assert not np.array_equal(before, after)


def test_a_bad_star_is_flagged_and_harms_no_other(model, milky_way, hosts, weighted):
    bad = hosts[[0, 1, 2]]
    bad.mag[1], bad.mag_err[1] = np.nan, np.nan
    posterior = infer(bad, model=model, prior=milky_way, sampler=QUICK, seed=1)
    assert {"not_sampled", "few_bands"} <= set(flag_names(posterior.flags[1]))
    assert np.isnan(np.asarray(posterior.summary()["teff_mean"])[1])
    for i in (0, 2):
        np.testing.assert_array_equal(
            posterior.tree["weighted_posterior"]["teff"].values[0, :, i],
            weighted.tree["weighted_posterior"]["teff"].values[0, :, i],
        )
        assert posterior.flags[i] == weighted.flags[i]


def test_without_positions_the_prior_averages_over_the_sky_and_says_so(model, milky_way, hosts):
    nowhere = dataclasses.replace(hosts, glon=np.full(3, np.nan), glat=np.full(3, np.nan))
    with pytest.warns(UserWarning, match="average over the sky"):
        posterior = infer(nowhere, model=model, prior=milky_way, sampler=QUICK)
    assert np.all(np.isfinite(np.asarray(posterior.summary()["distance_mean"], float)))


def extreme(model):
    """Contradictory colours, errors of 1e-4 and 10 mag, an impossible parallax, one band."""
    catalog = simulate(model, TRUTHS * 2)[:5]
    catalog.mag[0, 1::2] += 3.0
    catalog.mag_err[1] = 1e-4
    catalog.mag_err[2] = 10.0
    catalog.parallax[3], catalog.parallax_err[3] = 50.0, 0.01
    catalog.mag[4, 1:] = np.nan
    return catalog


def test_extreme_stars_are_finite_or_flagged(model, milky_way):
    posterior = infer(extreme(model), model=model, prior=milky_way, sampler=QUICK)
    finite = np.isfinite(np.asarray(posterior.summary()["teff_mean"], float))
    assert np.all(finite | (posterior.flags & Flag.NOT_SAMPLED > 0))
    assert posterior.flags[0] & Flag.POOR_FIT
    assert posterior.flags[4] & Flag.FEW_BANDS
    assert posterior.flags[3] & (Flag.POOR_FIT | Flag.PARALLAX_TENSION)


def test_a_parallax_that_contradicts_is_told_from_a_poor_fit(model, milky_way):
    """The first draws explain nothing: refits are needed to know that the magnitudes can be explained."""
    catalog = simulate(model, TRUTHS[:1])
    catalog.parallax[0], catalog.parallax_err[0] = -5.0, 0.1
    posterior = infer(catalog, model=model, prior=milky_way, sampler=Importance())
    assert posterior.flags[0] & Flag.PARALLAX_TENSION
    assert not posterior.flags[0] & (Flag.POOR_FIT | Flag.NOT_CONVERGED)


class UniformPrior(eqx.Module):
    """A prior of a user's own: three methods, no more."""

    low: jax.Array
    high: jax.Array

    def log_prob(self, theta, mu, reddening, sky):
        inside = jax.nn.log_sigmoid(50 * (theta - self.low) / (self.high - self.low))
        inside += jax.nn.log_sigmoid(50 * (self.high - theta) / (self.high - self.low))
        return jnp.sum(inside) + self.reddening_given_distance(mu, sky).log_prob(reddening)

    def sample(self, key, sky, num_samples):
        keys = jax.random.split(key, 3)
        theta = jax.random.uniform(keys[0], (num_samples, 3), minval=self.low, maxval=self.high)
        mu = jax.random.uniform(keys[1], (num_samples,), minval=0.0, maxval=15.0)
        return theta, mu, jax.random.exponential(keys[2], (num_samples,)) * 0.2

    def reddening_given_distance(self, mu, sky):
        return Reddening.exponential(jnp.full_like(mu, 0.2))


class Nowhere(UniformPrior):
    """A prior that allows no star."""

    def log_prob(self, theta, mu, reddening, sky):
        return -jnp.inf * jnp.ones(jnp.shape(mu))


@pytest.mark.parametrize("sampler", [QUICK, CHAINS, Nested(num_live=50), Importance()])
def test_a_prior_without_mass_leaves_no_draws(model, sampler, caplog):
    prior = Nowhere(jnp.array([4000.0, 0.5, -2.0]), jnp.array([7500.0, 5.0, 0.5]))
    posterior = infer(simulate(model)[:1], model=model, prior=prior, sampler=sampler)
    assert posterior.flags[0] & Flag.NOT_SAMPLED
    assert not posterior.flags[0] & Flag.SEVERAL_MODES
    summary = posterior.summary()
    assert all(np.isnan(float(np.asarray(summary[f"{name}_mean"])[0])) for name in ("teff", "distance", "reddening"))
    assert not caplog.records  # nor does a library say so in its own words


class PlainPrior:
    """The same as a class that knows nothing of JAX's trees."""

    def __init__(self, prior):
        self.log_prob, self.sample = prior.log_prob, prior.sample
        self.reddening_given_distance = prior.reddening_given_distance

    def sightline(self, position):
        return "towards", position


@pytest.mark.parametrize("sampler", [QUICK, Nested(num_live=100), Importance()])
def test_a_users_prior_works_in_place_of_a_named_one(model, sampler):
    prior = PlainPrior(UniformPrior(jnp.array([4000.0, 0.5, -2.0]), jnp.array([7500.0, 5.0, 0.5])))
    summary = infer(simulate(model)[:1], model=model, prior=prior, sampler=sampler).summary()
    assert float(np.asarray(summary["logg_mean"])[0]) == pytest.approx(4.44, abs=0.3)


def test_a_table_of_measurements_alone_is_enough(model, milky_way):
    """No name, no other column: rows number the stars."""
    table = simulate(model).to_table()
    table.keep_columns([name for name in table.colnames if name not in ("name", *model.labels)])
    posterior = infer(Catalog.from_table(table)[1:], model=model, prior=milky_way, sampler=QUICK)
    assert list(posterior.summary()["star"]) == ["1", "2"]


def test_a_star_with_one_magnitude_is_flagged_and_not_sampled(model, milky_way):
    catalog = simulate(model)
    catalog.mag[1, 1:] = np.nan
    summary = infer(catalog, model=model, prior=milky_way, sampler=QUICK).summary()
    assert "few_bands" in flag_names(int(summary["flags"][1]))
    assert np.isnan(summary["chi2"][1])
    assert np.isnan(np.asarray(summary["logg_mean"])[1])
    assert np.isfinite(np.asarray(summary["logg_mean"])[[0, 2]]).all()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"sampler": 5}, "nuts, nested, importance"),
        ({"prior": "nowhere"}, "milky-way"),
        ({"prior": object()}, "a prior needs the method"),
        ({"sampler": "gibbs"}, "nuts, nested, importance"),
        ({"sampler": NUTS}, "nuts, nested, importance"),
        ({"outliers": "a"}, "must be from 0 to 0.5; got 'a'"),
        ({"seed": -1}, "seed must be an integer"),
        ({"seed": True}, "seed must be an integer"),
        ({"model": "nothing.safetensors"}, "nothing.safetensors"),
    ],
)
def test_a_users_mistake_is_one_sentence(hosts, model, settings, says):
    with pytest.raises(UserError, match=says):
        infer(hosts, **({"model": model} | settings))


def test_a_table_in_place_of_a_catalogue_is_told(hosts, model):
    with pytest.raises(UserError, match=r"Catalog\.from_table\(table\); got a Table"):
        infer(hosts.to_table(), model=model)


def test_a_catalogue_without_stars_is_told(hosts, model):
    with pytest.raises(UserError, match="has no stars"):
        infer(hosts[:0], model=model)


def test_progress_counts_every_star(model, milky_way, hosts):
    done = []
    infer(hosts, model=model, prior=milky_way, sampler=QUICK, progress=done.append)
    assert sum(done) == len(hosts)


@pytest.mark.slow
@pytest.mark.parametrize("sampler", [QUICK, CHAINS, Nested(num_live=300, num_samples=500)])
def test_double_precision_gives_the_same_posteriors(model, milky_way, hosts, sampler):
    """Within five standard errors of a difference; of results in single precision, and the model as it was."""
    single, double = (
        infer(hosts[:2], model=model, prior=milky_way, sampler=sampler, double=double) for double in (False, True)
    )
    assert double.tree["posterior"]["teff"].dtype == np.float32
    assert double.tree.attrs["double"] == "True"
    # Of the first star a third of the draws are outside the domain, which is judged by 16 of them.
    by_chance = int(Flag.OUTSIDE_DOMAIN)
    np.testing.assert_array_equal(double.flags | by_chance, single.flags | by_chance)
    for name in ("teff", "logg", "feh", "distance_modulus", "reddening"):
        shift = np.asarray(double.summary()[f"{name}_mean"] - single.summary()[f"{name}_mean"], float)
        assert np.all(np.abs(shift) < 5 * np.asarray(single.summary()[f"{name}_std"], float) * np.sqrt(2 / 400)), name
    predicted = double.posterior_predictive()["magnitude"].values[0, 0]
    np.testing.assert_array_equal(np.isfinite(predicted), np.isfinite(hosts[:2].select_bands(model.bands).mag))
