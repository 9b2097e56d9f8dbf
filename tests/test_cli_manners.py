"""The command line's manners: examples, completion, quiet, JSON, and what it says of an installation."""

import errno
import json
import os
import shlex
import subprocess
import sys
import warnings
from importlib.metadata import version

import pytest
from astropy.table import Table
from packaging.requirements import Requirement

from albireo import cli, doctor
from commands import COMMANDS, unparsed
from surveys import archives


def run(capsys, *arguments) -> tuple[int, str, str]:
    code = cli.run([str(argument) for argument in arguments])
    output = capsys.readouterr()
    return code, output.out, output.err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_ends_in_an_example_that_works(name, capsys):
    command = COMMANDS[name]
    assert command.epilog.startswith(f"Example: albireo {name}")
    assert unparsed(shlex.split(command.epilog)[2:]) == []
    code, out, _ = run(capsys, *name.split(), "--help")
    assert code == 0
    assert "Example:" in out


def test_shells_can_complete_commands():
    environment = os.environ | {"_ALBIREO_COMPLETE": "complete_bash", "COMP_WORDS": "albireo sky", "COMP_CWORD": "1"}
    command = [sys.executable, "-c", "from albireo.cli import main; main()"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.stdout.split() == ["sky-maps"]


def test_quiet_says_nothing_where_there_is_something_to_say(tmp_path, capsys):
    Table({"star": ["a", "b"], "distance_p50": [100.0, 200.0], "flags": [0, 1]}).write(tmp_path / "summary.parquet")
    assert run(capsys, "convert", tmp_path, "-o", tmp_path / "told.fits")[1].startswith("2 stars in")
    assert run(capsys, "convert", tmp_path, "-o", tmp_path / "quiet.fits", "--quiet") == (0, "", "")
    assert len(Table.read(tmp_path / "quiet.fits")) == 2


def test_every_command_that_works_for_long_can_be_quiet():
    for name in ("infer", "demo", "calibrate", "train", "read", "match", "add-reddening", "zero-points", "convert"):
        assert any("--quiet" in parameter.opts for parameter in COMMANDS[name].params), name


def test_lists_come_as_json(tmp_path, capsys):
    models = json.loads(run(capsys, "models", "--json")[1])
    assert models[0]["name"] == "default"
    assert models[0]["labels"] == ["teff", "logg", "feh"]
    assert models[0]["held_out"]["num_stars"] > 0
    priors = {prior["name"]: prior["description"] for prior in json.loads(run(capsys, "priors", "--json")[1])}
    assert {"flat", "milky-way"} <= set(priors)
    Table({"gaia_g": [10.0], "gaia_g_err": [0.01]}).write(tmp_path / "t.fits")
    columns = json.loads(run(capsys, "columns", tmp_path / "t.fits", "--json")[1])
    assert columns["have"] == ["gaia_g", "gaia_g_err"]
    assert "to infer" not in columns["missing"]
    assert "teff" in columns["missing"]["to train"]


def test_doctor_says_what_there_is(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("ALBIREO_DATA", str(tmp_path / "none"))
    code, out, err = run(capsys, "doctor", "--json")
    report = json.loads(out)
    assert (code, err, report["problems"]) == (0, "", [])
    assert report["versions"]["jax"] == version("jax")
    assert report["devices"][0].startswith("cpu")
    assert report["bundled"]["models"] == ["default"]
    assert "milky-way" in report["bundled"]["priors"]
    assert report["cache"]["folder"] == os.environ["JAX_COMPILATION_CACHE_DIR"]
    assert report["data"]["found"] is False
    code, out, err = run(capsys, "doctor")
    assert (code, err) == (0, "")
    assert "(no such folder)" in out
    assert version("arviz") in out


def test_doctor_tells_of_missing_packages(capsys, monkeypatch):
    needed, extras = (
        [Requirement("nosuchpackage>=2"), Requirement("numpy>=1000")],
        {"hats": [Requirement("nosuchhats")]},
    )
    monkeypatch.setattr(doctor, "_requirements", lambda: (needed, extras))
    code, out, err = run(capsys, "doctor")
    assert code == 2
    assert err == "nosuchpackage>=2 is not installed; `pip install 'nosuchpackage>=2'`.\n"
    assert "pip install 'albireo[hats]'" in out
    problems = json.loads(run(capsys, "doctor", "--json")[1])["problems"]
    assert "numpy>=1000" in problems[1]


def test_doctor_counts_the_code_that_is_kept(tmp_path, monkeypatch):
    (tmp_path / "jax").mkdir()
    (tmp_path / "jax" / "code").write_bytes(bytes(1000))
    monkeypatch.setattr("albireo.cache.cache_folder", lambda: tmp_path / "jax")
    assert doctor.examine()["cache"] == {"folder": str(tmp_path / "jax"), "files": 1, "bytes": 1000}
    monkeypatch.setattr("albireo.cache.cache_folder", lambda: None)
    assert "off: compiled code and priors are made anew" in "\n".join(doctor.lines(doctor.examine()))


@pytest.mark.parametrize(("number", "code"), [(errno.ENOSPC, 2), (errno.EIO, 1)])
def test_a_full_disk_is_no_failure_of_ours(capsys, monkeypatch, tmp_path, number, code):
    def fail(*arguments, **options):
        raise OSError(number, os.strerror(number), str(tmp_path / "read.fits"))

    Table({"gaia_g": [10.0], "gaia_g_err": [0.01]}).write(tmp_path / "t.fits")
    monkeypatch.delenv("ALBIREO_DEBUG", raising=False)
    monkeypatch.setattr("albireo.tables.read_table", fail)
    status, out, err = run(capsys, "columns", tmp_path / "t.fits")
    assert (status, out, err.count("\n")) == (code, "", 1)
    assert ("make room" in err) == (code == 2)


def test_a_note_is_shown_once_however_many_chunks_give_rise_to_it(capsys):
    with warnings.catch_warnings():
        cli._prepare_process()
        for _ in range(3):
            warnings.warn_explicit("no position.", UserWarning, "inference.py", 1, module="albireo.inference")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # as packages do, whereupon Python forgets what was shown
        warnings.warn_explicit("of another package.", UserWarning, "other.py", 1, module="other")
    assert capsys.readouterr().err == "note: no position.\n"


def test_a_table_that_the_disk_does_not_hold_is_told_and_leaves_nothing(capsys, monkeypatch, tmp_path):
    """Writers of other packages raise errors of the disk without their number."""

    def fail(table, path, **options):
        path.write_bytes(b"half")
        raise OSError("Not enough space on disk: requested 1344, available 0.")

    archives.gaia().write(tmp_path / "gaia.fits")
    monkeypatch.setattr(Table, "write", fail)
    status, out, err = run(capsys, "read", tmp_path / "gaia.fits", "--survey", "gaia-dr2", "-o", tmp_path / "read.fits")
    assert (status, out) == (2, "")
    assert "read.fits cannot be written (Not enough space" in err
    assert "make room" in err
    assert [path.name for path in tmp_path.iterdir()] == ["gaia.fits"]
