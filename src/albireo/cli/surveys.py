"""Commands that make tables of stars from the surveys' own."""

import json
from pathlib import Path
from typing import Annotated

import typer

from albireo.cli.app import AsJson, Quiet, Seed, app, check_output_file, example, say, tell
from albireo.errors import UserError

OutputTable = Annotated[Path, typer.Option("--output", "-o", help="Table to write.", metavar="TABLE")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace TABLE if it is there.")]


@app.command("surveys", epilog=example("albireo surveys"))
def surveys_command(as_json: AsJson = False) -> None:
    """List the surveys whose tables can be read, the cuts on their quality and the corrections of their parallaxes."""
    from albireo.surveys import SURVEYS

    if as_json:
        described = {
            survey.name: {
                "title": survey.title,
                "source": survey.source,
                "cuts": [{"name": cut.name, "effect": cut.effect(), "keep": cut.keep} for cut in survey.cuts],
                "corrections": [{"name": made.name, "what": made.what} for made in survey.corrections],
            }
            for survey in SURVEYS.values()
        }
        typer.echo(json.dumps(described, indent=2))
        return
    for survey in SURVEYS.values():
        typer.echo(f"{survey.name}: {survey.title} ({survey.source})")
        for cut in survey.cuts:
            typer.echo(f"    {cut.name}: {cut.keep}, or else {cut.effect()}")
        for correction in survey.corrections:
            typer.echo(f"    correction {correction.name}: {correction.what}")


@app.command("columns", epilog=example("albireo columns gaia.fits"))
def columns_command(
    input_path: Annotated[Path, typer.Argument(help="Table, of a survey or of albireo's columns.", metavar="FILE")],
    as_json: AsJson = False,
) -> None:
    """Say what a table is: of which survey, what its columns are taken for, and what it lacks."""
    from albireo.surveys import SURVEYS, recognise, understood
    from albireo.surveys.corrections import planned
    from albireo.surveys.cuts import impossible_cuts
    from albireo.surveys.inventory import inventory
    from albireo.tables import read_table

    table = read_table(input_path)
    surveys = {name: understood(table, name) for name in recognise(table)}
    corrections = {name: planned(table, SURVEYS[name]) for name in surveys}
    impossible = {name: impossible_cuts(table, SURVEYS[name]) for name in surveys}
    have, missing = inventory(table)
    if as_json:
        said = {"surveys": surveys, "corrections": corrections, "impossible_cuts": impossible}
        typer.echo(json.dumps(said | {"have": have, "missing": missing}, indent=2))
        return
    for name, taken in surveys.items():
        typer.echo(f"{name}: {SURVEYS[name].title}; read it with `albireo read {input_path} --survey {name} -o TABLE`")
        for theirs, ours in taken.items():
            typer.echo(f"    {theirs} is {ours}")
        for correction, plan in corrections[name].items():
            typer.echo(f"    correction {correction}: {plan}")
        for cut, column in impossible[name].items():
            typer.echo(f"    cut {cut}: needs the column {column}; add it, or leave out the cut")
    if not surveys:
        typer.echo("no survey recognised (`albireo surveys` lists them)")
    typer.echo(f"albireo's columns it has: {', '.join(have) or 'none'}")
    for what, columns in missing.items():
        typer.echo(f"missing {what}: {', '.join(columns)}")


@app.command("read", epilog=example("albireo read gaia.fits --survey gaia-dr3 -o gaia_read.fits"))
def read_command(
    input_path: Annotated[Path, typer.Argument(help="A survey's own table.", metavar="FILE")],
    survey: Annotated[str, typer.Option(help="Which survey; `albireo surveys` lists them.", metavar="NAME")],
    output: OutputTable,
    without_cut: Annotated[
        list[str] | None, typer.Option("--without-cut", help="Cut that is not made; may be repeated.", metavar="NAME")
    ] = None,
    without_correction: Annotated[
        list[str] | None,
        typer.Option(
            "--without-correction", help="Correction of parallaxes that is not made; may be repeated.", metavar="NAME"
        ),
    ] = None,
    no_error_floors: Annotated[
        bool, typer.Option("--no-error-floors", help="Leave errors as they are, without 0.02 mag and so on.")
    ] = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Read a survey's own table into albireo's columns: cuts on quality, corrected parallaxes, floors in errors."""
    check_output_file(output, "table", overwrite=overwrite)
    from albireo.surveys import read
    from albireo.tables import write_table

    without = {"without_cuts": without_cut or (), "without_corrections": without_correction or ()}
    table = read(input_path, survey, **without, error_floors=not no_error_floors)
    write_table(table, output)
    for line in (table.meta or {})["comments"]:
        say(f"note: {line}")
    then = f"albireo match {output} OTHER.fits -o matched.fits, with another survey's table that was read"
    tell(f"{output}: {len(table)} rows of {survey}", quiet=quiet, then=then)


@app.command("match", epilog=example("albireo match gaia_read.fits 2mass_read.fits -o matched.fits"))
def match_command(
    reference: Annotated[Path, typer.Argument(help="Table that says which stars there are.", metavar="REFERENCE")],
    others: Annotated[list[Path], typer.Argument(help="Tables to add to it.", metavar="OTHER...")],
    output: OutputTable,
    radius: Annotated[
        float | None,
        typer.Option(help="Largest separation; by default 0.4 for 2MASS and WISE, or else 0.2.", metavar="ARCSEC"),
    ] = None,
    neighbours: Annotated[
        list[str] | None,
        typer.Option(
            help="Table of neighbours for OTHER, in place of positions; may be repeated.", metavar="OTHER=FILE"
        ),
    ] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Put tables that `albireo read` wrote together, star by star.

    Stars of REFERENCE are moved to the epochs of the others by their proper motions. With tables of labels among the
    others, the result has a row for every star and survey.
    """
    check_output_file(output, "table", overwrite=overwrite)
    if radius is not None and not radius > 0:
        raise UserError(f"--radius must be above zero; got {radius}.")
    from albireo.crossmatch import match_tables
    from albireo.tables import read_table, write_table

    if len(set(others)) < len(others):
        raise UserError("a table is named twice; name each once.")
    led = dict(_neighbours_of(pair, others) for pair in neighbours or ())
    tables = {str(path): read_table(path) for path in others}
    lists = {name: read_table(path) for name, path in led.items()}
    table = match_tables(read_table(reference), tables, radius=radius, neighbours=lists)
    write_table(table, output)
    for name, counts in (table.meta or {})["matches"].items():
        say(f"note: {name}: " + ", ".join(f"{num} {what}" for what, num in counts.items()))
    labelled = "survey" in table.colnames
    then = f"albireo add-reddening {output} -o reddened.fits" if labelled else f"albireo infer {output} -o run"
    tell(f"{output}: {len(table)} rows", quiet=quiet, then=then)


def _neighbours_of(pair: str, others: list[Path]) -> tuple[str, Path]:
    """The name of a table and the path of the table of neighbours that leads to it."""
    name, separator, path = pair.partition("=")
    if not separator or Path(name) not in others:
        raise UserError(f"--neighbours {pair} must be OTHER=FILE, OTHER one of {', '.join(map(str, others))}.")
    return str(Path(name)), Path(path)


@app.command(
    "add-reddening",
    epilog=example("albireo add-reddening matched.fits -o reddened.fits --sfd sfd --dust-map bayestar"),
)
def add_reddening_command(
    input_path: Annotated[Path, typer.Argument(help="Table of stars with parallaxes and positions.", metavar="TABLE")],
    output: OutputTable,
    sfd: Annotated[
        str,
        typer.Option(help="Map of all dust: HEALPix FITS in Galactic coordinates, or sfd of dustmaps.", metavar="MAP"),
    ],
    dust_map: Annotated[
        str, typer.Option(help="3-d map: .npy, a row a HEALPix pixel; or bayestar of dustmaps.", metavar="MAP3D")
    ],
    map_distances: Annotated[
        str | None,
        typer.Option(help="Distance moduli of the first and last column of a .npy map.", metavar="FIRST:LAST"),
    ] = None,
    ring: Annotated[bool, typer.Option("--ring", help="The .npy map is in ring order, not nested.")] = False,
    seed: Seed = 0,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Estimate the reddening of every star from maps of dust, as training needs it."""
    check_output_file(output, "table", overwrite=overwrite)
    from albireo.tables import read_table, write_table
    from albireo.training.dust_maps import load_distance_map, load_sky_map
    from albireo.training.first_reddening import add_reddening

    table = read_table(input_path)
    maps = load_sky_map(sfd), load_distance_map(dust_map, _ends(map_distances), nested=not ring)
    table = add_reddening(table, *maps, seed=seed)
    write_table(table, output)
    told = f"{output}: {(table.meta or {})['comments'][-1]}"
    tell(told, quiet=quiet, then=f"albireo train {output} -o my_model.safetensors")


def _ends(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        first, last = map(float, text.split(":"))
    except ValueError:
        raise UserError(f"--map-distances must be FIRST:LAST, two numbers in mag; got {text!r}.") from None
    return first, last
