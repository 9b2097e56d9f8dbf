"""Commands that infer stars."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from albireo.cli.app import (
    FloorInErrors,
    Input,
    OutputFolder,
    Quiet,
    Seed,
    app,
    example,
    load_problem,
    tell,
)
from albireo.errors import UserError
from albireo.fingerprint import fingerprint

if TYPE_CHECKING:
    from albireo.catalog import Catalog


@app.command("infer", epilog=example("albireo infer stars.fits -o run"))
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
    outliers: Annotated[
        float, typer.Option(help="Share of magnitudes that may be wrong, such as 0.01; allows for one a star.")
    ] = 0.0,
    double: Annotated[bool, typer.Option("--double", help="Sample in double precision.")] = False,
    draws: Annotated[bool, typer.Option("--draws", help="Write the draws of any number of stars.")] = False,
    compressed: Annotated[
        bool, typer.Option("--compressed", help="Write compressed.parquet, 380 bytes a star to draw from.")
    ] = False,
    dask: Annotated[
        str | None, typer.Option(help="Where to infer a HATS folder: `local`, or a scheduler's.", metavar="ADDRESS")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in DIR.")] = False,
    quiet: Quiet = False,
) -> None:
    """Infer labels, distance and reddening of every star: DIR/summary.parquet, and posterior.nc for up to 200 stars.

    If INPUT is a HATS folder, DIR becomes one, too.
    """
    selected = _parse_rows(rows, limit)
    _check_kind(input_path, dask, {"--rows": rows, "--limit": limit, "--draws": draws, "--compressed": compressed})
    from albireo.scale.manifest import check_output

    check_output(output, resume=resume)
    problem, described = load_problem(model, prior, sampler)
    changes = {"without": without or [], "error_floor": error_floor, "floor_in_errors": floor_in_errors}
    options = {"spread": spread, "outliers": outliers, "double": double}
    settings = {**described, "seed": seed, **changes, **options}
    shared = {"prepare": partial(_prepare_stars, **changes), "resume": resume, "quiet": quiet}
    if input_path.is_dir():
        _infer_folder(input_path, problem | options, output, settings, dask=dask or "local", **shared)
        return
    settings |= {"input": fingerprint(input_path), "limit": limit, "rows": rows}
    _infer_file(
        input_path, problem | options, output, settings, rows=selected, draws=draws, compressed=compressed, **shared
    )


def _infer_folder(
    folder: Path, inference: dict[str, Any], output: Path, settings: dict[str, Any], *, quiet: bool, **options: Any
) -> None:
    """Infer a HATS folder, partition by partition."""
    from albireo.progress import progress_bar
    from albireo.scale.hats import infer_hats

    with progress_bar("inferring", None, "stars", quiet=quiet) as progress:
        num = infer_hats(folder, inference, output, settings, progress=progress, **options)
    tell(f"{num} partitions in {output}", quiet=quiet, then=f"albireo sky-maps {output} -o {output}_maps")


def _infer_file(
    path: Path,
    inference: dict[str, Any],
    output: Path,
    settings: dict[str, Any],
    *,
    rows: slice | None,
    prepare: Callable[..., "Catalog"],
    draws: bool,
    compressed: bool,
    resume: bool,
    quiet: bool,
) -> None:
    """Infer a file of stars, chunk by chunk."""
    from albireo.inference import infer
    from albireo.progress import progress_bar
    from albireo.scale.chunks import SMALL_RUN, infer_in_chunks
    from albireo.scale.stream import CatalogFile

    model, seed = inference["model"], settings["seed"]
    catalog = CatalogFile(path, bands=model.bands, labels=model.labels, rows=rows, prepare=prepare)
    with progress_bar("inferring", len(catalog), "stars", quiet=quiet) as progress:
        infer_in_chunks(
            catalog,
            lambda stars: infer(stars, **inference, seed=seed, progress=progress),
            output,
            settings,
            resume=resume,
            keep_draws=draws or len(catalog) <= SMALL_RUN,
            keep_compressed=compressed,
            skipped=progress,
        )
    tell(f"{len(catalog)} stars in {output / 'summary.parquet'}", quiet=quiet, then=f"albireo report {output}")


def _check_kind(input_path: Path, dask: str | None, of_files: dict[str, object]) -> None:
    """Refuse what is no input, and options that the kind of input does not have, before a model is loaded."""
    if input_path.is_dir():
        from albireo.scale.hats import check_hats

        check_hats(input_path)
        given = [name for name, value in of_files.items() if value]
        if given:
            raise UserError(f"{given[0]} works with a file of stars, not with a HATS folder; leave it out.")
        return
    from albireo.tables import check_table

    if dask is not None:
        raise UserError(f"--dask works with a HATS folder, and {input_path} is none; leave it out.")
    check_table(input_path)


def _parse_rows(rows: str | None, limit: int | None) -> slice | None:
    if rows is None:
        return None if limit is None else slice(None, limit)
    match = re.fullmatch(r"(\d*):(\d*)", rows)
    start, stop = (int(number) if number else None for number in match.groups()) if match else (0, 0)
    if stop is not None and stop <= (start or 0):
        raise UserError(f"--rows must be A:B with row numbers A < B, counted from 0; got {rows!r}.")
    ends = [end for end in (stop, None if limit is None else (start or 0) + limit) if end is not None]
    return slice(start, min(ends, default=None))


def _prepare_stars(
    catalog: "Catalog", *, checked: bool, without: list[str], floor_in_errors: float, error_floor: float
) -> "Catalog":
    for name in without:
        catalog = catalog.without(name)
    return catalog.without_error_floor(floor_in_errors, checked=checked).with_error_floor(error_floor)


@app.command("demo", epilog=example("albireo demo -o demo-output"))
def demo_command(
    output: OutputFolder = Path("albireo-demo"),
    stars: Annotated[int, typer.Option(min=1, help="How many of the bundled stars.", metavar="N")] = 100,
    quiet: Quiet = False,
) -> None:
    """Infer bundled planet-host stars, compare with published labels, and draw figures."""
    from albireo.scale.manifest import check_output

    check_output(output, resume=False)
    from albireo.demo import run_demo
    from albireo.progress import progress_bar

    with progress_bar("inferring", stars, "stars", quiet=quiet) as progress:
        told = run_demo(output, stars, progress)
    tell(*told, quiet=quiet, then="albireo infer YOUR_STARS.fits -o run")


@app.command("calibrate", epilog=example("albireo calibrate -o calibration --num-stars 2000"))
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
    quiet: Quiet = False,
) -> None:
    """Simulate stars from the prior, infer them, and see whether the posteriors are as wide as they say.

    DIR gets calibration.json, .ecsv and .png, and calibration-stars.parquet with data, truth and rank of every star.
    """
    from albireo.calibration.report import FILES
    from albireo.scale.manifest import check_output

    check_output(output, resume=False)
    held = [name for name in FILES if (output / name).exists()]
    if held:
        raise UserError(f"{output} already holds {held[0]}; choose another folder.")
    from albireo.calibration import judge, simulate
    from albireo.progress import progress_bar

    problem, described = load_problem(model, prior, sampler)
    shares = {"with_parallax": with_parallax, "with_position": with_position}
    with progress_bar("simulating", num_stars, "stars", quiet=quiet) as progress:
        simulation = simulate(problem["model"], problem["prior"], num_stars, seed=seed, **shares, progress=progress)
    with progress_bar("inferring", num_stars, "stars", quiet=quiet) as progress:
        calibration = judge(simulation, **problem, seed=seed, progress=progress)
    calibration.save(output, {**described, "num_stars": num_stars, "seed": seed, **shares})
    tell(*calibration.lines(), f"\n{output}: {', '.join(FILES)}", quiet=quiet)
