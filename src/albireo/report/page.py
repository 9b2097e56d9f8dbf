"""The page itself: a template, a style, a script, plotly.js and the data, in one file."""

import base64
import json
from collections.abc import Iterable
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from albireo.errors import UserError
from albireo.flags import Flag, describe_flags
from albireo.report.content import stars_of_run
from albireo.runs import Run


def report_page(run: Run, seed: int = 0) -> str:
    """The report of a run: HTML that needs no other file and no network.

    Args:
        run: the run, with the stars to show.
        seed: that chose the stars, to be told on the page where they are not all.

    Raises:
        UserError: the run's draws cannot be read, or the package plotly is missing.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise UserError("the report page needs the package plotly; install it with `pip install plotly`.") from None
    content, draws = stars_of_run(run)
    folder = files("albireo") / "report"
    return Template((folder / "page.html").read_text(encoding="utf-8")).substitute(
        title=escape(run.folder.resolve().name),
        style=(folder / "page.css").read_text(encoding="utf-8"),
        overview=_overview(run, seed),
        flag_options=_options([("0", "no flag"), *((str(bit), name) for bit, name, _ in describe_flags())]),
        column_options=_options((name, name) for name in _numeric(content)),
        plotly=get_plotlyjs(),
        data=json_in_html(content),
        draws=base64.b64encode(draws).decode("ascii"),
        script=(folder / "page.js").read_text(encoding="utf-8"),
    )


def json_in_html(value: Any) -> str:
    """JSON that may stand inside a script element: no text in it can end the element or begin a tag."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _numeric(content: dict[str, Any]) -> Iterable[str]:
    yield from (variable["name"] for variable in content["variables"])
    yield from (column["name"] for column in content["columns"] if "digits" in column)


def _options(pairs: Iterable[tuple[str, str]]) -> str:
    return "".join(f'<option value="{escape(value)}">{escape(text)}</option>' for value, text in pairs)


def _overview(run: Run, seed: int) -> str:
    """What ran, with which settings, and how many stars have which flag."""
    num = run.num_stars
    parts = [f"<p>{' '.join(map(escape, _sentences(run, seed)))}</p>"]
    flags = [
        (f"<code>{name}</code>", escape(text), _count(sum(n for value, n in run.flags.items() if value & bit), num))
        for bit, name, text in describe_flags()
    ]
    flags = [row for row in flags if row[2]]
    parts.append(_table("Flags of all stars", ("flag", "meaning", "stars"), flags, opened=True))
    engines = [(escape(name or "none"), _count(n, num)) for name, n in run.engines.most_common()]
    parts.append(_table("Samplers that served all stars", ("engine", "stars"), engines, opened=True))
    settings = [(escape(name), escape(_setting(value))) for name, value in run.settings.items()]
    versions = [(escape(name), escape(str(value))) for name, value in run.manifest.get("versions", {}).items()]
    parts.append(_table("Settings", ("setting", "value"), settings))
    parts.append(_table("Versions", ("package", "version"), versions))
    return "\n".join(parts)


def _sentences(run: Run, seed: int) -> list[str]:
    num, shown = run.num_stars, len(run.summary)
    clean = run.flags.get(0, 0)
    bad = int(Flag.NOT_CONVERGED | Flag.NOT_SAMPLED)
    converged = sum(n for value, n in run.flags.items() if not value & bad)
    sentences = [f"{num:,} star{'s' if num != 1 else ''}; {converged:,} converged, {clean:,} have no flag."]
    if shown < num:
        sentences.append(f"This page shows {shown:,} of them, chosen at random (seed {seed}); the tables count all.")
    return sentences


def _count(count: int, num: int) -> str:
    return f"{count:,} ({count / num:.1%})" if count else ""


def _setting(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(
            f"{name} {text[:12] if name in ('sha256', 'values') else text}" for name, text in value.items()
        )
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _table(title: str, head: tuple[str, ...], rows: list[tuple[str, ...]], *, opened: bool = False) -> str:
    """A table of cells that are HTML; nothing without rows."""
    if not rows:
        return ""
    cells = "".join(f'<th scope="col">{name}</th>' for name in head)
    lines = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    opening = f"<details{' open' if opened else ''}><summary>{title}</summary>"
    return f"{opening}<table><tr>{cells}</tr>{lines}</table></details>"
