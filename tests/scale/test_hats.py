"""HATS catalogues: partition by partition on a real cluster, also when a worker dies; mistakes in a sentence."""

import json
import os
import signal
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from astropy import units as u
from astropy.table import Table
from pyarrow import parquet

from albireo import catalog as catalog_module
from albireo import cli
from albireo.catalog import Catalog
from albireo.model import load_model
from albireo.scale import hats as albireo_hats

pytestmark = pytest.mark.filterwarnings("ignore")  # other people's: lsdb and dask warn of their own future
lsdb = pytest.importorskip("lsdb")
pytest.importorskip("distributed")
HOSTS = Path(catalog_module.__file__).parent / "data" / "planet_hosts.ecsv"
N_STAR = 60


@pytest.fixture(scope="module")
def stars(tmp_path_factory) -> Path:
    """A HATS catalogue of some partitions of two orders, with positions by names of its own.

    The stars are real ones, for those of arbitrary magnitudes would go on to the other samplers.
    """
    table = Catalog.read(HOSTS)[:N_STAR].to_table()
    table["RA_ICRS"], table["DE_ICRS"] = np.linspace(0, 359, N_STAR), 80 * np.sin(np.arange(N_STAR))
    table["RA_ICRS"][:40], table["DE_ICRS"][:40] = np.linspace(40, 60, 40), np.linspace(10, 30, 40)
    taken = ("ra", "dec", "glon", "glat", "theta_cov")
    table.remove_columns([name for name in taken if name in table.colnames])
    path = tmp_path_factory.mktemp("hats") / "stars"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        catalog = lsdb.from_dataframe(
            table.to_pandas(), ra_column="RA_ICRS", dec_column="DE_ICRS", partition_rows=12, margin_threshold=None
        )
        catalog.to_hats(base_catalog_path=path, catalog_name="stars", progress_bar=False)
    return path


def arguments_for(stars: Path, output: Path) -> list[str]:
    return ["infer", str(stars), "-o", str(output), "--sampler", "importance", "--seed", "4"]


NO_CATALOGUES = {
    "an empty folder": ({}, "is neither a table nor the folder of a HATS catalogue; give the path of one of them"),
    "nothing but properties": ({"hats.properties": "obs_collection=stars"}, "could not be read as a HATS catalogue"),
    "no metadata": ({"hats.properties": None}, "could not be read as a HATS catalogue"),
}


@pytest.mark.parametrize("case", NO_CATALOGUES)
def test_a_folder_that_is_no_hats_catalogue_is_refused(stars, tmp_path, capsys, case):
    (folder := tmp_path / "folder").mkdir()
    files, message = NO_CATALOGUES[case]
    for name, text in files.items():
        (folder / name).write_text(text or next(stars.rglob(name)).read_text())
    assert cli.run(["infer", str(folder), "-o", str(tmp_path / "run")]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nowhere"])
def test_an_unreachable_scheduler_is_told_soon(stars, tmp_path, capsys, address):
    started = time.monotonic()
    assert cli.run(["infer", str(stars), "-o", str(tmp_path / "run"), "--dask", address]) == 2
    err = capsys.readouterr().err
    assert f"there is no Dask scheduler at {address}" in err
    assert err.count("\n") == 1
    assert time.monotonic() - started < 30
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("option", [["--limit", "3"], ["--rows", "1:2"], ["--draws"], ["--compressed"]])
def test_options_of_files_are_refused(stars, tmp_path, capsys, option):
    assert cli.run(["infer", str(stars), "-o", str(tmp_path / "run"), *option]) == 2
    assert f"{option[0]} works with a file of stars" in capsys.readouterr().err


@pytest.mark.slow
def test_a_cluster_infers_the_same_when_a_worker_dies(stars, tmp_path, capsys):
    """And what it writes can be gone on with."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        first = next(iter(cluster.workers.values())).pid

        def kill():
            while not list((tmp_path / "run").rglob("Npix=*.parquet")):
                time.sleep(0.05)
            os.kill(first, signal.SIGKILL)

        killer = threading.Thread(target=kill, daemon=True)
        killer.start()
        for name in ("run", "undisturbed"):
            assert cli.run([*arguments_for(stars, tmp_path / name), "--dask", cluster.scheduler_address]) == 0
        killer.join()
        assert all(worker.pid != first for worker in cluster.workers.values())
    assert_same(tmp_path / "run", tmp_path / "undisturbed", stars)
    assert_is_a_catalogue_that_says_what_it_holds(tmp_path / "run")
    assert_is_converted_with_all_that_it_says(tmp_path / "run")
    assert_is_shown_or_a_sentence_says_what_to_do(tmp_path / "run", capsys)


def test_the_only_worker_dies_and_its_successor_is_given_the_model(stars, tmp_path, monkeypatch):
    """With a stand-in for the inference of a partition, that kills the first process it runs in."""
    from distributed import LocalCluster
    from hats import HealpixPixel

    died, done = tmp_path / "died", []

    def stand_in(frame, shared, positions, pixel, output, settings):
        if not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        path = albireo_hats._file(output, HealpixPixel(*pixel))
        path.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(pa.Table.from_pandas(frame), path)
        return len(frame) if shared["model"].bands else 0

    monkeypatch.setattr(albireo_hats, "_infer_partition", stand_in)
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
        problem = {"model": load_model("default")}
        address = cluster.scheduler_address
        albireo_hats.infer_hats(stars, problem, tmp_path / "run", {"seed": 4}, dask=address, progress=done.append)
    assert died.exists()
    assert sum(done) == N_STAR
    assert len(lsdb.open_catalog(tmp_path / "run").compute()) == N_STAR


def assert_same(run: Path, undisturbed: Path, stars: Path) -> None:
    found, same, given = (lsdb.open_catalog(path).compute() for path in (run, undisturbed, stars))
    assert sorted(found["name"]) == sorted(given["name"])
    assert list(found["star"]) == list(found["name"])
    np.testing.assert_array_equal(found.index, same.index)
    np.testing.assert_array_equal(found["teff_p50"].to_numpy(float), same["teff_p50"].to_numpy(float))
    positions = given.set_index("name").loc[found["name"], ["RA_ICRS", "DE_ICRS"]]
    np.testing.assert_array_equal(found[["RA_ICRS", "DE_ICRS"]].to_numpy(float), positions.to_numpy(float))
    assert not (run / "partitions").exists()


def assert_is_a_catalogue_that_says_what_it_holds(run: Path) -> None:
    from hats.io.validation import is_valid_catalog

    assert is_valid_catalog(run, strict=True)
    said = (run / "hats.properties").read_text()
    assert f"hats_nrows={N_STAR}" in said
    assert "hats_builder=albireo" in said
    paths = list(run.rglob("Npix=*.parquet"))
    assert len(paths) > 5
    for path in paths:
        for kind in ("parquet", "parquet.votable"):
            table = Table.read(path, format=kind)
            assert table["teff_p50"].unit == u.K
            assert table["RA_ICRS"].unit == u.deg
            assert table["DE_ICRS"].meta["ucd"] == "pos.eq.dec;meta.main"
            assert table["row"].description == "row of the star in its partition of the input, from 0"
            assert all(table[name].description for name in table.colnames)


def assert_is_converted_with_all_that_it_says(run: Path) -> None:
    part = Table.read(next(run.rglob("Npix=*.parquet")))
    for path in (run.with_suffix(ending) for ending in (".fits", ".vot", ".ecsv")):
        assert cli.run(["convert", str(run), "-o", str(path)]) == 0
        table = Table.read(path)
        assert len(table) == N_STAR
        assert table.colnames == part.colnames
        for name in part.colnames:
            assert (table[name].unit, table[name].description) == (part[name].unit, part[name].description)
            assert (table[name].meta or {}).get("ucd") == (part[name].meta or {}).get("ucd")


def assert_is_shown_or_a_sentence_says_what_to_do(run: Path, capsys) -> None:
    assert cli.run(["plot", "kiel", str(run), "-o", str(run.with_name("kiel.png"))]) == 0
    assert cli.run(["sky-maps", str(run), "-o", str(run.with_name("maps")), "--nside", "4"]) == 0
    capsys.readouterr()
    assert cli.run(["report", str(run), "-o", str(run.with_name("report.html"))]) == 0
    assert f"{N_STAR} of {N_STAR} stars" in capsys.readouterr().out
    assert "infer this star from a table of its own" in run.with_name("report.html").read_text(encoding="utf-8")
    for kind in ("cmd", "pulls", "corner", "sed", "trace"):
        assert cli.run(["plot", kind, str(run), "-o", str(run.with_name("no.png"))]) == 2
        err = capsys.readouterr().err
        assert "is of a HATS catalogue" in err
        assert "from a table of" in err
        assert err.count("\n") == 1


@pytest.mark.slow
def test_a_partition_that_fails_does_not_stop_the_others_and_is_done_again(stars, tmp_path, capsys):
    """Where its folder should go there is a file; the run is finished when that is gone."""
    output = tmp_path / "run"
    arguments = arguments_for(stars, output)
    file = next(stars.rglob("Npix=*.parquet"))
    blocked = output / "partitions" / "-".join(part.split("=")[1] for part in (file.parts[-3], file.stem))

    def block():
        while not (output / "run.json").exists():
            time.sleep(0.01)
        blocked.parent.mkdir(parents=True, exist_ok=True)
        blocked.write_text("in the way")
        left = output / file.relative_to(stars if (stars / "dataset").exists() else stars / "stars")
        left.parent.mkdir(parents=True, exist_ok=True)
        left.with_name(f"partial-{left.name}").write_bytes(b"PAR1 and then the worker died")

    blocker = threading.Thread(target=block, daemon=True)
    blocker.start()
    code = cli.run([*arguments, "--dask", "local"])
    blocker.join()
    err = capsys.readouterr().err
    assert code == 1, err
    assert "1 of" in err
    assert "go on with --resume" in err
    assert 0 < len(lsdb.open_catalog(output).compute()) < N_STAR
    blocked.unlink()
    before = {path: path.stat().st_mtime_ns for path in output.rglob("Npix=*.parquet")}
    assert cli.run([*arguments, "--resume"]) == 0
    assert len(lsdb.open_catalog(output).compute()) == N_STAR
    assert all(path.stat().st_mtime_ns == then for path, then in before.items())
    assert json.loads((output / "run.json").read_text())["settings"]["seed"] == 4
    assert cli.run([*arguments, "--resume", "--error-floor", "0.1"]) == 2
    assert "was started with error_floor" in capsys.readouterr().err
