"""How the training stars are shared out among the components of the Galaxy."""

from dataclasses import replace
from operator import itemgetter

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from albireo.model.mixture import GaussianMixture
from albireo.priors import load_prior
from albireo.priors.lines_of_sight import log_seen
from albireo.priors.metallicity import Metallicity
from albireo.priors.training_stars import TrainingStars, _mean_feh

NUM_DRAWS = 1 << 15
LIMITS = {"brightest": 10.7, "faintest": 17.6}  # of the files


@pytest.fixture(scope="module")
def stars(milky_way):
    return milky_way.stars


@pytest.fixture(scope="module")
def near_the_sun(milky_way):
    """Draws of every component near the Sun."""
    draw = eqx.filter_jit(lambda stars, component: stars.sample(jax.random.key(1), component, at(stars, component)))
    each = [draw(milky_way.stars, jnp.full(NUM_DRAWS, c)) for c in range(len(milky_way.distance.names))]
    return {name: np.asarray(theta) for name, theta in zip(milky_way.distance.names, each, strict=True)}


def at(stars, component, shift=0.0):
    """The metallicities near the Sun, moved, one for each sample; the widths are of no account."""
    mean = stars.feh[component] + shift
    return Metallicity(mean, jnp.ones_like(mean))


@eqx.filter_jit
def log_probs(stars, theta, shift):
    there = at(stars, slice(None), shift)
    return jax.vmap(lambda theta: stars.log_prob(theta, there))(theta)


def test_mixture_is_the_seen_stars_divided_by_the_chance_to_be_seen(model):
    """Of one component: q/S over the mixture is nearly the same everywhere, for its draws and for training stars."""
    prior = load_prior("edsd", model)
    extinction = model.extinction_vector(model.label_median)[0]
    mixture = jax.tree.map(lambda leaf: leaf[0], prior.stars.mixture)

    @jax.jit
    def log_ratio(theta):
        def one(theta):
            magnitude = model.absolute_magnitudes(theta)[0]
            seen = log_seen(prior.anywhere, magnitude, extinction, LIMITS["brightest"], LIMITS["faintest"])
            return magnitude, model.density.log_prob(theta) - seen[0] - mixture.log_prob(theta)

        return jax.lax.map(one, theta, batch_size=512)

    for draws in (mixture.sample(jax.random.key(0), 4000), model.density.sample(jax.random.key(1), 4000)):
        magnitude, ratio = map(np.asarray, log_ratio(draws))
        low, high = np.quantile(ratio[magnitude < np.quantile(magnitude, 0.9)], [0.16, 0.84])  # beyond, S is held
        assert 0.5 * (high - low) < 0.4


def test_hot_stars_are_of_the_young_disc(near_the_sun):
    hot = {name: np.mean(theta[:, 0] > 6800) for name, theta in near_the_sun.items()}
    assert hot["thick-disc"] < 0.2 * hot["thin-disc"]


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(lambda theta: (theta[:, 0] > 5000) & (theta[:, 1] > 3.8), id="dwarfs"),
        pytest.param(lambda theta: (theta[:, 1] > 1) & (theta[:, 1] < 3) & (theta[:, 0] > 4300), id="giants"),
    ],
)
def test_metallicities_are_those_of_the_components(near_the_sun, kind):
    median = {name: np.median(theta[kind(theta), 2]) for name, theta in near_the_sun.items()}
    assert median["halo"] < median["thick-disc"] - 0.2 < median["thin-disc"] - 0.4
    assert median["thin-disc"] == pytest.approx(-0.2, abs=0.15)


def test_all_components_together_are_the_training_stars(milky_way, model, near_the_sun):
    """Near the Sun, by kind of star; but for the hottest, whose S is that of the thin disc alone."""
    alike = TrainingStars.build(model, milky_way.anywhere, [], **LIMITS)
    mixture = jax.tree.map(lambda leaf: leaf[0], alike.mixture)
    expected = np.asarray(mixture.sample(jax.random.key(0), NUM_DRAWS))
    share = np.asarray(jax.nn.softmax(milky_way.anywhere.log_number[0]))
    edges = [[0, 4300, 5000, 6000], [-1, 3.5, 4.4, 7]]

    def fractions(theta):
        return np.histogram2d(theta[:, 0], theta[:, 1], bins=edges)[0] / len(theta)

    together = sum(s * fractions(theta) for s, theta in zip(share, near_the_sun.values(), strict=True))
    wanted = fractions(expected)
    np.testing.assert_allclose(together[wanted > 0.003], wanted[wanted > 0.003], rtol=0.25)


def test_stars_of_the_whole_sky_that_a_survey_sees_are_the_training_stars(milky_way, model):
    """What the prior was divided by, draws undo: at all distances, with the metallicities there."""
    extinction = model.extinction_vector(model.label_median)[0]

    @eqx.filter_jit
    def draw(prior, key):
        theta, mu, reddening = prior.sample(key, prior.sightline(jnp.full(2, jnp.nan, jnp.float32)), 1 << 18)
        return theta, jax.vmap(lambda t: model.absolute_magnitudes(t)[0])(theta) + mu + extinction * reddening

    theta, magnitude = map(np.asarray, draw(milky_way, jax.random.key(3)))
    seen = theta[(magnitude > LIMITS["brightest"]) & (magnitude < LIMITS["faintest"])]
    training = np.asarray(model.density.sample(jax.random.key(4), NUM_DRAWS))
    assert np.mean(seen[:, 1] < 3.5) == pytest.approx(np.mean(training[:, 1] < 3.5), abs=0.05)
    levels = [0.05, 0.25, 0.5, 0.75, 0.95]
    np.testing.assert_allclose(np.quantile(seen[:, 2], levels), np.quantile(training[:, 2], levels), atol=0.2)
    np.testing.assert_allclose(np.quantile(seen[:, 0], levels), np.quantile(training[:, 0], levels), atol=250)


@pytest.mark.parametrize("shift", [-0.3, 0.3])
def test_elsewhere_the_same_stars_have_other_metallicities(stars, near_the_sun, shift):
    """The means move as they should, the shares of dwarfs and giants hardly, and the density is that of the draws."""
    component = jnp.zeros(NUM_DRAWS, int)
    theta = stars.sample(jax.random.key(2), component, at(stars, component, shift))
    log_near, log_there = (np.asarray(log_probs(stars, theta, s)[:, 0], float) for s in (0.0, shift))
    ratio = np.exp(log_near - log_there)
    assert ratio.mean() == pytest.approx(1, abs=4 * ratio.std() / np.sqrt(NUM_DRAWS))
    near, there = near_the_sun["thin-disc"], np.asarray(theta)
    assert np.mean(there[:, 2]) - np.mean(near[:, 2]) == pytest.approx(shift, abs=0.02)
    for kind in (lambda x: x[:, 1] < 3, lambda x: (x[:, 0] > 5000) & (x[:, 1] > 3.8)):
        assert np.mean(kind(there)) == pytest.approx(np.mean(kind(near)), rel=0.2)


def test_density_elsewhere_is_that_of_the_moved_gaussians(stars):
    """The shortcut of `log_prob` against SciPy's Gaussians, moved one by one and summed, far out too."""
    shift = np.array([-0.4, 0.2, 0.0, 0.3])
    theta = np.array([[5500, 4.4, 0.0], [4500, 2.2, -0.8], [6200, 4.1, 0.3], [3500, 5.2, -2.5], [9000, 3.0, 0.8]])
    here = at(stars, np.arange(4), shift)
    found = jax.vmap(lambda theta: stars.log_prob(theta, here))(jnp.asarray(theta, jnp.float32))
    for c in range(4):
        mixture = jax.tree.map(itemgetter(c), stars.mixture).moved(shift[c])
        gaussians = zip(mixture.log_weight, mixture.mean, np.asarray(mixture.cholesky, float), strict=True)
        parts = [w + multivariate_normal(mean, factor @ factor.T).logpdf(theta) for w, mean, factor in gaussians]
        np.testing.assert_allclose(found[:, c], logsumexp(parts, axis=0), atol=2e-3, rtol=1e-4)


def test_models_of_other_labels_have_the_same_stars_everywhere(model):
    other = replace(model, labels=("teff", "logg", "mh"))
    stars = load_prior("milky-way", other).stars
    theta = jnp.asarray([5000.0, 4.5, -0.3])
    near, far = (
        np.asarray(stars.log_prob(theta, Metallicity(jnp.full(4, mean), jnp.full(4, 0.3)))) for mean in (-0.2, -1.2)
    )
    np.testing.assert_allclose(near, near[0], atol=1e-4)
    np.testing.assert_array_equal(near, far)


def test_mean_of_the_last_label_is_that_of_draws():
    rng = np.random.default_rng(0)
    cholesky = np.tril(rng.normal(0, 0.3, (3, 3, 3))) + 0.5 * np.eye(3)
    mixture = GaussianMixture.from_moments(np.log([0.2, 0.3, 0.5]), rng.normal(size=(3, 3)), cholesky)
    draws = np.asarray(mixture.sample(jax.random.key(0), 400_000))
    near = np.hypot(*(draws[:, :2] - 0.2).T) < 0.1
    expected = float(_mean_feh(mixture, jnp.asarray([0.2, 0.2, 9.0])))
    assert draws[near, 2].mean() == pytest.approx(expected, abs=4 * draws[near, 2].std() / np.sqrt(near.sum()) + 0.01)


@pytest.mark.parametrize("name", ["edsd", "milky-way"])
def test_a_prior_that_was_kept_is_the_one_that_was_made(model, monkeypatch, tmp_path, name):
    monkeypatch.setattr("albireo.cache.cache_folder", lambda: tmp_path)
    made = load_prior(name, model)
    monkeypatch.setattr("albireo.priors.training_stars._fit", None)
    monkeypatch.setattr("albireo.priors.lines_of_sight._average", None)
    kept = load_prior(name, model)
    assert eqx.tree_equal(made, kept, typematch=True)
