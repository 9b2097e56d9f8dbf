"""The command line's application, the options that several commands share, and what they have in common."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from albireo.errors import UserError
from albireo.fingerprint import digest, fingerprint

app = typer.Typer(
    help="What stars are, how far away they are and how much dust lies in front of them, from their photometry.",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Input = Annotated[Path, typer.Argument(help="Table of stars: FITS, Parquet, ECSV, CSV or VOTable.", metavar="INPUT")]
OutputFolder = Annotated[Path, typer.Option("--output", "-o", help="Folder to write.", metavar="DIR")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of all random numbers.")]
FLOOR_IN_ERRORS = "Floor that the table's errors of magnitudes hold in quadrature; it is taken off."
FloorInErrors = Annotated[float, typer.Option(min=0, help=FLOOR_IN_ERRORS, metavar="MAG")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print neither progress nor results, only notes and errors.")
]


def example(*commands: str) -> str:
    """What the help of a command ends in."""
    return "Example: " + "; ".join(commands)


def tell(*lines: str, quiet: bool, then: str = "") -> None:
    """Print what was done, and what may be done next."""
    if not quiet:
        typer.echo("\n".join([*lines, f"next: {then}"] if then else lines))


def say(message: str) -> None:
    """Print a line to standard error."""
    typer.echo(" ".join(message.split()), err=True)


def load_problem(model: str, prior: str, sampler: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Model, prior and sampler by name or path; and what a run records of them."""
    from albireo.model import load_model, model_path
    from albireo.priors import load_prior
    from albireo.samplers import SAMPLERS

    if sampler not in SAMPLERS:
        raise UserError(f"there is no sampler {sampler!r}; choose one of {', '.join(SAMPLERS)}.")
    loaded = load_model(model)
    problem = {"model": loaded, "prior": load_prior(prior, loaded), "sampler": SAMPLERS[sampler]()}
    described = {
        "model": fingerprint(model_path(model)),
        "prior": fingerprint(prior) | {"values": digest(problem["prior"])},
        "sampler": repr(problem["sampler"]),
    }
    return problem, described


def check_output_file(output: Path, what: str, *, overwrite: bool) -> None:
    """Refuse a file that cannot be written, before the work that it is to hold."""
    if output.is_dir() or not output.absolute().parent.is_dir():
        raise UserError(f"the {what} {output} cannot be written; give the path of a file in an existing folder.")
    if not os.access(output.absolute().parent, os.W_OK):
        raise UserError(f"the {what} {output} cannot be written: no permission; choose another folder.")
    if output.exists() and not overwrite:
        raise UserError(f"the {what} {output} is already there; choose another name, or add --overwrite.")
