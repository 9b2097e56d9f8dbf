"""Runs in chunks: the same result as in one piece, and a killed run goes on where it stopped."""

import json
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from pyarrow import parquet

from albireo import catalog as catalog_module
from albireo.catalog import Catalog
from albireo.compress import decompress
from albireo.inference import infer
from albireo.model import load_model
from albireo.priors import load_prior
from albireo.scale.chunks import infer_in_chunks

STARS = Path(catalog_module.__file__).parent / "data" / "planet_hosts.ecsv"
N_STAR, CHUNK = 4, 2


class Killed(Exception):
    """Stands for whatever ends a run early."""


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog.read(STARS)[:N_STAR]


@pytest.fixture(scope="module")
def infer_stars():
    model = load_model("default")
    return partial(infer, model=model, prior=load_prior("milky-way", model), sampler="importance", seed=1)


@pytest.fixture(scope="module")
def in_one_piece(catalog, infer_stars, tmp_path_factory) -> Table:
    output = tmp_path_factory.mktemp("whole") / "run"
    infer_in_chunks(catalog, infer_stars, output, {}, keep_draws=True)
    assert (output / "posterior.nc").exists()
    return Table.read(output / "summary.parquet")


def assert_same(summary: Table, other: Table) -> None:
    assert summary.colnames == other.colnames
    assert list(summary["name"]) == list(other["name"])
    np.testing.assert_allclose(summary["teff_p50"], other["teff_p50"], rtol=1e-3)


def test_chunks_give_the_same_as_one_piece(catalog, infer_stars, in_one_piece, tmp_path):
    infer_in_chunks(catalog, infer_stars, tmp_path / "run", {}, chunk_size=CHUNK)
    assert_same(Table.read(tmp_path / "run" / "summary.parquet"), in_one_piece)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["run.json", "summary.parquet"]


def test_a_killed_run_goes_on_where_it_stopped(catalog, infer_stars, in_one_piece, tmp_path):
    done, skipped = [], []

    def killed_in_the_second_chunk(stars):
        if done:
            raise Killed
        done.append(stars.row)
        return infer_stars(stars)

    def go_on(stars):
        done.append(stars.row)
        return infer_stars(stars)

    with pytest.raises(Killed):
        infer_in_chunks(catalog, killed_in_the_second_chunk, tmp_path / "run", {}, chunk_size=CHUNK)
    assert not (tmp_path / "run" / "summary.parquet").exists()
    options = {"resume": True, "chunk_size": CHUNK, "skipped": skipped.append}
    infer_in_chunks(catalog, go_on, tmp_path / "run", {}, **options)
    np.testing.assert_array_equal(np.concatenate(done), np.arange(N_STAR))
    assert skipped == [CHUNK]
    assert_same(Table.read(tmp_path / "run" / "summary.parquet"), in_one_piece)


def test_a_chunk_cut_off_while_it_was_written_is_done_again(catalog, infer_stars, in_one_piece, tmp_path):
    def killed_at_once(stars):
        raise Killed

    with pytest.raises(Killed):
        infer_in_chunks(catalog, killed_at_once, tmp_path / "run", {}, chunk_size=CHUNK)
    assert not (tmp_path / "run").exists()
    (tmp_path / "run" / "chunks").mkdir(parents=True)
    (tmp_path / "run" / "chunks" / "partial-00000.parquet").write_bytes(b"PAR1 and then the power went")
    settings = {"stars": N_STAR, "draws": False, "chunk_size": CHUNK}
    (tmp_path / "run" / "run.json").write_text(
        json.dumps({"versions": {"albireo": version("albireo")}, "settings": settings})
    )
    infer_in_chunks(catalog, infer_stars, tmp_path / "run", {}, resume=True, chunk_size=CHUNK)
    assert_same(Table.read(tmp_path / "run" / "summary.parquet"), in_one_piece)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["run.json", "summary.parquet"]


def test_ids_of_any_type_are_written(catalog, infer_stars, tmp_path):
    table = catalog.to_table()
    table["source_id"] = np.ma.masked_array(np.arange(N_STAR), mask=np.arange(N_STAR) == 2)
    table["object_id"] = [b"a", b"b", b"c", b"d"]
    table["run_id"] = np.array(["x", None, "y", "z"], object)
    infer_in_chunks(Catalog.from_table(table), infer_stars, tmp_path / "run", {}, chunk_size=CHUNK)
    summary = Table.read(tmp_path / "run" / "summary.parquet")
    assert list(summary["source_id"]) == [0, 1, -1, 3]
    assert list(summary["object_id"]) == list("abcd")
    assert list(summary["run_id"]) == ["x", "", "y", "z"]


def test_compressed_posteriors_stand_beside_the_summary(catalog, infer_stars, tmp_path):
    output = tmp_path / "run"
    infer_in_chunks(catalog, infer_stars, output, {}, chunk_size=CHUNK, keep_compressed=True)
    assert sorted(path.name for path in output.iterdir()) == ["compressed.parquet", "run.json", "summary.parquet"]
    drawn, summary = (
        decompress(parquet.read_table(output / "compressed.parquet")),
        Table.read(output / "summary.parquet"),
    )
    assert list(drawn["star"].values) == list(summary["name"])
    for name in ("teff", "distance", "reddening"):
        off = drawn[name].values[0].mean(axis=0) - np.asarray(summary[f"{name}_mean"])
        assert np.all(np.abs(off) < 0.2 * np.asarray(summary[f"{name}_std"]))
