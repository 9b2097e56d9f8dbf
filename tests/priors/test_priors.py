"""Every prior file: normalised, sampled as its density says, differentiable."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.special import logsumexp
from scipy import stats

from albireo.errors import UserError
from albireo.priors import GalacticPrior, Reddening, distance, isochrones, list_priors, load_prior, sightline
from albireo.priors.base import log_prob_without_reddening
from albireo.priors.distance import beyond, grid, interpolate, normalise
from stars import to_double, with_spread

NUM_DRAWS = 20_000
QUICK = ("flat", "milky-way", "milky-way-isochrones")
NAMES = tuple(name for name, _ in list_priors())
# Directions spread evenly over the sky, and that of a star whose position is unknown.
NUM_SIGHTLINES = 21
_UP = np.linspace(-1, 1, NUM_SIGHTLINES + 1)[1:]
POSITIONS = np.stack(
    [137.508 * np.arange(NUM_SIGHTLINES) % 360, np.degrees(np.arcsin(_UP - 0.5 / NUM_SIGHTLINES))], axis=1
)
POSITIONS[0] = np.nan
NOWHERE, SOMEWHERE = 0, 8


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in NAMES]
)
def prior(request, model):
    return load_prior(request.param, model)


@pytest.fixture(scope="module")
def skies(prior):
    return eqx.filter_jit(eqx.filter_vmap(sightline, in_axes=(None, 0)))(prior, jnp.asarray(POSITIONS, jnp.float32))


@pytest.fixture(scope="module", params=(NOWHERE, SOMEWHERE), ids=("nowhere", "somewhere"))
def sky(request, prior, skies):
    if request.param == SOMEWHERE and not prior.depends_on_position:
        pytest.skip("the same in all directions")
    return jax.tree.map(lambda table: table[request.param], skies)


@eqx.filter_jit
def draw(prior, sky, key):
    return prior.sample(key, sky, NUM_DRAWS)


def test_library_lists_every_file():
    listed = dict(list_priors())
    assert set(NAMES) <= set(listed)
    assert all(listed[name] for name in NAMES)


def test_priors_that_differ_in_numbers_alone_share_compiled_code(model, tmp_path):
    """So does the prior of a model with a spread and of the same without."""
    other = tmp_path / "other.toml"
    other.write_text('extends = "milky-way"\n[dust]\nmidplane_mag_per_kpc = 1.0\n')

    def form(prior):
        arrays, rest = eqx.partition(prior, eqx.is_array)
        return jax.tree.map(lambda a: (a.shape, a.dtype), arrays), jax.tree.leaves(rest)

    first, second = form(load_prior("milky-way", model)), form(load_prior(other, with_spread(model)))
    assert jax.tree.leaves(first[0]) == jax.tree.leaves(second[0])
    assert first[1] == second[1] == []


def test_prior_follows_the_protocol(prior, model):
    assert load_prior(prior, model) is prior


@eqx.filter_jit
def log_prob_on_grid(prior, sky, theta, mu):
    """log p(θ, μ | sky) for every θ at every μ."""

    def at(theta, mu):
        return log_prob_without_reddening(prior, theta, mu, sky)

    return jax.lax.map(lambda t: jax.vmap(lambda m: at(t, m))(mu), theta, batch_size=4096)


def labels_grid():
    """Points in (log teff, logg, feh) that hold nearly all stars, and the volume in (K, dex, dex) of each."""
    log_teff, logg, feh = np.arange(3.25, 4.3, 0.005), np.arange(-1.2, 6.5, 0.04), np.arange(-5.4, 1.6, 0.08)
    teff, gravity, metallicity = np.meshgrid(10**log_teff, logg, feh, indexing="ij")
    theta = np.stack([teff, gravity, metallicity], axis=-1).reshape(-1, 3).astype(np.float32)
    return theta, (np.log(10) * 0.005 * 0.04 * 0.08 * teff).ravel()


def test_labels_integrate_to_one(prior, sky):
    """At a distance in the disc and one in the halo."""
    theta, volume = labels_grid()
    mu = np.array([8.0, 16.0])
    log_p = np.asarray(log_prob_on_grid(prior, sky, jnp.asarray(theta), jnp.asarray(mu, jnp.float32)), float)
    at_mu = np.einsum("tm,t->m", np.exp(log_p), volume)
    np.testing.assert_allclose(at_mu / np.exp(log_prob_mu(sky, mu)), 1, atol=1e-3)


def log_prob_mu(sky, mu):
    """log p(μ | sky), which the table along the sightline gives for all components together."""

    return np.asarray(log_prob_mu_of_table(sky.log_number, jnp.asarray(mu, jnp.float32)), float)


@jax.jit
def log_prob_mu_of_table(log_number, mu):
    return jax.vmap(lambda mu: logsumexp(interpolate(mu, log_number)) - beyond(mu))(mu)


def test_distances_integrate_to_one_in_every_direction(skies):
    mu = np.linspace(-8, 23, 20001)
    log_p = jax.vmap(log_prob_mu_of_table, in_axes=(0, None))(skies.log_number, jnp.asarray(mu, jnp.float32))
    np.testing.assert_allclose(np.trapezoid(np.exp(np.asarray(log_p, float)), mu, axis=1), 1, atol=1e-3)


@jax.jit
def log_prob_reddening(reddening, mu, values):
    return jax.vmap(interpolate(mu, reddening).log_prob)(values)


def test_reddenings_integrate_to_one_in_every_direction(skies):
    log_e = np.linspace(-14, 6, 4001)
    reddening = np.exp(log_e)
    for mu in (0.0, 5.0, 10.0, 15.0):
        log_p = jax.vmap(log_prob_reddening, in_axes=(0, None, None))(
            skies.reddening, jnp.float32(mu), jnp.asarray(reddening, jnp.float32)
        )
        integral = np.trapezoid(np.exp(np.asarray(log_p, float)) * reddening, log_e, axis=1)
        np.testing.assert_allclose(integral, 1, atol=1e-3)


def test_samples_follow_the_density(prior, sky):
    theta, mu, reddening = (np.asarray(a) for a in draw(prior, sky, jax.random.key(3)))
    table = np.linspace(-8, 23, 20001)
    cumulative = np.cumsum(np.exp(log_prob_mu(sky, table))) * (table[1] - table[0])
    assert stats.kstest(mu, lambda x: np.interp(x, table, cumulative)).pvalue > 0.01

    uniform = probability_below(prior, sky, jnp.asarray(mu), jnp.asarray(reddening))
    assert stats.kstest(np.asarray(uniform), "uniform").pvalue > 0.01
    assert theta.shape == (NUM_DRAWS, 3)


@eqx.filter_jit
def probability_below(prior, sky, mu, reddening):
    def one(mu, e):
        grid = jnp.linspace(0, 1, 400) * e
        p = jnp.exp(jax.vmap(prior.reddening_given_distance(mu, sky).log_prob)(grid))
        return jnp.trapezoid(p, grid)

    return jax.lax.map(lambda args: one(*args), (mu, reddening), batch_size=1000)


@eqx.filter_jit
def log_prob_given_mu(prior, sky, theta, mu):
    def at(star):
        theta, mu = star
        return log_prob_without_reddening(prior, theta, mu, sky) - logsumexp(interpolate(mu, sky.log_number))

    return jax.lax.map(at, (theta, mu), batch_size=4096)


def test_label_samples_follow_the_label_density(prior, sky):
    """E[f/p] over samples is the integral of f: for f a Gaussian, one, whatever its place."""
    theta, mu, _ = draw(prior, sky, jax.random.key(5))
    log_p = np.asarray(log_prob_given_mu(prior, sky, theta, mu), float)
    for center in ((5500.0, 4.4, -0.2), (4500.0, 4.6, -0.2)):
        f = stats.multivariate_normal(center, np.diag([150.0, 0.08, 0.12]) ** 2).pdf(np.asarray(theta))
        ratio = f / np.exp(log_p)
        assert ratio.mean() == pytest.approx(1, abs=4 * ratio.std() / np.sqrt(ratio.size))


@eqx.filter_jit
def log_prob_and_gradient(prior, sky, point):
    return jax.value_and_grad(lambda v: prior.log_prob(v[:3], v[3], v[4], sky))(point)


def test_gradient_matches_finite_differences(prior, sky):
    with jax.enable_x64(True):
        prior64, sky64 = to_double(prior), to_double(sky)
        point = np.array([5500.0, 4.3, -0.2, 9.03, 0.2])
        gradient = np.asarray(log_prob_and_gradient(prior64, sky64, point)[1])
        for i, step in enumerate((0.1, 1e-4, 1e-4, 1e-4, 1e-4)):
            shift = step * np.eye(5)[i]
            above, below = (log_prob_and_gradient(prior64, sky64, point + sign * shift)[0] for sign in (1, -1))
            numerical = (above - below) / (2 * step)
            assert gradient[i] == pytest.approx(float(numerical), rel=1e-4, abs=1e-5)


def test_unknown_position_is_the_average_over_the_sky(milky_way):
    """Stars are counted, not sightlines: the average is weighted by how many stars each direction holds."""
    rng = np.random.default_rng(2)
    positions = np.stack([rng.uniform(0, 360, 3000), np.degrees(np.arcsin(rng.uniform(-1, 1, 3000)))], axis=1)
    mu = jnp.asarray(grid(), jnp.float32)
    numbers = jax.jit(jax.vmap(lambda p: jax.vmap(lambda m: milky_way.distance.log_number(m, p))(mu)))(
        jnp.asarray(positions, jnp.float32)
    )
    average = np.exp(np.asarray(numbers, float)).sum(axis=-1).mean(axis=0)
    average /= np.trapezoid(average, grid())
    nowhere = np.exp(log_prob_mu(sightline(milky_way, jnp.full(2, jnp.nan)), grid()))
    middle = (grid() > 5) & (grid() < 13)
    np.testing.assert_allclose(nowhere[middle], average[middle], rtol=0.1)


@pytest.mark.parametrize(
    ("distribution", "scipy_distribution"),
    [
        (lambda: Reddening.truncated_normal(0.3, 0.1), stats.truncnorm(-3, np.inf, 0.3, 0.1)),
        (lambda: Reddening.truncated_normal(-1.0, 0.1), stats.truncnorm(10, np.inf, -1.0, 0.1)),
        (lambda: Reddening.truncated_normal(0.0, 1.0), stats.halfnorm()),
        (lambda: Reddening.exponential(0.2), stats.expon(scale=0.2)),
    ],
    ids=["bulk", "far tail", "half normal", "exponential"],
)
def test_reddening_distributions_agree_with_scipy(distribution, scipy_distribution):
    x = np.append(scipy_distribution.ppf([0.01, 0.3, 0.7, 0.99]), -0.01)
    log_prob, below, mean, draws = map(np.asarray, describe(distribution(), jnp.asarray(x)))
    np.testing.assert_allclose(log_prob, scipy_distribution.logpdf(x), atol=2e-3)
    np.testing.assert_allclose(below, [0.01, 0.3, 0.7, 0.99, 0], atol=2e-3)
    assert mean == pytest.approx(scipy_distribution.mean(), rel=1e-3)
    assert stats.kstest(draws, scipy_distribution.cdf).pvalue > 0.001


@jax.jit
def describe(reddening, x):
    draws = jax.vmap(reddening.sample)(jax.random.split(jax.random.key(0), 4000))
    return jax.vmap(reddening.log_prob)(x), jax.vmap(reddening.probability_below)(x), reddening.mean, draws


FLAT = """description = "x"
[stars]
kind = "training"
brightest_mag = 10
faintest_mag = 17
[distance]
kind = "flat"
[dust]
kind = "exponential"
mean_mag = 0.3
"""
AGES = """youngest_gyr = 3
oldest_gyr = 9
alpha_fe = 0.0
"""
FEH = """[distance.feh]
kind = "gradients"
mean = 0.0
std = 0.2
radial_per_kpc = 0.0
vertical_per_kpc = 0.0
"""
TRAINING = '"training"\nbrightest_mag = 10\nfaintest_mag = 17'
ISOCHRONES = FLAT.replace(TRAINING, '"isochrones"').replace('"flat"\n', '"flat"\n' + AGES + FEH)
CHABRIER = 'initial_mass_function = "chabrier"'
DISCS = """extends = "milky-way"
[distance.components.thin-disc]
"""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("not a = = toml", "cannot be read as TOML"),
        (FLAT.replace("mean_mag = 0.3", "mean_mag = -0.3"), "dust.mean_mag must be greater than 0"),
        (FLAT.replace("mean_mag = 0.3", "mean_mag = nan"), "dust.mean_mag must be a finite number"),
        (FLAT.replace("mean_mag = 0.3", "mean_mag = 'a'"), "dust.mean_mag must be a finite number"),
        (FLAT.replace("mean_mag", "mean"), "'dust.mean_mag' is missing"),
        (FLAT + "colour = 1\n", "unknown key 'dust.colour'"),
        (FLAT.replace('"flat"', '"round"'), "distance.kind must be one of"),
        (FLAT.replace("faintest_mag = 17", "faintest_mag = 9"), "stars.brightest_mag must be less"),
        (FLAT.replace(TRAINING, '"isochrones"'), "'distance.youngest_gyr' is missing"),
        (FLAT.replace('"training"', '"theory"'), "stars.kind must be one of"),
        (FLAT.replace("faintest", f"{CHABRIER}\nfaintest"), "unknown key 'stars.initial_mass_function'"),
        (FLAT.replace('"flat"\n', '"flat"\n' + AGES), "unknown key 'distance.youngest_gyr'"),
        (ISOCHRONES.replace('"isochrones"', '"isochrones"\ninitial_mass_function = "flat"'), "one of chabrier, kroupa"),
        (ISOCHRONES.replace("oldest_gyr = 9", "oldest_gyr = 2"), "ages must rise"),
        (ISOCHRONES.replace("[distance.feh]", "[distance.metals]"), "'distance.feh' is missing"),
        (ISOCHRONES.replace('"gradients"', '"steps"'), "distance.feh.kind must be one of"),
        (ISOCHRONES.replace("std = 0.2", "std = -0.2"), "feh.std must be greater than 0"),
        (ISOCHRONES + "[stars.populations]\n", "unknown key 'stars.populations'"),
        (DISCS + 'kind = "disc"\nfraction = 1\nscale_length_kpc = 2\nscale_height_kpc = 0.3', "thin-disc has no ages"),
        (DISCS + "scale_length_kpc = -1", "components.thin-disc.scale_length_kpc must be greater than 0"),
        (DISCS + "fraction = 0", "components.thin-disc.fraction must be greater than 0"),
        (DISCS + 'kind = "cube"', "components.thin-disc.fraction' is missing"),
        (DISCS + 'kind = "cube"\nfraction = 1', "components.thin-disc.kind must be one of"),
        (DISCS.replace("thin", "thn") + "fraction = 1", "thn-disc has no kind; mend the component's name"),
        (DISCS + "hole_length_kpc = 1", "unknown key 'distance.components.thin-disc.hole_length_kpc'"),
        ('extends = "milky-way"\n[distance.components.bar]\nprofile = "round"', "profile must be one of"),
        (
            'extends = "besancon"\n[distance.components.thin-disc-to-1-gyr]\nhole_length_kpc = 3.0',
            "hole_length_kpc must be less than",
        ),
        ('extends = "nowhere"\n' + FLAT, "extends must be one of"),
        ('extends = ["milky-way"]', "extends must be one of"),
        (DISCS + f"fraction = 1{'0' * 400}", "components.thin-disc.fraction must be a finite number"),
        (DISCS + "core_kpc = -1", "components.thin-disc.core_kpc must be greater than 0"),
        ('extends = "milky-way"\n[distance.components.halo]\nbreak_radius_kpc = 20', "halo.outer_slope' is missing"),
        ('extends = "milky-way"\n[distance.components.halo]\nouter_slope = 5', "halo.break_radius_kpc' is missing"),
        ("extra = 1\n" + FLAT, "unknown key 'extra'"),
        ("stars = 3", "'description' is missing"),
    ],
)
def test_broken_prior_file_is_refused_in_one_sentence(model, tmp_path, text, says):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        load_prior(path, model)
    assert says in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value).replace("\n", "", 0) or "TOML" in says


def test_a_file_may_name_another_initial_mass_function(model, tmp_path):
    """Chabrier's function has fewer stars of a quarter to three quarters of a solar mass per star like the Sun."""
    path = tmp_path / "mine.toml"
    path.write_text(f'extends = "milky-way-isochrones"\n[stars]\n{CHABRIER}\n')
    priors = [load_prior(each, model) for each in ("milky-way-isochrones", path)]
    thin_disc = [np.asarray(prior.stars.weight[..., 0], float) for prior in priors]
    solar = (
        np.abs(isochrones.FEH.nodes).argmin() + 1
    )  # the array has a node of metallicity before the first of the axis
    teff = 10**isochrones.LOG_TEFF.nodes
    kroupa, chabrier = (weight[solar].sum(axis=1) for weight in thin_disc)
    ratio = [
        np.sum(shares[(teff > 3300) & (teff < 4300)]) / np.sum(shares[teff > 5500]) for shares in (kroupa, chabrier)
    ]
    assert 0.7 < ratio[1] / ratio[0] < 0.9
    np.testing.assert_allclose([kroupa.sum(), chabrier.sum()], 1, rtol=1e-4)


def test_unknown_prior_names_the_known_ones(model):
    with pytest.raises(UserError, match="milky-way"):
        load_prior("milkyway", model)


PACKAGE = """
from albireo.priors import load_prior

def edsd(model):
    return load_prior("edsd", model)

def number(model):
    return 3

def fail(model):
    raise RuntimeError("no data\\nhere")
"""
ENTRY_POINTS = """[albireo.priors]
mine = some_priors:edsd
flat = some_priors:number
number = some_priors:number
fail = some_priors:fail
gone = some_priors:gone
nowhere = no_such_module:prior
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package that registers priors, good and bad."""
    (tmp_path / "some_priors.py").write_text(PACKAGE)
    folder = tmp_path / "some_priors-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: some-priors\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("package")
def test_priors_of_other_packages_are_listed_and_loaded(model):
    names = [name for name, _ in list_priors()]
    assert "mine" in names
    assert names.count("flat") == 1
    assert load_prior("mine", model).name == "edsd"
    assert load_prior("flat", model).name == "flat"


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("number", "some_priors:number: a prior needs the method log_prob; int lacks it"),
        ("fail", "cannot be made .RuntimeError: no data here.; mend its package"),
        ("gone", "cannot be made .AttributeError"),
        ("nowhere", "cannot be made .ModuleNotFoundError"),
    ],
)
def test_broken_prior_of_another_package_is_refused_by_its_name(model, name, says):
    with pytest.raises(UserError, match=says) as error:
        load_prior(name, model)
    assert name in str(error.value)


@pytest.mark.parametrize(
    ("labels", "density", "prior", "says"),
    [
        (("teff", "logg", "feh"), False, "edsd", "no density .*; take a prior from isochrones, such as milky-way-iso"),
        (
            ("teff", "logg", "mh"),
            True,
            "milky-way-isochrones",
            "this one has teff, logg, mh: take .* such as milky-way",
        ),
        (
            ("teff", "logg", "mh"),
            False,
            "milky-way-isochrones",
            "this one has teff, logg, mh: take a prior of your own",
        ),
        (("teff", "logg", "mh"), False, "edsd", "no density .*; take a prior of your own or another model"),
    ],
)
def test_prior_that_a_model_cannot_have_names_one_that_it_can(model, labels, density, prior, says):
    other = replace(model, labels=labels, density=model.density if density else None)
    with pytest.raises(UserError, match=says):
        load_prior(prior, other)


def test_class_of_a_prior_is_no_prior(model):
    with pytest.raises(UserError, match="an object, not the class GalacticPrior"):
        load_prior(GalacticPrior, model)


def test_steep_tables_are_normalised_and_sampled():
    """Rises and falls by far more than single precision holds: at the peak an exponential on either side."""
    table = normalise(jnp.asarray(-500 * np.abs(grid() - 10), jnp.float32)[:, None])
    assert np.asarray(table).max() == pytest.approx(np.log(250), abs=1e-3)
    mu, _ = distance.sample(jax.random.key(0), table, 4000)
    assert stats.kstest(np.asarray(mu), stats.laplace(10, 1 / 500).cdf).pvalue > 0.001
