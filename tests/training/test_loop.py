import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from albireo.errors import UserError
from albireo.model import load_model, save_model
from albireo.model.stellar import StellarModel
from albireo.training import TrainingConfig, TrainingSet, evaluate, train

from .conftest import make_model, simulate

QUICK = TrainingConfig(
    hidden=(8, 8),
    iterations=4,
    epochs=40,
    batch_size=64,
    learning_rate=1e-2,
    l2=1e-6,
    average=0.9,
    refine_epochs=4,
    chi2_cut_iterations=3,
    density_components=3,
)
ZERO_POINTS = {"GALAH": {"teff": 3.6}}


@pytest.fixture(scope="module")
def result(stars):
    return train(dataclasses.replace(stars, zero_points=ZERO_POINTS), QUICK)


def same_weights(one, other):
    return all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True))


def test_training_finds_the_model_that_made_the_stars(stars, result, true_model):
    figures, best = (evaluate(model, stars, result.split.test) for model in (result.model, true_model))
    assert figures.chi2_per_dof < best.chi2_per_dof + 0.25
    assert figures.outlier_fraction < 0.05
    ratio = result.model.extinction_vector(stars.theta) / true_model.extinction_vector(stars.theta)
    np.testing.assert_allclose(np.median(ratio, axis=0), 1, atol=0.15)


def test_history_holds_falling_losses_of_every_epoch(result):
    assert len(result.history) == QUICK.num_epochs
    assert [epoch.stage for epoch in result.history] == ["fit"] * 160 + ["refine"] * 4
    assert result.history[-1].validation_loss < 0.1 * result.history[0].validation_loss
    assert all(np.isfinite([epoch.loss, epoch.validation_loss]).all() for epoch in result.history)


def test_updated_reddenings_are_better_than_the_first(stars, result, table):
    assert (result.reddening >= 0).all()
    assert (result.reddening_err**2 >= 0.02**2 + (0.1 * result.reddening) ** 2 - 1e-12).all()
    assert np.median(result.reddening_err) < np.median(stars.reddening_err)


def test_trained_model_knows_its_domain_density_and_held_out_figures(stars, result, tmp_path):
    model = result.model
    at_stars = np.asarray(model.domain.density(jnp.asarray(stars.theta)))
    assert at_stars.max() == pytest.approx(1, abs=1e-3)
    assert np.isfinite(jax.vmap(model.density.log_prob)(jnp.asarray(stars.theta))).all()
    judged = dataclasses.replace(stars, mag_err=np.hypot(stars.mag_err, QUICK.error_floor))
    assert model.metadata["held_out"] == evaluate(model, judged, result.split.test).to_dict()
    assert TrainingConfig.from_dict(model.metadata["configuration"]) == QUICK
    assert model.metadata["zero_points"] == ZERO_POINTS
    save_model(model, tmp_path / "model.safetensors")
    assert same_weights(load_model(tmp_path / "model.safetensors"), model)


def test_checkpoint_of_another_training_or_damaged_is_refused(stars, tmp_path):
    path, short = tmp_path / "state.npz", dataclasses.replace(QUICK, iterations=1, epochs=1, refine_epochs=0)
    train(stars, short, checkpoint=path)
    with pytest.raises(UserError, match="other stars or another configuration"):
        train(stars, dataclasses.replace(short, seed=1), checkpoint=path, resume=True)
    renamed = dataclasses.replace(stars, bands=("ps1_r", *stars.bands[1:]))
    with pytest.raises(UserError, match="other stars or another configuration"):
        train(renamed, short, checkpoint=path, resume=True)
    for damaged in (path.read_bytes()[:1000], b"something else"):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"state\.npz is damaged; delete it and train from the start\.$"):
            train(stars, short, checkpoint=path, resume=True)


def test_checkpoint_in_a_missing_folder_is_refused(stars, tmp_path):
    with pytest.raises(UserError, match="existing folder"):
        train(stars, QUICK, checkpoint=tmp_path / "none" / "state.npz")


def test_outliers_are_excluded(stars, true_model):
    mag = stars.mag.copy()
    mag[:30, 1] += 2.0
    spoiled = train(dataclasses.replace(stars, mag=mag), QUICK)
    touched = stars.observed[:30, 1]
    assert spoiled.excluded[:30][touched].mean() > 0.9
    assert spoiled.excluded[30:].mean() < 0.05


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bands", "labels"),
    [
        pytest.param(
            ("gaia_g", "2mass_j", "2mass_h", "2mass_ks", "wise_w1", "wise_w2"),
            ("teff", "logg", "feh"),
            marks=pytest.mark.science,
        ),
        (("2mass_j", "gaia_g", "gaia_rp"), ("teff", "logg", "feh", "alpha_fe")),
    ],
)
def test_any_bands_and_any_labels_can_be_trained(bands, labels):
    true = make_model(bands, labels)
    stars = TrainingSet.from_table(simulate(true, 600), bands=bands, labels=labels)
    config = dataclasses.replace(
        QUICK, refine_epochs=0, scatter=len(bands) == 3, bandwidth={**QUICK.bandwidth, "alpha_fe": 0.05}
    )
    result = train(stars, config)
    assert isinstance(result.model, StellarModel)
    assert (result.model.scatter is not None) == config.scatter
    assert (result.model.bands, result.model.labels) == (bands, labels)
    assert evaluate(result.model, stars, result.split.test).chi2_per_dof < 2.5


def spoil(stars, name, value):
    values = getattr(stars, name).copy()
    values[stars.row == 7] = value
    return dataclasses.replace(stars, **{name: values})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda stars: stars[:80], r"100 stars to learn from; of the 80 .* leaves \d\d:"),
        (lambda stars: dataclasses.replace(stars, parallax=-np.ones(len(stars))), "parallax above 5 times .* have 0;"),
        (lambda stars: dataclasses.replace(stars, theta=stars.theta * [1, 1, 0]), "label 'feh' is the same for all"),
        (lambda stars: dataclasses.replace(stars, mag_err=np.where([0, 1, 0, 0], np.inf, stars.mag_err)), "ps1_g"),
        (lambda stars: dataclasses.replace(stars, labels=("teff", "logg", "age")), "age"),
        (lambda stars: spoil(stars, "theta", np.nan), "row 7: a label is missing"),
        (lambda stars: spoil(stars, "theta_cov", np.inf), "row 7: the label errors or theta_cov"),
        (lambda stars: spoil(stars, "theta_cov", -1.0), "row 7: the label errors or theta_cov"),
        (lambda stars: spoil(stars, "reddening_err", np.nan), "row 7: reddening is missing, or reddening_err"),
    ],
)
def test_training_set_that_cannot_be_learned_from_is_refused(stars, change, named):
    with pytest.raises(UserError, match=named):
        train(change(stars), QUICK)


def test_density_of_more_components_than_stars_is_refused_before_training(stars):
    with pytest.raises(UserError, match=r"density_components must be at most .* got 1000"):
        train(stars[:500], dataclasses.replace(QUICK, density_components=1000))


def test_evaluation_counts_degrees_of_freedom_and_surveys(stars, true_model):
    named = dataclasses.replace(stars, survey=np.where(np.arange(len(stars)) < 500, "one", "two"))
    figures = evaluate(true_model, named)
    assert {name: values["num_stars"] for name, values in figures.by_survey.items()} == {"one": 500, "two": 1000}
    # The true model with errors as stated: Σχ² is (bands − [no usable parallax]) per star.
    used = stars.observed.sum(axis=1) - ~stars.usable_parallax(5)
    assert np.sum(figures.star_chi2_per_dof * (used - 1)) / np.sum(used) == pytest.approx(1, abs=0.1)
    with pytest.raises(UserError, match="labels"):
        evaluate(true_model, dataclasses.replace(stars, labels=("teff", "logg", "alpha_fe")))
