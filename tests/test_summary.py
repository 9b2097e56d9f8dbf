"""What the columns of a summary are, in every format: units, content descriptors, texts, missing values."""

import errno
import os

import numpy as np
import pyarrow as pa
import pytest
from astropy import units as u
from astropy.io.votable.ucd import parse_ucd
from astropy.table import Table
from pyarrow import parquet

from albireo import cli
from albireo import output as output_module
from albireo.flags import describe_flags
from albireo.scale import convert as convert_module
from albireo.summary import OTHERS, STATISTICS, VARIABLES, column_of, describe
from scale.stand_in import make_stars, run

N_STAR = 300
FORMATS = [".fits", ".vot", ".ecsv"]


def every_column() -> list[str]:
    return [*OTHERS, *(f"{variable}_{statistic}" for variable in VARIABLES for statistic in STATISTICS)]


@pytest.mark.parametrize("name", every_column())
def test_every_column_is_described_in_words_of_the_vocabulary(name):
    column = column_of(name)
    if column.ucd:
        parse_ucd(column.ucd, check_controlled_vocabulary=True, has_colon=False)
    assert column.unit == "dex" or u.Unit(column.unit).to_string("fits") == column.unit
    assert column.description.isascii()
    assert "\n" not in column.description


def test_columns_that_nobody_knows_stay_as_they_are():
    table = Table({"colour": [1.0], "gaia_id": [3], "mass_p50": [1.0], "teff_p16": [5000] * u.K})
    describe(table)
    assert table["colour"].description is None
    assert table["gaia_id"].meta["ucd"] == "meta.id"
    assert table["mass_p50"].description == "posterior median of mass"
    assert table["teff_p16"].unit == u.K


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of several chunks, of stars with names that are no ASCII."""
    folder = tmp_path_factory.mktemp("formats")
    stars = make_stars(N_STAR)
    stars["name"] = [*stars["name"][:-1], "Barnard's ★ <2>, the longest name"]
    stars.to_pandas().to_parquet(folder / "stars.parquet")
    run(folder / "stars.parquet", folder / "run", chunk_size=120)
    return folder / "run"


@pytest.fixture
def small_parts(monkeypatch):
    """Read a summary in batches of a few rows, as one of millions would be."""
    batches = convert_module.Summary.batches

    def few(self, columns=None):
        for batch in batches(self, columns):
            yield from (batch.slice(start, 70) for start in range(0, len(batch), 70))

    monkeypatch.setattr(convert_module.Summary, "batches", few)


@pytest.mark.parametrize("ending", FORMATS)
def test_a_run_is_the_same_in_every_format(finished, small_parts, tmp_path, capsys, ending):
    path = tmp_path / f"stars{ending}"
    assert cli.run(["convert", str(finished), "-o", str(path)]) == 0
    assert str(path) in capsys.readouterr().out
    summary, table = Table.read(finished / "summary.parquet", format="parquet"), Table.read(path)
    assert table.colnames == summary.colnames
    assert len(table) == N_STAR
    for name in summary.colnames:
        ours, column = summary[name], table[name]
        assert (column.unit, column.description) == (ours.unit, ours.description)
        assert (column.meta or {}).get("ucd") == (ours.meta or {}).get("ucd")
        if ours.dtype.kind == "U":
            wanted = [text.replace("★", "?") if ending == ".fits" else text for text in ours]
            assert [str(text) for text in np.ma.filled(column, "")] == wanted
        else:
            np.testing.assert_array_equal(np.ma.filled(column, np.nan if ours.dtype.kind == "f" else 0), ours)
    assert table["glon"].unit == u.deg
    assert "2 not_converged" in table["flags"].description
    everything = b" ".join(path.read_bytes().replace(b"\n#", b"").split())  # headers of text files break lines
    for _, name, text in describe_flags():
        assert name.encode() in everything
        assert text.split("'")[-1][:30].encode() in everything  # YAML doubles an apostrophe


@pytest.mark.parametrize("ending", FORMATS)
def test_missing_values_stay_missing(tmp_path, small_parts, ending):
    """As in a summary that was put together from others."""
    ids = [None, *range(1, 200)]
    columns = {
        "star": ["a", None] * 100,
        "gaia_id": pa.array(ids, pa.int64()),
        "teff_p50": [5e3, np.nan, None, 1.0] * 50,
    }
    parquet.write_table(pa.table(columns), tmp_path / "summary.parquet")
    assert convert_module.convert(tmp_path, tmp_path / f"t{ending}") == 200
    table = Table.read(tmp_path / f"t{ending}")
    assert np.flatnonzero(np.ma.getmaskarray(table["gaia_id"])).tolist() == [0]
    assert list(table["gaia_id"][1:]) == ids[1:]
    assert np.isnan(np.ma.filled(table["teff_p50"], np.nan)).tolist() == [False, True, True, False] * 50
    assert list(np.ma.filled(table["star"], "")) == ["a", ""] * 100


def test_the_summary_says_what_it_holds_to_topcat_and_pandas(finished):
    import pandas as pd

    table = Table.read(finished / "summary.parquet", format="parquet.votable")
    assert table["glat"].unit == u.deg
    assert table["teff_p50"].description == column_of("teff_p50").description
    assert table["star"].meta["ucd"] == "meta.id;meta.main"
    assert table["name"][-1] == "Barnard's ★ <2>, the longest name"
    frame = pd.read_parquet(finished / "summary.parquet")
    assert list(frame.columns) == table.colnames
    assert frame["name"].iloc[-1] == table["name"][-1]


def test_topcat_finds_what_the_columns_of_fits_are(finished, tmp_path):
    from astropy.io import fits

    convert_module.convert(finished, tmp_path / "stars.fits")
    with fits.open(tmp_path / "stars.fits") as hdus:
        hdus.verify("exception")
        header = hdus[1].header
    at = list(header["TTYPE*"].values()).index("teff_p50") + 1
    assert (header[f"TUCD{at}"], header[f"TUNIT{at}"]) == ("phys.temperature.effective;stat.median", "K")
    assert header[f"TCOMM{at}"] == "posterior median of effective temperature"


def test_a_full_disk_is_told_in_a_sentence(finished, tmp_path, monkeypatch, capsys):
    def full(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(output_module, "_sync", full)
    assert cli.run(["convert", str(finished), "-o", str(tmp_path / "stars.fits")]) == 2
    err = capsys.readouterr().err
    assert "No space left on device" in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


MISTAKES = {
    "no run": (["nowhere", "-o", "t.fits"], "holds no summary.parquet"),
    "another format": (["RUN", "-o", "t.docx"], "must end in .fits"),
    "a missing folder": (["RUN", "-o", "none/t.fits"], "existing folder"),
    "a table that is there": (["RUN", "-o", "there.fits"], "--overwrite"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_told(finished, tmp_path, monkeypatch, capsys, case):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.fits").write_text("here first")
    arguments, message = MISTAKES[case]
    arguments = [str(finished) if argument == "RUN" else argument for argument in arguments]
    assert cli.run(["convert", *arguments]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["there.fits"]
