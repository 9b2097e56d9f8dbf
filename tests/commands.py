"""All commands of the command line, also those within groups."""

from collections.abc import Iterator
from typing import Any

import typer

from albireo import cli


def _within(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        yield prefix + name, command
        if hasattr(command, "commands"):
            yield from _within(command, f"{prefix}{name} ")


COMMANDS: dict[str, Any] = dict(_within(typer.main.get_command(cli.app)))
"""Commands by their names, such as `infer` and `priors show`."""


def unparsed(arguments: list[str]) -> list[str]:
    """What a command cannot make sense of; a usage error where an option is wrong."""
    words = 2 if " ".join(arguments[:2]) in COMMANDS else 1
    name = " ".join(arguments[:words])
    return COMMANDS[name].make_context(name, arguments[words:]).args
