"""The command line. Heavy imports stand inside the commands, so that `albireo --help` answers at once."""

import errno
import os
import sys
import warnings
from collections.abc import Sequence
from functools import cache
from typing import Annotated, Any

import typer

from albireo.cli import figures, inference, maps, priors, surveys, training, upkeep
from albireo.cli.app import app, say
from albireo.errors import UserError

# Importing these adds their commands to `app`, in the order of `--help`.
__all__ = ["figures", "inference", "main", "maps", "priors", "run", "surveys", "training", "upkeep"]

# Click's class, from wherever this version of typer keeps it.
_UsageError: Any = typer.BadParameter.__base__


def main() -> None:
    """Run the command line of this process, and exit."""
    _prepare_process()
    sys.exit(run(sys.argv[1:]))


def _prepare_process() -> None:
    """Show our warnings in a line each, and only once, and nobody else's."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # XLA's remarks on cached code, which are harmless
    warnings.simplefilter("ignore")
    warnings.filterwarnings("always", category=UserWarning, module=r"albireo(\.|$)")
    # Python's own "once" forgets what was shown whenever a package changes the filters for a while.
    say_once = cache(say)
    warnings.showwarning = lambda message, *_, **__: say_once(f"note: {message}")


_INTERRUPTED = 130


def run(arguments: Sequence[str]) -> int:
    """Run a command; returns 0 when done, 2 for a user's mistake, 1 for a failure of ours, 130 if interrupted."""
    try:
        status = app(list(arguments), prog_name="albireo", standalone_mode=False) or 0
        if status == _INTERRUPTED:  # typer may turn the interrupt into a status of its own
            raise KeyboardInterrupt
        return status
    except UserError as error:
        say(str(error))
        return 2
    except _UsageError as error:
        say(f"{error.format_message().rstrip('.')}; see `albireo --help`.")
        return 2
    except (KeyboardInterrupt, typer.Abort):
        say("interrupted; an unfinished run goes on with --resume.")
        return _INTERRUPTED
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            return _fail(error)
        say(f"{error.filename or 'the output'} cannot be written ({error.strerror}); make room and start again.")
        return 2
    except Exception as error:  # whatever else went wrong is our failure, and says so
        return _fail(error)


def _fail(error: Exception) -> int:
    """Tell of a failure of ours, with its traceback if that is asked for."""
    if os.environ.get("ALBIREO_DEBUG"):
        raise error
    cause = " ".join(str(error).split())[:300]
    say(f"albireo failed: {type(error).__name__}: {cause}; please report it with the output of ALBIREO_DEBUG=1.")
    return 1


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
