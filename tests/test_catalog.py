"""Catalogues: every format gives the same stars, units are converted, tables that make no sense are refused."""

import astropy.units as u
import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Column, MaskedColumn, QTable, Table
from astropy.time import Time

from albireo.bands import DEFAULT_BANDS
from albireo.catalog import Catalog
from albireo.errors import UserError

N_STAR = 12


def make_table() -> Table:
    rng = np.random.default_rng(1)
    table = Table({"name": [f"star {i}" for i in range(N_STAR)]})
    for band in ("gaia_g", "2mass_j", "wise_w1"):
        table[band] = rng.uniform(8, 16, N_STAR)
        table[f"{band}_err"] = rng.uniform(0.02, 0.05, N_STAR)
    table["parallax"], table["parallax_err"] = rng.normal(1, 1, N_STAR), np.full(N_STAR, 0.1)
    table["ra"], table["dec"] = rng.uniform(0, 360, N_STAR), rng.uniform(-90, 90, N_STAR)
    table["teff"], table["teff_err"] = rng.uniform(4000, 7000, N_STAR), np.full(N_STAR, 80.0)
    table["logg"], table["logg_err"] = rng.uniform(1, 5, N_STAR), np.full(N_STAR, 0.1)
    table["note"] = np.arange(N_STAR)
    return table


def assert_same_stars(catalog: Catalog, other: Catalog) -> None:
    assert catalog.bands == other.bands
    for name in ("mag", "mag_err", "parallax", "parallax_err", "glon", "glat", "theta", "theta_cov", "reddening"):
        np.testing.assert_allclose(getattr(catalog, name), getattr(other, name), rtol=1e-12, err_msg=name)
    np.testing.assert_array_equal(catalog.bad_input, other.bad_input)
    np.testing.assert_array_equal(catalog.ids, other.ids)


@pytest.fixture
def table() -> Table:
    return make_table()


@pytest.mark.filterwarnings("ignore::astropy.io.votable.exceptions.W03")  # XML has no name that begins with a digit
@pytest.mark.parametrize("ending", ["fits", "fits.gz", "ecsv", "csv", "parquet", "vot", "xml"])
def test_every_format_gives_the_same_stars(table, tmp_path, ending):
    table["2mass_j"] = MaskedColumn(table["2mass_j"], mask=np.arange(N_STAR) == 3)
    path = tmp_path / f"stars.{ending}"
    if ending == "parquet":
        table.to_pandas().to_parquet(path)
    else:
        written = {"csv": "ascii.csv", "vot": "votable", "xml": "votable"}.get(ending)
        table.write(path, **({"format": written} if written else {}))
    catalog = Catalog.read(path)
    assert_same_stars(catalog, Catalog.from_table(table))
    assert np.isnan(catalog.mag[3, 1])
    assert catalog.n_bands[3] == 2


def test_columns_of_positions_and_times_are_left_alone(table):
    table["where"] = SkyCoord(np.array(table["ra"]), np.array(table["dec"]), unit="deg")
    table["when"] = Time(np.full(N_STAR, 2020.0), format="jyear")
    assert_same_stars(Catalog.from_table(table), Catalog.from_table(make_table()))


def test_a_column_of_several_values_a_star_is_refused(table):
    table["gaia_g"] = np.zeros((N_STAR, 2)) + 15
    with pytest.raises(UserError, match="column gaia_g must hold one number a star"):
        Catalog.from_table(table)


def test_text_names_the_row_and_what_it_holds(table):
    given = [str(value) for value in table["gaia_g"]]
    table["gaia_g"] = ["N/A", "null", "-", *given[3:]]
    assert np.isnan(Catalog.from_table(table).mag[:3, 0]).all()
    table["gaia_g"] = [*given[:2], "bright", *given[3:]]
    with pytest.raises(UserError, match="row 2 holds 'bright'"):
        Catalog.from_table(table)


def test_magnitudes_of_another_system_are_refused(table):
    table["gaia_g"].unit = u.ABmag
    with pytest.raises(UserError, match="gaia_g is in AB magnitudes; convert it to Vega"):
        Catalog.from_table(table)


def test_a_few_stars_with_fluxes_are_recognised(table):
    few = table[:4]
    for band in Catalog.from_table(table).bands:
        few[band] = 1e-3
    with pytest.raises(UserError, match="convert fluxes"):
        Catalog.from_table(few)


def test_parquet_of_astropy_keeps_units(table, tmp_path):
    table["parallax"].unit = table["parallax_err"].unit = u.arcsec
    table.write(tmp_path / "stars.parquet")
    np.testing.assert_allclose(Catalog.read(tmp_path / "stars.parquet").parallax, 1000 * table["parallax"])


@pytest.mark.parametrize("as_type", [Table, QTable])
def test_units_are_converted(table, as_type):
    expected = Catalog.from_table(table)
    table = as_type(table)
    table["ra"] = (np.array(table["ra"]) * u.deg).to(u.hourangle)
    table["dec"] = (np.array(table["dec"]) * u.deg).to(u.rad)
    for name in ("parallax", "parallax_err"):
        table[name] = (np.array(table[name]) * u.mas).to(u.arcsec)
    for name in ("teff", "teff_err"):
        table[name] = (np.array(table[name]) * u.K).to(u.kK)
    for name in ("logg", "logg_err"):
        table[name] = Column(np.array(table[name]), unit=u.dex(u.cm / u.s**2))
    table["2mass_j"] = (np.array(table["2mass_j"]) * u.mag).to(u.mmag)
    table["wise_w1"] = Column(np.array(table["wise_w1"]), unit=u.ABmag)
    assert_same_stars(Catalog.from_table(table), expected)


@pytest.mark.parametrize("named_index", [False, True])
def test_pandas_gives_the_same_stars(table, named_index):
    frame = table.to_pandas()
    frame = frame.set_index("name") if named_index else frame
    assert_same_stars(Catalog.from_table(frame), Catalog.from_table(table))


def test_positions_become_galactic(table):
    galactic = SkyCoord(table["ra"], table["dec"], unit="deg").galactic
    catalog = Catalog.from_table(table)
    np.testing.assert_allclose(catalog.glon, galactic.l.deg)
    np.testing.assert_allclose(catalog.glat, galactic.b.deg)


def test_galactic_columns_win_over_equatorial_ones(table):
    table["glon"], table["glat"] = np.full(N_STAR, -10.0), np.full(N_STAR, 5.0)
    catalog = Catalog.from_table(table)
    np.testing.assert_allclose(catalog.glon, 350)
    np.testing.assert_allclose(catalog.glat, 5)


def test_full_covariance_wins_over_single_errors(table):
    cov = np.tile(np.diag([6400.0, 0.01, 0.01]), (N_STAR, 1, 1))
    cov[:, 0, 1] = cov[:, 1, 0] = 3.0
    table["theta_cov"] = cov
    np.testing.assert_array_equal(Catalog.from_table(table).theta_cov, cov)


def test_a_row_without_covariance_has_that_of_its_errors(table):
    """As of two tables one upon the other, of which one has no covariances."""
    cov = np.tile(np.diag([6400.0, 0.01, 0.01]) + 1e-3, (N_STAR, 1, 1))
    table["theta_cov"], table["feh"], table["feh_err"] = np.ma.array(cov), 0.0, 0.2
    table["theta_cov"].mask = False
    table["theta_cov"].mask[3:] = True
    found = Catalog.from_table(table).theta_cov
    np.testing.assert_allclose(found[:3], cov[:3])
    np.testing.assert_allclose(found[3:], np.diag([80.0**2, 0.1**2, 0.2**2])[None].repeat(N_STAR - 3, axis=0))


def test_an_unknown_label_is_nan(table):
    catalog = Catalog.from_table(table)
    assert np.isnan(catalog.theta[:, 2]).all()
    assert np.isnan(catalog.theta_cov[:, 2, 2]).all()
    np.testing.assert_allclose(catalog.theta_cov[:, 0, 0], 80.0**2)


BAD_VALUES = {
    "a negative error": ("gaia_g_err", -0.02, True),
    "a zero error": ("gaia_g_err", 0.0, True),
    "an infinite error": ("gaia_g_err", np.inf, True),
    "an infinite magnitude": ("gaia_g", np.inf, True),
    "an absurd magnitude": ("gaia_g", 70.0, True),
    "an absurd error": ("gaia_g_err", 1e5, True),
    "no error": ("gaia_g_err", np.nan, False),
    "a survey's mark for no error": ("gaia_g_err", 9999.0, False),
    "no magnitude": ("gaia_g", np.nan, False),
    "a survey's mark for no magnitude": ("gaia_g", -999.0, False),
    "a negative parallax error": ("parallax_err", -1.0, True),
    "no parallax": ("parallax", np.nan, False),
    "a declination beyond the pole": ("dec", 91.0, True),
    "no position": ("ra", np.nan, False),
}


@pytest.mark.parametrize("case", BAD_VALUES)
def test_a_single_bad_value_is_left_out_and_its_star_kept(table, case):
    column, value, is_bad = BAD_VALUES[case]
    expected = Catalog.from_table(table)
    table[column][4] = value
    catalog = Catalog.from_table(table)
    assert len(catalog) == N_STAR
    assert catalog.bad_input[4] == is_bad
    assert catalog.bad_input.sum() == is_bad
    field = {"gaia_g": "mag", "parallax": "parallax", "ra": "glon", "dec": "glat"}[column.removesuffix("_err")]
    values = getattr(catalog, field).reshape(N_STAR, -1)[:, 0]
    assert np.isnan(values[4])
    others = np.arange(N_STAR) != 4
    np.testing.assert_array_equal(values[others], getattr(expected, field).reshape(N_STAR, -1)[others, 0])


def test_a_row_without_any_number_is_kept(table):
    for name in table.colnames[1:-1]:
        table[name][5] = np.nan
    catalog = Catalog.from_table(table)
    assert len(catalog) == N_STAR
    assert catalog.n_bands[5] == 0
    assert not catalog.bad_input[5]


def change(**columns):
    def apply(table):
        for name, values in columns.items():
            table[name] = np.full(N_STAR, values) if np.isscalar(values) else values
        return table

    return apply


def drop(*names):
    return lambda table: table[[name for name in table.colnames if name not in names]]


def every_error(value):
    return change(gaia_g_err=value, **{"2mass_j_err": value, "wise_w1_err": value})


FLUX_JANSKY = np.linspace(1e-3, 0.5, N_STAR)
RADIANS = np.linspace(0, 6, N_STAR)
BAD_TABLES = {
    "empty": (lambda table: table[:0], "empty"),
    "no known band": (lambda table: table["name", "ra", "dec"], "no known band: expected columns such as gaia_g"),
    "no errors": (drop("gaia_g_err", "2mass_j_err", "wise_w1_err"), "no band has errors"),
    "zero errors": (change(gaia_g_err=0.0), "gaia_g_err must hold positive errors"),
    "negative errors": (change(parallax_err=-1.0), "parallax_err must hold positive errors"),
    "missing errors": (every_error(np.nan), "no star can be used"),
    "magnitudes out of range": (change(gaia_g=np.linspace(100, 200, N_STAR)), "gaia_g must hold magnitudes"),
    "fluxes in counts": (change(gaia_g=np.logspace(2, 6, N_STAR)), "convert fluxes to magnitudes"),
    "fluxes in jansky": (change(gaia_g=FLUX_JANSKY), "convert fluxes to magnitudes"),
    "fluxes by unit": (change(gaia_g=Column(FLUX_JANSKY, unit="Jy")), "gaia_g is in Jy; convert it to mag"),
    "columns that differ in case": (change(Gaia_G=1.0), "gaia_g is there twice"),
    "strings": (change(gaia_g="bright"), "gaia_g must hold numbers; row 0 holds 'bright'"),
    "sexagesimal positions": (change(ra="01:02:03"), "ra must hold numbers"),
    "declinations beyond the pole": (change(dec=100.0), "ra and dec must be within"),
    "positions in radians": (change(ra=RADIANS, dec=RADIANS / 5), "ra and dec look like radians; give them their unit"),
    "half a position": (drop("dec"), "needs both columns ra and dec"),
    "parallax in kelvin": (change(parallax=Column(np.ones(N_STAR), unit="K")), "parallax is in K; convert it to mas"),
    "a small covariance": (change(theta_cov=np.ones((N_STAR, 2, 2))), "theta_cov must hold a 3 by 3 matrix"),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_a_table_that_makes_no_sense_is_refused(table, case):
    spoil, message = BAD_TABLES[case]
    with pytest.raises(UserError, match=message) as caught:
        Catalog.from_table(spoil(table))
    assert "\n" not in str(caught.value)


def test_radians_with_their_unit_are_converted_and_degrees_of_such_a_field_are_kept(table):
    fields = {unit: table.copy() for unit in ("rad", "deg")}
    for unit, field in fields.items():
        field["ra"], field["dec"] = Column(RADIANS, unit=unit), Column(RADIANS / 5, unit=unit)
    there, near = (Catalog.from_table(field) for field in fields.values())
    assert np.ptp(near.glat) < 7 < np.ptp(there.glat)


def test_a_frame_with_a_column_twice_is_refused(table):
    frame = table.to_pandas()
    with pytest.raises(UserError, match="two columns named 'gaia_g'"):
        Catalog.from_table(pd.concat([frame, frame[["gaia_g"]]], axis=1))


def test_something_else_than_a_table_is_refused():
    with pytest.raises(UserError, match="got list"):
        Catalog.from_table([1, 2])


@pytest.mark.parametrize("ending", ["fits", "parquet", "ecsv", "vot"])
@pytest.mark.parametrize("content", [b"", b"not a table", b"\0" * 3000])
def test_a_file_that_is_not_what_its_ending_says_is_refused(tmp_path, ending, content):
    path = tmp_path / f"stars.{ending}"
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"could not be read as a .{ending} table"):
        Catalog.read(path)


@pytest.mark.parametrize(
    ("name", "message"), [("none.fits", "there is no file"), ("", "there is no file"), ("stars.txt", "no ending")]
)
def test_a_missing_or_unknown_file_is_refused(tmp_path, name, message):
    (tmp_path / "stars.txt").write_text("gaia_g\n1\n")
    with pytest.raises(UserError, match=message):
        Catalog.read(tmp_path / name)


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # astropy leaves the damaged file open
def test_a_truncated_file_is_refused(table, tmp_path):
    table.write(tmp_path / "stars.fits")
    content = (tmp_path / "stars.fits").read_bytes()
    (tmp_path / "stars.fits").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="could not be read"):
        Catalog.read(tmp_path / "stars.fits")


@pytest.mark.parametrize("line", ["12,0.1,3,4", "12"])
def test_a_csv_line_too_short_or_too_long_is_refused(tmp_path, line):
    (tmp_path / "stars.csv").write_text(f"gaia_g,gaia_g_err,parallax\n12,0.1,\n\n{line}\n")
    with pytest.raises(
        UserError, match=rf"line 4 of .*stars\.csv has {line.count(',') + 1} values, the header 3 names"
    ):
        Catalog.read(tmp_path / "stars.csv")


def test_a_csv_column_twice_is_refused(tmp_path):
    (tmp_path / "stars.csv").write_text("gaia_g,gaia_g,gaia_g_err\n12,13,0.1\n")
    with pytest.raises(UserError, match="gaia_g is there twice"):
        Catalog.read(tmp_path / "stars.csv")


def test_fits_columns_that_differ_in_case_are_refused(tmp_path):
    columns = [fits.Column(name, "D", array=[12.0]) for name in ("gaia_g", "GAIA_G", "gaia_g_err")]
    fits.BinTableHDU.from_columns(columns).writeto(tmp_path / "stars.fits")
    with pytest.raises(UserError, match="twice"):
        Catalog.read(tmp_path / "stars.fits")


def test_messages_name_the_file(table, tmp_path):
    drop("gaia_g", "2mass_j", "wise_w1")(table).write(tmp_path / "stars.csv")
    with pytest.raises(UserError, match=r"stars\.csv: no known band"):
        Catalog.read(tmp_path / "stars.csv")


def test_a_band_without_errors_is_not_used_and_that_is_said(table):
    with pytest.warns(UserWarning, match="no column 2mass_j_err"):
        catalog = Catalog.from_table(drop("2mass_j_err")(table))
    assert catalog.bands == ("gaia_g", "wise_w1")


def test_column_names_ignore_case(table):
    expected = Catalog.from_table(table)
    table.rename_column("gaia_g", "GAIA_G")
    assert_same_stars(Catalog.from_table(table), expected)


@pytest.mark.parametrize(
    "index", [slice(2, 7, 2), np.array([5, 0]), np.arange(N_STAR) > 8, 3, -1], ids=["slice", "array", "mask", "3", "-1"]
)
def test_selected_stars_keep_their_identity(table, index):
    catalog = Catalog.from_table(table)
    selected = catalog[index]
    rows = np.atleast_1d(np.arange(N_STAR)[index])
    np.testing.assert_array_equal(selected.row, rows)
    np.testing.assert_array_equal(selected.mag, catalog.mag[rows])
    np.testing.assert_array_equal(selected.theta_cov, catalog.theta_cov[rows])
    np.testing.assert_array_equal(selected.extra["note"], rows)
    assert list(selected.ids) == [f"star {i}" for i in rows]


def test_rows_of_a_file(table, tmp_path):
    table.write(tmp_path / "stars.ecsv")
    catalog = Catalog.read(tmp_path / "stars.ecsv", rows=slice(3, 5))
    np.testing.assert_array_equal(catalog.row, [3, 4])
    with pytest.raises(UserError, match=r"rows 20:30 of .* hold no star; it has rows 0 to 11"):
        Catalog.read(tmp_path / "stars.ecsv", rows=slice(20, 30))


def test_select_bands_aligns_to_a_model(table):
    catalog = Catalog.from_table(table)
    aligned = catalog.select_bands(DEFAULT_BANDS)
    assert aligned.bands == DEFAULT_BANDS
    np.testing.assert_array_equal(aligned.n_bands, 3)
    np.testing.assert_array_equal(aligned.mag[:, DEFAULT_BANDS.index("wise_w1")], catalog.mag[:, 2])
    np.testing.assert_array_equal(aligned.select_bands(catalog.bands).mag_err, catalog.mag_err)


def test_error_floor_adds_in_quadrature(table):
    catalog = Catalog.from_table(table)
    np.testing.assert_allclose(catalog.with_error_floor(0.03).mag_err ** 2, catalog.mag_err**2 + 0.03**2)
    for floor in (-0.1, np.nan):
        with pytest.raises(UserError, match="error floor"):
            catalog.with_error_floor(floor)


def test_an_error_floor_can_be_taken_off_again(table):
    catalog = Catalog.from_table(table)
    again = catalog.with_error_floor(0.03).without_error_floor(0.03)
    np.testing.assert_allclose(again.mag_err, catalog.mag_err, rtol=1e-6)
    assert np.nanmin(catalog.without_error_floor(np.nanmin(catalog.mag_err)).mag_err) == pytest.approx(1e-4)
    for floor in (-0.1, np.nan, 1.001 * np.nanmin(catalog.mag_err) + 1e-3):
        with pytest.raises(UserError, match="floor"):
            catalog.without_error_floor(floor)


def test_without_leaves_a_measurement_out(table):
    catalog = Catalog.from_table(table)
    assert np.isnan(catalog.without("parallax").parallax).all()
    assert np.isnan(catalog.without("2mass_j").mag[:, 1]).all()
    np.testing.assert_array_equal(catalog.without("2mass_j").n_bands, 2)
    with pytest.raises(UserError, match="cannot leave out 'colour'"):
        catalog.without("colour")


def test_to_table_round_trip(table, tmp_path):
    catalog = Catalog.from_table(table)
    assert_same_stars(Catalog.from_table(catalog.to_table()), catalog)
    assert catalog.to_table()["note"].tolist() == list(range(N_STAR))
    catalog.to_table().write(tmp_path / "stars.fits")
    assert_same_stars(Catalog.read(tmp_path / "stars.fits"), catalog)


def test_stars_without_a_telling_name_go_by_row(table):
    table["name"] = "star"
    np.testing.assert_array_equal(Catalog.from_table(table).ids, np.arange(N_STAR).astype(str))
    table["source_id"] = np.arange(100, 100 + N_STAR)
    np.testing.assert_array_equal(Catalog.from_table(table).ids, np.arange(100, 100 + N_STAR).astype(str))


def test_repr_says_what_there_is(table):
    assert repr(Catalog.from_table(table)) == (
        "<Catalog of 12 stars; bands gaia_g, 2mass_j, wise_w1; parallax, position, teff, logg>"
    )


def test_real_stars_are_read_whole(green2020_stars):
    catalog = Catalog.read(green2020_stars)
    assert catalog.bands == DEFAULT_BANDS
    assert len(catalog) == 8000
    assert not catalog.bad_input.any()
    assert (catalog.parallax < 0).any()
    np.testing.assert_array_equal(catalog.theta_cov, np.swapaxes(catalog.theta_cov, 1, 2))
