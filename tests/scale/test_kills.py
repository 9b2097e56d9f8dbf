"""Runs that are killed, or that the disk fails: nothing is lost, nothing is there twice."""

import errno
import os
import subprocess
import sys

import numpy as np
import pytest
from astropy.table import Table

from albireo import output as output_module
from albireo.errors import UserError
from scale.stand_in import CHUNK, make_stars, run

N_STAR = 300


@pytest.fixture(scope="module")
def stars(tmp_path_factory):
    path = tmp_path_factory.mktemp("kills") / "stars.parquet"
    make_stars(N_STAR).to_pandas().to_parquet(path, row_group_size=70)
    return path


@pytest.fixture(scope="module")
def undisturbed(stars):
    run(stars, stars.parent / "run")
    return (stars.parent / "run" / "summary.parquet").read_bytes()


@pytest.mark.slow
def test_twenty_kills_at_random_moments_change_nothing(stars, undisturbed, tmp_path):
    script = "from scale.stand_in import run_and_kill; run_and_kill()"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", script, stars, tmp_path, "20"], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr
    resumed = int(done.stdout)
    assert resumed >= 10, "most runs were killed before they had begun"
    folders = list(tmp_path.iterdir())
    for folder in folders:
        run(stars, folder)
        assert (folder / "summary.parquet").read_bytes() == undisturbed
        assert sorted(path.name for path in folder.iterdir()) == ["run.json", "summary.parquet"]


@pytest.mark.parametrize("fails", [1, 2, 9, N_STAR // CHUNK + 2])
def test_a_full_disk_is_told_and_the_run_goes_on(stars, undisturbed, tmp_path, monkeypatch, fails):
    """The disk is full at the manifest, the first chunk, a later one, or the table of all."""
    sync, calls = output_module._sync, []

    def full(path):
        if path.name.startswith("partial-"):
            calls.append(path)
            if len(calls) == fails:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(path)

    monkeypatch.setattr(output_module, "_sync", full)
    with pytest.raises(UserError, match=r"No space left on device.*go on with --resume"):
        run(stars, tmp_path / "run")
    assert not list((tmp_path / "run").rglob("partial-*"))
    assert len(list((tmp_path / "run").glob("chunks/*.parquet"))) == max(fails - 2, 0)
    run(stars, tmp_path / "run")
    assert (tmp_path / "run" / "summary.parquet").read_bytes() == undisturbed


def test_the_chunks_make_the_same_table_whatever_their_size(stars, undisturbed, tmp_path):
    run(stars, tmp_path / "run", chunk_size=111)
    summary, same = (Table.read(path / "run" / "summary.parquet") for path in (tmp_path, stars.parent))
    assert all(np.array_equal(summary[name], same[name]) for name in same.colnames)
    assert list(summary["name"][[0, -1]]) == ["star 0", f"star {N_STAR - 1}"]


def test_draws_of_a_long_run_are_kept_by_chunk(stars, tmp_path):
    run(stars, tmp_path / "run", draws=True, chunk_size=120)
    files = sorted(path.name for path in (tmp_path / "run" / "posterior").iterdir())
    assert files == ["00000.nc", "00001.nc", "00002.nc"]
    assert (tmp_path / "run" / "posterior" / "00001.nc").read_text().startswith("star 120 star 121")


def test_a_damaged_chunk_is_told(stars, undisturbed, tmp_path, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("albireo.scale.chunks.join_parts", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(stars, tmp_path / "run")
    damaged = tmp_path / "run" / "chunks" / "00007.parquet"
    damaged.write_bytes(b"PAR1 bits have rotted")
    with pytest.raises(UserError, match=r"00007.parquet is damaged .*; delete it and go on with --resume"):
        run(stars, tmp_path / "run")
    damaged.unlink()
    run(stars, tmp_path / "run")
    assert (tmp_path / "run" / "summary.parquet").read_bytes() == undisturbed
