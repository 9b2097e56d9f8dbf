"""Maps of the sky: each pixel holds what is counted by hand, and mistakes are told in a sentence."""

import errno
import os

import healpy as hp
import numpy as np
import pytest
from astropy.table import Table

from albireo import cli

NSIDE, N_STAR = 4, 3000


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of stars in half of the sky, some of them without a position or a posterior."""
    rng = np.random.default_rng(3)
    table = Table({"glon": rng.uniform(0, 180, N_STAR), "glat": np.degrees(np.arcsin(rng.uniform(-1, 1, N_STAR)))})
    table["distance_p50"] = rng.uniform(0, 3000, N_STAR)
    table["reddening_p50"] = table["distance_p50"] / 3000 * np.exp(-np.abs(table["glat"]) / 20)
    table["flags"] = rng.integers(0, 3, N_STAR)
    table["glon"][:10] = np.nan
    table["reddening_p50"][10:40] = table["distance_p50"][10:40] = np.nan
    folder = tmp_path_factory.mktemp("sky")
    table.write(folder / "summary.parquet")
    return folder


@pytest.fixture(scope="module")
def maps(run):
    arguments = ["sky-maps", run, "-o", run / "maps", "--nside", NSIDE, "--distances", "0:1000:2500"]
    assert cli.run(list(map(str, arguments))) == 0
    names = ("count", "flagged", "reddening_0_1000", "reddening_1000_2500")
    found = dict(zip(names, hp.read_map(run / "maps" / "sky_maps.fits", field=None), strict=True))
    with_header = hp.read_map(run / "maps" / "sky_maps.fits", h=True)[1]
    assert {value for key, value in with_header if key.startswith("TTYPE")} == set(names)
    assert dict(with_header)["COORDSYS"] == "G"
    return found


def test_every_pixel_holds_what_its_stars_have(run, maps):
    table = Table.read(run / "summary.parquet")
    table = table[np.isfinite(table["glon"])]
    pixel = hp.ang2pix(NSIDE, np.array(table["glon"]), np.array(table["glat"]), lonlat=True)
    for i in (0, 30, 95, 100, 191):
        stars = table[pixel == i]
        assert maps["count"][i] == len(stars)
        if not len(stars):
            assert maps["flagged"][i] == hp.UNSEEN
            continue
        assert maps["flagged"][i] == pytest.approx(np.mean(stars["flags"] > 0))
        near = stars[stars["distance_p50"] < 1000]["reddening_p50"]
        assert maps["reddening_0_1000"][i] == (pytest.approx(np.mean(near)) if len(near) else hp.UNSEEN)
    assert maps["count"].sum() == N_STAR - 10


def test_the_picture_is_one(run, maps):
    assert (run / "maps" / "sky_maps.png").read_bytes().startswith(b"\x89PNG")


MISTAKES = {
    "no run": (["nowhere"], "holds no summary.parquet"),
    "an odd nside": (["RUN", "--nside", "7"], "nside must be a power of two"),
    "falling distances": (["RUN", "--distances", "5:3"], "rising"),
    "words for distances": (["RUN", "--distances", "near:far"], "--distances must be numbers"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_told(run, tmp_path, capsys, case):
    arguments, message = MISTAKES[case]
    arguments = [str(run) if argument == "RUN" else argument for argument in arguments]
    assert cli.run(["sky-maps", *arguments, "-o", str(tmp_path / "maps")]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "maps").exists()


def test_a_damaged_summary_is_told(tmp_path, capsys):
    (tmp_path / "summary.parquet").write_bytes(b"PAR1 no more")
    assert cli.run(["sky-maps", str(tmp_path), "-o", str(tmp_path / "maps")]) == 2
    assert "could not be read" in capsys.readouterr().err


@pytest.mark.parametrize("full", ["healpy.write_map", "matplotlib.figure.Figure.savefig"])
def test_a_full_disk_is_told_and_leaves_nothing(run, tmp_path, monkeypatch, capsys, full):
    """The disk is full at the first file, or at the second."""

    def fail(*arguments, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(full, fail)
    assert cli.run(["sky-maps", str(run), "-o", str(tmp_path / "maps"), "--nside", str(NSIDE)]) == 2
    err = capsys.readouterr().err
    assert "No space left on device" in err
    assert "make room" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "maps").exists()
