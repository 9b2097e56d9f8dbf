"""3-d dust maps: what the array says is what the prior expects, and where it says nothing the prior widens."""

import equinox as eqx
import healpy
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from albireo import UserError, certificate, load_prior
from albireo.priors.dust import DustMap
from albireo.priors.galactic import GalacticPrior
from albireo.priors.lines_of_sight import average_over_sky
from stars import simulate

NSIDE = 4
MU = np.linspace(4, 16, 25)


def some_reddening():
    """Rises with distance, the more the nearer to the plane and to longitude 0."""
    glon, glat = healpy.pix2ang(NSIDE, np.arange(healpy.nside2npix(NSIDE)), nest=True, lonlat=True)
    dust = np.exp(-np.abs(glat) / 20) * (1.5 + np.cos(np.radians(glon)))
    return dust[:, None] / (1 + np.exp(10 - MU))


@pytest.fixture(scope="module")
def dust_map():
    return DustMap.from_array(some_reddening(), MU, nearest=6.0, farthest=14.0, fractional=0.1, absolute=0.02)


def test_mean_is_the_arrays_and_falls_with_distance_before_it(dust_map):
    for pixel in (0, 77, 191):
        position = jnp.array(healpy.pix2ang(NSIDE, pixel, nest=True, lonlat=True))
        along = some_reddening()[pixel]
        for mu in (4.0, 7.3, 12.25, 16.0, 18.0):
            assert dust_map.mean(jnp.float32(mu), position) == pytest.approx(np.interp(mu, MU, along), rel=2e-3)
        assert dust_map.mean(jnp.float32(4 - 5 * np.log10(2)), position) == pytest.approx(along[0] / 2, rel=2e-3)


def test_gradient_along_the_sightline(dust_map):
    position = jnp.array([20.0, 3.0])
    with jax.enable_x64(True):
        f = jax.jit(lambda mu: dust_map.reddening_given_distance(mu, position).log_prob(jnp.asarray(0.4)))
        mu = jnp.asarray(9.7)
        assert jax.grad(f)(mu) == pytest.approx(float((f(mu + 1e-5) - f(mu - 1e-5)) / 2e-5), rel=1e-4)


def test_order_of_pixels(dust_map):
    ring = some_reddening()[healpy.ring2nest(NSIDE, np.arange(healpy.nside2npix(NSIDE)))]
    np.testing.assert_array_equal(DustMap.from_array(ring, MU, nested=False).reddening, dust_map.reddening)


def test_scatter_where_reliable_and_where_not(dust_map):
    position = jnp.array([0.0, 1.0])
    for mu, width in ((10.0, lambda e: np.hypot(0.1 * e, 0.02)), (15.0, lambda e: np.hypot(e, 0.1))):
        mean = float(dust_map.mean(jnp.float32(mu), position))
        precision = dust_map.reddening_given_distance(jnp.float32(mu), position).precision
        assert 1 / np.sqrt(precision[0]) == pytest.approx(width(mean), rel=1e-3)


def test_a_query_object_gives_the_same_map(dust_map):
    def query(coords):
        pixel = healpy.ang2pix(NSIDE, coords.l.deg, coords.b.deg, nest=True, lonlat=True)
        return some_reddening()[pixel, np.arange(len(MU))]

    again = DustMap.from_query(query, nside=NSIDE, distance_modulus=MU)
    np.testing.assert_array_equal(again.reddening, dust_map.reddening)

    def fails(coords):
        raise FileNotFoundError("no map here")

    with pytest.raises(UserError, match=r"could not be asked \(FileNotFoundError: no map here"):
        DustMap.from_query(fails, nside=NSIDE, distance_modulus=MU)


@pytest.mark.parametrize(
    ("query", "nside", "says"),
    [
        (lambda coords: None, 2, "it has the shape .."),
        (lambda coords: np.zeros(3), 2, "it has the shape .3,."),
        (lambda coords: ["a"], 2, "could not be asked .ValueError"),
        (lambda coords: np.where(coords.b.deg < -60, np.nan, np.ones(coords.shape)), 4, "12 pixels have others"),
        (lambda coords: np.ones(coords.shape), 3, "nside must be a power of 2; got 3"),
    ],
)
def test_queries_that_give_no_map_are_refused(query, nside, says):
    with pytest.raises(UserError, match=says):
        DustMap.from_query(query, nside=nside, distance_modulus=MU)


@pytest.mark.parametrize(
    ("reddening", "mu", "says"),
    [
        (np.zeros((100, 25)), MU, "12·nside² pixels"),
        (np.zeros(192), MU, "12·nside² pixels"),
        (np.zeros((192, 24)), MU, "rising in even steps"),
        (np.zeros((192, 25)), MU**2, "rising in even steps"),
        (np.where(np.arange(192)[:, None] == 3, np.nan, np.zeros(25)), MU, "1 pixels have others"),
        (np.full((192, 25), -1.0), MU, "192 pixels have others"),
        (np.full((192, 25), 1e5), MU, "192 pixels have others"),
        (np.ma.masked_equal(np.eye(192, 25, dtype=int), 1), MU, "25 pixels have others"),
        (np.full((192, 25), "a"), MU, "needs numbers, but holds <U1"),
        (np.full((192, 25), None), MU, "needs numbers, but holds object"),
        (np.float64(1), MU, "12·nside² pixels"),
        (np.zeros((108, 25)), MU, "12·nside² pixels"),
        (np.zeros((192, 25)), np.full(25, np.nan), "rising in even steps"),
    ],
)
def test_arrays_that_are_no_map_are_refused(reddening, mu, says):
    with pytest.raises(UserError, match=says) as caught:
        DustMap.from_array(reddening, mu)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"nearest": np.zeros(5)}, "one number, or 192 for its pixels"),
        ({"farthest": np.nan}, "without NaN"),
        ({"fractional": -0.1}, "at least 0 of it"),
        ({"fractional": 0.0, "absolute": 0.0}, "more than 0 mag"),
        ({"absolute": np.nan}, "more than 0 mag"),
    ],
)
def test_limits_and_scatter_that_make_no_sense_are_refused(settings, says):
    with pytest.raises(UserError, match=says):
        DustMap.from_array(np.zeros((192, 25)), MU, **settings)


@pytest.fixture(scope="module")
def toml(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prior")
    np.save(folder / "dust.npy", some_reddening())
    path = folder / "dusty.toml"
    path.write_text(
        'description = "milky-way behind a map"\nextends = "milky-way"\n[dust]\nkind = "map"\nfile = "dust.npy"\n'
        'ordering = "nested"\nfirst_distance_modulus_mag = 4\nlast_distance_modulus_mag = 16\n'
        "reliable_from_mag = 6\nreliable_to_mag = 7\nfractional_scatter = 0.1\nabsolute_scatter_mag = 0.02\n"
    )
    return path


def test_stars_beyond_the_map_are_flagged(model, toml):
    """Of stars at 8, 11 and 6.5 mag the map, reliable from 6 to 7, knows the last."""
    catalog = simulate(model)[[0, 1, 2, 2]]
    catalog.glon[3] = np.nan
    mu = np.broadcast_to([8.0, 11.0, 6.5, 8.0], (2, 50, 4))
    posterior = xr.Dataset({"distance_modulus": (("chain", "draw", "star"), mu)})
    outside = certificate._outside_dust_map(load_prior(toml, model), posterior, catalog)
    np.testing.assert_array_equal(outside, [True, True, False, False])


def test_average_over_the_sky_has_the_mean_reddening(dust_map, milky_way):
    anywhere = average_over_sky(milky_way.distance, dust_map)
    prior = GalacticPrior(milky_way.stars, milky_way.distance, dust_map, anywhere)
    sky = eqx.filter_jit(prior.sightline)(jnp.full(2, jnp.nan))
    mu = jnp.float32(10.0)
    column = np.asarray(jax.jit(jax.vmap(lambda p: dust_map.mean(mu, p)))(sky_positions()))
    mean = eqx.filter_jit(lambda: prior.reddening_given_distance(mu, sky).mean)()
    assert column.min() < mean < column.max()


def sky_positions():
    return jnp.stack([jnp.asarray(a) for a in healpy.pix2ang(NSIDE, np.arange(192), lonlat=True)], axis=-1)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("dust.npy", "none.npy", "dust.file .*none.npy cannot be read"),
        ('"nested"', '"spiral"', "dust.ordering must be one of nested, ring"),
        ("last_distance_modulus_mag = 16", "last_distance_modulus_mag = 2", "must be less than last_distance_modulus"),
        (
            "reliable_to_mag = 7",
            "reliable_to_mag = 5",
            "reliable_from_mag must be less than reliable_to_mag; got 6 and 5",
        ),
        ("= 0.02", "= -1", "^[^:]*: dust.absolute_scatter_mag must be greater than 0"),
    ],
)
def test_broken_map_section_is_refused(model, toml, old, new, says):
    broken = toml.with_name("broken.toml")
    broken.write_text(toml.read_text().replace(old, new))
    with pytest.raises(UserError, match=says):
        load_prior(broken, model)


def no_array(path, kind):
    """A file in place of the map's."""
    if kind in ("text", "empty"):
        path.write_text("dust" if kind == "text" else "")
    elif kind == "archive":
        with path.open("wb") as file:
            np.savez(file, dust=some_reddening())
    elif kind == "truncated":
        np.save(path, some_reddening())
        path.write_bytes(path.read_bytes()[:5000])
    else:
        np.save(
            path, {"number": np.float64(1), "words": np.full((192, 25), "a"), "nan": some_reddening() * np.nan}[kind]
        )


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("text", "cannot be read .no array, or damaged.; name a .npy file"),
        ("empty", "cannot be read .no array, or damaged."),
        ("archive", "cannot be read .no array, or damaged."),
        ("truncated", "cannot be read .no array, or damaged."),
        ("number", "12·nside² pixels"),
        ("words", "needs numbers"),
        ("nan", "192 pixels have others: fill them first"),
    ],
)
def test_files_that_are_no_map_are_refused(model, toml, tmp_path, kind, says):
    no_array(tmp_path / "dust.npy", kind)
    path = tmp_path / "dusty.toml"
    path.write_text(toml.read_text())
    with pytest.raises(UserError, match=f"dusty.toml: dust.file .*dust.npy.*{says}") as caught:
        load_prior(path, model)
    assert "\n" not in str(caught.value)
