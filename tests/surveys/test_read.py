"""The surveys' own tables: units, systems, missing codes, floors, and what each cut removes."""

import gzip
import json

import astropy.units as u
import numpy as np
import pytest
from astropy.table import Table, hstack

from albireo import cli, surveys
from albireo.catalog import Catalog
from albireo.errors import UserError
from albireo.surveys import SURVEYS, read, recognise, understood

from . import archives
from .archives import NUM

# What the good stars of the archives' tables are in albireo's columns.
EXPECTED = {
    "gaia-dr2": {"gaia_g": 14.0, "gaia_g_err": np.hypot(0.001, 0.02), "gaia_bp": 14.4, "gaia_rp": 13.5, "pmdec": -4.0},
    "ps1-mean": {"ps1_g": 15.0, "ps1_y": 14.2, "ps1_y_err": np.hypot(0.004, 0.02), "ref_epoch": 2013.0},
    "ps1-stack": {"ps1_g": 15.0, "ps1_i": 14.6},
    "2mass": {"2mass_j": 12.5, "2mass_ks": 12.0, "2mass_h_err": np.hypot(0.022, 0.02)},
    "unwise": {"wise_w1": 14.699, "wise_w2": 15.439, "wise_w1_err": np.hypot(0.0108574, 0.02)},
    "allwise": {"wise_w1": 14.699, "wise_w2": 15.439, "wise_w1_err": np.hypot(0.023, 0.02)},
    "catwise": {"wise_w1": 14.699, "wise_w2": 15.439},
    "lamost-ddpayne": {"teff": 5700, "teff_err": np.hypot(30, 10), "logg_err": np.hypot(0.08, 0.05), "feh": -0.2},
    "apogee": {"teff": 5000, "teff_err": np.hypot(90, 10), "logg": 3.0, "logg_err": np.hypot(0.06, 0.05), "feh": -0.1},
    "galah-dr2": {"teff": 5500, "logg": 4.0, "feh": 0.05, "feh_err": np.hypot(0.06, 0.03)},
}
EXPECTED["gaia-dr3"], EXPECTED["galah-dr3"] = EXPECTED["gaia-dr2"], EXPECTED["galah-dr2"]
SPELLINGS = [(name, make) for name, makes in archives.ALL.items() for make in makes]


@pytest.mark.parametrize(("name", "make"), SPELLINGS)
def test_every_spelling_of_every_survey_is_read(name, make):
    table = read(make(), name)
    assert len(table) == NUM
    for column, value in EXPECTED[name].items():
        np.testing.assert_allclose(table[column], value, rtol=1e-6, err_msg=column)
    np.testing.assert_allclose(table["ra"], archives.RA)
    assert table["dec"].unit == u.deg
    assert SURVEYS[name].id in table.colnames
    assert not any(table.meta["cuts"][name].values())


@pytest.mark.parametrize(("name", "make"), SPELLINGS)
def test_every_spelling_is_recognised(name, make):
    assert name in recognise(make())
    assert not {"teff", "gaia_g", "ps1_g", "2mass_j", "wise_w1"}.isdisjoint(understood(make(), name).values())


def test_surveys_are_told_apart():
    assert recognise(archives.gaia(2)) == ("gaia-dr2",)
    assert recognise(archives.gaia(3)) == ("gaia-dr3",)
    assert recognise(archives.galah(2)) == recognise(Table(archives.galah(2)))
    assert recognise(archives.unwise()) == ("unwise",)
    assert recognise(archives.catwise()) == ("catwise",)
    assert recognise(Table({"a": [1]})) == ()


def test_case_and_place_of_columns_do_not_matter():
    table = archives.gaia()
    table.rename_columns(table.colnames, [name.upper() for name in table.colnames])
    read_back = read(table[table.colnames[::-1]], "gaia-dr2")
    np.testing.assert_allclose(read_back["gaia_g"], 14.0)


def test_a_table_of_two_surveys_holds_names_that_differ_by_case():
    both = hstack([archives.gaia_vizier(), archives.ps1_vizier()])
    assert {"gaia-dr2", "ps1-mean"} <= set(recognise(both))
    assert read(both, "gaia-dr2")["gaia_g"][0] == 14.0
    assert read(both, "ps1-mean")["ps1_g"][0] == 15.0


def test_floors_can_be_left_out():
    assert read(archives.ps1(), "ps1-mean", error_floors=False)["ps1_g_err"][0] == pytest.approx(0.004)
    assert read(archives.galah(), "galah-dr2", error_floors=False)["teff_err"][0] == pytest.approx(55)


def test_what_is_read_is_a_catalogue():
    catalog = Catalog.from_table(read(archives.two_mass(), "2mass"))
    assert catalog.bands == ("2mass_j", "2mass_h", "2mass_ks")
    assert np.isfinite(catalog.glon).all()


def removed(name, table, **settings):
    return {cut: num for cut, num in read(table, name, **settings).meta["cuts"][name].items() if num}


# Survey, what is spoiled (column, rows, value), the cut that should remove it, how many rows or values it removes.
SPOILED = [
    ("gaia-dr2", "visibility_periods_used", [0, 3], 8, "visibility-periods", 2),
    ("gaia-dr2", "astrometric_chi2_al", [1, 2, 5], 2600.0, "astrometric-chi2", 3),  # 1.44 exp(2.2) (205 - 5) = 2599.2
    ("gaia-dr2", "astrometric_chi2_al", [1], 2598.0, "astrometric-chi2", 0),
    ("gaia-dr2", "phot_g_n_obs", [7], 2, "g-observations", 1),
    ("gaia-dr2", "phot_g_mean_mag", [7, 8], np.nan, "g-band", 2),
    ("gaia-dr2", "phot_bp_mean_flux_over_error", [2, 4], 5.0, "large-errors", 2),  # 0.217 mag
    ("gaia-dr2", "phot_g_mean_flux_over_error", [5], 5.0, "g-band", 1),
    ("gaia-dr3", "ruwe", [2, 4], 1.4, "ruwe", 2),
    ("gaia-dr3", "visibility_periods_used", [9], 8, "visibility-periods", 1),
    ("ps1-mean", "gMeanApMag", [2], 14.89, "extended", 1),
    ("ps1-mean", "gMeanApMag", [2], 14.91, "extended", 0),
    ("ps1-mean", "rFlags", [1, 2, 3], 0x1C838, "rank", 3),
    ("ps1-mean", "yFlags", [1], 0x1D038, "rank", 1),
    ("ps1-mean", "iQfPerfect", [1, 4], 0.85, "qf-perfect", 2),
    ("ps1-mean", "zMeanPSFMagErr", [4], 0.21, "large-errors", 1),
    ("ps1-stack", "primaryDetection", [4], 0, "primary", 1),
    ("ps1-stack", "yApMag", [4], 14.0, "extended", 1),
    ("2mass", "ext_key", [4, 6], 123, "extended", 2),
    ("2mass", "ph_qual", [0], "ABC", "quality", 2),
    ("2mass", "cc_flg", [0, 1], "0cp", "contamination", 4),
    ("2mass", "gal_contam", [2], 2, "galaxy", 3),
    ("2mass", "gal_contam", [2], 1, "resolved", 1),
    ("2mass", "use_src", [2, 3], 0, "use-src", 6),
    ("allwise", "cc_flags", [2, 3], "d0hh", "contamination", 2),
    ("allwise", "ext_flg", [2], 5, "extended", 2),
    ("catwise", "cc_flags", [2], "dh00", "contamination", 2),
    ("lamost-ddpayne", "QFLAG_CHI2", [2, 3], "bad", "chi2", 2),
    ("lamost-ddpayne", "FLAG_SINGLESTAR", [2], "NO", "single-star", 1),
    ("lamost-ddpayne", "LOGG_ERR", [2], 0.499, "large-label-errors", 1),  # 0.5015 with the floor
    ("lamost-ddpayne", "SNR_G", [2], 5.0, "snr", 0),
    ("apogee", "ASPCAPFLAG", [1, 2], 1 << 7, "star-warn", 2),
    ("apogee", "ASPCAPFLAG", [1], 1 << 23 | 1 << 4, "star-bad", 1),
    ("apogee", "TEFF_ERR", [1], -9999.0, "labels", 1),
    ("galah-dr2", "flag_cannon", [1, 5, 6], 1, "flag-cannon", 3),
    ("galah-dr2", "e_teff", [1], 201.0, "large-label-errors", 1),
    ("galah-dr2", "fe_h", [1], -9999.0, "labels", 1),
    ("galah-dr3", "flag_sp", [1], 32, "flag-sp", 1),
    ("galah-dr3", "flag_fe_h", [1], 1, "flag-fe-h", 1),
]


@pytest.mark.parametrize(("name", "column", "rows", "value", "cut", "count"), SPOILED)
def test_each_cut_removes_what_it_should_and_can_be_left_out(name, column, rows, value, cut, count):
    table = archives.ALL[name][0]()
    if table[column].dtype.kind == "U":
        table[column] = table[column].astype("U8")
    table[column][rows] = value
    assert removed(name, table) == ({cut: count} if count else {})
    if cut != "g-band":
        assert cut not in read(table, name, without_cuts=[cut]).meta["cuts"][name]


def test_cuts_that_drop_rows_and_cuts_that_blank():
    table = archives.gaia()
    table["visibility_periods_used"][0], table["phot_bp_mean_flux_over_error"][1] = 5, 2
    stars = read(table, "gaia-dr2")
    assert len(stars) == NUM - 1
    assert np.isnan(stars["gaia_bp"][0])
    assert np.isnan(stars["gaia_bp_err"][0])
    assert stars["gaia_g"][0] == 14.0
    dr3 = archives.gaia(3)
    dr3["ruwe"][2] = 3
    stars = read(dr3, "gaia-dr3")
    assert len(stars) == NUM
    assert np.isnan(stars["parallax"]).nonzero()[0].tolist() == [2]
    comments = "\n".join(stars.meta["comments"])
    assert "ruwe: 1 removed (ruwe < 1.4" in comments


def test_spectra_need_one_channel_of_good_signal():
    table = archives.galah()
    for i in (1, 2, 3, 4):
        table[f"snr_c{i}"][[2, 3]] = 20.0
    table["snr_c4"][3] = 20.1
    assert removed("galah-dr2", table) == {"snr": 1}
    faint = archives.lamost()
    for band in "UGRIZ":
        faint[f"SNR_{band}"][4] = -9999.0
    assert removed("lamost-ddpayne", faint) == {"snr": 1}


def test_the_limit_on_chi2_rises_for_bright_stars():
    table = archives.gaia()
    table["phot_g_mean_mag"], table["astrometric_chi2_al"] = 19.5 - 5, 200 * 1.44 * np.exp(2) * 0.99
    assert removed("gaia-dr2", table) == {}
    table["astrometric_chi2_al"] *= 1.02
    with pytest.raises(UserError, match="no row passes the cuts of gaia-dr2, most fail astrometric-chi2"):
        read(table, "gaia-dr2")


@pytest.mark.parametrize(
    ("column", "value", "cut"), [("fracflux", 0.5, "fracflux"), ("rchi2", 5.1, "chi2"), ("flags_unwise", 4, "flags")]
)
def test_unwise_is_cut_band_by_band(column, value, cut):
    table = archives.unwise()
    table[column][[1, 2], 1] = value
    table[column][2, 0] = value
    stars = read(table, "unwise")
    assert stars.meta["cuts"]["unwise"] == {"primary": 0, "flags": 0, "fracflux": 0, "chi2": 0, "large-errors": 0} | {
        cut: 3
    }
    assert np.isnan(stars["wise_w1"]).nonzero()[0].tolist() == [2]
    assert np.isnan(stars["wise_w2"]).nonzero()[0].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("name", "make", "column", "band", "code"),
    [
        ("ps1-mean", archives.ps1, "gMeanPSFMag", "ps1_g", -999.0),
        ("ps1-mean", archives.ps1, "gMeanPSFMagErr", "ps1_g", -999.0),
        ("2mass", archives.two_mass, "h_m", "2mass_h", -99.99),
        ("2mass", archives.two_mass, "h_m", "2mass_h", 99.999),
        ("2mass", archives.two_mass, "h_msigcom", "2mass_h", 9.999e3),
        ("2mass", archives.two_mass, "h_msigcom", "2mass_h", np.nan),
        ("unwise", archives.unwise_flat, "flux_w1", "wise_w1", -3.0),
        ("unwise", archives.unwise_flat, "flux_w1", "wise_w1", 0.0),
        ("gaia-dr2", archives.gaia, "phot_bp_mean_mag", "gaia_bp", np.inf),
    ],
)
def test_codes_for_missing_become_nan(name, make, column, band, code):
    table = make()
    table[column][3] = code
    stars = read(table, name)
    assert np.isnan(stars[band]).nonzero()[0].tolist() == [3]
    assert np.isnan(stars[f"{band}_err"]).nonzero()[0].tolist() == [3]


def test_a_table_most_of_which_is_missing_holds_no_fluxes():
    table = archives.two_mass()
    table["k_m"] = 99.999
    assert np.isnan(read(table, "2mass")["2mass_ks"]).all()


def test_positions_that_are_missing():
    table = archives.lamost()
    table["RA"][2], table["DEC"][2] = -9999.0, -9999.0
    stars = read(table, "lamost-ddpayne")
    assert np.isnan(stars["ra"]).nonzero()[0].tolist() == [2]


def test_covariances_of_apogee_follow_the_paper():
    """Off the diagonal those of the fit, on it the larger variance, then the floors."""
    for matrix in (True, False):
        stars = read(archives.apogee(matrix), "apogee")
        expected = [[90**2 + 100, 0.2, 0.03], [0.2, 0.0036 + 0.0025, 0.0002], [0.03, 0.0002, 0.0001 + 0.0009]]
        np.testing.assert_allclose(stars["theta_cov"][0], expected, rtol=1e-12)
        np.testing.assert_allclose(stars["logg_err"], np.sqrt(0.0061))
        assert set(stars["survey"]) == {"APOGEE"}
    assert "theta_cov" not in read(archives.apogee_vizier(), "apogee").colnames
    spoiled = archives.apogee()
    spoiled["FPARAM_COV"][1] = -9999.0
    diagonal = read(spoiled, "apogee")["theta_cov"][1]
    np.testing.assert_allclose(diagonal, np.diag([90**2 + 100, 0.06**2 + 0.0025, 0.004**2 + 0.0009]))


def test_flags_of_2mass_that_were_read_as_numbers():
    table = archives.two_mass()
    table["cc_flg"] = 0
    table["rd_flg"] = 22
    table["ph_qual"] = "AAA"
    assert removed("2mass", table) == {}
    table["ph_qual"], table["rd_flg"] = "EEE", 31
    assert removed("2mass", table) == {"quality": NUM}


def swapped(table, **columns):
    for name, values in columns.items():
        table[name] = values
    return table


MISTAKES = {
    "unknown survey": (archives.gaia, "gaia", {}, "there is no survey 'gaia'; choose one of gaia-dr2"),
    "wrong survey": (archives.two_mass, "ps1-mean", {}, "not a table of ps1-mean, .* it looks like 2mass"),
    "wrong release": (archives.gaia, "gaia-dr3", {}, "the epoch of this table is 2015.5.*gaia-dr2"),
    "unknown cut": (archives.gaia, "gaia-dr2", {"without_cuts": ["ruwe"]}, "gaia-dr2 has no cut 'ruwe'"),
    "wrong type": (
        lambda: swapped(archives.gaia(), phot_g_mean_mag=["bright"] * NUM),
        "gaia-dr2",
        {},
        "column phot_g_mean_mag must hold numbers; row 0 holds 'bright'",
    ),
    "fluxes for magnitudes": (
        lambda: swapped(archives.two_mass(), j_m=10 ** np.linspace(3, 5, NUM)),
        "2mass",
        {},
        "column j_m .2mass_j. must hold magnitudes; .* convert fluxes",
    ),
    "radians": (
        lambda: swapped(archives.galah(), raj2000=np.deg2rad(archives.RA), dej2000=np.deg2rad(archives.DEC)),
        "galah-dr2",
        {},
        "columns raj2000 and dej2000 look like radians",
    ),
    "hours of arc": (
        lambda: swapped(archives.galah(), dej2000=archives.DEC * 60),
        "galah-dr2",
        {},
        "must be within ±360 and ±90 deg",
    ),
    "duplicate ids": (
        lambda: swapped(archives.gaia(), source_id=[1, 2, 3, 2, *range(4, NUM)]),
        "gaia-dr2",
        {},
        "source_id 2 is there twice, in rows 1 and 3",
    ),
    "ids as floats": (
        lambda: swapped(archives.gaia(), source_id=np.arange(NUM) + 1e18),
        "gaia-dr2",
        {},
        "column source_id holds floats",
    ),
    "no column for a cut": (
        lambda: archives.gaia()["source_id", "ra", "dec", "phot_g_mean_mag", "phot_g_mean_flux_over_error"],
        "gaia-dr2",
        {},
        "the cut visibility-periods of gaia-dr2 needs the column visibility_periods_used or Nper; add it, or leave out",
    ),
    "no rows": (lambda: archives.gaia()[:0], "gaia-dr2", {}, "the table is empty"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_told_in_a_sentence(mistake):
    make, name, settings, message = MISTAKES[mistake]
    with pytest.raises(UserError, match=message) as caught:
        read(make(), name, **settings)
    assert "\n" not in str(caught.value)


def test_units_are_converted():
    table = archives.galah()
    table["raj2000"], table["dej2000"] = (np.deg2rad(angle) * u.rad for angle in (archives.RA, archives.DEC))
    np.testing.assert_allclose(read(table, "galah-dr2")["ra"], archives.RA)


def test_commands_read_and_list(tmp_path, capsys):
    archives.gaia().write(tmp_path / "gaia.fits")
    arguments = ["read", str(tmp_path / "gaia.fits"), "--survey", "gaia-dr2", "-o", str(tmp_path / "stars.fits")]
    assert cli.run([*arguments, "--without-cut", "g-band"]) == 0
    assert "cut visibility-periods: 0 removed" in capsys.readouterr().err
    again = Table.read(tmp_path / "stars.fits")
    assert any("gaia-dr2: cut g-band: left out" in line for line in again.meta["comments"])
    assert cli.run(arguments) == 2
    assert cli.run(["columns", str(tmp_path / "gaia.fits")]) == 0
    out = capsys.readouterr().out
    assert "phot_g_mean_mag is gaia_g" in out
    assert "missing to train: teff" in out
    assert cli.run(["columns", str(tmp_path / "stars.fits")]) == 0
    assert "albireo's columns it has: gaia_g, gaia_g_err" in capsys.readouterr().out
    assert cli.run(["surveys"]) == 0
    listed = capsys.readouterr().out
    assert all(f"    {cut.name}: " in listed for survey in surveys.SURVEYS.values() for cut in survey.cuts)
    assert listed.count("    correction zero-point: ") == 2


def test_columns_tell_which_cuts_lack_something(tmp_path, capsys):
    table = archives.gaia_vizier(3)
    del table["Nper"], table["RUWE"]
    table.write(tmp_path / "gaia.vot", format="votable")
    assert cli.run(["columns", str(tmp_path / "gaia.vot"), "--json"]) == 0
    expected = {"visibility-periods": "visibility_periods_used or Nper", "ruwe": "ruwe"}
    assert json.loads(capsys.readouterr().out)["impossible_cuts"]["gaia-dr3"] == expected
    assert cli.run(["columns", str(tmp_path / "gaia.vot")]) == 0
    assert "    cut ruwe: needs the column ruwe; add it, or leave out the cut\n" in capsys.readouterr().out
    without = [f"--without-cut={cut}" for cut in expected] + ["--without-correction=error-inflation"]
    arguments = ["read", str(tmp_path / "gaia.vot"), "--survey", "gaia-dr3", "-o", str(tmp_path / "stars.fits")]
    assert cli.run([*arguments, *without]) == 0


@pytest.mark.parametrize("ending", [".csv.gz", ".vot.gz", ".tbl"])
def test_what_archives_pack_is_read(tmp_path, capsys, ending):
    plain = tmp_path / f"gaia{ending.removesuffix('.gz')}"
    formats = {".csv.gz": "ascii.csv", ".vot.gz": "votable", ".tbl": "ascii.ipac"}
    archives.gaia().write(plain, format=formats[ending])
    if ending.endswith(".gz"):
        (tmp_path / f"gaia{ending}").write_bytes(gzip.compress(plain.read_bytes()))
    stars = read(tmp_path / f"gaia{ending}", "gaia-dr2")
    np.testing.assert_allclose(stars["gaia_g"], 14.0)
    assert stars["source_id"].tolist() == archives.gaia()["source_id"].tolist()
    out = tmp_path / f"stars{ending}"
    arguments = ["read", str(plain), "--survey", "gaia-dr2", "-o", str(out)]
    assert cli.run(arguments) == 2
    assert f"{ending} is only read" in capsys.readouterr().err
    assert not out.exists()


def test_a_truncated_file_is_a_mistake(tmp_path, capsys):
    path = tmp_path / "gaia.fits"
    archives.gaia().write(path)
    path.write_bytes(path.read_bytes()[:4000])
    assert cli.run(["read", str(path), "--survey", "gaia-dr2", "-o", str(tmp_path / "out.fits")]) == 2
    assert "could not be read as a .fits table" in capsys.readouterr().err
    assert not (tmp_path / "out.fits").exists()
