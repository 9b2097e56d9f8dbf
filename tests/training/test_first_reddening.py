"""The first reddening against values by hand, and against the shared maps of dust where these are there."""

import sys
from types import ModuleType, SimpleNamespace

import astropy.units as u
import healpy
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table

from albireo import cli
from albireo.errors import UserError
from albireo.training.dust_maps import DistanceMap, SkyMap, load_distance_map, load_sky_map
from albireo.training.first_reddening import add_reddening

FLOOR = 0.02


class Sky:
    """A map of the sky that is the same everywhere."""

    def __init__(self, value):
        self.value = value

    def query(self, coords):
        return np.full(coords.shape, self.value)


class Slab:
    """Reddening that grows by 0.3 mag per kpc, north of the given latitude."""

    def __init__(self, south=-90.0):
        self.south = south

    def query(self, coords):
        return np.where(coords.b.deg > self.south, 0.3 * coords.distance.kpc, np.nan)


def star(parallax, parallax_err=0.05, glat=2.0, num=1):
    columns = {"glon": 30.0, "glat": glat, "parallax": parallax, "parallax_err": parallax_err, "gaia_g": 14.0}
    return Table({name: np.full(num, float(value)) for name, value in (columns | {"gaia_g_err": 0.02}).items()})


def estimate(table, dust=None, **settings):
    out = add_reddening(table, Sky(0.5), dust or Slab(), **settings)
    return out["reddening"][0], out["reddening_err"][0], out["reddening_source"][0]


def test_a_star_beyond_the_dust_has_all_of_it():
    """At 30 deg, 400 pc from the plane is at 0.8 kpc, a parallax of 1.25 mas."""
    assert estimate(star(0.99, glat=30)) == pytest.approx((0.5, np.hypot(0.05, FLOOR), "sfd"), nan_ok=False)
    assert estimate(star(1.01, glat=-30))[2] == "3d-map"  # 1.01 + 5 · 0.05 = 1.26
    assert estimate(star(-0.5, glat=-30))[2] == "sfd"


def test_a_near_star_has_what_the_map_says_at_its_distance():
    reddening, err, source = estimate(star(2.0, 1e-4))
    assert source == "3d-map"
    assert reddening == pytest.approx(0.15, rel=1e-3)
    assert err == pytest.approx(np.hypot(0.015, FLOOR), rel=1e-3)


def test_an_uncertain_parallax_spreads_it():
    """1/ϖ of ϖ = 2 ± 0.2: mean (1 + 0.1²)/2, scatter 0.1 · (1/2), to the first order."""
    out = add_reddening(star(2.0, 0.2), Sky(0.5), Slab(), num_samples=40_000)
    assert out["reddening"][0] == pytest.approx(0.3 * 0.5 * 1.01, rel=3e-3)
    scatter = 0.3 * 0.5 * 0.1
    assert out["reddening_err"][0] == pytest.approx(np.sqrt(scatter**2 + 0.0152**2 + FLOOR**2), rel=0.02)


@pytest.mark.parametrize(
    "table", [star(0.2, 0.05), star(np.nan), star(2.0, 0.41)], ids=["4 sigma", "no parallax", "4.9 sigma"]
)
def test_other_stars_have_the_width_of_all_the_dust(table):
    assert estimate(table) == pytest.approx((0.0, np.hypot(0.5, FLOOR), "default"))


def test_so_have_stars_outside_the_map():
    assert estimate(star(2.0, glat=-2), Slab(south=0))[2] == "default"
    assert estimate(star(2.0, glat=2), Slab(south=0))[2] == "3d-map"
    nowhere = add_reddening(star(2.0), Sky(np.nan), Slab(south=80))
    assert nowhere["reddening_source"][0] == ""
    assert np.isnan(nowhere["reddening"][0])


def test_the_seed_decides():
    table = star(2.0, 0.2, num=30)
    one, again, other = (estimate(table, seed=seed) for seed in (1, 1, 2))
    assert one == again
    assert one != other


def test_columns_and_counts():
    table = star(2.0, num=3)
    table["parallax"][1], table["glat"][2] = np.nan, np.nan
    out = add_reddening(table, Sky(0.5), Slab())
    assert out["reddening_source"].tolist() == ["3d-map", "default", ""]
    assert np.isnan(out["reddening"][2])
    assert out["reddening_err"].unit == u.mag
    assert "sfd 0, 3d-map 1, default 1; seed 0" in out.meta["comments"][-1]


def test_arrays_of_healpix_pixels():
    nside, mu = 4, np.linspace(4, 14, 11)
    ring = np.arange(healpy.nside2npix(nside), dtype=float)
    where = SkyCoord([10, 200] * u.deg, [20, -70] * u.deg, distance=[100, 1000] * u.pc, frame="galactic")
    pixel = healpy.ang2pix(nside, [10, 200], [20, -70], lonlat=True)
    nested = ring[healpy.nest2ring(nside, ring.astype(int))]
    np.testing.assert_array_equal(SkyMap(ring).query(where), pixel)
    np.testing.assert_array_equal(SkyMap(nested, nested=True).query(where), pixel)
    cube = np.outer(ring + 1, mu - 4) / 1000
    for order, values in ((False, cube), (True, cube[healpy.nest2ring(nside, ring.astype(int))])):
        dust = DistanceMap.from_array(values, mu, nested=order)
        np.testing.assert_allclose(dust.query(where), (pixel + 1) * np.array([1, 6]) / 1000, rtol=2e-3)
    cube[pixel[0], 3] = np.nan
    outside = DistanceMap.from_array(cube, mu, nested=False).query(where)
    assert np.isnan(outside).tolist() == [True, False]


def test_shared_maps(data_folder):
    """Towards the pole SFD is 0.015 mag; in the plane the 3-d map rises with distance, and not beyond SFD by much."""
    sky = load_sky_map(data_folder / "dust" / "sfd_nside64.fits")
    cube = load_distance_map(data_folder / "dust" / "dust3d_rybizki_nside32.npy", (4, 18.875))
    glon = np.linspace(0, 355, 72)
    pole = SkyCoord(glon * u.deg, np.full(72, 89.0) * u.deg, frame="galactic")
    assert np.median(sky.query(pole)) == pytest.approx(0.015, abs=0.006)
    distance = np.array([0.2, 1.0, 4.0])[:, None]
    high = SkyCoord(*np.broadcast_arrays(glon, 40.0, distance)[:2] * u.deg, distance=distance * u.kpc, frame="galactic")
    along = cube.query(high)
    assert (np.diff(along, axis=0) >= -1e-3).all()
    assert np.median(along[2] / sky.query(high)[2]) == pytest.approx(1, abs=0.25)


def test_maps_of_dustmaps_by_name(monkeypatch):
    monkeypatch.setitem(sys.modules, "dustmaps", ModuleType("dustmaps"))
    monkeypatch.setitem(sys.modules, "dustmaps.sfd", SimpleNamespace(SFDQuery=lambda: Sky(0.25)))
    monkeypatch.setitem(sys.modules, "dustmaps.bayestar", None)  # as if it were not installed
    out = add_reddening(star(0.99, glat=30), load_sky_map("sfd"), Slab())
    assert out["reddening"][0] == pytest.approx(0.25)
    with pytest.raises(UserError, match="the map bayestar needs the package dustmaps; install it"):
        load_distance_map("bayestar")


def test_the_command_and_its_mistakes(tmp_path, capsys):
    star(2.0, num=4).write(tmp_path / "stars.fits")
    healpy.write_map(tmp_path / "sfd.fits", np.full(48, 0.5), dtype=float, column_units="mag")
    cube = np.tile(np.linspace(0, 1, 16), (48, 1))
    np.save(tmp_path / "map.npy", cube)
    stars, out, sfd, dust = (str(tmp_path / name) for name in ("stars.fits", "out.fits", "sfd.fits", "map.npy"))
    arguments = ["add-reddening", stars, "-o", out, "--overwrite", "--sfd", sfd, "--dust-map", dust]
    assert cli.run([*arguments, "--map-distances", "4:19"]) == 0
    table = Table.read(out)
    assert table["reddening"][0] == pytest.approx((8.495 - 4) / 15, abs=2e-3)  # 500 pc
    assert cli.run([*arguments, "--map-distances", "4"]) == 2
    assert cli.run(arguments) == 2
    assert "say at which distance moduli" in capsys.readouterr().err
    (tmp_path / "sfd.fits").write_bytes((tmp_path / "sfd.fits").read_bytes()[:4000])
    assert cli.run([*arguments, "--map-distances", "4:19"]) == 2
    assert "could not be read as a HEALPix map" in capsys.readouterr().err
    with pytest.raises(UserError, match="a column reddening already"):
        add_reddening(table, Sky(0.5), Slab())
    with pytest.raises(UserError, match="no star has a position"):
        add_reddening(star(2.0, glat=np.nan), Sky(0.5), Slab())
    with pytest.raises(UserError, match="the map of the sky could not be asked: AttributeError"):
        add_reddening(star(2.0), None, Slab())
