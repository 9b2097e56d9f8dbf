"""An evaluation in a folder: JSON, tables and pictures."""

import io
import json
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from albireo.evaluation.figures import draw_figures
from albireo.evaluation.report import Report
from albireo.model.stellar import StellarModel
from albireo.output import write_files
from albireo.training.dataset import TrainingSet

_DPI = 150


def write_evaluation(
    output: Path, report: Report, model: StellarModel, stars: TrainingSet, settings: dict[str, Any]
) -> list[str]:
    """Write `evaluation.json`, the tables of the report and the figures of a model, all of it or nothing.

    Args:
        output: the folder, which is made if need be.
        report: figures of the model, and perhaps of others.
        model: the model to draw.
        stars: the stars to draw.
        settings: what was asked for, as plain JSON values; it goes into `evaluation.json`.

    Returns:
        What was left out, and why, a sentence each.

    Raises:
        UserError: the folder cannot be written.
    """
    figures, left_out = draw_figures(model, stars)
    notes = [*report.notes, *(f"{name}.png is left out: {why}" for name, why in left_out.items())]
    run = {**settings, "stars_in_figures": len(stars), "left_out": notes}
    contents = {f"{name}.png": _to_png(figure) for name, figure in figures.items()}
    for name, table in report.to_tables().items():
        text = io.StringIO()
        table.write(text, format="ascii.ecsv")
        contents[f"{name}.ecsv"] = text.getvalue().encode()
    contents["evaluation.json"] = (json.dumps({**report.to_dict(), "run": run}, indent=2) + "\n").encode()
    write_files(output, contents)
    return notes


def _to_png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=_DPI)
    return file.getvalue()
