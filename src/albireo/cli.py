"""The command line. Heavy imports stand inside the commands, so that `albireo --help` answers at once."""

import hashlib
import json
import os
import re
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from albireo.errors import UserError

if TYPE_CHECKING:
    from albireo.catalog import Catalog
    from albireo.training import TrainingSet, ZeroPoints

app = typer.Typer(
    help="What stars are, how far away they are and how much dust lies in front of them, from their photometry.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# Click's class, from wherever this version of typer keeps it.
_UsageError: Any = typer.BadParameter.__base__

Input = Annotated[Path, typer.Argument(help="Table of stars: FITS, Parquet, ECSV, CSV or VOTable.", metavar="INPUT")]
OutputFolder = Annotated[Path, typer.Option("--output", "-o", help="Folder to write.", metavar="DIR")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of all random numbers.")]
_FLOOR_IN_ERRORS = "Floor that the table's errors of magnitudes hold in quadrature; it is taken off."
FloorInErrors = Annotated[float, typer.Option(min=0, help=_FLOOR_IN_ERRORS, metavar="MAG")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def main() -> None:
    """Run the command line of this process, and exit."""
    _prepare_process()
    sys.exit(run(sys.argv[1:]))


def _prepare_process() -> None:
    """Show our warnings in a line each and nobody else's."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # XLA's remarks on cached code, which are harmless
    warnings.simplefilter("ignore")
    warnings.filterwarnings("default", category=UserWarning, module=r"albireo(\.|$)")
    warnings.showwarning = lambda message, *_, **__: _say(f"note: {message}")


_INTERRUPTED = 130


def run(arguments: Sequence[str]) -> int:
    """Run a command; returns 0 when done, 2 for a user's mistake, 1 for a failure of ours, 130 if interrupted."""
    try:
        status = app(list(arguments), prog_name="albireo", standalone_mode=False) or 0
        if status == _INTERRUPTED:  # typer may turn the interrupt into a status of its own
            raise KeyboardInterrupt
        return status
    except UserError as error:
        _say(str(error))
        return 2
    except _UsageError as error:
        _say(f"{error.format_message().rstrip('.')}; see `albireo --help`.")
        return 2
    except (KeyboardInterrupt, typer.Abort):
        _say("interrupted; an unfinished run goes on with --resume.")
        return _INTERRUPTED
    except Exception as error:  # whatever else went wrong is our failure, and says so
        if os.environ.get("ALBIREO_DEBUG"):
            raise
        cause = " ".join(str(error).split())[:300]
        _say(f"albireo failed: {type(error).__name__}: {cause}; please report it with the output of ALBIREO_DEBUG=1.")
        return 1


def _say(message: str) -> None:
    typer.echo(" ".join(message.split()), err=True)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if show_version:
        from importlib.metadata import version

        typer.echo(version("albireo"))
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("infer")
def infer_command(
    input_path: Input,
    output: OutputFolder,
    model: Annotated[str, typer.Option(help="`default`, or the path of a trained model.")] = "default",
    prior: Annotated[str, typer.Option(help="A name that `albireo priors` lists, or a TOML file.")] = "milky-way",
    sampler: Annotated[str, typer.Option(help="`nuts`, `nested` or `importance`.")] = "nuts",
    seed: Seed = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="Take the first N stars.", metavar="N")] = None,
    rows: Annotated[str | None, typer.Option(help="Take the rows from A up to, not with, B.", metavar="A:B")] = None,
    without: Annotated[
        list[str] | None, typer.Option(help="Leave out `parallax` or a band; may be repeated.", metavar="NAME")
    ] = None,
    error_floor: Annotated[
        float, typer.Option(min=0, help="Add so much in quadrature to every magnitude's error.", metavar="MAG")
    ] = 0.0,
    floor_in_errors: FloorInErrors = 0.0,
    spread: Annotated[bool, typer.Option("--spread", help="Allow for the error of the model's own network.")] = False,
    draws: Annotated[bool, typer.Option("--draws", help="Write posterior.nc for any number of stars.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in DIR.")] = False,
) -> None:
    """Infer labels, distance and reddening of every star: DIR/summary.parquet, and posterior.nc for up to 200 stars."""
    selected = _parse_rows(rows)
    from albireo.catalog import Catalog
    from albireo.scale.chunks import SMALL_RUN, check_output, infer_in_chunks

    check_output(output, resume=resume)
    from albireo.inference import infer
    from albireo.progress import progress_bar

    problem, described = _load_problem(model, prior, sampler)
    bands, labels = problem["model"].bands, problem["model"].labels
    catalog = Catalog.read(input_path, bands=bands, labels=labels, rows=selected)
    catalog = _prepare_stars(catalog, limit, without or [], floor_in_errors, error_floor)
    settings = {
        "input": _fingerprint(input_path),
        **described,
        "seed": seed,
        "limit": limit,
        "rows": rows,
        "without": without or [],
        "error_floor": error_floor,
        "floor_in_errors": floor_in_errors,
        "spread": spread,
    }
    with progress_bar("inferring", len(catalog), "stars") as progress:
        infer_in_chunks(
            catalog,
            lambda stars: infer(stars, **problem, spread=spread, seed=seed, progress=progress),
            output,
            settings,
            resume=resume,
            keep_draws=draws or len(catalog) <= SMALL_RUN,
            skipped=progress,
        )
    typer.echo(f"{len(catalog)} stars in {output / 'summary.parquet'}")


def _load_problem(model: str, prior: str, sampler: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Model, prior and sampler by name or path; and what a run records of them."""
    from albireo.model import load_model, model_path
    from albireo.priors import load_prior
    from albireo.samplers import SAMPLERS

    if sampler not in SAMPLERS:
        raise UserError(f"there is no sampler {sampler!r}; choose one of {', '.join(SAMPLERS)}.")
    loaded = load_model(model)
    problem = {"model": loaded, "prior": load_prior(prior, loaded), "sampler": SAMPLERS[sampler]()}
    described = {
        "model": _fingerprint(model_path(model)),
        "prior": _fingerprint(prior) | {"values": _digest(problem["prior"])},
        "sampler": repr(problem["sampler"]),
    }
    return problem, described


def _parse_rows(rows: str | None) -> slice | None:
    if rows is None:
        return None
    match = re.fullmatch(r"(\d*):(\d*)", rows)
    start, stop = (int(number) if number else None for number in match.groups()) if match else (0, 0)
    if stop is not None and stop <= (start or 0):
        raise UserError(f"--rows must be A:B with row numbers A < B, counted from 0; got {rows!r}.")
    return slice(start, stop)


def _prepare_stars(
    catalog: "Catalog", limit: int | None, without: list[str], floor_in_errors: float, error_floor: float
) -> "Catalog":
    catalog = catalog[:limit]
    for name in without:
        catalog = catalog.without(name)
    return catalog.without_error_floor(floor_in_errors).with_error_floor(error_floor)


def _fingerprint(source: str | Path) -> dict[str, str]:
    """A name, or a file's path and contents: what must not change while a run is resumed."""
    path = Path(source)
    if not path.is_file():
        return {"name": str(source)}
    with path.open("rb") as file:
        return {"path": str(path.resolve()), "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _digest(tree: Any) -> str:
    """A hash of all numbers in an object, wherever they were read from."""
    import jax
    import numpy as np

    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()


@app.command("train")
def train_command(
    input_path: Input,
    output: Annotated[Path, typer.Option("--output", "-o", help="Model file to write.", metavar="MODEL")],
    config: Annotated[Path | None, typer.Option(help="Configuration of the training.", metavar="FILE.toml")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed, in place of the configuration's.")] = None,
    floor_in_errors: Annotated[
        float | None, typer.Option(min=0, help=_FLOOR_IN_ERRORS, metavar="MAG", show_default=False)
    ] = None,
    source: Annotated[str, typer.Option(help="Where the stars come from, recorded in the model.", metavar="TEXT")] = "",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace MODEL if it is there.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a training of MODEL that was stopped.")] = False,
) -> None:
    """Train a model on stars of known labels; a tenth of them is set aside to judge it by.

    After every iteration the state is kept in MODEL.checkpoint, which goes when the training is done.
    """
    _check_output_file(output, "model file", overwrite=overwrite)
    import dataclasses

    from albireo.catalog import Catalog
    from albireo.model import save_model
    from albireo.progress import progress_bar
    from albireo.training import TrainingConfig, TrainingSet, train

    settings = TrainingConfig.preset("default") if config is None else TrainingConfig.from_toml(config)
    given = {"seed": seed, "floor_in_errors": floor_in_errors}
    given = {name: value for name, value in given.items() if value is not None}
    settings = dataclasses.replace(settings, **given)
    stars = TrainingSet.from_catalog(Catalog.read(input_path))
    for reason, count in stars.dropped.items():
        _say(f"note: rows left out because {reason}: {count}.")
    checkpoint = output.with_name(output.name + ".checkpoint")
    with progress_bar("training", settings.num_epochs, "epochs") as progress:
        result = train(stars, settings, callback=lambda _: progress(1), checkpoint=checkpoint, resume=resume)
    provenance = {
        "name": output.stem,
        "data": {
            "file": input_path.name,
            "sha256": _fingerprint(input_path)["sha256"],
            "stars": len(stars),
            "source": source,
        },
        "command": f"albireo train {input_path.name} -o {output.name}"
        + (f" --config {config.name}" if config else "")
        + "".join(f" --{name.replace('_', '-')} {value}" for name, value in given.items()),
    }
    model = dataclasses.replace(result.model, metadata={**provenance, **result.model.metadata})
    save_model(model, output)
    checkpoint.unlink(missing_ok=True)
    typer.echo(f"{output}: {_describe(model.metadata)}")


def _check_output_file(output: Path, what: str, *, overwrite: bool) -> None:
    if output.is_dir() or not output.absolute().parent.is_dir():
        raise UserError(f"the {what} {output} cannot be written; give the path of a file in an existing folder.")
    if not os.access(output.absolute().parent, os.W_OK):
        raise UserError(f"the {what} {output} cannot be written: no permission; choose another folder.")
    if output.exists() and not overwrite:
        raise UserError(f"the {what} {output} is already there; choose another name, or add --overwrite.")


def _describe(metadata: dict[str, Any] | None) -> str:
    """Held-out figures of a model in a few words."""
    figures = (metadata or {}).get("held_out")
    if figures is None:
        return "no held-out figures"
    return (
        f"χ²/dof {figures['chi2_per_dof']:.3f}, {100 * figures['outlier_fraction']:.1f} % above 5 "
        f"on {figures['num_stars']} held-out stars"
    )


@app.command("zero-points")
def zero_points_command(
    input_path: Input,
    output: Annotated[Path, typer.Option("--output", "-o", help="Corrected table to write.", metavar="TABLE")],
    reference: Annotated[str, typer.Option(help="Survey whose scale the others are brought onto.", metavar="SURVEY")],
    star: Annotated[str, typer.Option(help="Column that is the same in all rows of a star.", metavar="COLUMN")] = (
        "source_id"
    ),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace TABLE if it is there.")] = False,
) -> None:
    """Bring teff, logg and feh of several surveys onto the scale of one, by the stars they have in common.

    INPUT has a row for every star and survey, with a column `survey`. Prints what is added to each survey's labels.
    """
    _check_output_file(output, "table", overwrite=overwrite)
    from albireo.tables import read_table, write_table
    from albireo.training import zero_points

    table = read_table(input_path)
    points = zero_points(table, reference, star=star)
    write_table(points.apply(table), output)
    _print_zero_points(points)


def _print_zero_points(points: "ZeroPoints") -> None:
    typer.echo(f"{'added to':12}{'label':8}{'offset':>12}{'error':>10}{'stars in common':>17}")
    for i, survey in enumerate(points.surveys):
        for j, label in enumerate(points.labels):
            if survey != points.reference and points.num_stars[i, j]:
                digits = 1 if label == "teff" else 4
                offset, err = points.offset[i, j], points.offset_err[i, j]
                stars = points.num_stars[i, j]
                typer.echo(f"{survey:12}{label:8}{offset:+12.{digits}f}{err:10.{digits}f}{stars:17}")
    for label, num_clipped, ratio in zip(points.labels, points.num_clipped, points.chi2_per_dof, strict=True):
        typer.echo(f"{label}: chi2/dof {ratio:.2f}, {num_clipped} stars left out as outliers")


@app.command("evaluate")
def evaluate_command(
    model: Annotated[str, typer.Argument(help="`default`, or the path of a trained model.", metavar="MODEL")],
    input_path: Input,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder to write figures and tables into.", metavar="DIR")
    ] = None,
    as_json: AsJson = False,
    against: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the published network, or another model, to judge on the same stars.", metavar="OTHER"
        ),
    ] = None,
    held_out: Annotated[
        bool, typer.Option("--held-out", help="Only the stars of INPUT that training on INPUT sets aside.")
    ] = False,
    floor_in_errors: FloorInErrors = 0.0,
) -> None:
    """Judge a model by stars of known labels: χ²/dof, the fraction above 5, the mean log-likelihood.

    For a model that knows its scatter, another column has the figures with that in place of the floor in errors. With
    DIR, evaluation.json and tables go into it, and pictures of the stars of INPUT that training set aside, or of all.
    """
    if output is not None:
        from albireo.output import check_empty

        check_empty(output)
    from albireo.catalog import Catalog
    from albireo.evaluation.report import judge
    from albireo.model import load_green2020, load_model, model_path
    from albireo.training import TrainingSet

    judged = load_model(model)
    models = {"model": judged}
    if against is not None and against.is_dir():
        models["published"] = load_green2020(against)
    elif against is not None:
        models["other"] = load_model(against)
    stars = TrainingSet.from_catalog(Catalog.read(input_path, bands=judged.bands, labels=judged.labels))
    indices = _held_out(stars, judged.metadata, model, input_path) if held_out else None
    report = judge(models, stars, indices, floor_in_errors, in_detail=output is not None)
    figures = report.to_dict()
    if output is not None:
        from albireo.evaluation.folder import write_evaluation

        drawn = indices
        if not held_out and (judged.metadata or {}).get("data", {}).get("sha256") == _fingerprint(input_path)["sha256"]:
            drawn = _held_out(stars, judged.metadata, model, input_path)
        settings = {
            "model": _fingerprint(model_path(model)),
            "against": None if against is None else str(against),
            "input": _fingerprint(input_path),
            "held_out": held_out,
            "floor_in_errors": floor_in_errors,
        }
        for note in write_evaluation(output, report, judged, stars if drawn is None else stars[drawn], settings):
            _say(f"note: {note}")
    typer.echo(json.dumps(figures, indent=2) if as_json else report.to_text())


def _held_out(stars: "TrainingSet", metadata: dict[str, Any] | None, model: str, input_path: Path):
    from albireo.training import TrainingConfig, split_stars

    if not metadata or "configuration" not in metadata:
        raise UserError(f"the model {model} does not say how its training divided the stars; leave out --held-out.")
    trained_on = metadata.get("data", {}).get("sha256")
    if trained_on not in (None, _fingerprint(input_path)["sha256"]):
        raise UserError(f"{input_path} is not the table that {model} was trained on; leave out --held-out.")
    return split_stars(stars, TrainingConfig.from_dict(metadata["configuration"])).test


@app.command("demo")
def demo_command(
    output: OutputFolder = Path("albireo-demo"),
    stars: Annotated[int, typer.Option(min=1, help="How many of the bundled stars.", metavar="N")] = 100,
) -> None:
    """Infer bundled planet-host stars, compare with published labels, and draw figures."""
    from albireo.scale.chunks import check_output

    check_output(output, resume=False)
    from albireo.demo import run_demo
    from albireo.progress import progress_bar

    with progress_bar("inferring", stars, "stars") as progress:
        run_demo(output, stars, progress)


@app.command("calibrate")
def calibrate_command(
    output: OutputFolder,
    model: Annotated[str, typer.Option(help="`default`, or the path of a trained model.")] = "default",
    prior: Annotated[str, typer.Option(help="A name that `albireo priors` lists, or a TOML file.")] = "milky-way",
    sampler: Annotated[str, typer.Option(help="`nuts`, `nested` or `importance`.")] = "importance",
    num_stars: Annotated[int, typer.Option(min=1, help="Stars to simulate.", metavar="N")] = 1000,
    seed: Seed = 0,
    with_parallax: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the stars that have a parallax.", metavar="FRACTION")
    ] = 0.5,
    with_position: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the stars whose position is known.", metavar="FRACTION")
    ] = 1.0,
) -> None:
    """Simulate stars from the prior, infer them, and see whether the posteriors are as wide as they say.

    DIR gets calibration.json, .ecsv and .png, and calibration-stars.parquet with data, truth and rank of every star.
    """
    from albireo.calibration.report import FILES
    from albireo.scale.chunks import check_output

    check_output(output, resume=False)
    held = [name for name in FILES if (output / name).exists()]
    if held:
        raise UserError(f"{output} already holds {held[0]}; choose another folder.")
    from albireo.calibration import judge, simulate
    from albireo.progress import progress_bar

    problem, described = _load_problem(model, prior, sampler)
    shares = {"with_parallax": with_parallax, "with_position": with_position}
    with progress_bar("simulating", num_stars, "stars") as progress:
        simulation = simulate(problem["model"], problem["prior"], num_stars, seed=seed, **shares, progress=progress)
    with progress_bar("inferring", num_stars, "stars") as progress:
        calibration = judge(simulation, **problem, seed=seed, progress=progress)
    calibration.save(output, {**described, "num_stars": num_stars, "seed": seed, **shares})
    for line in calibration.lines():
        typer.echo(line)
    typer.echo(f"\n{output}: {', '.join(FILES)}")


@app.command("priors")
def priors_command() -> None:
    """List the priors known by name."""
    from albireo.priors import list_priors

    priors = list_priors()
    width = max(len(name) for name, _ in priors)
    for name, description in priors:
        typer.echo(f"{name:{width}}  {description}")


@app.command("models")
def models_command() -> None:
    """List the bundled models."""
    from albireo.model import bundled_models, load_model

    for name in bundled_models():
        model = load_model(name)
        typer.echo(f"{name:12} {', '.join(model.labels)} from {len(model.bands)} bands: {_describe(model.metadata)}")
