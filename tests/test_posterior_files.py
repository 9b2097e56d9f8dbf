"""Posteriors in files: netCDF and zarr hold the same, and mistakes are told in a sentence."""

import numpy as np
import pytest
import xarray as xr

from albireo import Posterior, UserError
from albireo.catalog import Catalog
from albireo.groups import data_groups, dataset
from stars import PLANET_HOSTS

N_CHAIN, N_DRAW, N_STAR = 2, 5, 3


@pytest.fixture(scope="module")
def posterior() -> Posterior:
    """Numbers in the place of draws, of stars whose names are texts of different lengths."""
    catalog, rng = Catalog.read(PLANET_HOSTS)[:N_STAR], np.random.default_rng(0)
    drawn = dataset(
        {name: rng.normal(size=(N_CHAIN, N_DRAW, N_STAR)) for name in ("teff", "logg", "reddening")},
        ("chain", "draw", "star"),
        catalog,
    )
    engine = np.array(["nuts", "", "nuts-refit"])
    stats = dataset(
        {"flags": np.array([0, 2, 64]), "k_hat": np.array([0.1, np.nan, 2]), "engine": engine}, ("star",), catalog
    )
    tree = xr.DataTree.from_dict({"posterior": drawn, "sample_stats": stats} | data_groups(catalog))
    tree.attrs = {"format": "albireo posterior", "format_version": 1, "labels": "teff,logg", "sampler": "NUTS()"}
    return Posterior(tree)


def test_zarr_and_netcdf_hold_the_same(posterior, tmp_path):
    pytest.importorskip("zarr")
    for name in ("posterior.nc", "posterior.zarr", "posterior.zarr"):  # the second time in the place of the first
        posterior.save(tmp_path / name)
        loaded = Posterior.load(tmp_path / name)
        assert loaded.tree.attrs == posterior.tree.attrs
        for group in ("posterior", "sample_stats"):
            xr.testing.assert_identical(loaded.tree[group].to_dataset(), posterior.tree[group].to_dataset())
    assert (tmp_path / "posterior.zarr").is_dir()
    tree = xr.open_datatree(tmp_path / "posterior.zarr", engine="zarr")  # as ArviZ opens it
    assert tree["posterior"]["teff"].attrs["units"] == "K"


def test_without_zarr_it_says_how_to_get_it(posterior, tmp_path, monkeypatch):
    monkeypatch.setattr("albireo.posterior.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'albireo\[zarr\]'"):
        posterior.save(tmp_path / "posterior.zarr")
    (tmp_path / "posterior.zarr").mkdir()
    with pytest.raises(UserError, match=r"pip install 'albireo\[zarr\]'"):
        Posterior.load(tmp_path / "posterior.zarr")


def test_a_zarr_folder_of_something_else_is_told(tmp_path):
    pytest.importorskip("zarr")
    with pytest.raises(UserError, match="there is no posterior file"):
        Posterior.load(tmp_path / "none.zarr")
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(UserError, match="cannot be read as zarr"):
        Posterior.load(tmp_path / "empty.zarr")
    xr.Dataset({"a": ("x", [1.0])}).to_zarr(tmp_path / "other.zarr", zarr_format=2)
    with pytest.raises(UserError, match="was not written by albireo"):
        Posterior.load(tmp_path / "other.zarr")


@pytest.mark.parametrize("group", ["posterior", "observed_data", "constant_data", "sample_stats"])
def test_a_posterior_without_a_group_is_told(posterior, tmp_path, group):
    path = tmp_path / "posterior.nc"
    tree = posterior.tree.copy()
    del tree[group]
    Posterior(tree).save(path)
    with pytest.raises(UserError, match=f"has no group {group}, so it is not whole; run the inference again"):
        Posterior.load(path)
