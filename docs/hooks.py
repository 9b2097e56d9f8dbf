"""What mkdocs is told beyond mkdocs.yml: pages that are made from other files of the repository, and equations.

Every text is written once. A page of `MADE_FROM` is that file; its links, like those of all pages, are written as they
hold in the repository, and are turned into links of the site here. Equations between double dollars become MathML.
"""

import hashlib
import json
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"
TUTORIALS = sorted((ROOT / "tutorials").glob("[0-9]*.py"))

MADE_FROM = {
    "index.md": "README.md",
    "prior_files.md": "priors/README.md",
    "bundled_data.md": "src/albireo/data/README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    **{f"tutorials/{path.stem}.md": f"tutorials/{path.name}" for path in TUTORIALS},
}
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")


def cells(path: Path) -> Iterator[tuple[bool, str]]:
    """The cells of a tutorial of percent format: whether it is text, and its lines."""
    for cell in re.split(r"^# %%", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        head, body = cell.split("\n", 1)
        yield "[markdown]" in head, body


def code_cells(path: Path) -> list[str]:
    """The cells of code of a tutorial."""
    return [body.strip() for is_text, body in cells(path) if not is_text]


def digest(code: str) -> str:
    """What a cell of code is known by in the file of what it printed."""
    return hashlib.sha256(code.encode()).hexdigest()[:16]


def printed_file(path: Path) -> Path:
    """Where `run_tutorials.py` keeps what the cells of a tutorial printed."""
    return ROOT / "docs" / "printed" / f"{path.stem}.json"


def tutorial_as_markdown(path: Path) -> str:
    """A tutorial: comments become text; code becomes blocks, each with what it prints and the pictures it saves."""
    file = printed_file(path)
    printed = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return "\n".join(_text(body) if is_text else _code(path, body.strip(), printed) for is_text, body in cells(path))


def _text(body: str) -> str:
    return "".join(re.sub("^# ?", "", line) for line in body.splitlines(keepends=True))


def _code(path: Path, code: str, printed: dict[str, str]) -> str:
    parts = [f"```python\n{code}\n```\n"]
    if text := printed.get(digest(code), "").strip("\n"):
        parts.append(f"``` {{ .text .printed .no-copy }}\n{text}\n```\n")
    pictures = (f"{path.stem[:2]}_{name}" for name in re.findall(r'(?:savefig|Path)\("(\w+\.png)"', code))
    parts += [
        f"![The picture that this code saves: {name}](../docs/pictures/{name})\n"
        for name in pictures
        if (PICTURES / name).is_file()
    ]
    return "\n".join(parts)


def site_links(markdown: str, page: str) -> str:
    """Links between files of the repository as links between pages of the site.

    Args:
        markdown: the text.
        page: where it stands in the site.
    """
    source = MADE_FROM.get(page, f"docs/{page}")
    page_of = {made_from: made for made, made_from in MADE_FROM.items()}

    def link(match: re.Match) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[1]))
        target = page_of.get(path, path.removeprefix("docs/"))
        return f"]({posixpath.relpath(target, posixpath.dirname(page) or '.')}{match[2] or ''})"

    return LINK.sub(link, markdown)


def equations(markdown: str) -> str:
    """LaTeX between double dollars as MathML, which browsers draw without a script."""
    from latex2mathml.converter import convert  # here and below, so that the tests can read this without mkdocs

    def mathml(match: re.Match) -> str:
        return f'<div class="equation">{convert(match[1].strip(), display="block")}</div>'

    return re.sub(r"\$\$(.+?)\$\$", mathml, markdown, flags=re.DOTALL)


def on_files(files, config):
    """Called by mkdocs with the files of docs/: add the pages made from others."""
    from mkdocs.structure.files import File

    for page, source in MADE_FROM.items():
        path = ROOT / source
        text = tutorial_as_markdown(path) if path.suffix == ".py" else path.read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown, page, **_):
    """Called by mkdocs with the text of every page."""
    # "[Fe/H] [dex]" is text here and on GitHub, but a link with a space in it to Python-Markdown.
    return equations(site_links(markdown, page.file.src_uri)).replace("] [", "] \\[")
