"""Surveys partitioned on the sky are read and matched as tables in memory are."""

import warnings

import numpy as np
import pytest

from albireo.crossmatch import match_tables
from albireo.errors import UserError
from albireo.surveys import read
from surveys import archives

pytestmark = pytest.mark.filterwarnings("ignore")  # other people's: lsdb and dask warn of their own future
lsdb = pytest.importorskip("lsdb")


@pytest.fixture(scope="module")
def tables():
    """Stars that moved by 0.5 arcsec since the epoch of the sources, of which three have none and two are not good."""
    gaia, two_mass = archives.gaia(), archives.two_mass()
    gaia["pmra"] = 500 / 15.5
    gaia["visibility_periods_used"][2] = 5
    two_mass["ra"] -= 0.5 / 3600 / np.cos(np.deg2rad(two_mass["dec"]))
    two_mass["gal_contam"][4] = 1
    two_mass["ph_qual"][5] = "ABA"
    two_mass.remove_column("ext_key")
    two_mass = two_mass[:9]
    two_mass.rename_columns(["ra", "dec"], ["RAJ2000", "DEJ2000"])
    return {"gaia-dr2": gaia, "2mass": two_mass}


@pytest.fixture(scope="module")
def folders(tables, tmp_path_factory):
    root = tmp_path_factory.mktemp("hats")
    positions = {"gaia-dr2": ("ra", "dec"), "2mass": ("RAJ2000", "DEJ2000")}
    for name, (ra, dec) in positions.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            options = {"ra_column": ra, "dec_column": dec, "partition_rows": 6, "margin_threshold": 5}
            catalog = lsdb.from_dataframe(tables[name].to_pandas(), **options)
            catalog.to_hats(base_catalog_path=root / name, catalog_name=name, progress_bar=False)
    return root


def test_partitions_are_read_and_matched_as_tables_are(tables, folders, tmp_path):
    from albireo.crossmatch.hats import match_hats, read_hats

    stars, other = (read_hats(folders / name, name) for name in tables)
    assert stars.npartitions > 2
    match_hats(stars, other).to_hats(base_catalog_path=tmp_path / "stars", catalog_name="stars", progress_bar=False)
    found = lsdb.open_catalog(tmp_path / "stars", columns="all").compute().sort_values("source_id")
    same = match_tables(read(tables["gaia-dr2"], "gaia-dr2"), {"2mass": read(tables["2mass"], "2mass")})
    assert list(found["source_id"]) == list(same["source_id"])
    assert list(found["designation"].fillna("--")) == list(same["designation"].filled("--"))
    assert set(found.columns) == set(same.colnames)
    for name in ("ra", "ref_epoch", "parallax", "gaia_g", "gaia_g_err", "2mass_j", "2mass_h", "2mass_ks_err"):
        np.testing.assert_array_equal(found[name].to_numpy(float, na_value=np.nan), same[name], err_msg=name)
    assert np.isfinite(same["2mass_j"]).sum() == 7
    assert np.isfinite(same["2mass_h"]).sum() == 6


def test_mistakes(folders):
    from albireo.crossmatch.hats import read_hats

    with pytest.raises(UserError, match="it looks like gaia-dr2"):
        read_hats(folders / "gaia-dr2", "2mass")
    with pytest.raises(UserError, match="has no cut 'flags'"):
        read_hats(folders / "gaia-dr2", "gaia-dr2", without_cuts=["flags"])
    with pytest.raises(UserError, match="apogee has labels"):
        read_hats(folders / "gaia-dr2", "apogee")
