"""A progress bar for the terminal: how many are done, how fast, how long it will take; silent anywhere else."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress_bar(
    description: str, total: int | None, unit: str, *, quiet: bool = False
) -> Iterator[Callable[[int], None]]:
    """Show a bar on standard error while the block runs; yields the function that says how many more are done.

    Args:
        description: what is being done.
        total: how many there are to do, if that is known.
        unit: what they are, in the plural.
        quiet: show nothing.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda count: None  # noqa: ARG005, the signature is the point
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class RateColumn(ProgressColumn):
        def render(self, task) -> Text:
            return Text(f"{task.completed / task.elapsed if task.elapsed else 0:.3g} {unit}/s")

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), RateColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(description, total=total)
        yield lambda count: progress.update(task, advance=count)
