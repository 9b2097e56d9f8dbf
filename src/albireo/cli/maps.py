"""Commands that make other files of a run: maps of the sky, tables of other formats."""

from pathlib import Path
from typing import Annotated

import typer

from albireo.cli.app import OutputFolder, Quiet, app, check_output_file, example, tell
from albireo.cli.surveys import OutputTable, Overwrite
from albireo.errors import UserError


@app.command("sky-maps", epilog=example("albireo sky-maps run -o maps --nside 32"))
def sky_maps_command(
    run: Annotated[Path, typer.Argument(help="Folder of a run of `albireo infer`.", metavar="RUN_DIR")],
    output: OutputFolder,
    nside: Annotated[int, typer.Option(help="Resolution of the HEALPix maps, a power of two.", metavar="N")] = 32,
    distances: Annotated[
        str, typer.Option(help="Edges of the slices of distance [pc].", metavar="D:D:D")
    ] = "0:500:1000:2000:4000",
    quiet: Quiet = False,
) -> None:
    """Map a run: counts of stars, share of flagged ones, mean reddening by distance, as DIR/sky_maps.fits and .png."""
    from albireo.output import check_empty

    check_empty(output)
    try:
        edges = [float(edge) for edge in distances.split(":")]
    except ValueError:
        raise UserError(f"--distances must be numbers with colons between, such as 0:500; got {distances!r}.") from None
    from albireo.scale.sky import sky_maps, write_sky_maps

    maps = sky_maps(run, nside, edges)
    write_sky_maps(maps, output)
    written = f"{int(maps['count'][0].sum())} stars in {output / 'sky_maps.fits'} and {output / 'sky_maps.png'}"
    tell(written, quiet=quiet)


@app.command("convert", epilog=example("albireo convert run -o stars.fits"))
def convert_command(
    run: Annotated[
        Path, typer.Argument(help="Folder of a run of `albireo infer`, or its summary.parquet.", metavar="RUN_DIR")
    ],
    output: OutputTable,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Write the summary of a run as FITS (.fits), VOTable (.vot, .xml) or ECSV (.ecsv), whatever its length.

    Units, descriptions and IVOA content descriptors go with the columns, as TOPCAT shows them.
    """
    check_output_file(output, "table", overwrite=overwrite)
    from albireo.scale.convert import convert

    tell(f"{convert(run, output)} stars in {output}", quiet=quiet)
