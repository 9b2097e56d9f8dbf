"""Stars whose draws cannot be trusted go on to the next sampler, and only they."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from albireo import NUTS, Catalog, Importance, Nested, infer
from albireo.flags import Flag
from albireo.samplers import Batch, Draws
from albireo.samplers.escalate import replace_stars, trusted
from stars import PLANET_HOSTS

QUICK = Importance(batch_size=2)


@dataclass(frozen=True)
class Doubtful:
    """Importance sampling that does not trust its draws of fainter stars."""

    inner: Importance
    limit: float
    then: tuple = ()
    batch_size: int = 2
    engine: str = "doubtful"

    def run(self, problem, look, stars, keys):
        batch = self.inner.run(problem, look, stars, keys)
        batch.star_stats["converged"] = np.asarray(stars.mag[:, 0]) < self.limit
        return batch

    def fallbacks(self):
        return self.then


@pytest.fixture(scope="module")
def hosts():
    return Catalog.read(PLANET_HOSTS)[:3]


def test_only_stars_not_trusted_go_on_and_the_summary_says_to_what(model, milky_way, hosts):
    """The brightest is believed; the others fail twice, and the third sampler serves them."""
    problem = {"model": model, "prior": milky_way, "seed": 4}
    limit = np.sort(hosts.select_bands(model.bands).mag[:, 0])[:2].mean()
    alone = infer(hosts, sampler=Doubtful(QUICK, limit), **problem)
    samplers = (Doubtful(QUICK, limit, engine="doubtful again"), replace(QUICK, escalate=False))
    posterior = infer(hosts, sampler=Doubtful(QUICK, limit, samplers), **problem)
    good = trusted_of(alone)
    assert good.sum() == 1
    np.testing.assert_array_equal(posterior.summary()["engine"], np.where(good, "doubtful", "importance"))
    assert np.all((alone.flags & Flag.NOT_CONVERGED > 0) == ~good)
    assert not np.any(posterior.flags & Flag.NOT_CONVERGED)
    before, after = (each.tree["weighted_posterior"]["teff"].values[0].T for each in (alone, posterior))
    np.testing.assert_array_equal(after[good], before[good])
    assert not np.any(after[~good] == before[~good])
    assert np.ptp(posterior.tree["weighted_posterior"]["log_weight"].values[0].T[~good], axis=1).max() == 0
    for name in ("teff_p50", "logg_p50", "distance_p50"):
        np.testing.assert_allclose(posterior.summary()[name], alone.summary()[name], rtol=0.05)


@dataclass(frozen=True)
class Silent:
    """Importance sampling that does not say whether it converged, and draws few."""

    batch_size: int = 2

    def run(self, problem, look, stars, keys):
        draws = QUICK.run(problem, look, stars, keys).draws
        return Batch(Draws(draws.theta[:, :, :1], draws.mu[:, :, :1], draws.reddening[:, :, :1]), None, {}, {})


def test_a_sampler_that_does_not_say_whether_it_converged_is_believed(model, milky_way, hosts):
    posterior = infer(hosts, model=model, prior=milky_way, sampler=Silent())
    assert not np.any(posterior.flags & (Flag.NOT_CONVERGED | Flag.SEVERAL_MODES))
    assert np.all(posterior.summary()["engine"] == "Silent")


def test_stars_without_photometry_have_the_columns_of_others(model, milky_way, hosts):
    """Chunks of one run are put together, whatever is in them."""
    nothing = replace(hosts, mag=np.full_like(hosts.mag, np.nan))
    columns = [
        infer(stars, model=model, prior=milky_way, sampler=QUICK).summary().colnames for stars in (hosts, nothing)
    ]
    assert columns[0] == columns[1]
    assert {"r_hat_max", "n_divergent", "k_hat", "engine"} <= set(columns[0])


def trusted_of(posterior):
    return posterior.flags & Flag.NOT_CONVERGED == 0


def chains(num_stars, num_chains, num_draws, offset=0.0, **draw_stats):
    """Draws that say where they come from: star + chain/10 + draw/10⁴."""
    star, chain, draw = np.ogrid[:num_stars, :num_chains, :num_draws]
    values = offset + star + chain / 10 + draw / 1e4
    draws = Draws(np.stack([values, -values], axis=-1), values, values)
    return Batch(draws, None, {"lp": values, **draw_stats}, {"converged": np.zeros(num_stars, bool)})


def test_longer_chains_take_the_places_of_shorter_ones_as_chains():
    first, longer = chains(3, 4, 10), chains(2, 4, 40, offset=100.0)
    batch = replace_stars(first, np.array([0, 2]), longer, np.array([5, 6]))
    assert batch.draws.theta.shape == first.draws.theta.shape
    np.testing.assert_array_equal(batch.draws.mu[1], first.draws.mu[1])
    np.testing.assert_allclose(batch.draws.mu[2, 3, [0, -1]], [101.3, 101.3039])
    np.testing.assert_array_equal(batch.draws.theta[..., 0], batch.draws.mu)
    np.testing.assert_array_equal(batch.draw_stats["lp"], batch.draws.mu)


def test_what_a_sampler_does_not_know_is_nan_or_false():
    diverging = np.ones((3, 4, 10), bool)
    first = chains(3, 4, 10, diverging=diverging, step_size=np.ones((3, 4, 10)))
    first.star_stats["n_divergent"] = np.full(3, 40.0)
    nested = chains(1, 1, 200)
    nested.star_stats.update(converged=np.ones(1, bool), ess_kish=np.array([500.0]))
    batch = replace_stars(first, np.array([1]), nested, np.array([7]))
    assert not batch.draw_stats["diverging"][1].any()
    assert batch.draw_stats["diverging"][[0, 2]].all()
    assert np.isnan(batch.draw_stats["step_size"][1]).all()
    np.testing.assert_array_equal(batch.star_stats["ess_kish"], [np.nan, 500, np.nan])
    np.testing.assert_array_equal(batch.star_stats["n_divergent"], [40, np.nan, 40])
    np.testing.assert_array_equal(trusted(batch), [False, True, False])


def test_weighted_draws_are_resampled_by_their_weights():
    first, weighted = chains(2, 1, 1000), chains(1, 1, 4000)
    weighted = weighted._replace(log_weight=np.log(np.arange(1.0, 4001) / np.sum(np.arange(1.0, 4001)))[None, None])
    batch = replace_stars(first, np.array([1]), weighted, np.array([1]))
    expected = np.sum(np.exp(weighted.log_weight[0, 0]) * weighted.draws.mu[0, 0])
    assert batch.draws.mu[1].mean() == pytest.approx(expected, abs=1e-4)


def test_every_sampler_has_somewhere_to_go_unless_told_otherwise():
    def engines(sampler):
        return [each.engine for each in sampler.fallbacks()]

    assert engines(Importance()) == [*["importance-refit"] * 3, "nuts-refit", "nested"]
    refits, draws = zip(*((each.num_refits, each.num_samples) for each in Importance().fallbacks()[:3]), strict=True)
    assert refits == (1, 3, 7)
    assert draws == (2000, 4000, 8000)
    assert engines(NUTS()) == ["nuts-refit", "importance-refit", "nested"]
    assert engines(Importance(escalate=False)) == engines(NUTS(escalate=False)) == []
    assert not hasattr(Nested(), "fallbacks")
