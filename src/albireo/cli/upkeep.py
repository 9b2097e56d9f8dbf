"""The command that examines an installation."""

import json

import typer

from albireo.cli.app import AsJson, app, example
from albireo.errors import UserError


@app.command("doctor", epilog=example("albireo doctor"))
def doctor_command(as_json: AsJson = False) -> None:
    """Say whether the installation is whole: versions, devices, kept code, data, optional extras; status 2 if not."""
    from albireo.doctor import examine, lines

    report = examine()
    typer.echo(json.dumps(report, indent=2) if as_json else "\n".join(lines(report)))
    if report["problems"]:
        raise UserError(report["problems"][0])
