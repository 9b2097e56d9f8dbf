"""HATS catalogues: partition by partition on a real cluster, also when a worker dies; mistakes in a sentence."""

import json
import os
import signal
import threading
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.table import Table

from albireo import cli
from albireo.model import load_model
from albireo.priors import load_prior
from albireo.samplers import Importance
from scale.stand_in import make_stars

pytestmark = pytest.mark.filterwarnings("ignore")  # other people's: lsdb and dask warn of their own future
lsdb = pytest.importorskip("lsdb")
pytest.importorskip("distributed")
N_STAR = 60


@pytest.fixture(scope="module")
def stars(tmp_path_factory) -> Path:
    """A HATS catalogue of some partitions of two orders, with positions by names of its own."""
    table = make_stars(N_STAR)
    table["ra"][:40], table["dec"][:40] = np.linspace(40, 60, 40), np.linspace(10, 30, 40)
    table.rename_columns(["ra", "dec"], ["RA_ICRS", "DE_ICRS"])
    path = tmp_path_factory.mktemp("hats") / "stars"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        catalog = lsdb.from_dataframe(
            table.to_pandas(), ra_column="RA_ICRS", dec_column="DE_ICRS", partition_rows=12, margin_threshold=None
        )
        catalog.to_hats(base_catalog_path=path, catalog_name="stars", progress_bar=False)
    return path


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


@pytest.fixture(scope="module")
def inferred(stars, tmp_path_factory) -> Path:
    """The folder of two runs on a cluster of two workers, one of which is killed in the first run."""
    from distributed import LocalCluster

    from albireo.scale.hats import infer_hats

    folder = tmp_path_factory.mktemp("inferred")
    model = load_model("default").with_spread(None)
    problem = {"model": model, "prior": load_prior("edsd", model), "sampler": Importance(num_samples=200)}
    done = []
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        first = next(iter(cluster.workers.values())).pid

        def kill():
            while not list((folder / "run").rglob("Npix=*.parquet")):
                time.sleep(0.05)
            os.kill(first, signal.SIGKILL)

        killer = threading.Thread(target=kill, daemon=True)
        killer.start()
        run = partial(infer_hats, stars, problem, settings={"seed": 4}, dask=cluster.scheduler_address)
        num = run(output=folder / "run", progress=done.append)
        killer.join()
        assert all(worker.pid != first for worker in cluster.workers.values())
        assert run(output=folder / "undisturbed") == num > 5
    assert sum(done) == N_STAR
    assert len(lsdb.open_catalog(folder / "run").get_healpix_pixels()) == num
    return folder


@pytest.mark.slow
def test_a_cluster_infers_the_same_when_a_worker_dies(stars, inferred):
    found, same, given = (
        lsdb.open_catalog(path).compute() for path in (inferred / "run", inferred / "undisturbed", stars)
    )
    assert sorted(found["source_id"]) == sorted(given["source_id"])
    np.testing.assert_array_equal(found.index, same.index)
    np.testing.assert_array_equal(found["teff_p50"].to_numpy(float), same["teff_p50"].to_numpy(float))
    positions = given.set_index("source_id").loc[found["source_id"], ["RA_ICRS", "DE_ICRS"]]
    np.testing.assert_array_equal(found[["RA_ICRS", "DE_ICRS"]].to_numpy(float), positions.to_numpy(float))
    assert not (inferred / "run" / "partitions").exists()


@pytest.mark.slow
def test_what_is_written_is_a_catalogue_that_says_what_it_holds(inferred):
    from hats.io.validation import is_valid_catalog

    assert is_valid_catalog(inferred / "run", strict=True)
    said = (inferred / "run" / "hats.properties").read_text()
    assert f"hats_nrows={N_STAR}" in said
    assert "hats_builder=albireo" in said
    for path in (inferred / "run").rglob("Npix=*.parquet"):
        for kind in ("parquet", "parquet.votable"):
            table = Table.read(path, format=kind)
            assert table["teff_p50"].unit == u.K
            assert table["RA_ICRS"].unit == u.deg
            assert table["DE_ICRS"].meta["ucd"] == "pos.eq.dec;meta.main"
            assert table["row"].description == "row of the star in its partition of the input, from 0"
            assert all(table[name].description for name in table.colnames)


@pytest.mark.slow
@pytest.mark.parametrize("ending", [".fits", ".vot", ".ecsv"])
def test_it_is_converted_with_all_that_it_says(inferred, tmp_path, ending):
    assert cli.run(["convert", str(inferred / "run"), "-o", str(tmp_path / f"all{ending}")]) == 0
    table, part = Table.read(tmp_path / f"all{ending}"), Table.read(next((inferred / "run").rglob("Npix=*.parquet")))
    assert len(table) == N_STAR
    assert table.colnames == part.colnames
    for name in part.colnames:
        assert (table[name].unit, table[name].description) == (part[name].unit, part[name].description)
        assert (table[name].meta or {}).get("ucd") == (part[name].meta or {}).get("ucd")


@pytest.mark.slow
def test_it_is_shown_or_a_sentence_says_what_to_do(inferred, tmp_path, capsys):
    run = str(inferred / "run")
    assert cli.run(["plot", "kiel", run, "-o", str(tmp_path / "kiel.png")]) == 0
    assert cli.run(["sky-maps", run, "-o", str(tmp_path / "maps"), "--nside", "4"]) == 0
    assert cli.run(["report", run, "-o", str(tmp_path / "report.html")]) == 0
    assert f"{N_STAR} of {N_STAR} stars" in capsys.readouterr().out
    for kind in ("cmd", "pulls", "corner", "sed", "trace"):
        assert cli.run(["plot", kind, run, "-o", str(tmp_path / "no.png")]) == 2
        err = capsys.readouterr().err
        assert "is of a HATS catalogue" in err
        assert "from a table of" in err
        assert err.count("\n") == 1


@pytest.mark.slow
def test_a_partition_that_fails_does_not_stop_the_others_and_is_done_again(stars, tmp_path, capsys):
    """Where its folder should go there is a file; the run is finished when that is gone."""
    output = tmp_path / "run"
    arguments = ["infer", str(stars), "-o", str(output), "--sampler", "importance", "--prior", "edsd", "--seed", "4"]
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
    code = cli.run(arguments)
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
