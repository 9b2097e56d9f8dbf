"""Samplers against posteriors known in closed form, against ArviZ, and against each other on real stars."""

from types import SimpleNamespace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from astropy.table import Table
from dynesty.internal_samplers import SamplerArgument
from scipy import stats

from albireo import NUTS, Catalog, Importance, Nested, UserError, infer
from albireo.likelihood import Star
from albireo.marginal import Proposed
from albireo.model.mixture import GaussianMixture
from albireo.samplers import Draws, FirstLook, nested
from albireo.samplers.weights import least_effective, smooth_weights
from stars import GIANT, PLANET_HOSTS, simulate

SAMPLERS = {
    "nuts": NUTS(num_chains=4, num_warmup=100, num_samples=500, batch_size=2),
    "nested": Nested(num_live=200, num_samples=2000),
    "importance": Importance(num_samples=2000, batch_size=2),
}


class KnownProblem(eqx.Module):
    """A posterior known in closed form, a mixture of Gaussians over three labels, in place of a star's."""

    density: GaussianMixture
    log_evidence: float

    def sightline(self, star):
        return None

    def labels(self, x):
        return x

    def standardise(self, theta):
        return theta

    def log_target(self, star, sky, x):
        return self.density.log_prob(x) + self.log_evidence

    def log_target_roughly(self, star, sky, x, photometry=None):
        return self.log_target(star, sky, x) + 0.1 * jnp.sin(5 * x[0])

    def propose(self, star, sky, x, key):
        log_target = jax.vmap(lambda x: self.log_target(star, sky, x))(x)
        noise = 0.1 * jax.random.normal(key, log_target.shape) - 0.005
        return Proposed(x[:, 0], x[:, 1], log_target, log_target + noise)

    def complete(self, star, sky, x, key):
        return Draws(x, x[:, 0], x[:, 1])


def gaussian_mixture(weights, means, widths):
    cholesky = np.stack([np.diag(width) for width in widths])
    return GaussianMixture.from_moments(
        np.log(weights).astype(np.float32), np.array(means, np.float32), cholesky.astype(np.float32)
    )


KNOWN = {
    # Of two equal components, so that both problems share compiled code.
    "one mode": gaussian_mixture([0.5, 0.5], [[0.3, -0.5, 0.1]] * 2, [[0.2, 0.1, 0.4]] * 2),
    "two modes": gaussian_mixture([0.8, 0.2], [[0.3, 0.8, 0.1], [0.2, -1.2, 0.0]], [[0.1, 0.1, 0.4], [0.05, 0.1, 0.2]]),
}


class BroadLook(FirstLook):
    """A first look that knows where the known posterior is."""

    density: GaussianMixture

    def score(self, problem, star, sky):
        return jax.vmap(self.density.log_prob)(self.x)


def broad_look(density):
    x = jax.random.uniform(jax.random.key(9), (4096, 3), minval=-2.5, maxval=2.5)
    return BroadLook(
        x, jnp.zeros((4096, 1)), jnp.zeros((4096, 1)), jnp.zeros(4096), jnp.full(4096, -3 * np.log(5)), density
    )


@pytest.mark.parametrize("known", KNOWN)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_sampler_recovers_a_known_posterior_and_its_evidence(sampler, known):
    density = KNOWN[known]
    problem = KnownProblem(density, 3.0)
    no_star = Star(*(jnp.zeros((4, *shape)) for shape in ((1,), (1, 1), (), (), (2,))))
    keys = jax.random.split(jax.random.key(4), 4)[: 1 if sampler == "nested" else 4]
    stars = jax.tree.map(lambda a: a[: len(keys)], no_star)
    batch = SAMPLERS[sampler].run(problem, broad_look(density), stars, keys)
    x = np.asarray(batch.draws.theta).reshape(len(keys), -1, 3)
    weight = (
        np.ones(x.shape[:2]) if batch.log_weight is None else np.exp(np.asarray(batch.log_weight)).reshape(x.shape[:2])
    )
    reference = np.asarray(density.sample(jax.random.key(1), 100_000))
    for star in range(len(keys)):
        mean = np.average(x[star], axis=0, weights=weight[star])
        std = np.sqrt(np.average((x[star] - mean) ** 2, axis=0, weights=weight[star]))
        # Effective samples of 400 at the least: five standard errors of the mean and of the width.
        np.testing.assert_allclose(mean, reference.mean(axis=0), atol=5 * reference.std(axis=0).max() / 20)
        np.testing.assert_allclose(std, reference.std(axis=0), rtol=5 / np.sqrt(2 * 400))
    log_evidence = np.asarray(batch.star_stats["log_evidence"])
    np.testing.assert_allclose(log_evidence, 3.0, atol=0.25)


@pytest.mark.parametrize("dynamic", [False, True])
def test_nested_sampling_that_runs_out_of_calls_ends_and_says_so(dynamic):
    """The second mode, ten widths away, is found all the same."""
    density = KNOWN["two modes"]
    star = Star(*(jnp.zeros((1, *shape)) for shape in ((1,), (1, 1), (), (), (2,))))
    keys, problem = jax.random.split(jax.random.key(8), 1), KnownProblem(density, 3.0)
    for max_calls, converged in ((1500, False), (100_000, True)):
        sampler = Nested(num_live=200, num_samples=1000, dynamic=dynamic, max_calls=max_calls)
        batch = sampler.run(problem, broad_look(density), star, keys)
        assert bool(batch.star_stats["converged"][0]) == converged
        assert np.isfinite(batch.draws.theta).all()
    assert np.mean(batch.draws.theta[..., 1] < -0.5) == pytest.approx(0.2, abs=0.08)
    pull = (batch.star_stats["log_evidence"] - 3.0) / batch.star_stats["log_evidence_err"]
    assert abs(pull[0]) < 4


def test_nested_sampling_owes_its_evidence_to_no_first_look():
    """One that looks five widths beside the posterior costs time alone."""
    density = KNOWN["one mode"]
    star = Star(*(jnp.zeros((1, *shape)) for shape in ((1,), (1, 1), (), (), (2,))))
    beside = gaussian_mixture([0.5, 0.5], [[1.3, -1.0, -1.5]] * 2, [[0.2, 0.2, 0.4]] * 2)
    keys = jax.random.split(jax.random.key(8), 1)
    stats = SAMPLERS["nested"].run(KnownProblem(density, 3.0), broad_look(beside), star, keys).star_stats
    assert abs(stats["log_evidence"][0] - 3.0) < 4 * stats["log_evidence_err"][0]


@pytest.mark.parametrize("max_calls", [2000, 10**9])
def test_a_bound_next_to_all_of_which_is_outside_of_the_cube_is_no_end(max_calls):
    """Points are drawn until one is inside, or until there have been as many as there may be."""
    coordinates = nested._Coordinates(np.zeros(3), np.eye(3))
    blocks = nested._Blocks(lambda x: -np.sum(x**2, axis=1), coordinates, np.random.default_rng(0), max_calls)
    center = np.full(3, 1.0 if max_calls > 2000 else 2.0)
    axes = 0.1 * np.eye(3)
    bound = SimpleNamespace(
        ells=[SimpleNamespace(axes=axes)], logvol_ells=np.zeros(1), ctrs=center[None], ams=np.linalg.inv(axes**2)[None]
    )
    argument = SamplerArgument(
        u=np.full(3, 0.5), loglstar=-np.inf, axes=None, scale=1, prior_transform=None, loglikelihood=None, rseed=None,
        kwargs={"bound": bound},
    )  # fmt: skip
    found = blocks.map(None, [argument])
    assert len(found) == 1
    assert np.all((found[0].u > 0) & (found[0].u < 1))
    assert (blocks.num_calls > max_calls) == (max_calls == 2000)


def test_equal_weights_have_no_tail():
    """Nothing is wrong with them, unlike with weights that are all nothing."""
    log_weight, k_hat = smooth_weights(jnp.full(500, 3.0))
    np.testing.assert_allclose(log_weight, -np.log(500), rtol=1e-5)
    assert k_hat < 0
    assert smooth_weights(jnp.full(500, -jnp.inf))[1] == jnp.inf


def test_smoothed_weights_agree_with_arviz():
    import arviz as az

    if not hasattr(az, "psislw"):
        pytest.skip("ArviZ 1 has no public psislw; this is tested with ArviZ 0.2x")
    log_ratio = stats.t(3).rvs(2000, random_state=1)
    ours, k_hat = smooth_weights(jnp.asarray(log_ratio, jnp.float32))
    theirs, their_k_hat = az.psislw(log_ratio)
    assert k_hat == pytest.approx(float(their_k_hat), abs=0.02)
    np.testing.assert_allclose(np.sort(ours), np.sort(theirs - np.log(np.sum(np.exp(theirs)))), atol=0.05)


@pytest.mark.parametrize("settings", [{"num_samples": 0}, {"num_samples": 2.5}, {"batch_size": -1}])
@pytest.mark.parametrize("sampler", [NUTS, Importance, Nested])
def test_settings_out_of_range_are_refused(sampler, settings):
    with pytest.raises(UserError, match=f"{sampler.__name__}: {next(iter(settings))} must be an integer of at least"):
        sampler(**settings)


@pytest.mark.parametrize("value", [0.0, -1.0, "x", None, True, float("nan"), float("inf")])
def test_numbers_out_of_range_are_refused(value):
    with pytest.raises(UserError, match="dlogz must be a positive number"):
        Nested(dlogz=value)
    with pytest.raises(UserError, match="target_acceptance must be between 0 and 1"):
        NUTS(target_acceptance=value)


@pytest.mark.parametrize("sampler", [NUTS, Importance, Nested])
def test_settings_may_be_integers_of_numpy(sampler):
    assert repr(sampler(num_samples=np.int64(500))) == repr(sampler(num_samples=500))


def some_stars(model) -> tuple[Catalog, Catalog]:
    """Two planet hosts, a dwarf and a giant, with a parallax; two simulated giants, which might be dwarfs, without."""
    hosts = Catalog.read(PLANET_HOSTS)
    return hosts[[60, 0]], simulate(model, (GIANT,) * 2).without("parallax")


@pytest.mark.slow
@pytest.mark.parametrize("which", [0, 1], ids=["with parallax", "without parallax"])
def test_the_three_samplers_agree_on_stars(model, milky_way, which):
    """Medians and 68 % intervals: a thousandth of the mass far off moves standard deviations, not them.

    Nested sampling, the slowest, takes the first star of each pair.
    """
    catalog = some_stars(model)[which]
    summaries = {
        name: infer(
            catalog[:1] if name == "nested" else catalog, model=model, prior=milky_way, sampler=sampler, seed=5
        ).summary()
        for name, sampler in SAMPLERS.items()
    }
    for name, num in (("nuts", 2), ("nested", 1)):
        for variable in (*model.labels, "distance_modulus", "reddening"):
            ours, reference = (
                np.array([summaries[each][f"{variable}_{p}"][:num] for p in ("p16", "p50", "p84")], float)
                for each in (name, "importance")
            )
            width = (reference[2] - reference[0]) / 2
            # At least 800 effective draws each: five standard errors of a difference of medians, 1.25 σ/√n each.
            np.testing.assert_array_less(np.abs(ours[1] - reference[1]), 5 * 1.25 * width * np.sqrt(2 / 800))
            np.testing.assert_allclose((ours[2] - ours[0]) / 2, width, rtol=0.2)
        log_evidence = (summaries[each]["log_evidence"][:num] for each in (name, "importance"))
        np.testing.assert_allclose(*log_evidence, atol=0.5)


# A simulated subgiant at 1.2 kpc, true logg 3.5, that looks like a dwarf at 0.35 kpc: magnitude and error.
SUBGIANT = {
    "gaia_g": (13.9647, 0.0004),
    "gaia_bp": (14.5180, 0.0015),
    "gaia_rp": (13.2744, 0.0010),
    "ps1_r": (13.8867, 0.0044),
    "ps1_i": (13.6259, 0.0039),
    "ps1_z": (13.4951, 0.0045),
    "ps1_y": (13.4150, 0.0043),
    "2mass_j": (12.4295, 0.0232),
    "2mass_ks": (11.8114, 0.0215),
    "wise_w2": (15.1632, 0.0034),
}


@pytest.mark.parametrize("sampler", ["importance", "nuts"])
def test_the_giant_that_a_dwarf_might_be_is_never_missed(model, milky_way, sampler):
    """A fifth of its mass is below logg 3.8: every one of four independent runs finds it, and as much of it."""
    row = {band: mag for band, (mag, _) in SUBGIANT.items()} | {f"{band}_err": e for band, (_, e) in SUBGIANT.items()}
    catalog = Catalog.from_table(Table(rows=[row | {"glon": 195.894, "glat": 8.66}] * 4), bands=model.bands)
    posterior = infer(catalog, model=model, prior=milky_way, sampler=SAMPLERS[sampler], seed=0)
    giant = np.mean(posterior.tree["posterior"]["logg"].values < 3.8, axis=(0, 1))
    assert giant.min() > 0.1
    np.testing.assert_allclose(giant, giant.mean(), atol=0.06)


def test_effective_sample_of_a_mean_is_that_of_its_standard_error():
    """Draws from a Gaussian weighted to one 1.2 times as wide, a thousand times; Kish's is half as large again."""
    x = stats.norm().rvs((1000, 400), random_state=2).astype(np.float32)
    log_weight = jax.nn.log_softmax(0.5 * x**2 - 0.5 * (x / 1.2) ** 2, axis=1)
    mean = np.sum(np.exp(log_weight) * x, axis=1)
    ess = np.asarray(jax.vmap(least_effective)(log_weight, np.stack([x, np.sin(x)], axis=-1)))
    assert np.std(mean) == pytest.approx(1.2 / np.sqrt(np.median(ess)), rel=0.1)
    assert np.median(1 / np.sum(np.exp(2 * log_weight), axis=1)) > 1.3 * np.median(ess)


def test_stars_of_two_bands_have_the_errors_that_they_state(model, milky_way):
    """A giant that a dwarf might be, by a twelfth: of 32 runs none misses it, and means differ as their errors say."""
    row = {"2mass_j": 10.897, "2mass_j_err": 0.023, "2mass_ks": 10.012, "2mass_ks_err": 0.020}
    catalog = Catalog.from_table(Table(rows=[row] * 32), bands=model.bands)
    sampler = Importance(num_samples=2000, batch_size=2, escalate=False)
    with pytest.warns(UserWarning, match="without a sky position"):
        posterior = infer(catalog, model=model, prior=milky_way, sampler=sampler, seed=1)
    weighted, certificate = posterior.tree["weighted_posterior"], posterior.tree["sample_stats"]
    weight, logg = (np.asarray(a)[0] for a in (np.exp(weighted["log_weight"]), weighted["logg"]))
    assert np.sum(weight * (logg > 3.75), axis=0).min() > 0.03
    mean = np.sum(weight * logg, axis=0)
    std = np.sqrt(np.sum(weight * (logg - mean) ** 2, axis=0))
    pull = (mean - np.mean(mean)) * np.sqrt(np.asarray(certificate["ess_mean"])) / std
    assert np.std(pull) < 1.25
    assert np.abs(pull).max() < 4
