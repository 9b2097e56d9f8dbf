"""A run's folder: what figures and the report read of it, and every figure that the command line draws."""

import json
import shutil

import numpy as np
import pytest

from albireo import UserError, cli
from albireo.catalog import Catalog
from albireo.fingerprint import fingerprint
from albireo.model.io import model_path
from albireo.runs import Run
from albireo.samplers import Problem
from made_up import settings_of, write_run
from stars import TRUTHS, simulate

N_STAR = 6
KINDS = {
    "corner": True,
    "sed": True,
    "trace": True,
    "rank": True,
    "kiel": False,
    "cmd": False,
    "sightline": False,
    "pulls": False,
}


def run_command(capsys, *arguments):
    code = cli.run([str(argument) for argument in arguments])
    output = capsys.readouterr()
    return code, output.out, output.err


@pytest.fixture(scope="module")
def problem(model, milky_way):
    return Problem(model, milky_way)


@pytest.fixture(scope="module")
def folder(problem, tmp_path_factory):
    """A run with draws, and its input with labels, beside each other."""
    place = tmp_path_factory.mktemp("runs")
    table = simulate(problem.model, TRUTHS * 2).to_table()
    table.remove_column("theta_cov")
    for i, (label, width) in enumerate(zip(problem.model.labels, (60, 0.1, 0.15), strict=True)):
        table[label] = [theta[i] for theta, _, _ in TRUTHS * 2]
        table[f"{label}_err"] = np.full(N_STAR, width)
    table["name"] = [f"Star {number}" for number in range(N_STAR)]
    table.write(place / "stars.ecsv")
    settings = settings_of(place / "stars.ecsv")
    write_run(place / "run", problem, Catalog.read(place / "stars.ecsv"), settings)
    return place


@pytest.fixture
def copy(folder, tmp_path):
    shutil.copytree(folder / "run", tmp_path / "run")
    return tmp_path / "run"


def test_a_run_knows_its_stars_input_and_problem(folder, problem):
    run = Run.open(folder / "run")
    assert (run.num_stars, len(run.summary)) == (N_STAR, N_STAR)
    assert run.flags == {0: 4, 64: 2}
    assert run.engines == {"nuts": N_STAR}
    assert run.settings["seed"] == 0
    assert list(run.catalog().ids) == list(run.summary["star"])
    assert run.problem().model.bands == problem.model.bands
    assert str(run.posterior(2).tree["posterior"]["star"].values[0]) == "Star 2"


def test_some_stars_are_chosen_by_the_seed_and_stay_what_they_are(folder):
    whole, some, again, other = (
        Run.open(folder / "run", num, seed) for num, seed in ((None, 0), (3, 1), (3, 1), (3, 2))
    )
    assert len(some.summary) == 3
    assert some.num_stars == N_STAR
    assert some.summary.equals(again.summary)
    assert not np.array_equal(some.summary["row"], other.summary["row"])
    assert some.summary.equals(whole.summary.iloc[some.summary["row"]].reset_index(drop=True))
    assert list(some.catalog().ids) == list(some.summary["star"])
    for places, posterior in some.posteriors():
        assert list(posterior.tree["posterior"]["star"].values) == list(some.summary["star"].iloc[places])


def test_draws_in_several_files_are_found(folder, copy):
    from albireo import Posterior

    posterior = Posterior.load(copy / "posterior.nc")
    (copy / "posterior").mkdir()
    posterior[:4].save(copy / "posterior" / "00000.nc")
    posterior[4:].save(copy / "posterior" / "00001.nc")
    (copy / "posterior.nc").unlink()
    whole, parts = Run.open(folder / "run"), Run.open(copy)
    for index in (0, 5):
        np.testing.assert_array_equal(
            parts.posterior(index).tree["posterior"]["teff"], whole.posterior(index).tree["posterior"]["teff"]
        )


@pytest.mark.parametrize("kind", KINDS)
def test_every_figure_is_drawn(capsys, folder, tmp_path, kind):
    path = tmp_path / f"{kind}.png"
    arguments = ["plot", kind, folder / "run", "-o", path, *(["--star", "Star 1"] if KINDS[kind] else [])]
    assert run_command(capsys, *arguments) == (0, f"{kind} in {path}\n", "")
    assert path.stat().st_size > 10_000
    code, _, err = run_command(capsys, *arguments)
    assert code == 2
    assert "already there" in err


def damage(copy, name):
    """Take something from a run that a figure needs."""
    manifest = json.loads((copy / "run.json").read_text())
    if name == "draws":
        (copy / "posterior.nc").unlink()
    elif name == "input":
        manifest["settings"]["input"]["path"] = "/nowhere/stars.ecsv"
    elif name == "other input":
        manifest["settings"]["input"] = fingerprint(model_path("default")) | {"sha256": "0"}
    elif name == "model":
        manifest["settings"]["model"] = {"path": "/nowhere/my.safetensors", "sha256": "0"}
    elif name == "prior":
        manifest["settings"]["prior"]["values"] = "0"
    elif name == "manifest":
        manifest = {}
    (copy / "run.json").write_text(json.dumps(manifest))


MISSING = {
    ("corner", "draws"): "no draws of Star 0; infer the stars again with `--draws`",
    ("cmd", "input"): "/nowhere/stars.ecsv is gone; put it back",
    ("pulls", "other input"): "is not the table that",
    ("sed", "model"): "/nowhere/my.safetensors .* is gone or has changed",
    ("sed", "prior"): "is not what it was",
    ("sed", "manifest"): "does not say what model and prior",
}


@pytest.mark.parametrize(("kind", "what"), MISSING)
def test_what_a_figure_lacks_is_said_in_a_sentence(capsys, copy, tmp_path, kind, what):
    damage(copy, what)
    code, out, err = run_command(capsys, "plot", kind, copy, "-o", tmp_path / "figure.png")
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    import re

    assert re.search(MISSING[kind, what], err), err
    assert not (tmp_path / "figure.png").exists()


WRONG = {
    "no run": (["corner", "{empty}", "-o", "{empty}/x.png"], "holds no summary.parquet"),
    "no star": (
        ["corner", "{run}", "-o", "{empty}/x.png", "--star", "Stat 1"],
        "no star 'Stat 1'; the nearest of 6 is 'Star 1'",
    ),
    "a star of all": (["kiel", "{run}", "-o", "{empty}/x.png", "--star", "Star 1"], "leave --star out"),
    "an ending": (["kiel", "{run}", "-o", "{empty}/x.docx"], "must end in .png, .pdf or .svg"),
    "a folder": (["kiel", "{run}", "-o", "{empty}/no/x.png"], "in an existing folder"),
    "a kind": (["hertzsprung", "{run}", "-o", "{empty}/x.png"], "is not one of"),
}


@pytest.mark.parametrize("name", WRONG)
def test_mistakes_are_said_in_a_sentence(capsys, folder, tmp_path, name):
    arguments, message = WRONG[name]
    filled = [argument.format(run=folder / "run", empty=tmp_path) for argument in arguments]
    code, out, err = run_command(capsys, "plot", *filled)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert message in err
    assert not list(tmp_path.iterdir())


def test_weighted_draws_are_no_chains(folder, problem):
    from albireo import figures

    posterior = Run.open(folder / "run").posterior(0)
    posterior.tree["weighted_posterior"] = posterior.tree["posterior"]
    with pytest.raises(UserError, match="are no chains; infer it with `--sampler nuts`"):
        figures.trace(posterior, 0)
