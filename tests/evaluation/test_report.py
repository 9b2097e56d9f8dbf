"""Tables and JSON of a report agree with each other, and with what they are made of."""

import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest

from albireo import UserError
from albireo.evaluation import compare, judge
from albireo.evaluation.compare import density_of
from albireo.model import Scatter
from albireo.model.domain import MIN_DENSITY_ABSOLUTE


def shifted(model, color, factor):
    """The model with other colours to the reference band [mag], and other extinctions."""
    last, extinction = model.layers[-1], model.extinction
    moved = type(last)(last.kernel, last.bias + jnp.asarray(color))
    stretched = type(extinction)(extinction.kernel, extinction.bias + np.log(factor))
    return dataclasses.replace(model, layers=(*model.layers[:-1], moved), extinction=stretched)


@pytest.fixture(scope="module")
def report(four_labels):
    model, stars = four_labels
    other = shifted(model, [0.0, 0.01, 0.02, -0.03], 1.1)
    return judge({"model": model, "other": other}, stars, in_detail=True)


def test_figures_of_all_stars_are_the_weighted_means_of_those_of_groups(report):
    for evaluation in report.evaluations.values():
        for groups in (evaluation.by_survey, evaluation.by_reddening_source):
            assert len(groups) == 2
            num = np.array([of["num_stars"] for of in groups.values()])
            assert num.sum() == evaluation.num_stars
            below = num * (1 - np.array([of["outlier_fraction"] for of in groups.values()]))
            for name, weight in {
                "loss": below,
                "chi2_per_dof": below,
                "outlier_fraction": num,
                "mean_log_likelihood": num,
            }.items():
                mean = np.average([of[name] for of in groups.values()], weights=weight)
                assert mean == pytest.approx(getattr(evaluation, name), rel=1e-9)


def test_the_loss_is_chi2_per_band_of_the_stars_below_5(report, four_labels):
    evaluation, stars = report.evaluations["model"], four_labels.stars
    dof = stars.observed.sum(axis=1) - 1 - ~stars.usable_parallax(5)
    below = evaluation.star_chi2_per_dof < 5
    assert evaluation.loss == pytest.approx(np.mean((evaluation.star_chi2_per_dof * dof)[below]) / 4)


def test_the_difference_of_two_models_is_what_they_were_made_to_differ_by(report, four_labels):
    model, stars = four_labels
    known = density_of(model, stars.theta).min(axis=1) > MIN_DENSITY_ABSOLUTE
    assert 0 < report.difference["num_stars"] == known.sum() <= len(stars)
    for of, color in zip(report.difference["by_band"].values(), [0.0, 0.01, 0.02, -0.03], strict=True):
        assert of["color_median"] == pytest.approx(-color, abs=1e-5)
        assert of["color_size"] == pytest.approx(abs(color), abs=1e-5)
        assert of["extinction_median_percent"] == pytest.approx(100 * (1 / 1.1 - 1), abs=1e-3)
        assert of["extinction_size_percent"] == pytest.approx(100 * (1 - 1 / 1.1), abs=1e-3)


def test_models_that_cannot_be_compared_are_refused(four_labels, six_bands):
    model, stars = four_labels
    with pytest.raises(UserError, match="labels"):
        compare(model, six_bands.model, stars.theta)
    with pytest.raises(UserError, match="density"):
        compare(model, dataclasses.replace(model, domain=None), stars.theta)
    with pytest.raises(UserError, match="no band in common"):
        compare(model.select_bands(["ps1_g"]), model.select_bands(["2mass_j"]), stars.theta)
    with pytest.raises(UserError, match="no star"):
        compare(model, model, stars.theta + 1e4)


def test_tables_say_what_the_json_says(report):
    values = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    tables = report.to_tables()
    assert set(tables) == {"evaluation", "bands", "difference"}
    for row in tables["evaluation"]:
        of = values[row["model"]]
        of = of if row["group"] == "all" else of[f"by_{row['group']}"][row["name"]]
        assert all(row[name] == of[name] for name in ("num_stars", "loss", "chi2_per_dof", "outlier_fraction"))
    assert len(tables["evaluation"]) == 2 * 5
    assert len(tables["bands"]) == 2 * 4
    for row in tables["bands"]:
        assert row["width"] == values[row["model"]]["by_band"][row["band"]]["width"]
    assert tables["difference"]["color_median"].unit == "mag"
    assert f"{report.evaluations['other'].chi2_per_dof:.3f}" in report.to_text()


def test_a_star_without_a_degree_of_freedom_is_no_outlier(four_labels):
    model, stars = four_labels
    two_bands = np.where(np.arange(4) < 2, stars.mag_err[:2], np.inf)
    one = dataclasses.replace(stars[:2], mag_err=two_bands, parallax_err=np.array([100.0, 0.01]))
    evaluation = judge({"model": model}, one).evaluations["model"]
    np.testing.assert_array_equal(np.isfinite(evaluation.star_chi2_per_dof), [False, True])
    assert np.isfinite(evaluation.star_log_likelihood).all()
    assert evaluation.chi2_per_dof == pytest.approx(evaluation.star_chi2_per_dof[1])
    assert evaluation.outlier_fraction == 0


def test_what_is_not_known_is_null_in_json(four_labels):
    far_off = dataclasses.replace(four_labels.stars, mag=four_labels.stars.mag + np.arange(4.0) * 10)
    figures = judge({"model": four_labels.model}, far_off).to_dict()["model"]
    assert (figures["chi2_per_dof"], figures["outlier_fraction"]) == (None, 1)


def test_groups_and_differences_that_are_not_there_are_named(four_labels):
    model, stars = four_labels
    stars = dataclasses.replace(stars, survey=None, reddening_source=None)
    report = judge({"model": model, "other": dataclasses.replace(model, domain=None)}, stars, in_detail=True)
    assert [note.split(" left out")[0] for note in report.notes] == [
        "figures by survey are",
        "figures by reddening source are",
        "the difference of the models is",
    ]
    assert report.evaluations["model"].by_survey == {}


def test_a_floor_can_only_be_taken_off_for_a_scatter(four_labels):
    model, stars = four_labels
    with pytest.raises(UserError, match="no scatter"):
        judge({"model": model}, stars, floor_in_errors=0.02)
    scatter = Scatter(jnp.full(4, 0.02), jnp.zeros((4, 1)))
    report = judge({"model": model.with_scatter(scatter)}, stars, np.arange(200), 0.02)
    assert list(report.evaluations) == ["model", "with scatter"]
    # The scatter is what was taken off.
    one, other = report.evaluations.values()
    assert one.num_stars == other.num_stars == 200
    assert other.chi2_per_dof == pytest.approx(one.chi2_per_dof, rel=1e-4)
