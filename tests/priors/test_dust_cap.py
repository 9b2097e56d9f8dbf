"""The 2-d cap: at infinity the map's reddening, before that a smooth layer's, and whatever is no map is refused."""

import healpy
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from astropy.io import fits

from albireo import UserError, load_prior
from albireo.priors.dust_cap import DustCap
from albireo.priors.healpix import find_pixel

NSIDE = 8
NPIX = healpy.nside2npix(NSIDE)
PLACES = ((0.0, 90.0), (10.0, -89.0), (123.0, 30.0), (359.9, -12.0), (180.0, 0.4), (77.0, 0.0))


def some_dust():
    """In ring order [mag]."""
    glon, glat = healpy.pix2ang(NSIDE, np.arange(NPIX), lonlat=True)
    return np.exp(-np.abs(glat) / 20) * (1.5 + np.cos(np.radians(glon)))


def in_pixel(place):
    return some_dust()[healpy.ang2pix(NSIDE, *place, lonlat=True)]


@pytest.fixture(scope="module")
def cap():
    return DustCap.from_array(some_dust(), scale_height=0.1, scale_length=5.0, fractional=0.3, absolute=0.02)


@pytest.mark.parametrize("place", PLACES)
def test_at_infinity_it_is_the_maps_and_before_that_the_layers(cap, place):
    position = jnp.array(place)
    assert cap.mean(jnp.float32(30.0), position) == pytest.approx(in_pixel(place), rel=1e-5)
    mu = jnp.linspace(-5, 20, 60)
    mean = np.asarray(jax.vmap(lambda mu: cap.mean(mu, position))(mu))
    assert (np.diff(mean) >= 0).all()
    assert (mean <= in_pixel(place) * (1 + 1e-6)).all()
    # The column of a density exp(−s/l) along the sightline, by sums.
    s = np.linspace(0, 10 ** (12 / 5 - 2), 4001)
    b = np.radians(place[1])
    length = 1 / (abs(np.sin(b)) / 0.1 + np.cos(b) / 5)
    column = np.trapezoid(np.exp(-s / length), s) / length
    assert cap.mean(jnp.float32(12.0), position) == pytest.approx(in_pixel(place) * column, rel=1e-4)


def test_width_is_of_both_scatters(cap):
    position, mu = jnp.array(PLACES[3]), jnp.float32(7.0)
    mean = float(cap.mean(mu, position))
    reddening = cap.reddening_given_distance(mu, position)
    assert 1 / np.sqrt(reddening.precision[0]) == pytest.approx(np.hypot(0.3 * mean, 0.02), rel=1e-5)
    assert reddening.linear[0] / reddening.precision[0] == pytest.approx(mean, rel=1e-5)
    assert bool(cap.is_reliable(mu, position))


@pytest.mark.parametrize("mu", [2.0, 8.0, 9.7])
def test_gradient_along_the_sightline(cap, mu):
    with jax.enable_x64(True):
        f = jax.jit(lambda mu: cap.reddening_given_distance(mu, jnp.array(PLACES[2])).log_prob(jnp.asarray(0.3)))
        mu = jnp.asarray(mu)
        assert jax.grad(f)(mu) == pytest.approx(float((f(mu + 1e-5) - f(mu - 1e-5)) / 2e-5), rel=1e-4)


@pytest.mark.parametrize("nside", [1, 32, 512])
def test_pixels_are_healpys(nside):
    rng = np.random.default_rng(0)
    glon, glat = rng.uniform(0, 360, 2000), np.rad2deg(np.arcsin(rng.uniform(-1, 1, 2000)))
    place = jnp.stack([jnp.asarray(glon, jnp.float32), jnp.asarray(glat, jnp.float32)], axis=1)
    found = jax.jit(jax.vmap(lambda place: find_pixel(12 * nside**2, place)))(place)
    # Single precision may take a star at an edge for one of the next pixel.
    assert np.mean(np.asarray(found) == healpy.ang2pix(nside, glon, glat, nest=True, lonlat=True)) > 0.999


def write(path, *, nest=False, **header):
    """A map in FITS; keys of the header, None to remove one."""
    values = healpy.reorder(some_dust(), r2n=True) if nest else some_dust()
    healpy.write_map(path, values, nest=nest, dtype=float, overwrite=True)
    with fits.open(path, mode="update") as file:
        for key, value in header.items():
            file[1].header[key] = value
            if value is None:
                del file[1].header[key]
    return path


@pytest.mark.parametrize("nest", [False, True])
def test_a_file_says_the_order_of_its_pixels(cap, tmp_path, nest):
    settings = {"scale_height": 0.1, "scale_length": 5.0, "fractional": 0.3, "absolute": 0.02}
    path = write(tmp_path / "sky.fits", nest=nest, COORDSYS="G")
    for again in (
        DustCap.read(path, **settings),
        DustCap.from_array(healpy.read_map(path), **settings),
        DustCap.from_array(healpy.read_map(path, nest=True), nested=True, **settings),
    ):
        np.testing.assert_array_equal(again.total, cap.total)


def test_units_bring_a_map_to_the_scale_of_sfd(cap):
    recalibrated = DustCap.from_array(0.86 * some_dust(), units="schlafly-finkbeiner")
    np.testing.assert_allclose(recalibrated.total, cap.total, rtol=1e-6)


def test_the_published_map(data_folder):
    """The field of Orion of `orion_sightline.fits` lies behind more than 0.5 mag, the poles behind little."""
    path = data_folder / "dust" / "sfd_nside64.fits"
    cap, sky = DustCap.read(path), healpy.read_map(path)
    for place in ((209.0, -19.5), (0.0, 90.0), (0.0, -90.0), (30.0, 1.0)):
        expected = sky[healpy.ang2pix(64, *place, lonlat=True)]
        assert cap.mean(jnp.float32(30.0), jnp.array(place)) == pytest.approx(expected, rel=1e-5)


@pytest.fixture(scope="module")
def toml(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prior")
    write(folder / "sky.fits")
    path = folder / "capped.toml"
    path.write_text(
        'description = "milky-way under a map of all dust"\nextends = "milky-way"\n[dust]\nkind = "cap"\n'
        'file = "sky.fits"\nunits = "sfd"\nscale_height_kpc = 0.1\nscale_length_kpc = 5.0\n'
        "fractional_scatter = 0.3\nabsolute_scatter_mag = 0.02\n"
    )
    return path


def test_a_prior_file_with_a_cap(cap, model, toml):
    prior = load_prior(toml, model)
    np.testing.assert_array_equal(prior.dust.total, cap.total)
    position = jnp.array(PLACES[3])
    for mu in (5.0, 12.0):
        here, alone = (one.reddening_given_distance(jnp.float32(mu), position) for one in (prior.dust, cap))
        assert here.linear == pytest.approx(float(alone.linear[0]), rel=1e-5)
        assert here.precision == pytest.approx(float(alone.precision[0]), rel=1e-5)
    # The average over the sky lies within the map.
    near, far = (prior.anywhere.reddening.linear[i] for i in (20, -1))
    assert (np.asarray(near) < np.asarray(far)).all()
    assert (-1 / np.asarray(far) < some_dust().max()).all()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("sky.fits", "none.fits", "dust.file: .*none.fits could not be read .* No such file .* name another or fetch"),
        ("sky.fits", "capped.toml", "dust.file: .*capped.toml could not be read as a HEALPix map"),
        ('"sfd"', '"planck"', "dust.units must be one of schlafly-finkbeiner, sfd; got 'planck'"),
        ("scale_length_kpc = 5.0", "scale_length_kpc = 0", "dust.scale_length_kpc must be greater than 0"),
        ("absolute_scatter_mag = 0.02", "", "'dust.absolute_scatter_mag' is missing"),
        ("absolute_scatter_mag", 'ordering = "nested"\nabsolute_scatter_mag', "unknown key 'dust.ordering'"),
    ],
)
def test_broken_sections_are_refused(model, toml, old, new, says):
    broken = toml.with_name("broken.toml")
    broken.write_text(toml.read_text().replace(old, new))
    with pytest.raises(UserError, match=says) as caught:
        load_prior(broken, model)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ({"ORDERING": "SPIRAL"}, "ORDERING = 'SPIRAL' in its header; write there RING or NESTED"),
        ({"ORDERING": None}, "ORDERING = '' in its header; write there RING or NESTED"),
        ({"COORDSYS": "C"}, "COORDSYS = 'C' in its header; rotate the map to Galactic coordinates"),
        ({"NSIDE": 16}, "could not be read as a HEALPix map in FITS"),
    ],
)
def test_files_with_another_order_or_frame_are_refused(tmp_path, header, says):
    with pytest.raises(UserError, match=says):
        DustCap.read(write(tmp_path / "sky.fits", **header))


@pytest.mark.parametrize(
    ("total", "settings", "says"),
    [
        (np.ones(NPIX + 1), {}, "a value for each of the 12·nside² pixels of the sky"),
        (np.ones((NPIX, 2)), {}, "a value for each"),
        (np.ones(12 * 3**2), {}, "nside a power of 2"),
        (np.where(np.arange(NPIX) < 2, np.nan, 1.0), {}, "2 pixels have others: fill them first"),
        (np.where(np.arange(NPIX) < 3, healpy.UNSEEN, 1.0), {}, "3 pixels have others"),
        (np.full(NPIX, "a"), {}, "needs numbers"),
        (np.ones(NPIX), {"units": "planck"}, "one of sfd, schlafly-finkbeiner; got 'planck'"),
        (np.ones(NPIX), {"scale_height": 0.0}, "scales must be greater than 0 kpc"),
        (np.ones(NPIX), {"absolute": 0.0}, "more than 0 mag"),
    ],
)
def test_arrays_and_settings_that_make_no_cap_are_refused(total, settings, says):
    with pytest.raises(UserError, match=says):
        DustCap.from_array(total, **settings)
