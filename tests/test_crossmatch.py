"""Matching stars: against brute force over all pairs, with large proper motions, and by tables of neighbours."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table
from astropy.time import Time

from albireo import cli
from albireo.crossmatch import default_radius, match_neighbours, match_positions, match_tables
from albireo.errors import UserError

NUM = 300
EPOCH = 2015.5


def stars(seed=0, num=NUM, where=(120.0, 40.0), size=0.02):
    """Stars of a crowded field, some of them fast."""
    rng = np.random.default_rng(seed)
    table = Table({"source_id": 10**18 + np.arange(num)})
    table["dec"] = where[1] + size * rng.uniform(-1, 1, num)
    table["ra"] = (where[0] + size * rng.uniform(-1, 1, num) / np.cos(np.deg2rad(where[1]))) % 360
    speed = 10 ** rng.uniform(0, 4, num)  # up to that of Barnard's star, in mas/yr
    angle = rng.uniform(0, 2 * np.pi, num)
    table["pmra"], table["pmdec"] = speed * np.cos(angle), speed * np.sin(angle)
    table["ref_epoch"] = np.full(num, EPOCH)
    table["gaia_g"], table["gaia_g_err"] = np.linspace(10, 18, num), np.full(num, 0.02)
    return table


def moved(table, epoch):
    """Positions at other epochs, by astropy."""
    coords = SkyCoord(
        table["ra"] * u.deg,
        table["dec"] * u.deg,
        pm_ra_cosdec=table["pmra"] * u.mas / u.yr,
        pm_dec=table["pmdec"] * u.mas / u.yr,
        distance=np.full(len(table), 10) * u.pc,
        obstime=Time(EPOCH, format="jyear"),
    )
    there = coords.apply_space_motion(Time(epoch, format="jyear"))
    return there.ra.deg, there.dec.deg


def sources(reference, seed=1, band="2mass_j", scatter=0.1, epochs=(1997.5, 2001.0)):
    """The same stars years before, in another order, most of them; with others that are none of them."""
    rng = np.random.default_rng(seed)
    epoch = rng.uniform(*epochs, len(reference))
    ra, dec = moved(reference, epoch)
    dec = dec + scatter / 3600 * rng.normal(size=len(ra))
    ra = ra + scatter / 3600 * rng.normal(size=len(ra)) / np.cos(np.deg2rad(dec))
    table = Table(
        {"designation": [f"s{i:04d}" for i in range(len(ra))], "ra": ra % 360, "dec": dec, "ref_epoch": epoch}
    )
    table[band], table[f"{band}_err"] = reference["gaia_g"] - 2, np.full(len(ra), 0.03)
    return table[rng.permutation(len(ra))[: len(ra) * 4 // 5]]


def brute_force(reference, other, radius):
    """Pairs of mutually nearest, from all separations."""
    separation = np.empty((len(reference), len(other)))
    for j in range(len(other)):
        years = other["ref_epoch"][j] - reference["ref_epoch"]
        east = np.deg2rad(reference["pmra"] * years / 3.6e6)
        north = np.deg2rad(reference["pmdec"] * years / 3.6e6)
        start = SkyCoord(reference["ra"] * u.deg, reference["dec"] * u.deg)
        length = np.arctan(np.hypot(east, north)) * u.rad
        at = start.directional_offset_by(np.arctan2(east, north) * u.rad, length)
        separation[:, j] = at.separation(SkyCoord(other["ra"][j] * u.deg, other["dec"][j] * u.deg)).arcsec
    inside = np.where(separation <= radius, separation, np.inf)
    pairs = {
        (i, j) for i, j in enumerate(inside.argmin(axis=1)) if np.isfinite(inside[i, j]) and inside[:, j].argmin() == i
    }
    several, shared = ((np.isfinite(inside).sum(axis=axis) > 1).sum() for axis in (1, 0))
    return pairs, several, shared


@pytest.mark.parametrize(("where", "radius"), [((120.0, 40.0), 0.4), ((0.0, -30.0), 0.4), ((10.0, 89.97), 5.0)])
def test_matches_are_those_of_brute_force(where, radius):
    reference = stars(where=where)
    other = sources(reference)
    match = match_positions(reference, other, radius)
    expected, several, shared = brute_force(reference, other, radius)
    assert set(zip(match.reference.tolist(), match.other.tolist(), strict=True)) == expected
    assert len(expected) > NUM // 2
    assert (match.several, match.shared) == (several, shared)
    assert (match.separation <= radius).all()
    if radius > 1:
        assert several > 10
        assert shared > 10


def test_fast_stars_are_lost_without_their_motion():
    reference = stars()
    other = sources(reference)
    still = reference["source_id", "ra", "dec"]
    assert len(match_positions(still, other, 0.4).reference) < len(match_positions(reference, other, 0.4).reference) / 2
    undated = other["designation", "ra", "dec"]
    assert match_positions(reference, undated, 0.4).moved == 0
    assert match_positions(reference, other, 0.4).moved > NUM / 2


def test_a_star_with_half_a_proper_motion_stays_where_it_is():
    star = Table({"ra": [10.0], "dec": [60.0], "ref_epoch": [2015.5], "pmra": [np.nan], "pmdec": [500.0]})
    there = Table({"ra": [10.0], "dec": [60.0], "ref_epoch": [2000.0]})
    match = match_positions(star, there, 0.2)
    assert (len(match.reference), match.moved) == (1, 0)


def test_a_star_alone_keeps_missing_values():
    reference = stars(num=20)
    other = sources(reference, scatter=0.01)[:5]
    table = match_tables(reference, {"2mass": other})
    assert len(table) == 20
    found = np.isfinite(table["2mass_j"])
    assert found.sum() == 5
    np.testing.assert_allclose(table["2mass_j"][found], table["gaia_g"][found] - 2)
    assert table["designation"].mask.tolist() == (~found).tolist()
    assert table.meta["matches"]["2mass"]["matched"] == 5


def two_for_one(offsets, num_reference):
    """Stars and sources at some distances [arcsec] from a point."""
    place = {"ra": np.full(len(offsets), 30.0), "dec": 10 + np.asarray(offsets) / 3600}
    table = Table(place | {"ref_epoch": np.full(len(offsets), EPOCH)})
    one, other = table[:num_reference], table[num_reference:]
    one["source_id"], other["objID"] = np.arange(len(one)) + 1, np.arange(len(other)) + 1
    other["ps1_g"], other["ps1_g_err"] = np.arange(len(other)) + 15.0, 0.02
    return one, other


def test_the_nearest_wins_both_ways():
    reference, other = two_for_one([0.0, 0.10, 0.04], 2)  # two stars, a source nearer to the first
    match = match_positions(reference, other, 0.2)
    assert (match.reference.tolist(), match.other.tolist()) == ([0], [0])
    assert (match.several, match.shared) == (0, 1)
    reference, other = two_for_one([0.0, 0.15, -0.1], 1)  # a star, two sources
    match = match_positions(reference, other, 0.2)
    assert (match.reference.tolist(), match.other.tolist()) == ([0], [1])
    assert (match.several, match.shared) == (1, 0)


def test_radii_are_those_of_the_paper():
    assert default_radius(Table({"ps1_g": [1.0]})) == default_radius(Table({"teff": [1.0]})) == 0.2
    assert default_radius(Table({"2mass_j": [1.0]})) == default_radius(Table({"wise_w1": [1.0]})) == 0.4


def test_tables_of_neighbours():
    reference, other = stars(num=10), sources(stars(num=10))
    rows = Table({"source_id": reference["source_id"][[3, 4, 5, 6, 6]]})
    rows["original_ext_source_id"] = [*other["designation"][[0, 1, 1, 2, 3]]]
    rows["angular_distance"] = [0.1, 0.3, 0.2, 0.4, 0.1]
    match = match_neighbours(reference, other, rows)
    assert sorted(zip(match.reference.tolist(), match.other.tolist(), strict=True)) == [(3, 0), (5, 1), (6, 3)]
    assert (match.several, match.shared) == (1, 1)
    unknown = Table({"source_id": [5], "original_ext_source_id": ["elsewhere"]})
    assert not len(match_neighbours(reference, other, unknown).reference)
    table = match_tables(reference, {"2mass": other}, neighbours={"2mass": rows})
    assert np.isfinite(table["2mass_j"]).sum() == 3


def test_stars_that_another_survey_calls_extended_are_left_out():
    reference = stars(num=20)
    other = sources(reference, scatter=0.01)
    other["extended"] = np.arange(len(other)) < 3
    table = match_tables(reference, {"2mass": other})
    assert len(table) == 17
    assert table.meta["matches"]["2mass"]["stars left out as extended"] == 3
    assert "extended" not in table.colnames


def with_labels(reference, survey, rows):
    table = reference[rows]["ra", "dec", "ref_epoch"]
    table["survey"] = [survey] * len(rows)
    for label, value in (("teff", 5000.0), ("logg", 4.0), ("feh", 0.0)):
        table[label], table[f"{label}_err"] = np.full(len(rows), value), np.full(len(rows), 0.1)
    return table


def test_tables_with_labels_are_stacked():
    reference = stars(num=20)
    spectra = {"galah": with_labels(reference, "GALAH", [1, 2, 3]), "apogee": with_labels(reference, "APOGEE", [3, 4])}
    spectra["apogee"]["theta_cov"] = np.tile(np.eye(3), (2, 1, 1))
    table = match_tables(reference, spectra | {"2mass": sources(reference, scatter=0.01)})
    assert table["source_id"].tolist() == reference["source_id"][[1, 2, 3, 3, 4]].tolist()
    assert table["survey"].tolist() == ["GALAH"] * 3 + ["APOGEE"] * 2
    assert table.meta["matches"]["galah"]["stars without labels left out"] == 17
    assert "2mass_j" in table.colnames


def test_columns_of_the_same_name():
    reference = stars(num=20)
    tables = {"2mass": sources(reference), "wise": sources(reference, band="wise_w1")}
    table = match_tables(reference, tables)
    assert {"designation", "wise_designation"} <= set(table.colnames)
    with pytest.raises(UserError, match="both have a column 2mass_j"):
        match_tables(reference, {"one": sources(reference), "two": sources(reference)})


def test_mistakes():
    reference, other = stars(num=10), sources(stars(num=10))
    with pytest.raises(UserError, match="the other table has no columns ra and dec"):
        match_positions(reference, other["designation", "2mass_j"], 0.2)
    twice = reference[[0, 1, 1]]
    rows = Table({"source_id": [5], "original_ext_source_id": ["elsewhere"]})
    with pytest.raises(UserError, match="is there twice, in rows 1 and 2"):
        match_neighbours(twice, other, rows)
    with pytest.raises(UserError, match="no column original_ext_source_id"):
        match_neighbours(reference, other, rows["source_id",])
    with pytest.raises(UserError, match="no star of the reference matches a star with labels"):
        match_tables(reference, {"galah": with_labels(stars(num=10, where=(10.0, 10.0)), "GALAH", [1, 2])})
    with pytest.raises(UserError, match="the table 2mass is empty"):
        match_tables(reference, {"2mass": other[:0]})


def test_the_command(tmp_path, capsys):
    reference = stars(num=20)
    reference.write(tmp_path / "gaia.fits")
    sources(reference, scatter=0.01).write(tmp_path / "2mass.fits")
    gaia, other, out = (str(tmp_path / name) for name in ("gaia.fits", "2mass.fits", "out.fits"))
    rows = Table({"source_id": reference["source_id"][:3], "original_ext_source_id": ["s0000", "s0001", "s0002"]})
    rows.write(tmp_path / "near.csv")
    assert cli.run(["match", gaia, other, "-o", out, "--neighbours", f"{other}={tmp_path / 'near.csv'}"]) == 0
    there = set(Table.read(other)["designation"].tolist()) & {"s0000", "s0001", "s0002"}
    assert np.isfinite(Table.read(out)["2mass_j"]).sum() == len(there) > 0
    assert cli.run(["match", gaia, other, "-o", out, "--overwrite"]) == 0
    assert "16 matched, 16 of them moved to the epoch of the source" in " ".join(capsys.readouterr().err.split())
    table = Table.read(out)
    assert np.isfinite(table["2mass_j"]).sum() == 16
    for wrong in (["--radius", "0"], ["--neighbours", "x=y"]):
        assert cli.run(["match", gaia, other, "-o", out, "--overwrite", *wrong]) == 2
