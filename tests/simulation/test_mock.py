"""Mock catalogues: what their stars are is what the prior says, and what was measured of them what the model says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from astropy.table import Table
from scipy import stats

from albireo import Catalog, UserError, cli
from albireo.likelihood import Star
from albireo.priors import Reddening, sightline
from albireo.priors.distance import grid
from albireo.simulation import mock
from albireo.tables import write_table

NUM_STARS, FAINTEST = 1000, 17.0
DIRECTION = (30.0, 5.0)
TRUTH = ("true_teff", "true_logg", "true_feh", "true_distance_modulus", "true_reddening")


@pytest.fixture(scope="module")
def field(milky_way, model):
    return milky_way.mock(*DIRECTION, NUM_STARS, model=model, faintest=FAINTEST, seed=1)


@pytest.fixture(scope="module")
def every_star(milky_way, model):
    return mock(milky_way, *DIRECTION, NUM_STARS, model=model, faintest=np.inf, seed=1)


@pytest.mark.parametrize("ending", ["fits", "parquet", "ecsv", "csv", "vot"])
def test_infer_reads_it_as_it_is(field, tmp_path, ending):
    path = tmp_path / f"mock.{ending}"
    write_table(field[:20], path)
    catalog = Catalog.read(path)
    np.testing.assert_allclose(catalog.glat, DIRECTION[1])
    np.testing.assert_allclose(catalog.mag[:, 0], field["gaia_g"][:20])
    np.testing.assert_allclose(catalog.parallax, field["parallax"][:20])
    assert list(catalog.ids) == list(field["name"][:20])
    assert catalog.n_bands.min() > 0
    assert not catalog.bad_input.any()
    assert set(TRUTH) <= set(catalog.extra.colnames)
    assert np.isnan(catalog.theta).all()  # the truth is not taken for what is known


def test_magnitudes_and_parallaxes_scatter_about_the_truth_as_the_likelihood_has_it(field, model):
    catalog = Catalog.from_table(field).select_bands(model.bands)
    theta = jnp.stack([jnp.asarray(field[f"true_{label}"]) for label in model.labels], axis=-1)
    mu, reddening = (np.asarray(field[name], float) for name in TRUTH[3:])
    predicted = np.asarray(model.magnitudes(theta, jnp.asarray(mu), jnp.asarray(reddening)), float)
    bright = predicted[:, 0] < FAINTEST - 1  # so that the limit has not chosen among their errors
    star = Star.from_catalog(catalog, np.float64, scatter=model.scatter)
    residual = np.where(np.isfinite(catalog.mag), star.mag - predicted, 0)
    chi2 = np.sum(np.einsum("nij,nj->ni", star.whitener, residual)[bright] ** 2)
    assert 0.001 < stats.chi2(np.sum(catalog.n_bands[bright])).sf(chi2) < 0.999
    pull = (catalog.parallax - 10 ** (2 - mu / 5)) / catalog.parallax_err
    assert stats.kstest(pull, "norm").pvalue > 0.001


def test_distances_of_all_stars_are_those_of_the_sightline(every_star, milky_way):
    sky = jax.jit(lambda position: sightline(milky_way, position))(jnp.asarray(DIRECTION, jnp.float32))
    density = np.exp(np.asarray(sky.log_number, float)).sum(axis=1)
    cumulative = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2)])
    mu = np.asarray(every_star["true_distance_modulus"])
    assert stats.kstest(mu, lambda x: np.interp(x, grid(), cumulative / cumulative[-1])).pvalue > 0.01
    assert every_star.meta["drawn"] == NUM_STARS


def test_the_brightest_of_all_stars_are_kept(field, every_star, model):
    assert np.nanmax(field["gaia_g"]) <= FAINTEST
    share, num = NUM_STARS / field.meta["drawn"], len(every_star)
    magnitudes = np.asarray(every_star["gaia_g"], float)  # of which one in ten is missing
    bright = np.sum(magnitudes <= FAINTEST) / 0.9
    assert bright == pytest.approx(num * share, abs=4 * np.sqrt(num * share))
    assert f"{NUM_STARS} of {field.meta['drawn']} stars" in field.meta["comments"][0]


def test_the_same_seed_gives_the_same_catalogue(field, milky_way, model):
    again = milky_way.mock(*DIRECTION, 5, model=model, faintest=FAINTEST, seed=1)
    other = milky_way.mock(*DIRECTION, 5, model=model, faintest=FAINTEST, seed=2)
    for name in set(field.colnames) - {"name"}:
        np.testing.assert_array_equal(again[name], field[name][:5])
    assert not np.any(np.asarray(other["true_teff"]) == np.asarray(again["true_teff"]))


class Twins:
    """Suns at one distance, without dust to speak of: any object with the three methods is a prior."""

    def log_prob(self, theta, mu, reddening, sky):
        raise NotImplementedError

    def sample(self, key, sky, num_samples):
        theta = jnp.broadcast_to(jnp.array([5780.0, 4.44, 0.0]), (num_samples, 3))
        return theta, jnp.full(num_samples, 5.0), jnp.zeros(num_samples)

    def reddening_given_distance(self, mu, sky):
        return Reddening.exponential(jnp.asarray(0.01))


def test_any_prior_will_do(model):
    field = mock(Twins(), 0, 0, 50, model=model)
    assert set(field["true_teff"]) == {5780.0}
    assert field.meta["drawn"] == 50
    assert "the prior Twins" in field.meta["comments"][0]
    expected = float(model.absolute_magnitudes(jnp.array([5780.0, 4.44, 0.0]))[0]) + 5
    assert np.nanmedian(field["gaia_g"]) == pytest.approx(expected, abs=0.15)


BAD = {
    "a latitude beyond the pole": ({"glat": 95.0}, "latitude must be between -90 and 90 deg; got 95.0"),
    "a longitude that is none": ({"glon": np.nan}, "longitude must be a number of degrees; got nan"),
    "no stars": ({"num_stars": 0}, "num_stars must be at least 1; got 0"),
    "a limit that is none": ({"faintest": np.nan}, "faintest must be a magnitude"),
    "a limit that no star reaches": ({"faintest": -3.0}, "stars in this direction are brighter than -3 mag in gaia_g"),
    "an unknown prior": ({"prior": "bulge"}, "there is no prior 'bulge'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused(model, case):
    changes, message = BAD[case]
    arguments = {"prior": Twins(), "glon": 0.0, "glat": 0.0, "num_stars": 5, "model": model} | changes
    with pytest.raises(UserError, match=message):
        mock(**arguments)


def test_the_command_writes_what_infer_reads(tmp_path, capsys):
    path = tmp_path / "mock.fits"
    arguments = ["mock", "milky-way", "--glon", "30", "--glat", "5", "--stars", "4", "--seed", "1", "-o", str(path)]
    assert cli.run(arguments) == 0
    told = capsys.readouterr().out
    assert "4 of " in told
    assert f"next: albireo infer {path} -o run --prior milky-way" in told
    assert len(Catalog.read(path)) == 4
    assert "true_teff" in Table.read(path).colnames
    before = path.read_bytes()
    assert cli.run(arguments) == 2
    assert "already there" in capsys.readouterr().err
    assert path.read_bytes() == before
    assert cli.run([*arguments, "--overwrite", "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    assert cli.run([*arguments[:4], "--glat", "-95", "-o", str(tmp_path / "other.fits")]) == 2
    assert "latitude must be between" in capsys.readouterr().err
    assert not (tmp_path / "other.fits").exists()
