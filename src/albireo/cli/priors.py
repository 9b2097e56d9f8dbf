"""Commands about priors: a list of them, figures of one, and mock catalogues of its stars."""

import json
from typing import Annotated

import typer

from albireo.cli.app import AsJson, OutputFolder, Quiet, Seed, app, check_output_file, example, tell
from albireo.cli.surveys import OutputTable, Overwrite

Name = Annotated[str, typer.Argument(help="A name that `albireo priors` lists, or a TOML file.", metavar="NAME")]
Longitude = Annotated[float, typer.Option(help="Galactic longitude.", metavar="DEG")]
Latitude = Annotated[float, typer.Option(help="Galactic latitude.", metavar="DEG")]
Model = Annotated[str, typer.Option(help="`default`, or the path of a trained model.")]

priors_app = typer.Typer()
app.add_typer(priors_app, name="priors")


@priors_app.callback(invoke_without_command=True, epilog=example("albireo priors"))
def priors_command(context: typer.Context, as_json: AsJson = False) -> None:
    """List the priors known by name; `show` draws one."""
    if context.invoked_subcommand is not None:
        return
    from albireo.priors import list_priors

    priors = list_priors()
    if as_json:
        typer.echo(json.dumps([{"name": name, "description": description} for name, description in priors], indent=2))
        return
    width = max(len(name) for name, _ in priors)
    for name, description in priors:
        typer.echo(f"{name:{width}}  {description}")


@priors_app.command("show", epilog=example("albireo priors show milky-way --glon 30 --glat 5 -o shown"))
def show_command(
    name: Name, glon: Longitude, glat: Latitude, output: OutputFolder, model: Model = "default", quiet: Quiet = False
) -> None:
    """Draw a prior in one direction: stars and reddening against distance, Kiel diagram, metallicity against height.

    DIR gets density.png and reddening.png and, if the model has these labels, kiel.png and metallicity.png.
    """
    from albireo.output import check_empty, write_files

    check_empty(output)
    from albireo.figures.of_prior import draw_all
    from albireo.model import load_model
    from albireo.priors import load_prior

    loaded = load_model(model)
    figures = draw_all(load_prior(name, loaded), glon, glat, loaded.labels)
    write_files(
        output, {f"{kind}.png": lambda path, kind=kind: figures[kind].savefig(path, dpi=200) for kind in figures}
    )
    told = f"{output}: {', '.join(f'{kind}.png' for kind in figures)}"
    then = f"albireo mock {name} --glon {glon:g} --glat {glat:g} --stars 1000 -o mock.fits"
    tell(told, quiet=quiet, then=then)


@app.command("mock", epilog=example("albireo mock milky-way --glon 30 --glat 5 --stars 1000 -o mock.fits"))
def mock_command(
    name: Name,
    glon: Longitude,
    glat: Latitude,
    output: OutputTable,
    stars: Annotated[int, typer.Option(min=1, help="How many stars.", metavar="N")] = 1000,
    faintest: Annotated[
        float, typer.Option(help="Of the stars that are kept, in the model's first band.", metavar="MAG")
    ] = 18.0,
    model: Model = "default",
    seed: Seed = 0,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Simulate what surveys would list of the stars that a prior expects in one direction.

    TABLE has the columns that `albireo infer` reads and, as true_teff and so on, what the stars are.
    """
    check_output_file(output, "table", overwrite=overwrite)
    from albireo.progress import progress_bar
    from albireo.simulation import mock
    from albireo.tables import write_table

    with progress_bar("simulating", stars, "stars", quiet=quiet) as progress:
        options = {"model": model, "faintest": faintest, "seed": seed, "progress": progress}
        table = mock(name, glon, glat, stars, **options)
    write_table(table, output)
    told = f"{output}: {(table.meta or {})['comments'][0]}"
    tell(told, quiet=quiet, then=f"albireo infer {output} -o run --prior {name}")
