"""Gaia's parallaxes: zero points and errors as published, each once, and off by name."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table

from albireo import cli
from albireo.crossmatch import match_tables
from albireo.errors import UserError
from albireo.surveys import read
from albireo.surveys.parallaxes import _ecliptic_latitude
from albireo.surveys.registry import SURVEYS
from albireo.surveys.rows import Rows

from . import archives
from .archives import NUM

EQUINOX, POLE = (0.0, 0.0), (270.0, 66.560709)  # ecliptic latitudes 0 and 90 deg


def dr3(**values):
    """Stars of DR3 with some columns replaced."""
    table = archives.gaia(3)
    for name, value in values.items():
        table[name] = np.full(NUM, value) if np.isscalar(value) else value
    return table


def counts(stars, survey, correction):
    made = stars.meta["corrections"][survey][correction]
    return made["corrected"], made["outside_range"], made["left_alone"]


# Lindegren et al. (2021), at magnitudes where the coefficients are tabulated, and once between two [µas]: the place, G,
# the solution, the effective wavenumber, and the sum of the paper's terms by hand.
ZERO_POINTS = [
    (EQUINOX, 13.1, 31, 1.48, -37.99 - 16.14 / 3),
    (POLE, 13.1, 31, 1.48, -37.99 + 2.63 + 16.14 * 2 / 3),
    (EQUINOX, 6.0, 31, 1.48, -26.98 - 27.40 / 3),
    (EQUINOX, 17.5, 31, 1.80, -29.18 - 2.41 / 3 + 325.0 * 0.08),
    (EQUINOX, 17.5, 31, 1.20, -29.18 - 2.41 / 3 - 1165 * 0.24**3 - 189.7 * 0.04),
    (EQUINOX, 19.5, 31, 1.48, -(18.40 + 12.65) / 2 + (6.46 + 7.46) / 2 / 3),
    (POLE, 15.9, 95, 1.58, -36.83 + 4.20 + 15.76 * 2 / 3 + (22.3 + 11.1 + 10.0 * 2 / 3) * 0.1),
]


@pytest.mark.parametrize(("place", "mag", "solution", "colour", "expected"), ZERO_POINTS)
def test_dr3_zero_point_is_the_papers(place, mag, solution, colour, expected):
    other = {"ra": place[0], "dec": place[1], "phot_g_mean_mag": mag, "astrometric_params_solved": solution}
    unused = "pseudocolour" if solution == 31 else "nu_eff_used_in_astrometry"
    used = "nu_eff_used_in_astrometry" if solution == 31 else "pseudocolour"
    stars = read(dr3(**other, **{used: colour, unused: np.nan}), "gaia-dr3")
    np.testing.assert_allclose(1000 * (2.0 - stars["parallax"]), expected, atol=2e-3)
    assert counts(stars, "gaia-dr3", "zero-point") == (NUM, 0, 0)


OUTSIDE = [
    ({"phot_g_mean_mag": 4.0}, {"phot_g_mean_mag": 6.0}),
    ({"phot_g_mean_mag": 21.4}, {"phot_g_mean_mag": 21.0}),
    ({"nu_eff_used_in_astrometry": 0.9}, {"nu_eff_used_in_astrometry": 1.1}),
    ({"nu_eff_used_in_astrometry": 2.2}, {"nu_eff_used_in_astrometry": 1.9}),
    (
        {"astrometric_params_solved": 95, "pseudocolour": 1.9},
        {"astrometric_params_solved": 95, "pseudocolour": 1.72},
    ),
]


@pytest.mark.parametrize(("outside", "edge"), OUTSIDE)
def test_outside_its_range_the_zero_point_is_that_at_the_edge(outside, edge):
    stars, at_edge = (read(dr3(**values), "gaia-dr3") for values in (outside, edge))
    np.testing.assert_array_equal(stars["parallax"], at_edge["parallax"])
    assert counts(stars, "gaia-dr3", "zero-point") == (NUM, NUM, 0)
    assert counts(at_edge, "gaia-dr3", "zero-point") == (NUM, 0, 0)


def test_stars_without_the_values_are_left_alone_and_counted():
    colour = np.where(np.arange(NUM) < 2, np.nan, 1.5)
    stars = read(dr3(nu_eff_used_in_astrometry=colour, astrometric_params_solved=[3] + [31] * (NUM - 1)), "gaia-dr3")
    np.testing.assert_array_equal(stars["parallax"][:2], 2.0)
    assert (stars["parallax"][2:] > 2.02).all()
    assert counts(stars, "gaia-dr3", "zero-point") == (NUM - 2, 0, 2)
    assert any("; 2 left alone, for the table lacks" in line for line in stars.meta["comments"])


# Equation 16 of El-Badry, Rix & Heintz (2021) by hand; from G = 18.7 on it would make errors smaller.
INFLATION = [(12.65, 1.302384), (18.0, 1.01212), (20.0, 1.0), (5.0, 1.13862), (7.0, 1.13862)]


@pytest.mark.parametrize(("mag", "factor"), INFLATION)
def test_dr3_errors_grow_as_published_and_never_shrink(mag, factor):
    stars = read(dr3(phot_g_mean_mag=mag), "gaia-dr3")
    np.testing.assert_allclose(stars["parallax_err"], 0.04 * factor, rtol=1e-5)
    assert counts(stars, "gaia-dr3", "error-inflation") == (NUM, NUM if mag < 7 else 0, 0)


def test_a_star_that_the_cut_on_ruwe_leaves_is_outside_the_range_of_the_inflation():
    ruwe = np.where(np.arange(NUM) < 3, 2.0, 1.0)
    assert counts(read(dr3(ruwe=ruwe), "gaia-dr3"), "gaia-dr3", "error-inflation") == (NUM - 3, 0, 0)
    kept = read(dr3(ruwe=ruwe), "gaia-dr3", without_cuts=["ruwe"])
    assert counts(kept, "gaia-dr3", "error-inflation") == (NUM, 3, 0)


def test_dr2_has_a_constant_zero_point_and_no_inflation():
    stars = read(archives.gaia(), "gaia-dr2")
    np.testing.assert_allclose(stars["parallax"], 2.029)
    np.testing.assert_allclose(stars["parallax_err"], 0.04)
    assert list(stars.meta["corrections"]["gaia-dr2"]) == ["zero-point"]
    assert stars.meta["corrections"]["gaia-dr2"]["zero-point"]["median"] == -0.029


@pytest.mark.parametrize(
    ("survey", "correction"), [(name, made.name) for name, survey in SURVEYS.items() for made in survey.corrections]
)
def test_each_can_be_left_out_by_name(survey, correction):
    table = dr3() if survey == "gaia-dr3" else archives.gaia()
    corrected, plain = (read(table, survey, without_corrections=names) for names in ((), [correction]))
    changed = {name for name in corrected.colnames if not np.array_equal(corrected[name], plain[name])}
    assert changed == {"parallax" if correction == "zero-point" else "parallax_err"}
    assert correction not in plain.meta.get("corrections", {}).get(survey, {})
    assert any(f"correction {correction}: left out" in line for line in plain.meta["comments"])


def test_a_column_of_zero_points_is_subtracted_in_their_place():
    stars = read(dr3(parallax_zero_point=-0.03), "gaia-dr3")
    np.testing.assert_allclose(stars["parallax"], 2.03)
    comments = "\n".join(stars.meta["comments"])
    assert "less their zero points in the column parallax_zero_point" in comments
    assert "correction zero-point: not made, for the column parallax_zero_point" in comments
    assert list(stars.meta["corrections"]["gaia-dr3"]) == ["error-inflation"]


def test_without_parallaxes_there_is_nothing_to_correct():
    table = dr3()
    table.remove_columns(["parallax", "parallax_error", "nu_eff_used_in_astrometry", "pseudocolour"])
    stars = read(table, "gaia-dr3")
    assert "corrections" not in stars.meta
    assert any("not made, for there are no parallaxes" in line for line in stars.meta["comments"])


def test_what_is_read_cannot_be_read_again():
    with pytest.raises(UserError, match="this is not a table of gaia-dr3"):
        read(read(dr3(), "gaia-dr3"), "gaia-dr3")


MISTAKES = [
    (["astrometric_params_solved"], {}, "zero-point of gaia-dr3 needs the column astrometric_params_solved or Solved"),
    (["pseudocolour"], {}, "needs the column pseudocolour or pscol; add it, or leave out the correction"),
    ([], {"without_corrections": ["inflation"]}, "no correction 'inflation'; its corrections are zero-point, error-"),
]


@pytest.mark.parametrize(("lacking", "settings", "says"), MISTAKES)
def test_mistakes_are_told_in_a_sentence(lacking, settings, says):
    table = dr3()
    table.remove_columns(lacking)
    with pytest.raises(UserError, match=says):
        read(table, "gaia-dr3", **settings)


def test_ecliptic_latitude_is_astropys():
    rng = np.random.default_rng(0)
    ra, dec = rng.uniform(0, 360, 50), np.rad2deg(np.arcsin(rng.uniform(-1, 1, 50)))
    ours = _ecliptic_latitude(Rows(Table({"ra": ra, "dec": dec}), SURVEYS["gaia-dr3"]))
    theirs = SkyCoord(ra * u.deg, dec * u.deg).barycentricmeanecliptic.lat.deg
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    bad = _ecliptic_latitude(Rows(Table({"ra": [10.0], "dec": [95.0]}), SURVEYS["gaia-dr3"]))
    assert np.isnan(bad).all()


def test_matching_keeps_what_was_corrected():
    matched = match_tables(read(dr3(), "gaia-dr3"), {"2mass": read(archives.two_mass(), "2mass")})
    assert matched.meta["corrections"]["gaia-dr3"]["zero-point"]["corrected"] == NUM


def test_commands_say_what_is_corrected(tmp_path, capsys):
    dr3().write(tmp_path / "gaia.fits")
    arguments = ["read", str(tmp_path / "gaia.fits"), "--survey", "gaia-dr3", "-o", str(tmp_path / "stars.fits")]
    assert cli.run([*arguments, "--without-correction", "zero-point"]) == 0
    said = capsys.readouterr().err
    assert "correction zero-point: left out" in said
    assert f"correction error-inflation: {NUM} errors of parallaxes, times 1.098" in said
    again = Table.read(tmp_path / "stars.fits")
    np.testing.assert_array_equal(again["parallax"], 2.0)
    assert any("correction zero-point: left out" in line for line in again.meta["comments"])
    poor = dr3()
    poor.remove_column("nu_eff_used_in_astrometry")
    poor.write(tmp_path / "poor.fits")
    for name, plan in (("gaia", "the zero point by magnitude"), ("poor", "needs the column nu_eff_used_in_ast")):
        assert cli.run(["columns", str(tmp_path / f"{name}.fits")]) == 0
        assert f"correction zero-point: {plan}" in capsys.readouterr().out
