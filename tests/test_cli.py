"""The command line: real runs, and every mistake of a user answered by one sentence, status 2 and nothing written."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

from albireo import Importance, cli
from albireo.bands import DEFAULT_BANDS
from albireo.catalog import Catalog
from albireo.posterior import Posterior

STARS = Path(cli.__file__).parents[1] / "data" / "planet_hosts.ecsv"
N_STAR = 4  # with the few of other tests one batch size, hence one compilation


def run(capsys, *arguments) -> tuple[int, str, str]:
    code = cli.run([str(argument) for argument in arguments])
    output = capsys.readouterr()
    return code, output.out, output.err


def infer(capsys, *arguments, sampler="importance") -> tuple[int, str, str]:
    return run(capsys, "infer", *arguments, "--sampler", sampler)


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture
def write_stars(tmp_path):
    """Write some of the bundled stars, changed by a function, to a file."""

    def write(change=lambda table: table, name="stars.ecsv") -> Path:
        change(Table.read(STARS)[:20]).write(tmp_path / name, format="ascii.csv" if name.endswith(".csv") else None)
        return tmp_path / name

    return write


def set_column(name, values):
    def change(table):
        table[name] = np.full(len(table), values) if np.isscalar(values) else values
        return table

    return change


def keep_columns(*names):
    return lambda table: table[list(names)]


def every_band(value):
    def change(table):
        for name in [name for name in table.colnames if name.startswith(("gaia", "2mass", "wise"))]:
            table[name] = np.full(len(table), value)
        return table

    return change


BAD_TABLES = {
    "empty": (lambda table: table[:0], "the table is empty"),
    "no known band": (keep_columns("name", "ra", "dec"), "no known band"),
    "no errors": (keep_columns("name", "gaia_g"), "no band has errors"),
    "negative errors": (set_column("gaia_g_err", -0.02), "gaia_g_err must hold positive errors"),
    "zero errors": (set_column("gaia_g_err", 0.0), "gaia_g_err must hold positive errors"),
    "all NaN": (every_band(np.nan), "no star can be used"),
    "out of range": (set_column("gaia_g", np.linspace(50, 60, 20)), "gaia_g must hold magnitudes"),
    "fluxes": (set_column("gaia_g", np.logspace(3, 5, 20)), "convert fluxes to magnitudes"),
    "strings": (set_column("gaia_g", "bright"), "gaia_g must hold numbers"),
    "a column twice": (set_column("GAIA_G", 12.0), "gaia_g is there twice"),
}


def assert_refused(capsys, output: Path, message: str, *arguments) -> None:
    code, out, err = run(capsys, "infer", *arguments, "-o", output)
    assert code == 2, err
    assert message in err
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert out == ""
    assert not output.exists()


@pytest.mark.parametrize("case", BAD_TABLES)
def test_a_bad_table_is_refused(capsys, tmp_path, write_stars, case):
    change, message = BAD_TABLES[case]
    assert_refused(capsys, tmp_path / "run", message, write_stars(change))


BAD_FILES = {
    "none.fits": (None, "there is no file"),
    "stars.txt": (b"gaia_g\n1\n", "no ending that albireo knows"),
    "stars.fits": (b"not FITS at all", "could not be read as a .fits table"),
    "stars.parquet": (b"PAR1", "could not be read as a .parquet table"),
    "stars.csv": (b"", "the table is empty"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_refused(capsys, tmp_path, name):
    content, message = BAD_FILES[name]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert_refused(capsys, tmp_path / "run", message, tmp_path / name)


BAD_OPTIONS = {
    "an unknown model": (["--model", "none"], "there is no model file none"),
    "a foreign model": (["--model", STARS], "is not a model file or is damaged"),
    "an unknown prior": (["--prior", "bulge"], "there is no prior 'bulge'"),
    "a missing prior file": (["--prior", "none.toml"], "there is no prior file"),
    "an unknown sampler": (["--sampler", "emcee"], "there is no sampler 'emcee'; choose one of"),
    "a negative seed": (["--seed", "-1"], "--seed"),
    "a seed in words": (["--seed", "seven"], "--seed"),
    "rows without a colon": (["--rows", "5"], "--rows must be A:B"),
    "rows backwards": (["--rows", "7:3"], "--rows must be A:B"),
    "rows beyond the end": (["--rows", "700:800"], "rows 700:800"),
    "no rows": (["--limit", "0"], "--limit"),
    "an unknown measurement": (["--without", "colour"], "cannot leave out 'colour'"),
    "a negative floor": (["--error-floor", "-0.1"], "--error-floor"),
    "a floor that the errors cannot hold": (["--floor-in-errors", "0.5"], "floor"),
    "a floor that is not a number": (["--error-floor", "nan"], "floor"),
    "an unknown option": (["--speed", "9"], "No such option"),
}


@pytest.mark.parametrize("case", BAD_OPTIONS)
def test_a_bad_option_is_refused(capsys, tmp_path, case):
    options, message = BAD_OPTIONS[case]
    assert_refused(capsys, tmp_path / "run", message, STARS, *options)


def test_a_broken_prior_file_is_refused(capsys, tmp_path):
    (tmp_path / "prior.toml").write_text("[component\n")
    assert_refused(capsys, tmp_path / "run", "prior.toml", STARS, "--prior", tmp_path / "prior.toml")


def test_a_damaged_model_is_refused(capsys, tmp_path):
    content = (STARS.parent / "default.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(content[: len(content) // 2])
    assert_refused(capsys, tmp_path / "run", "damaged", STARS, "--model", tmp_path / "model.safetensors")


def test_an_output_below_a_file_is_refused(capsys, tmp_path):
    (tmp_path / "file").write_text("here first")
    assert_refused(capsys, tmp_path / "file" / "run", "cannot be made", STARS)


def test_an_output_that_is_a_file_is_refused(capsys, tmp_path):
    (tmp_path / "file").write_text("here first")
    code, _, err = infer(capsys, STARS, "-o", tmp_path / "file")
    assert (code, err.count("\n")) == (2, 1)
    assert (tmp_path / "file").read_text() == "here first"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_output_without_permission_is_refused(capsys, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    assert_refused(capsys, tmp_path / "locked" / "run", "no permission", STARS)


@pytest.mark.parametrize("held", ["run.json", "summary.parquet", "posterior.nc"])
def test_an_output_with_another_run_is_left_alone(capsys, tmp_path, held):
    (tmp_path / held).write_text("another run")
    code, _, err = infer(capsys, STARS, "-o", tmp_path, "--limit", 2)
    assert code == 2
    assert "already holds a run" in err
    assert (tmp_path / held).read_text() == "another run"
    assert files_in(tmp_path) == [held]


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory) -> Path:
    """A short run in a process of its own; one star has a bad magnitude, one has no photometry."""
    folder = tmp_path_factory.mktemp("finished")
    table = Table.read(STARS)[:N_STAR]
    table["2mass_j"][1] = 77.0
    for name in [name for name in table.colnames if name.startswith(("gaia", "2mass", "wise"))]:
        table[name][3] = np.nan
    table.write(folder / "stars.ecsv")
    command = "from albireo.cli import main; main()"
    options = ["-o", folder / "run", "--sampler", "importance", "--seed", "3"]
    # JAX, imported by this process, has set its own; the command must do without.
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    arguments = [sys.executable, "-c", command, "infer", folder / "stars.ecsv", *options]
    done = subprocess.run(arguments, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return folder


def test_infer_writes_a_summary_of_every_star(finished_run):
    assert files_in(finished_run / "run") == ["posterior.nc", "run.json", "summary.parquet"]
    summary = Table.read(finished_run / "run" / "summary.parquet")
    stars = Catalog.read(finished_run / "stars.ecsv")
    assert list(summary["name"]) == list(stars.ids)
    assert list(summary["row"]) == list(range(N_STAR))
    for variable in ("teff", "logg", "feh", "distance_modulus", "reddening", "distance", "extinction"):
        for statistic in ("mean", "std", "p16", "p50", "p84"):
            assert f"{variable}_{statistic}" in summary.colnames
    for column in ("chi2", "n_bands", "k_hat", "flags"):
        assert column in summary.colnames


def test_bad_stars_are_flagged_and_kept(finished_run):
    summary = Table.read(finished_run / "run" / "summary.parquet")
    assert summary["flags"][1] != 0
    assert summary["flags"][3] != 0
    assert list(summary["n_bands"][[1, 3]]) == [Catalog.read(finished_run / "stars.ecsv").n_bands[1], 0]


def test_infer_is_near_the_published_labels(finished_run):
    summary = Table.read(finished_run / "run" / "summary.parquet")
    published = Table.read(finished_run / "stars.ecsv")["teff"]
    good = np.arange(N_STAR) != 3
    np.testing.assert_allclose(summary["teff_p50"][good], published[good], rtol=0.1)


def test_posterior_of_a_run_opens(finished_run):
    posterior = Posterior.load(finished_run / "run" / "posterior.nc")
    summary = Table.read(finished_run / "run" / "summary.parquet")
    np.testing.assert_allclose(posterior.summary()["teff_p50"], summary["teff_p50"], rtol=1e-3)


def test_summary_opens_in_pandas(finished_run):
    import pandas as pd

    assert len(pd.read_parquet(finished_run / "run" / "summary.parquet")) == N_STAR


def test_a_finished_run_is_not_run_again(capsys, finished_run):
    before = (finished_run / "run" / "summary.parquet").stat().st_mtime_ns
    arguments = [finished_run / "stars.ecsv", "-o", finished_run / "run", "--resume"]
    assert infer(capsys, *arguments, "--seed", 3)[0] == 0
    assert (finished_run / "run" / "summary.parquet").stat().st_mtime_ns == before


CHANGED = {
    "seed": ["--seed", "4"],
    "limit": ["--seed", "3", "--limit", "2"],
    "prior": ["--seed", "3", "--prior", "flat"],
    "error_floor": ["--seed", "3", "--error-floor", "0.01"],
    "floor_in_errors": ["--seed", "3", "--floor-in-errors", "0.001"],
    "without": ["--seed", "3", "--without", "parallax"],
}


@pytest.mark.parametrize("name", CHANGED)
def test_resuming_with_other_settings_is_refused(capsys, finished_run, name):
    arguments = [finished_run / "stars.ecsv", "-o", finished_run / "run", "--resume"]
    code, _, err = infer(capsys, *arguments, *CHANGED[name])
    assert code == 2
    assert f"was started with {name} " in err


def test_rows_and_limit_select_stars(capsys, finished_run, tmp_path):
    options = ["--rows", "1:4", "--limit", "2", "--seed", "3"]
    code, _, err = infer(capsys, finished_run / "stars.ecsv", "-o", tmp_path / "run", *options)
    assert (code, err) == (0, "")
    summary = Table.read(tmp_path / "run" / "summary.parquet")
    assert list(summary["row"]) == [1, 2]
    # A star's draws depend on the seed and its row, not on which stars it is inferred with.
    whole = Table.read(finished_run / "run" / "summary.parquet")
    np.testing.assert_allclose(summary["teff_p50"], whole["teff_p50"][1:3], rtol=1e-3)


def test_priors_and_models_are_listed(capsys):
    code, out, _ = run(capsys, "priors")
    assert code == 0
    assert {"flat", "edsd", "milky-way"} <= {line.split()[0] for line in out.splitlines()}
    code, out, _ = run(capsys, "models")
    assert code == 0
    assert "default" in out
    assert "held-out" in out


def test_held_out_stars_of_another_table_are_refused(capsys, tmp_path, green2020_stars):
    some = tmp_path / "some.fits"
    Table.read(green2020_stars)[:100].write(some)
    code, out, err = run(capsys, "evaluate", "default", some, "--held-out")
    assert (code, out) == (2, "")
    assert "leave out --held-out" in err


def test_evaluate_prints_figures(capsys, green2020_stars):
    published = green2020_stars.parent / "green2020_published"
    arguments = ["evaluate", "default", green2020_stars, "--held-out", "--against", published]
    code, out, err = run(capsys, *arguments, "--json")
    assert code == 0
    assert "give --floor-in-errors 0.02" in err  # or the floor that is still in the errors counts with the scatter too
    figures = json.loads(out)
    for name in ("model", "published"):
        assert figures[name]["num_stars"] == 800
        assert 0.7 < figures[name]["chi2_per_dof"] < 1.0
        assert figures[name]["outlier_fraction"] < 0.05
    code, out, err = run(capsys, *arguments, "--floor-in-errors", "0.02")
    assert f"{figures['published']['chi2_per_dof']:.3f}" in out
    assert (code, err) == (0, "")


def test_evaluate_writes_tables_and_figures_of_the_stars_it_can_draw(capsys, tmp_path, small_evaluation):
    code, out, err = run(capsys, "evaluate", *small_evaluation, "-o", tmp_path / "new" / "evaluation")
    assert code == 0
    # The notes, a line each: two groups that the table does not tell, and what a model of two bands cannot show.
    notes = err.splitlines()
    assert all(line.startswith("note: ") and "left out" in line for line in notes)
    assert all(any(word in line for line in notes) for word in ("survey", "reddening source", "residuals.png"))
    folder = tmp_path / "new" / "evaluation"
    written = json.loads((folder / "evaluation.json").read_text())
    assert f"{written['model']['chi2_per_dof']:.3f}" in out
    assert set(written["model"]["by_band"]) == {"gaia_g", "2mass_j"}
    assert len(written["run"]["left_out"]) == len(notes)
    table = Table.read(folder / "evaluation.ecsv")
    assert table["loss"][0] == pytest.approx(written["model"]["loss"])
    pictures = {path.stem for path in folder.glob("*.png")}
    assert {"color_magnitude", "mean_labels", "extinction_variation"} <= pictures
    assert all((folder / f"{name}.png").read_bytes().startswith(b"\x89PNG") for name in pictures)
    before = files_in(tmp_path)
    code, out, err = run(capsys, "evaluate", *small_evaluation, "-o", folder)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "is not empty" in err
    assert files_in(tmp_path) == before


@pytest.fixture
def small_evaluation(tmp_path_factory, green2020_stars):
    """A model of two bands, and a table with nothing but what it needs."""
    from albireo.model import load_model, save_model

    folder = tmp_path_factory.mktemp("small")
    save_model(load_model("default").select_bands(["gaia_g", "2mass_j"]), folder / "two.safetensors")
    table = Table.read(green2020_stars)[:400]
    table.remove_columns(["survey", "reddening_source"])
    table.write(folder / "stars.fits")
    return folder / "two.safetensors", folder / "stars.fits"


BAD_FOLDERS = {
    "a file": (lambda path: path.write_text("not a folder"), "not a folder"),
    "another run": (lambda path: path.mkdir() or (path / "run.json").write_text("{}"), "run.json"),
}


@pytest.mark.parametrize("case", BAD_FOLDERS)
def test_evaluate_refuses_a_folder_before_it_begins(capsys, tmp_path, case):
    make, message = BAD_FOLDERS[case]
    make(tmp_path / "taken")
    before = files_in(tmp_path)
    code, out, err = run(capsys, "evaluate", "none", STARS, "-o", tmp_path / "taken")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert files_in(tmp_path) == before


def test_a_folder_that_cannot_be_written_after_all_is_left_as_it_was(tmp_path, monkeypatch):
    from albireo.errors import UserError
    from albireo.output import write_files

    def fail(path, content):
        path.touch()
        if path.name == "b":
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(UserError, match="No space left"):
        write_files(tmp_path / "folder", {"a": b"", "b": b"", "c": b""})
    assert files_in(tmp_path) == []


BAD_EVALUATIONS = {
    "an unknown model": (["none", STARS], "there is no model file"),
    "a missing table": (["default", "none.fits"], "there is no file"),
    "a missing network": (["default", STARS, "--against", "none"], "none"),
}


@pytest.mark.parametrize("case", BAD_EVALUATIONS)
def test_a_bad_evaluation_is_refused(capsys, case):
    arguments, message = BAD_EVALUATIONS[case]
    code, out, err = run(capsys, "evaluate", *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


@pytest.mark.slow
def test_train_writes_a_model_that_infer_takes(capsys, tmp_path, green2020_stars, monkeypatch):
    # Of the shape of the bundled model, and without fallbacks: inference with it needs no other compiled code.
    monkeypatch.setattr(Importance, "fallbacks", lambda self: ())
    quick = {"iterations": 2, "epochs": 2, "refine_epochs": 0, "scatter": "false"}
    (tmp_path / "quick.toml").write_text("".join(f"{key} = {value}\n" for key, value in quick.items()))
    stars = Table.read(green2020_stars)[:1500]
    stars["reddening_err"][3] = 0.0
    stars.write(tmp_path / "stars.fits")
    model, config = tmp_path / "model.safetensors", tmp_path / "quick.toml"
    arguments = ["train", tmp_path / "stars.fits", "-o", model, "--config", config, "--floor-in-errors", 0.02]
    arguments += ["--bands", ",".join(DEFAULT_BANDS)]
    code, out, err = run(capsys, *arguments, "--seed", 1)
    assert (code, err) == (
        0,
        "note: rows left out because reddening is missing, or reddening_err is not positive: 1.\n",
    )
    assert "held-out stars" in out
    assert files_in(tmp_path) == ["model.safetensors", "quick.toml", "stars.fits"]
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert "already there" in err
    options = ["--model", model, "--limit", 2, "--sampler", "importance"]
    assert infer(capsys, STARS, "-o", tmp_path / "run", *options)[0] == 0


BAD_TRAININGS = {
    "no reddening": ([STARS], "reddening"),
    "a missing table": (["none.fits"], "there is no file"),
    "a band that is not there": ([STARS, "--bands", "gaia_g, ps1_g"], "no band 'ps1_g'"),
    "a label that is not there": ([STARS, "--labels", "teff,alpha_fe"], "no star has the label 'alpha_fe'"),
    "a missing configuration": ([STARS, "--config", "none.toml"], "none.toml"),
}


@pytest.mark.parametrize("case", BAD_TRAININGS)
def test_a_bad_training_is_refused(capsys, tmp_path, case):
    arguments, message = BAD_TRAININGS[case]
    code, out, err = run(capsys, "train", *arguments, "-o", tmp_path / "model.safetensors")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert files_in(tmp_path) == []


def test_a_training_that_was_stopped_is_not_written_over(capsys, tmp_path):
    checkpoint = tmp_path / "model.safetensors.checkpoint"
    checkpoint.write_bytes(b"hours of work")
    arguments = ["train", STARS, "-o", tmp_path / "model.safetensors"]
    code, out, err = run(capsys, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "add --resume, or --overwrite" in err
    assert "reddening" in run(capsys, *arguments, "--overwrite")[2]
    assert checkpoint.read_bytes() == b"hours of work"


def test_a_model_in_a_missing_folder_is_refused(capsys, tmp_path):
    code, _, err = run(capsys, "train", STARS, "-o", tmp_path / "none" / "model.safetensors")
    assert code == 2
    assert "existing folder" in err


def test_our_own_failure_is_status_1_without_a_traceback(capsys, monkeypatch):
    def fail():
        raise RuntimeError("the cause\nin two lines")

    monkeypatch.delenv("ALBIREO_DEBUG", raising=False)
    monkeypatch.setattr("albireo.priors.list_priors", fail)
    code, out, err = run(capsys, "priors")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "RuntimeError: the cause in two lines; please report it" in err


def test_help_and_no_command_say_what_there_is(capsys):
    for arguments in ([], ["--help"]):
        code, out, err = run(capsys, *arguments)
        assert (code, err) == (0, "")
        assert all(name in out for name in ("infer", "train", "evaluate", "demo", "calibrate", "priors", "models"))


def test_help_needs_no_heavy_import():
    script = "import sys; from albireo import cli; sys.exit(any(name in sys.modules for name in ('jax', 'astropy')))"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
