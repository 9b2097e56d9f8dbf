"""Rows of files: a part of any format is what a whole reading has there, and damage is told in a sentence."""

import gzip

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import MaskedColumn, Table

from albireo.catalog import Catalog
from albireo.errors import UserError
from albireo.scale.chunks import infer_in_chunks
from albireo.scale.rows import WholeTable, open_rows
from albireo.scale.stream import CatalogFile
from scale.stand_in import StandIn, make_stars
from test_catalog import assert_same_stars

N_STAR = 50


def with_gaps() -> Table:
    table = make_stars(N_STAR)
    table["2mass_j"] = MaskedColumn(np.full(N_STAR, 10.0), mask=np.arange(N_STAR) % 7 == 0)
    table["2mass_j_err"] = 0.03
    table["object_id"] = MaskedColumn(np.arange(N_STAR), mask=np.arange(N_STAR) == 33)
    return table


def write_plain_parquet(table, path):
    table.to_pandas().to_parquet(path, row_group_size=8)


def write_astropy_parquet(table, path):
    table["parallax"] = (table["parallax"] * u.mas).to(u.arcsec)
    table["parallax_err"] = (table["parallax_err"] * u.mas).to(u.arcsec)
    table.write(path)


def write_packed_csv(table, path):
    with gzip.open(path, "wt") as file:
        table.write(file, format="ascii.csv")


FORMATS = {
    "fits": lambda table, path: table.write(path),
    "fits.gz": lambda table, path: table.write(path),
    "parquet": write_plain_parquet,
    "units.parquet": write_astropy_parquet,
    "csv": lambda table, path: table.write(path, format="ascii.csv"),
    "csv.gz": write_packed_csv,
    "ecsv": lambda table, path: table.write(path),
}


@pytest.mark.parametrize("ending", FORMATS)
def test_parts_of_a_file_are_what_a_whole_reading_has(tmp_path, ending):
    path = tmp_path / f"stars.{ending}"
    FORMATS[ending](with_gaps(), path)
    whole, parts = Catalog.read(path), CatalogFile(path)
    assert len(parts) == N_STAR
    assert isinstance(open_rows(path), WholeTable) == (ending in ("fits.gz", "ecsv"))
    for rows in (slice(0, 20), slice(20, 29), slice(41, 50), slice(5, 6)):  # onwards, with a gap, and back
        part, same = parts[rows], whole[rows]
        assert_same_stars(part, same)
        np.testing.assert_array_equal(part.row, same.row)
        assert part.extra["source_id"].dtype.kind == "i"
        assert list(part.extra["name"].astype(str)) == list(same.extra["name"].astype(str))
    assert np.ma.getmaskarray(parts[30:35].extra["object_id"].data).tolist() == [False] * 3 + [True, False]


def test_rows_select_before_the_chunks(tmp_path):
    make_stars(N_STAR).write(tmp_path / "stars.fits")
    stars = CatalogFile(tmp_path / "stars.fits", rows=slice(10, 30))
    assert len(stars) == 20
    assert stars[15:20].row.tolist() == [25, 26, 27, 28, 29]
    with pytest.raises(UserError, match=r"rows 50:60 of .* hold no star; it has rows 0 to 49"):
        CatalogFile(tmp_path / "stars.fits", rows=slice(50, 60))


def test_a_file_calls_all_its_stars_by_one_column(tmp_path, monkeypatch):
    """Also where a later part of it holds an id twice, or none."""
    monkeypatch.setattr("albireo.scale.stream._NUM_CHECKED", 20)
    table = make_stars(N_STAR)
    table.remove_column("name")
    table["source_id"] = MaskedColumn(10**18 + np.arange(N_STAR), mask=np.arange(N_STAR) == 40)
    table["source_id"][30] = 10**18 + 31
    table.write(tmp_path / "stars.fits")
    stars = CatalogFile(tmp_path / "stars.fits")
    expected = {29: 10**18 + 29, 30: 10**18 + 31, 31: 10**18 + 31, 40: 40, 41: 10**18 + 41}
    for size in (7, 25):
        chunks = [stars[start : start + size] for start in range(0, N_STAR, size)]
        ids = np.concatenate([chunk.ids for chunk in chunks])
        assert {row: int(ids[row]) for row in expected} == expected
    table["source_id"][3] = 10**18 + 4
    table.write(tmp_path / "twice.fits")
    with pytest.warns(UserWarning, match="source_id does not tell all stars apart; their row numbers do instead"):
        stars = CatalogFile(tmp_path / "twice.fits")
    assert stars[25:35].ids.tolist() == [str(row) for row in range(25, 35)]


def test_ids_of_a_csv_file_have_one_type_throughout(tmp_path):
    table = make_stars(N_STAR)
    table["run_id"] = [str(i) if i < 40 else f"x{i}" for i in range(N_STAR)]
    table.write(tmp_path / "stars.csv", format="ascii.csv")
    stars = CatalogFile(tmp_path / "stars.csv")
    assert [stars[rows].extra["run_id"].dtype.kind for rows in (slice(0, 20), slice(40, 50))] in (["U"] * 2, ["O"] * 2)


SPOILED = {
    "fluxes": ("gaia_g", 5000.0),
    "text": ("gaia_g", "bright"),
    "negative errors": ("gaia_g_err", -1.0),
    "text for an error": ("gaia_g_err", "?"),
    "positions beyond the pole": ("dec", 100.0),
    "text for a position": ("ra", "01:02:03"),
    "an infinite parallax": ("parallax", np.inf),
}


@pytest.mark.parametrize("case", SPOILED)
def test_a_later_part_that_makes_no_sense_is_marked_not_refused(case):
    name, value = SPOILED[case]
    table = make_stars(N_STAR)
    table[name] = np.full(N_STAR, value)
    with pytest.raises(UserError):
        Catalog.from_table(table if case != "an infinite parallax" else table[:0])
    stars = Catalog.from_table(table, first_row=70, checked=True)
    assert stars.bad_input.all()
    assert stars.row[0] == 70
    assert np.isfinite(stars.mag).sum() >= 2 * N_STAR


def test_an_error_that_cannot_hold_the_floor_is_marked_in_a_later_part():
    stars = Catalog.from_table(make_stars(N_STAR))
    with pytest.raises(UserError, match="floor"):
        stars.without_error_floor(0.03)
    left = stars.without_error_floor(0.03, checked=True)
    below = stars.mag_err < 0.03 * 0.999
    np.testing.assert_array_equal(np.isnan(left.mag), below)
    np.testing.assert_array_equal(left.bad_input, below.any(axis=1))


def truncated(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])


@pytest.mark.parametrize("ending", ["fits", "parquet", "csv"])
def test_half_a_file_is_refused_at_once(tmp_path, ending):
    path = tmp_path / f"stars.{ending}"
    make_stars(2000).write(path, format="ascii.csv" if ending == "csv" else None)
    truncated(path, 0.5)
    # Of a CSV file nothing tells, but for the last line.
    sentence = r"line \d+ of .* values, the header" if ending == "csv" else r"could not be read as a \."
    with pytest.raises(UserError, match=sentence) as caught:
        CatalogFile(path)
    assert str(caught.value).count(str(path)) == 1
    assert "\n" not in str(caught.value)


def test_a_fits_file_without_a_table_is_refused(tmp_path):
    fits.PrimaryHDU(np.zeros((3, 3))).writeto(tmp_path / "image.fits")
    with pytest.raises(UserError, match=r"image\.fits"):
        CatalogFile(tmp_path / "image.fits")


def test_a_damaged_part_is_told_and_the_others_are_done(tmp_path):
    path, num = tmp_path / "stars.parquet", 200_000
    table = Table({name: np.resize(column, num) for name, column in make_stars(N_STAR).items() if name != "name"})
    table["source_id"] = np.arange(num)
    table.to_pandas().to_parquet(path, row_group_size=50_000)
    content = bytearray(path.read_bytes())
    middle = int(0.6 * len(content))
    content[middle : middle + 2000] = b"\xff" * 2000
    path.write_bytes(content)
    stars = CatalogFile(path)
    with pytest.raises(UserError, match=r"1 chunks could not be read .* rows 100000 to 149999"):
        infer_in_chunks(stars, StandIn, tmp_path / "run", {}, chunk_size=50_000)
    rows = np.asarray(Table.read(tmp_path / "run" / "summary.parquet")["row"])
    np.testing.assert_array_equal(rows, np.r_[:100_000, 150_000:200_000])
    assert "rows 100000 to 149999" in (tmp_path / "run" / "run.json").read_text()
