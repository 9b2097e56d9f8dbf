import numpy as np
import pytest
from astropy.table import MaskedColumn, Table

from albireo.errors import UserError
from albireo.training import TrainingConfig, TrainingSet, split_stars

from .conftest import BANDS


def test_every_good_star_is_taken_from_an_astropy_table_and_from_pandas(table):
    for source in (table, table.to_pandas()):
        stars = TrainingSet.from_table(source, bands=BANDS)
        assert len(stars) == len(table)
        assert stars.theta.shape == (len(table), 3)
        assert stars.bands == BANDS
        assert np.isinf(stars.mag_err[~stars.observed]).all()


def test_label_errors_and_theta_cov_say_the_same(table, stars):
    with_matrix = table.copy()
    with_matrix["theta_cov"] = stars.theta_cov
    with_matrix.remove_columns(["teff_err", "logg_err", "feh_err"])
    np.testing.assert_allclose(TrainingSet.from_table(with_matrix, bands=BANDS).theta_cov, stars.theta_cov)


def damage(table, name, value):
    column = MaskedColumn(table[name], dtype=float)
    column[3] = value
    table[name] = column


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("teff", np.nan, "a label is missing"),
        ("teff", np.ma.masked, "a label is missing"),
        ("logg_err", np.nan, "label errors"),
        ("logg_err", 0.0, "label errors"),
        ("logg_err", np.inf, "label errors"),
        ("logg_err", -0.1, "label errors"),
        ("logg_err", 1e300, "label errors"),
        ("feh", -9999.0, "a label is missing"),
        ("teff", 1e9, "a label is far from"),
        ("parallax", 3000.0, "the parallax is above 1000 mas"),
        ("reddening_err", 0.0, "reddening_err"),
        ("reddening_err", -0.1, "reddening_err"),
        ("reddening", -999.0, "reddening_err"),
        ("reddening_err", np.nan, "reddening_err"),
        ("reddening", np.nan, "reddening_err"),
    ],
)
def test_bad_row_is_dropped_and_counted_with_its_reason(table, name, value, reason):
    bad = table.copy()
    damage(bad, name, value)
    stars = TrainingSet.from_table(bad, bands=BANDS)
    assert len(stars) == len(table) - 1
    assert 3 not in stars.row
    (found,) = stars.dropped
    assert reason in found
    assert stars.dropped[found] == 1


@pytest.mark.parametrize("factor", [2.0, -1.5, 0.0, np.nan, np.inf])
def test_covariance_that_is_not_positive_definite_is_dropped_and_counted(table, stars, factor):
    bad = table.copy()
    covariance = stars.theta_cov.copy()
    covariance[3, 0, 1] = covariance[3, 1, 0] = factor * np.sqrt(covariance[3, 0, 0] * covariance[3, 1, 1])
    covariance[3, 2, 2] *= factor
    bad["theta_cov"] = covariance
    left = TrainingSet.from_table(bad, bands=BANDS)
    assert 3 not in left.row
    assert left.dropped == {"the label errors or theta_cov are not finite and positive definite": 1}


@pytest.mark.parametrize(("name", "value"), [("2mass_j_err", 0.0), ("2mass_j_err", -0.03), ("2mass_j", 99.0)])
def test_magnitude_without_a_positive_error_is_unobserved_and_its_star_kept(table, name, value):
    bad = table.copy()
    damage(bad, name, value)
    left = TrainingSet.from_table(bad, bands=BANDS)
    assert left.dropped == {}
    assert np.isinf(left.mag_err[3, 2])


@pytest.mark.parametrize("value", [0.0, -0.05])
def test_parallax_without_a_positive_error_is_unknown_and_its_star_kept(table, value):
    bad = table.copy()
    damage(bad, "parallax_err", value)
    left = TrainingSet.from_table(bad, bands=BANDS)
    assert left.dropped == {}
    assert not left.usable_parallax(5.0)[3]


def test_star_of_one_band_is_dropped(table):
    bad = table.copy()
    for band in BANDS[1:]:
        damage(bad, band, np.nan)
    assert list(TrainingSet.from_table(bad, bands=BANDS).dropped) == ["too few bands are observed"]


@pytest.mark.parametrize(
    ("column", "named"),
    [("reddening", "reddening"), ("teff_err", "label errors"), ("logg", "no star has the label 'logg'")],
)
def test_missing_column_is_an_error_that_says_what_is_missing(table, column, named):
    bad = Table(table)
    bad.remove_column(column)
    with pytest.raises(UserError, match=named):
        TrainingSet.from_table(bad, bands=BANDS)


@pytest.mark.filterwarnings("ignore:reddening is not used")
def test_reddening_without_errors_is_an_error(table):
    bad = Table(table)
    bad.remove_column("reddening_err")
    with pytest.raises(UserError, match="reddening is missing, or reddening_err is not positive"):
        TrainingSet.from_table(bad, bands=BANDS)
    bad["reddening_err"] = 0.0
    with pytest.raises(UserError, match="reddening_err must hold positive errors"):
        TrainingSet.from_table(bad, bands=BANDS)


def test_missing_band_is_an_error_that_names_it(table):
    with pytest.raises(UserError, match="wise_w1"):
        TrainingSet.from_table(table, bands=(*BANDS, "wise_w1"))


@pytest.mark.parametrize("named", [{"bands": ("gaia_g", *BANDS)}, {"labels": ("teff", "logg", "teff")}])
def test_band_or_label_named_twice_is_refused(table, named):
    with pytest.raises(UserError, match="is named twice"):
        TrainingSet.from_table(table, **named)


def test_photometry_with_large_errors_counts_as_unobserved(table):
    noisy = table.copy()
    noisy["2mass_ks_err"] = 0.3
    assert not TrainingSet.from_table(noisy, bands=BANDS).observed[:, 3].any()


def test_test_stars_depend_on_the_split_seed_alone(table, stars):
    paper, other = TrainingConfig.preset("paper"), TrainingConfig(split=(0.88, 0.02, 0.1), seed=5)
    split = split_stars(stars, paper)
    np.testing.assert_array_equal(split.test, split_stars(stars, other).test)
    assert len(split.test) == len(stars) // 10
    assert sorted(np.concatenate(split)) == list(range(len(stars)))
    damaged = table.copy()
    damage(damaged, "teff", np.nan)
    fewer = TrainingSet.from_table(damaged, bands=BANDS)
    assert set(fewer.row[split_stars(fewer, paper).test]) == set(split.test) - {3}
