"""Simulated stars are what the likelihood says, and calibration finds right posteriors right and wrong ones wrong."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
from astropy.table import Table
from scipy import stats

from albireo import Importance, UserError, cli
from albireo.calibration import Calibration, judge, simulate
from albireo.calibration.report import FILES
from albireo.flags import Flag
from albireo.likelihood import Star
from albireo.model.scatter import Scatter
from albireo.simulation.surveys import DEPTHS, parallax_error, photometric_errors

QUICK = Importance(escalate=False, batch_size=2)
NUM_STARS = 96
VARIABLES = ("teff", "logg", "feh", "distance_modulus", "reddening")


@pytest.fixture(scope="module")
def simulation(model, milky_way):
    return simulate(model, milky_way, NUM_STARS, seed=0, with_parallax=0.5, with_position=0.9)


@pytest.fixture(scope="module")
def calibration(model, milky_way, simulation):
    with pytest.warns(UserWarning, match="average over the sky"):
        return judge(simulation, model=model, prior=milky_way, sampler=QUICK)


def predicted(model, truth):
    theta = jnp.stack([jnp.asarray(truth[label]) for label in model.labels], axis=-1)
    mu, reddening = (jnp.asarray(truth[name]) for name in ("distance_modulus", "reddening"))
    return np.asarray(model.magnitudes(theta, mu, reddening), float)


def test_simulated_magnitudes_scatter_about_the_truth_as_the_likelihood_has_it(model, simulation):
    star = Star.from_catalog(simulation.catalog, np.float64, scatter=model.scatter)
    residual = np.where(np.isfinite(simulation.catalog.mag), star.mag - predicted(model, simulation.truth), 0)
    chi2 = np.sum(np.einsum("nij,nj->ni", star.whitener, residual) ** 2)
    assert 0.001 < stats.chi2(np.sum(simulation.catalog.n_bands)).sf(chi2) < 0.999


def test_simulated_parallaxes_scatter_about_the_truth(simulation):
    true = 10 ** (2 - np.asarray(simulation.truth["distance_modulus"]) / 5)
    pull = ((simulation.catalog.parallax - true) / simulation.catalog.parallax_err)[
        np.isfinite(simulation.catalog.parallax)
    ]
    assert 0.25 * NUM_STARS < len(pull) < 0.75 * NUM_STARS
    assert 0.001 < stats.chi2(len(pull)).sf(np.sum(pull**2)) < 0.999
    assert abs(np.mean(pull)) < 4 / np.sqrt(len(pull))


def test_errors_are_those_of_the_template_and_not_of_the_star(simulation):
    catalog, depth = simulation.catalog, DEPTHS["gaia_g"]
    err = np.hypot(depth.floor, 0.2 * 10 ** (0.4 * (simulation.brightness - depth.depth)))
    seen = np.isfinite(catalog.mag_err[:, 0])
    np.testing.assert_allclose(catalog.mag_err[seen, 0], err[seen])
    has_parallax = np.isfinite(catalog.parallax)
    expected = parallax_error(simulation.brightness)
    np.testing.assert_allclose(catalog.parallax_err[has_parallax], expected[has_parallax])
    assert np.ptp(catalog.mag[seen, 0] - simulation.brightness[seen]) > 0.3


def test_every_simulated_star_can_be_sampled(simulation, calibration):
    assert simulation.catalog.n_bands.min() >= 2
    assert 0 < np.sum(np.isnan(simulation.catalog.glon)) < NUM_STARS / 2
    assert calibration.not_sampled == 0


def test_surveys_saturate_and_have_a_depth():
    rng = np.random.default_rng(0)
    bands = ("gaia_g", "ps1_g", "2mass_ks", "a band of nobody")
    bright, medium, faint = (photometric_errors(np.full((2000, 4), mag), bands, rng) for mag in (10.0, 15.0, 22.0))
    seen = [np.isfinite(err).mean(axis=0) for err in (bright, medium, faint)]
    assert seen[0][1] == seen[2][2] == 0
    np.testing.assert_allclose(seen[1], [0.9, 0.675, 0.9, 0.9], atol=0.04)
    assert np.nanmean(bright[:, 2]) < np.nanmean(medium[:, 2])
    # ESA's table of expected Gaia DR3 performance: 0.02 mas at G = 15, 0.5 mas at G = 20.
    np.testing.assert_allclose(parallax_error(np.array([9.0, 15.0, 20.0])), [0.013, 0.03, 0.59], rtol=0.1)


def test_the_same_seed_gives_the_same_stars(model, milky_way, simulation):
    again = simulate(model, milky_way, 3, seed=0, with_parallax=0.5, with_position=0.9)
    np.testing.assert_array_equal(again.catalog.mag, simulation.catalog.mag[:3])
    assert np.any(again.catalog.mag != simulate(model, milky_way, 3, seed=1).catalog.mag)


def test_posteriors_of_simulated_stars_are_calibrated(calibration):
    rows = {row["variable"]: row for row in calibration.of("all")}
    assert tuple(rows) == VARIABLES
    for row in rows.values():
        assert row["num_stars"] == NUM_STARS
        assert row["p_value"] > 0.01 / len(rows)  # that one of so many is less has a probability of 1 %
        assert row["coverage_68"] == pytest.approx(0.68, abs=3 * row["coverage_68_err"])


def test_stars_noisier_than_they_say_are_found_out(model, milky_way):
    noisier = Scatter(4 * model.scatter.own, 4 * model.scatter.shared)
    noisy = simulate(model.with_scatter(noisier), milky_way, NUM_STARS, seed=1, with_parallax=1.0)
    wrong = judge(noisy, model=model, prior=milky_way, sampler=QUICK)
    p_values = [row["p_value"] for row in wrong.of("all")]
    assert min(p_values) < 0.001, p_values


def test_groups_share_out_the_stars(calibration):
    number = {group: calibration.of(group)[0]["num_stars"] for group in calibration.groups}
    assert number["with parallax"] + number["without parallax"] == NUM_STARS
    for what in ("gaia_g", "median logg", "median teff", "bands"):
        assert sum(num for group, num in number.items() if what in group) == NUM_STARS
    assert sum(num for group, num in number.items() if "|b|" in group) + number["no position"] == NUM_STARS


def test_a_star_that_could_not_be_sampled_or_has_not_converged_is_counted():
    rng = np.random.default_rng(0)
    flags = np.array([int(Flag.NOT_SAMPLED), int(Flag.NOT_CONVERGED), *[0] * 8])
    columns = {"flags": flags, "brightness": np.full(10, 15.0), "glat": np.full(10, 5.0), "n_bands": np.full(10, 5)}
    columns |= {"parallax": np.full(10, np.nan), "teff_p50": np.full(10, 5000.0), "teff_pit": rng.random(10)}
    columns["teff_pit"][0] = np.nan
    calibration = Calibration.from_stars(columns, "gaia_g")
    assert (calibration.not_sampled, calibration.not_converged) == (0.1, 0.1)
    assert [calibration.of(group)[0]["num_stars"] for group in ("all", "converged")] == [9, 8]
    assert "not sampled: 10.0%" in calibration.lines()[-1]


def run(*arguments) -> int:
    return cli.run(["calibrate", *map(str, arguments)])


def test_the_command_writes_tables_json_and_a_figure(tmp_path, capsys):
    assert run("-o", tmp_path / "run", "--num-stars", 4, "--with-parallax", 1) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in VARIABLES)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == sorted(FILES)
    content = json.loads((tmp_path / "run" / "calibration.json").read_text())
    assert content["settings"]["with_parallax"] == 1
    assert content["num_stars"] == 4
    table = Table.read(tmp_path / "run" / "calibration.ecsv")
    assert len(table) == len(content["results"])
    stars = tmp_path / "run" / "calibration-stars.parquet"
    ranks = Table.read(stars)
    assert np.all((ranks["logg_pit"] > 0) & (ranks["logg_pit"] < 1))
    # The stars are there to be inferred again, some alone too: a star's row is its seed.
    assert (
        cli.run(["infer", str(stars), "-o", str(tmp_path / "again"), "--sampler", "importance", "--rows", "1:4"]) == 0
    )
    again = Table.read(tmp_path / "again" / "summary.parquet")
    np.testing.assert_allclose(again["teff_p50"], ranks["teff_p50"][1:4], rtol=1e-3)
    assert (tmp_path / "run" / "calibration.png").read_bytes().startswith(b"\x89PNG")
    assert run("-o", tmp_path / "run") == 2
    assert "already holds calibration.json" in capsys.readouterr().err


BAD = {
    "a share above one": (["--with-parallax", "1.5"], "--with-parallax"),
    "no stars": (["--num-stars", "0"], "--num-stars"),
    "an unknown sampler": (["--sampler", "dice"], "there is no sampler 'dice'"),
    "an unknown prior": (["--prior", "none"], "none"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_option_is_refused(capsys, tmp_path, case):
    options, message = BAD[case]
    assert run("-o", tmp_path / "run", *options) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_shares_out_of_range_are_refused(model, milky_way):
    with pytest.raises(UserError, match="with_position must be a fraction between 0 and 1; got -1"):
        simulate(model, milky_way, 4, with_position=-1)
