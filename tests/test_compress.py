"""Compressed posteriors: small, and the draws made again are of the same distribution."""

import numpy as np
import pyarrow as pa
import pytest
import xarray as xr
from scipy.stats import ks_2samp

from albireo.compress import MAX_BYTES, compress, decompress
from albireo.errors import UserError
from albireo.posterior import Posterior

NUM = 4000
NAMES = ("teff", "logg", "feh", "distance_modulus", "reddening")


def draws() -> np.ndarray:
    """A narrow Gaussian with correlations, a dwarf that may be a giant, a reddening against zero; one not sampled."""
    rng = np.random.default_rng(2)
    z = rng.normal(size=(4, NUM, 5))
    mixing = np.eye(5) + np.tril(rng.normal(size=(5, 5)), -1)
    narrow = [5780.0, 4.44, 0.0, 8.0, 1.3] + (z[0] @ mixing.T) * [15.0, 0.01, 0.03, 0.01, 0.01]
    giant = rng.random(NUM)[:, None] < 0.2
    dwarf = [4800.0, 4.6, -0.2, 7.0, 0.4] + z[1] * [60.0, 0.04, 0.1, 0.1, 0.03]
    either = np.where(giant, [4700.0, 2.6, -0.3, 12.0, 0.35] + z[1] * [60.0, 0.15, 0.1, 0.3, 0.03], dwarf)
    near_zero = [6000.0, 4.2, -0.5, 9.0, 0.0] + z[2] * [80.0, 0.1, 0.2, 0.1, 0.02]
    near_zero[:, 4] = np.abs(near_zero[:, 4])
    return np.stack([narrow, either, near_zero, np.full((NUM, 5), np.nan)])


@pytest.fixture(scope="module")
def posterior() -> Posterior:
    values = draws()
    group = xr.Dataset(
        {name: (("star", "chain", "draw"), values[:, None, :, i]) for i, name in enumerate(NAMES)},
        coords={"star": ["narrow", "either", "near zero", "failed"]},
    )
    rows = xr.Dataset({"row": ("star", [3, 4, 5, 6])})
    tree = xr.DataTree.from_dict({"posterior": group, "constant_data": rows})
    tree.attrs["labels"] = "teff,logg,feh"
    return Posterior(tree)


@pytest.fixture(scope="module")
def table(posterior) -> pa.Table:
    return compress(posterior)


@pytest.fixture(scope="module")
def drawn(table) -> np.ndarray:
    """Axes (star, draw, variable)."""
    made = decompress(table, num_samples=NUM, seed=1)
    return np.stack([made[name].values[0].T for name in NAMES], axis=-1)


def test_a_star_takes_less_than_400_bytes(table):
    assert table.schema.field("posterior").type.byte_width <= MAX_BYTES
    assert table["star"].to_pylist() == ["narrow", "either", "near zero", "failed"]


@pytest.mark.parametrize("star", [0, 1, 2])
def test_quantiles_are_those_of_the_draws(drawn, star):
    quantiles = (0.025, 0.16, 0.5, 0.84, 0.975)
    before, after = draws()[star], drawn[star].astype(float)
    error = np.abs(np.quantile(after, quantiles, axis=0) - np.quantile(before, quantiles, axis=0))
    # Two samples of 4,000 from one Gaussian differ by 0.18 σ at the outer quantiles once in 400 times (three standard
    # errors of 0.06 σ).
    assert np.all(error < 0.18 * before.std(axis=0)), error / before.std(axis=0)
    for i in range(5):
        assert ks_2samp(before[:, i], after[:, i]).statistic < 0.05


def test_correlations_are_kept(drawn):
    for star in (0, 1, 2):
        np.testing.assert_allclose(np.corrcoef(drawn[star].T), np.corrcoef(draws()[star].T), atol=0.06)


def test_two_modes_stay_two(drawn):
    logg, mu = drawn[1, :, 1], drawn[1, :, 3]
    assert np.mean((logg > 3.4) & (logg < 4.2)) < 0.005
    assert np.mean(logg < 3.4) == pytest.approx(np.mean(draws()[1, :, 1] < 3.4), abs=0.03)
    assert np.mean((logg < 3.4) != (mu > 9.5)) < 0.005, "the giant is the far one"


def test_reddening_is_never_negative(drawn):
    assert (drawn[:3, :, 4] >= 0).all()


def test_a_star_that_was_not_sampled_stays_so(drawn):
    assert np.isnan(drawn[3]).all()


def test_a_star_draws_the_same_alone(table):
    alone, among = decompress(table[1:2], num_samples=50), decompress(table, num_samples=50)
    np.testing.assert_allclose(alone["teff"].values[..., 0], among["teff"].values[..., 1], rtol=1e-5)


def test_another_table_is_refused():
    with pytest.raises(UserError, match=r"give a run's compressed\.parquet"):
        decompress(pa.table({"posterior": [b""]}))
