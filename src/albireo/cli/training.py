"""Commands that make models and judge them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from albireo.cli.app import (
    FLOOR_IN_ERRORS,
    AsJson,
    FloorInErrors,
    Input,
    Quiet,
    app,
    check_output_file,
    example,
    say,
    tell,
)
from albireo.errors import UserError
from albireo.fingerprint import fingerprint

if TYPE_CHECKING:
    from albireo.model import StellarModel
    from albireo.training import TrainingSet, ZeroPoints


Labels = Annotated[str, typer.Option(help="Labels to take; teff,logg,feh if not given.", metavar="A,B,C")]


@app.command("train", epilog=example("albireo train stars.fits -o my_model.safetensors --seed 0"))
def train_command(
    input_path: Input,
    output: Annotated[Path, typer.Option("--output", "-o", help="Model file to write.", metavar="MODEL")],
    config: Annotated[Path | None, typer.Option(help="Configuration of the training.", metavar="FILE.toml")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed, in place of the configuration's.")] = None,
    floor_in_errors: Annotated[
        float | None, typer.Option(min=0, help=FLOOR_IN_ERRORS, metavar="MAG", show_default=False)
    ] = None,
    bands: Annotated[
        str, typer.Option(help="Bands to learn, the reference band first; all in INPUT if not given.", metavar="A,B,C")
    ] = "",
    labels: Labels = "",
    source: Annotated[str, typer.Option(help="Where the stars come from, recorded in the model.", metavar="TEXT")] = "",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace MODEL if it is there.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a training of MODEL that was stopped.")] = False,
    quiet: Quiet = False,
) -> None:
    """Train a model on stars of known labels; a tenth of them is set aside to judge it by.

    After every iteration the state is kept in MODEL.checkpoint, which goes when the training is done.
    """
    check_output_file(output, "model file", overwrite=overwrite)
    checkpoint = output.with_name(output.name + ".checkpoint")
    if checkpoint.exists() and not (resume or overwrite):
        raise UserError(f"{checkpoint} is of a training that was stopped; add --resume, or --overwrite to begin anew.")
    import dataclasses

    from albireo.model import save_model
    from albireo.progress import progress_bar
    from albireo.training import TrainingConfig, TrainingSet, train

    settings = TrainingConfig.preset("default") if config is None else TrainingConfig.from_toml(config)
    given = {"seed": seed, "floor_in_errors": floor_in_errors}
    given = {name: value for name, value in given.items() if value is not None}
    settings = dataclasses.replace(settings, **given)
    chosen = {name: value for name, value in (("bands", bands), ("labels", labels)) if value}
    stars = TrainingSet.read(input_path, **{name: _names(value) for name, value in chosen.items()})
    for reason, count in stars.dropped.items():
        say(f"note: rows left out because {reason}: {count}.")
    with progress_bar("training", settings.num_epochs, "epochs", quiet=quiet) as progress:
        result = train(stars, settings, callback=lambda _: progress(1), checkpoint=checkpoint, resume=resume)
    provenance = {
        "name": output.stem,
        "data": {
            "file": input_path.name,
            "sha256": fingerprint(input_path)["sha256"],
            "stars": len(stars),
            "source": source,
        },
        "command": f"albireo train {input_path.name} -o {output.name}"
        + (f" --config {config.name}" if config else "")
        + "".join(f" --{name.replace('_', '-')} {value}" for name, value in (given | chosen).items()),
    }
    model = dataclasses.replace(result.model, metadata={**provenance, **result.model.metadata})
    save_model(model, output)
    checkpoint.unlink(missing_ok=True)
    then = f"albireo evaluate {output} {input_path} --held-out, then albireo infer STARS -o run --model {output}"
    tell(f"{output}: {describe(model.metadata)}", quiet=quiet, then=then)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


def describe(metadata: dict[str, Any] | None) -> str:
    """Held-out figures of a model in a few words."""
    figures = (metadata or {}).get("held_out")
    if figures is None:
        return "no held-out figures"
    return (
        f"χ²/dof {figures['chi2_per_dof']:.3f}, {100 * figures['outlier_fraction']:.1f} % above 5 "
        f"on {figures['num_stars']} held-out stars"
    )


@app.command("zero-points", epilog=example("albireo zero-points surveys.fits -o training_stars.fits --reference GALAH"))
def zero_points_command(
    input_path: Input,
    output: Annotated[Path, typer.Option("--output", "-o", help="Corrected table to write.", metavar="TABLE")],
    reference: Annotated[str, typer.Option(help="Survey whose scale the others are brought onto.", metavar="SURVEY")],
    star: Annotated[str, typer.Option(help="Column that is the same in all rows of a star.", metavar="COLUMN")] = (
        "source_id"
    ),
    labels: Labels = "",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace TABLE if it is there.")] = False,
    quiet: Quiet = False,
) -> None:
    """Bring the labels of several surveys onto the scale of one, by the stars they have in common.

    INPUT has a row for every star and survey, with a column `survey`. Prints what is added to each survey's labels.
    """
    check_output_file(output, "table", overwrite=overwrite)
    from albireo.tables import read_table, write_table
    from albireo.training import zero_points

    table = read_table(input_path)
    points = zero_points(table, reference, star=star, **({"labels": _names(labels)} if labels else {}))
    write_table(points.apply(table), output)
    told = f"{output}: {len(table)} rows on the scale of {reference}"
    tell(*_lines(points), told, quiet=quiet, then=f"albireo train {output} -o my_model.safetensors")


def _lines(points: "ZeroPoints") -> Iterator[str]:
    yield f"{'added to':12}{'label':8}{'offset':>12}{'error':>10}{'stars in common':>17}"
    for i, survey in enumerate(points.surveys):
        for j, label in enumerate(points.labels):
            if survey != points.reference and points.num_stars[i, j]:
                digits = 1 if label == "teff" else 4
                offset, err = points.offset[i, j], points.offset_err[i, j]
                stars = points.num_stars[i, j]
                yield f"{survey:12}{label:8}{offset:+12.{digits}f}{err:10.{digits}f}{stars:17}"
    for label, num_clipped, ratio in zip(points.labels, points.num_clipped, points.chi2_per_dof, strict=True):
        yield f"{label}: chi2/dof {ratio:.2f}, {num_clipped} stars left out as outliers"


@app.command("evaluate", epilog=example("albireo evaluate default stars.fits --floor-in-errors 0.02"))
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
    from albireo.model import load_model, model_path
    from albireo.training import TrainingSet

    judged = load_model(model)
    models = {"model": judged} | _other_model(against)
    stars = TrainingSet.from_catalog(Catalog.read(input_path, bands=judged.bands, labels=judged.labels))
    indices = _held_out(stars, judged.metadata, model, input_path) if held_out else None
    metadata, read = judged.metadata or {}, fingerprint(input_path)
    trained_on_it = metadata.get("data", {}).get("sha256") == read["sha256"]
    if trained_on_it and judged.scatter is not None:
        _compare_floors(metadata.get("configuration", {}).get("floor_in_errors", 0.0), floor_in_errors, input_path)
    report = judge(models, stars, indices, floor_in_errors, in_detail=output is not None)
    figures = report.to_dict()
    if output is not None:
        from albireo.evaluation.folder import write_evaluation

        drawn = indices
        if not held_out and trained_on_it:
            drawn = _held_out(stars, judged.metadata, model, input_path)
        settings = {
            "model": fingerprint(model_path(model)),
            "against": None if against is None else str(against),
            "input": read,
            "held_out": held_out,
            "floor_in_errors": floor_in_errors,
        }
        for note in write_evaluation(output, report, judged, stars if drawn is None else stars[drawn], settings):
            say(f"note: {note}")
    typer.echo(json.dumps(figures, indent=2) if as_json else report.to_text())


def _other_model(against: Path | None) -> dict[str, "StellarModel"]:
    """The model to compare with, by the name of its column."""
    from albireo.model import load_green2020, load_model

    if against is None:
        return {}
    return {"published": load_green2020(against)} if against.is_dir() else {"other": load_model(against)}


def _compare_floors(in_training: float, given: float, input_path: Path) -> None:
    """Say so where errors are not those that the model's scatter was learned with."""
    if in_training != given:
        say(
            f"note: training took a floor of {in_training:g} mag off the errors of {input_path.name}; "
            f"give --floor-in-errors {in_training:g}, or the figures with scatter are of errors that it was not "
            "learned with."
        )


def _held_out(stars: "TrainingSet", metadata: dict[str, Any] | None, model: str, input_path: Path):
    from albireo.training import TrainingConfig, split_stars

    if not metadata or "configuration" not in metadata:
        raise UserError(f"the model {model} does not say how its training divided the stars; leave out --held-out.")
    trained_on = metadata.get("data", {}).get("sha256")
    if trained_on not in (None, fingerprint(input_path)["sha256"]):
        raise UserError(f"{input_path} is not the table that {model} was trained on; leave out --held-out.")
    return split_stars(stars, TrainingConfig.from_dict(metadata["configuration"])).test


@app.command("models", epilog=example("albireo models"))
def models_command(as_json: AsJson = False) -> None:
    """List the bundled models."""
    from albireo.model import bundled_models, load_model

    models = {name: load_model(name) for name in bundled_models()}
    if as_json:
        described = [
            {
                "name": name,
                "labels": model.labels,
                "bands": model.bands,
                "held_out": (model.metadata or {}).get("held_out"),
            }
            for name, model in models.items()
        ]
        typer.echo(json.dumps(described, indent=2))
        return
    for name, model in models.items():
        typer.echo(f"{name:12} {', '.join(model.labels)} from {len(model.bands)} bands: {describe(model.metadata)}")
