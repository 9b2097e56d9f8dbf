"""The parts of the Galaxy against the formulas and figures of the papers that they are from."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from albireo.priors import load_prior
from albireo.priors.density import Bar, Disc, EllipsoidalDisc, Halo, Place, RoundedDisc, YoungDisc
from albireo.priors.metallicity import DeclineWithHeight, Gradients

R0 = 8.2


def at(x, y, z):
    """A place [kpc]."""
    return Place(*(jnp.asarray(a, float) for a in (x, y, z, R0)))


def density(law, *place) -> float:
    return float(jnp.exp(law.log_density(at(*place))))


@pytest.mark.parametrize(
    "law",
    [
        Disc(2.6, 0.3, 0.0),
        Disc(2.15, 0.245, 0.5),
        RoundedDisc(2.5, 0.8, 0.4),
        EllipsoidalDisc(0.05, 2.53, 1.32),
        YoungDisc(0.014, 5.0, 3.0),
        Halo(4.2, 0.2, 0.8, 6.0, 2.0, 100.0, 4.2),
    ],
    ids=lambda law: type(law).__name__,
)
def test_discs_and_halos_are_one_where_the_sun_is(law):
    assert density(law, R0, 0.0, 0.0) == pytest.approx(1, abs=1e-6)
    assert density(law, 0.0, -R0, 0.0) == pytest.approx(1, abs=1e-5)


def test_exponential_disc():
    assert density(Disc(2.6, 0.3, 0.0), 3.0, 4.0, -0.6) == pytest.approx(np.exp((R0 - 5) / 2.6 - 2), rel=1e-5)


@pytest.mark.parametrize(
    ("law", "f"),
    [(EllipsoidalDisc, lambda x: np.exp(-np.sqrt(0.25 + x**2))), (YoungDisc, lambda x: np.exp(-(x**2)))],
    ids=("old", "young"),
)
def test_ellipsoidal_discs(law, f):
    """Robin et al. 2003, table 3."""
    a = np.hypot(5.0, 0.2 / 0.05)
    expected = (f(a / 2.53) - f(a / 1.32)) / (f(R0 / 2.53) - f(R0 / 1.32))
    assert density(law(0.05, 2.53, 1.32), 3.0, 4.0, 0.2) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("law", [EllipsoidalDisc(0.05, 2.53, 1.32), YoungDisc(0.014, 5.0, 3.0)], ids=("old", "young"))
def test_hole_at_the_very_centre_is_finite(law):
    assert -20 < float(law.log_density(at(0.0, 0.0, 0.0))) < -5


def test_rounded_disc_is_smooth_where_its_profiles_meet():
    """Robin et al. 2003, table 3: 1 - z² / (x (2h + x)) up to x, with x = 400 pc and h = 800 pc."""
    law = RoundedDisc(2.5, 0.8, 0.4)
    assert density(law, R0, 0.0, 0.3) == pytest.approx(1 - 0.09 / (0.4 * 2.0), rel=1e-5)
    assert density(law, R0, 0.0, 1.5) == pytest.approx(np.exp(0.5) / 1.25 * np.exp(-1.5 / 0.8), rel=1e-5)
    slope = jax.grad(lambda z: law.log_density(at(R0, 0.0, z)))
    assert float(slope(0.3999)) == pytest.approx(float(slope(0.4001)), rel=1e-3)


def test_halo_breaks():
    law = Halo(2.62, 0.7, 0.7, 1.0, 1e-6, 27.8, 3.8)
    assert density(law, 20.0, 0.0, 0.0) == pytest.approx((20 / R0) ** -2.62, rel=1e-4)
    assert density(law, 0.0, 0.0, 35.0) == pytest.approx((27.8 / R0) ** -2.62 * (50 / 27.8) ** -3.8, rel=1e-4)


def test_halo_flattening_is_the_measured_one(milky_way):
    """q(10 kpc) = 0.57 and q(30 kpc) = 0.8 (Xue et al. 2015, abstract), from the density on the axis."""
    halo = milky_way.distance.components[milky_way.distance.names.index("halo")].density
    for r, q in ((10.0, 0.57), (30.0, 0.8)):
        expected = (np.hypot(r / q, halo.core) / np.hypot(r, halo.core)) ** -halo.slope
        assert density(halo, 0.0, 0.0, r) / density(halo, r, 0.0, 0.0) == pytest.approx(float(expected), rel=0.2)


@pytest.mark.parametrize(
    ("profile", "log_density"),
    [
        ("exponential", lambda r: -r),
        ("gaussian", lambda r: -(r**2) / 2),
        ("sech2", lambda r: -2 * np.log(np.cosh(r))),
    ],
)
def test_bar_points_to_positive_longitudes(profile, log_density):
    bar = Bar(1.5, 0.5, 0.4, 3.3, 3.0, 13.0, 3.4, 0.35, profile)
    cos, sin = np.cos(np.radians(13)), np.sin(np.radians(13))
    for along, across, z in ((1.2, 0.0, 0.0), (0.0, 0.6, 0.0), (0.8, -0.3, 0.5)):
        r = ((abs(along / 1.5) ** 3.3 + abs(across / 0.5) ** 3.3) ** (3 / 3.3) + abs(z / 0.4) ** 3) ** (1 / 3)
        place = along * cos - across * sin, along * sin + across * cos, z
        assert density(bar, *place) == pytest.approx(np.exp(log_density(r)), rel=1e-3)
    beyond = np.exp(log_density(4.1 / 1.5) - 0.5 * (0.7 / 0.35) ** 2)
    assert density(bar, 4.1 * cos, 4.1 * sin, 0.0) == pytest.approx(beyond, rel=1e-3)


def test_bar_has_the_mass_of_its_source(milky_way):
    """1.5e10 solar masses, where the thin disc has 0.0383 per pc³ at the Sun (Bland-Hawthorn & Gerhard 2016)."""
    part = milky_way.distance.components[milky_way.distance.names.index("bar")]
    x, y, z = (np.linspace(-end, end, 121) for end in (7.0, 5.0, 2.0))
    place = np.stack(np.meshgrid(x, y, z, indexing="ij"), axis=-1).reshape(-1, 3)
    log_density = jax.jit(jax.vmap(lambda p: part.density.log_density(at(*p))))(jnp.asarray(place))
    volume = np.exp(np.asarray(log_density, float)).sum() * (x[1] - x[0]) * (y[1] - y[0]) * (z[1] - z[0])
    assert 0.0383e9 * float(part.fraction) * volume == pytest.approx(1.5e10, rel=0.03)


def test_metallicities_change_with_the_place():
    gradients = Gradients(std=0.2, mean=-0.1, radial=-0.05, vertical=-0.1)
    assert float(gradients.mean_at(at(R0 + 2, 0, -1.0))) == pytest.approx(-0.1 - 0.1 - 0.1, abs=1e-6)
    assert float(gradients.mean_at(at(30, 0, 9))) == pytest.approx(-0.1 - 0.05 * (15 - R0) - 0.3, abs=1e-6)
    decline = DeclineWithHeight(std=0.2, plane=-0.27, far=-0.82, scale_height=0.5)
    assert float(decline.mean_at(at(3, 4, -0.5))) == pytest.approx(-0.82 + 0.55 / np.e, abs=1e-6)


def test_local_densities_are_the_fractions(model):
    """Towards the pole at 1 pc every component of Besançon has its local density, but for those of the centre."""
    galaxy = load_prior("besancon", model).distance
    log_number = np.asarray(galaxy.log_number(jnp.float32(-5.0), jnp.array([0.0, 90.0], jnp.float32)), float)
    fraction = np.array([float(part.fraction) for part in galaxy.components])
    relative = np.exp(log_number - log_number[0]) * fraction[0]
    # 15 pc above the plane the youngest stars, of axis ratio 0.014, are rarer.
    discs = [name.startswith("thin-disc-to") and not name.endswith("myr") for name in galaxy.names]
    assert relative[discs] / relative[discs][-1] == pytest.approx(fraction[discs] / fraction[discs][-1], rel=0.05)


# log (density × d²), where the thin disc is 1 at the Sun, by logp_galactic_structure of astro-brutus 1.2.0.
BRUTUS_DISTANCES = np.array([0.1, 1.0, 5.0, 10.0])
BRUTUS = {
    (90.0, 30.0): (-4.722645, -1.547071, -2.404641, -2.880041),
    (0.0, 5.0): (-4.551612, 0.140369, 3.779285, 4.424994),
    (180.0, -60.0): (-4.698253, -2.645257, -3.762467, -3.908208),
}


@pytest.fixture(scope="module")
def smoothed_milky_way(model, tmp_path_factory):
    """The discs and the halo of milky-way, with discs smoothed within 2 kpc of the axis as in brutus."""
    path = tmp_path_factory.mktemp("brutus") / "smoothed.toml"
    path.write_text(
        'extends = "milky-way"\n'
        "[distance.components.thin-disc]\ncore_kpc = 2.0\n[distance.components.thick-disc]\ncore_kpc = 2.0\n"
    )
    return load_prior(path, model).distance


def log_density_of_brutus(galaxy, position):
    """What brutus calls log p: its discs are 1 at the Sun's height above the plane, and it has no bar."""
    mu = jnp.asarray(5 * np.log10(BRUTUS_DISTANCES) + 10)
    log_number = np.asarray(jax.vmap(lambda mu: galaxy.log_number(mu, jnp.array(position)))(mu), float)[:, :3]
    at_height = np.array([galaxy.solar_height / 0.3, galaxy.solar_height / 0.9, 0.0])
    log_volume = 3 * np.log(10) / 5 * np.asarray(mu)
    return np.log(np.exp(log_number + at_height).sum(axis=1)) - log_volume + 2 * np.log(BRUTUS_DISTANCES)


@pytest.mark.parametrize("position", BRUTUS, ids=str)
def test_milky_way_is_that_of_brutus(smoothed_milky_way, position):
    np.testing.assert_allclose(log_density_of_brutus(smoothed_milky_way, position), BRUTUS[position], atol=1e-3)


@pytest.mark.parametrize("position", [*BRUTUS, (30.0, -2.0), (250.0, 45.0)], ids=str)
def test_milky_way_is_that_of_the_installed_brutus(smoothed_milky_way, position):
    brutus = pytest.importorskip("brutus.priors", reason="astro-brutus is not installed")
    expected = brutus.logp_galactic_structure(BRUTUS_DISTANCES, position)
    np.testing.assert_allclose(log_density_of_brutus(smoothed_milky_way, position), expected, atol=1e-3)
