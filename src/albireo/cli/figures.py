"""Commands that show a run: a figure of it, or a page."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from albireo.cli.app import Quiet, Seed, app, check_output_file, example, tell
from albireo.errors import UserError

RunFolder = Annotated[Path, typer.Argument(help="Folder of a run of `albireo infer`.", metavar="RUN_DIR")]


class Kind(StrEnum):
    """Figures of one star, then of all stars of a run."""

    CORNER = "corner"
    SED = "sed"
    TRACE = "trace"
    RANK = "rank"
    KIEL = "kiel"
    CMD = "cmd"
    SIGHTLINE = "sightline"
    PULLS = "pulls"


_OF_ONE_STAR = (Kind.CORNER, Kind.SED, Kind.TRACE, Kind.RANK)
# More than these would make a page that browsers are slow to open.
_MAX_STARS = 5000
_ENDINGS = (".png", ".pdf", ".svg")


@app.command("plot", epilog=example("albireo plot sed run -o sed.png --star 'HD 1461'"))
def plot_command(
    kind: Annotated[Kind, typer.Argument(help="What to draw.")],
    run: RunFolder,
    output: Annotated[Path, typer.Option("--output", "-o", help="PNG, PDF or SVG file to write.", metavar="FILE")],
    star: Annotated[str | None, typer.Option(help="Which star; the first one by default.", metavar="ID")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE if it is there.")] = False,
    quiet: Quiet = False,
) -> None:
    """Draw a figure of a run.

    Of one star: corner (its posterior, with the prior and the labels of the input), sed (magnitudes and residuals),
    trace and rank (its chains). Of all stars: kiel, cmd (colour and magnitude), sightline (reddening against distance)
    and pulls (against the labels of the input).
    """
    if output.suffix.lower() not in _ENDINGS:
        raise UserError(f"{output} must end in {', '.join(_ENDINGS[:-1])} or {_ENDINGS[-1]}.")
    if star is not None and kind not in _OF_ONE_STAR:
        raise UserError(f"{kind} shows all stars of a run; leave --star out.")
    check_output_file(output, "figure", overwrite=overwrite)
    from albireo.figures.of_run import draw
    from albireo.runs import Run

    draw(kind.value, Run.open(run), star).savefig(output, dpi=300)
    tell(f"{kind} in {output}", quiet=quiet)


@app.command("report", epilog=example("albireo report run"))
def report_command(
    run: RunFolder,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="HTML file; RUN_DIR/report.html by default.", metavar="FILE")
    ] = None,
    stars: Annotated[
        int, typer.Option(min=1, max=_MAX_STARS, help="Show at most so many stars, chosen at random.", metavar="N")
    ] = _MAX_STARS,
    seed: Seed = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE if it is there.")] = False,
    quiet: Quiet = False,
) -> None:
    """Write a page that shows a run and each of its stars, to be opened in any browser, without a network."""
    output = output or run / "report.html"
    if output.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"{output} must end in .html.")
    from albireo.runs import Run

    opened = Run.open(run, stars, seed)
    check_output_file(output, "report", overwrite=overwrite)
    from albireo.output import write_files
    from albireo.report import report_page

    write_files(output.parent, {output.name: report_page(opened, seed).encode()})
    shown = f"{len(opened.summary)} of {opened.num_stars} stars in {output}"
    tell(shown, quiet=quiet, then=f"open {output} in a browser")
