"""Surveys simulated with known offsets; every claim is about what has to be added to bring them onto one scale."""

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table, vstack

from albireo import cli
from albireo.catalog import Catalog
from albireo.errors import UserError
from albireo.training import TrainingSet, zero_points

from .conftest import simulate as simulate_photometry

LABELS = ("teff", "logg", "feh")
# What Green et al. (2021), section 3.1, add to the labels of each survey; they bring them onto the scale of GALAH.
PAPER = {"LAMOST": (-3.6, -0.014, 0.068), "APOGEE": (-26.6, -0.026, 0.018), "GALAH": (0.0, 0.0, 0.0)}
ERR = {"LAMOST": (40.0, 0.1, 0.06), "APOGEE": (80.0, 0.06, 0.02), "GALAH": (55.0, 0.16, 0.07)}
# APOGEE and GALAH share stars with LAMOST only, as in the paper: a chain.
CHAIN = {("APOGEE", "LAMOST"): 300, ("GALAH", "LAMOST"): 200}


def simulate(overlaps=CHAIN, added=PAPER, seed=0, err=None):
    """A row for every star and survey, with errors from star to star; `truth` is on the scale of a zero offset."""
    rng, rows = np.random.default_rng(seed), []
    for surveys, num in overlaps.items():
        first = sum(len(part) for part in rows)
        truth = [5500, 4.0, -0.2] + np.array([600, 0.6, 0.3]) * rng.normal(size=(num, 3))
        for survey in surveys:
            sigma = np.array((err or ERR)[survey]) * rng.uniform(0.5, 2, (num, 3))
            columns = {"survey": [survey] * num, "source_id": 10**18 + 1 + first + np.arange(num)}
            for j, label in enumerate(LABELS):
                columns[label] = truth[:, j] - added[survey][j] + sigma[:, j] * rng.normal(size=num)
                columns[f"{label}_err"], columns[f"{label}_truth"] = sigma[:, j], truth[:, j]
            rows.append(Table(columns))
    table = Table({name: np.concatenate([part[name] for part in rows]) for name in rows[0].colnames})
    return table[rng.permutation(len(table))]


def row_of(points, survey):
    return points.surveys.index(survey)


def test_offsets_of_the_paper_come_back_with_its_sign():
    points = zero_points(simulate(), "GALAH")
    for survey, expected in PAPER.items():
        offset, err = points.offset[row_of(points, survey)], points.offset_err[row_of(points, survey)]
        assert (np.abs(offset - expected) <= 3 * err).all()
    assert not points.offset[row_of(points, "GALAH")].any()
    assert points.num_stars[row_of(points, "LAMOST")] == pytest.approx(500, abs=1)


def test_corrected_labels_are_on_the_scale_of_the_reference():
    """With LAMOST as the reference, the paper's offsets are those of the others less that of LAMOST."""
    table = simulate({("APOGEE", "LAMOST"): 3000, ("GALAH", "LAMOST"): 3000})
    points = zero_points(table, "LAMOST")
    corrected = points.apply(table)
    for j, label in enumerate(LABELS):
        on_lamost = corrected[f"{label}_truth"] - PAPER["LAMOST"][j]
        for survey in PAPER:
            of = corrected["survey"] == survey
            pull = (corrected[label] - on_lamost)[of] / corrected[f"{label}_err"][of]
            assert abs(np.mean(pull)) < 0.1
            assert PAPER[survey][j] - PAPER["LAMOST"][j] == pytest.approx(
                corrected[f"{label}_zero_point"][of][0], abs=4 * points.offset_err[:, j].max()
            )


@pytest.mark.parametrize("overlaps", [{("LAMOST", "GALAH"): 100}, {**CHAIN, ("APOGEE", "GALAH", "LAMOST"): 40}])
def test_pulls_have_unit_width(overlaps):
    pulls = []
    for seed in range(100):
        points = zero_points(simulate(overlaps, seed=seed), "GALAH")
        others = [survey for survey in points.surveys if survey != "GALAH"]
        rows, expected = [row_of(points, survey) for survey in others], [PAPER[survey] for survey in others]
        pulls.append((points.offset[rows] - expected) / points.offset_err[rows])
    pulls = np.concatenate(np.swapaxes(pulls, 1, 2))  # one column a survey
    assert (np.abs(pulls.mean(axis=0)) < 4 / np.sqrt(len(pulls))).all()
    np.testing.assert_allclose(pulls.std(axis=0), 1, atol=4 / np.sqrt(2 * len(pulls)))


def test_two_surveys_differ_by_the_inverse_variance_weighted_mean():
    table = simulate({("APOGEE", "LAMOST"): 50})
    one, other = (table[table["survey"] == name] for name in ("APOGEE", "LAMOST"))
    one.sort("source_id"), other.sort("source_id")
    points = zero_points(table, "LAMOST")
    for j, label in enumerate(LABELS):
        weight = 1 / (one[f"{label}_err"] ** 2 + other[f"{label}_err"] ** 2)
        expected = np.average(other[label] - one[label], weights=weight)
        assert points.offset[row_of(points, "APOGEE"), j] == pytest.approx(expected, rel=1e-9)
        chi2 = np.sum(weight * (other[label] - one[label] - expected) ** 2)
        assert points.chi2_per_dof[j] == pytest.approx(chi2 / 49, rel=1e-9)


def test_outliers_and_stars_of_large_error_have_no_say():
    clean = simulate({("APOGEE", "LAMOST"): 1000})
    spoiled = clean.copy()
    wrong = np.flatnonzero(spoiled["survey"] == "APOGEE")
    spoiled["teff"][wrong[:300]] += 1e5
    spoiled["logg"][wrong[300:350]] = -7
    spoiled["feh"][wrong[350:450]] += 50
    spoiled["feh_err"][wrong[350:450]] = 0.6
    before, after = zero_points(clean, "LAMOST"), zero_points(spoiled, "LAMOST")
    assert (np.abs(after.offset - before.offset) <= before.offset_err).all()
    assert list(after.num_clipped) == [300, 50, 0]
    assert list(after.num_stars[0]) == [700, 950, 900]


def test_errors_grow_where_the_stated_ones_are_too_small():
    table = simulate({("APOGEE", "LAMOST"): 2000})
    honest = zero_points(table, "LAMOST")
    for label in LABELS:
        table[f"{label}_err"] *= 0.25
    bold = zero_points(table, "LAMOST")
    np.testing.assert_allclose(bold.offset_err, honest.offset_err, rtol=0.1)
    np.testing.assert_allclose(bold.chi2_per_dof, 16, rtol=0.1)


def test_stars_without_an_id_or_of_one_survey_have_no_say():
    table = simulate({**CHAIN, ("LAMOST",): 100, ("GALAH",): 100})
    expected = zero_points(simulate(), "GALAH")
    alone = np.arange(len(table)) % 2 == 0
    alone &= table["source_id"] > 10**18 + 500 + 500
    table["source_id"] = MaskedColumn(table["source_id"], mask=alone)
    table["source_id"][~alone & (table["source_id"] > 10**18 + 1000)] = -1
    np.testing.assert_allclose(zero_points(table, "GALAH").offset, expected.offset, rtol=1e-9)


def test_surveys_without_stars_in_common_are_named():
    apart = {("GALAH", "LAMOST"): 20, ("APOGEE", "RAVE"): 20}
    added = {**PAPER, "RAVE": (1.0, 0.0, 0.0)}
    table = simulate(apart, added, err={**ERR, "RAVE": ERR["GALAH"]})
    with pytest.raises(UserError, match="link survey APOGEE and RAVE to LAMOST"):
        zero_points(table, "LAMOST")


def test_survey_that_lacks_a_label_has_no_zero_point_for_it():
    table = simulate()
    table["feh"][table["survey"] == "APOGEE"] = np.nan
    assert not zero_points(table[table["survey"] != "GALAH"], "LAMOST").num_stars[:, 2].any()
    points = zero_points(table, "GALAH")
    assert np.isnan(points.offset[row_of(points, "APOGEE")]).tolist() == [False, False, True]
    assert np.isfinite(points.apply(table)["feh"]).sum() == 200 * 2 + 300
    with pytest.raises(UserError, match="no zero point for feh of survey APOGEE"):
        points.apply(simulate())


def masked(table):
    table["survey"] = MaskedColumn(table["survey"], mask=np.arange(len(table)) == 7)


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda table: table.remove_column("survey"), "no column survey"),
        (lambda table: table.remove_column("source_id"), "no column source_id"),
        (lambda table: table.remove_column("logg"), "logg"),
        (lambda table: table.rename_column("logg_err", "e_logg"), "logg"),
        (lambda table: table.replace_column("source_id", table["source_id"].astype(float)), "19 digits"),
        (masked, "survey is empty in row 7"),
        (lambda table: table.remove_rows(table["survey"] != "LAMOST"), "all rows are of survey LAMOST"),
        (lambda table: table.remove_rows(slice(None)), "the table is empty"),
        (lambda table: table.remove_rows(table["survey"] == "LAMOST"), "LAMOST"),
    ],
)
def test_table_without_what_is_needed_is_refused(spoil, named):
    table = simulate()
    spoil(table)
    with pytest.raises(UserError, match=named):
        zero_points(table, "LAMOST")


def test_zero_points_are_applied_once_and_to_known_surveys_only():
    table = simulate()
    points = zero_points(table.to_pandas(), "LAMOST")
    corrected = points.apply(table.to_pandas())
    with pytest.raises(UserError, match="applied to this table already"):
        points.apply(corrected)
    strange = table.copy()
    strange["survey"] = "RAVE"
    with pytest.raises(UserError, match="no zero point for survey RAVE"):
        points.apply(strange)


@pytest.fixture
def surveyed(true_model):
    """Photometry of 300 stars of three surveys, every star in two rows."""
    table = simulate_photometry(true_model, 300)
    table["survey"], table["source_id"] = "LAMOST", np.arange(1, 301)
    other = table.copy()
    other["survey"] = np.where(other["source_id"] > 150, "GALAH", "APOGEE")
    other["teff"] -= 30
    return vstack([table, other])


@pytest.mark.parametrize(
    "name", ["stars.fits", "stars.fits.gz", "stars.csv", "stars.ecsv", "stars.parquet", "stars.vot"]
)
def test_command_line_corrects_a_table_that_a_training_set_remembers(surveyed, tmp_path, capsys, name):
    surveyed.write(tmp_path / "surveyed.fits")
    arguments = ["zero-points", tmp_path / "surveyed.fits", "-o", tmp_path / name, "--reference", "LAMOST"]
    assert cli.run([str(argument) for argument in arguments]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[1].split() == ["APOGEE", "teff", "+30.0", printed[1].split()[3], "150"]
    stars = TrainingSet.from_catalog(Catalog.read(tmp_path / name))
    points = zero_points(surveyed, "LAMOST")
    for survey in points.surveys:
        expected = dict(zip(LABELS, points.offset[row_of(points, survey)], strict=True))
        assert stars.zero_points[survey] == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(stars.theta[:300], stars.theta[300:], atol=1e-6)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted({name, "surveyed.fits"})
    assert cli.run([str(argument) for argument in arguments]) == 2
    assert "already there" in capsys.readouterr().err


def test_record_that_is_not_one_value_a_survey_is_refused(surveyed):
    uneven = zero_points(surveyed, "LAMOST").apply(surveyed)
    uneven["teff_zero_point"][-1] += 1
    with pytest.raises(UserError, match="several values for survey GALAH"):
        TrainingSet.from_table(uneven)
