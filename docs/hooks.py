"""What mkdocs is told beyond mkdocs.yml: pages that are made from other files of the repository, and equations.

Every text is written once. A page of `MADE_FROM` is that file; its links, like those of all pages, are written as they
hold in the repository, and are turned into links of the site here. Equations between double dollars become MathML.
"""

import posixpath
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
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


def tutorial_as_markdown(path: Path) -> str:
    """A tutorial of percent format: comments become text, code becomes blocks, each with the pictures it saves."""
    cells = re.split(r"^# %%", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return "\n".join(_cell_as_markdown(path, *cell.split("\n", 1)) for cell in cells)


def _cell_as_markdown(path: Path, head: str, body: str) -> str:
    if "[markdown]" in head:
        return "".join(re.sub("^# ?", "", line) for line in body.splitlines(keepends=True))
    pictures = (f"{path.stem[:2]}_{name}" for name in re.findall(r'(?:savefig|Path)\("(\w+\.png)"', body))
    shown = [
        f"![The picture that this code saves: {name}](../docs/pictures/{name})\n"
        for name in pictures
        if _is_picture(name)
    ]
    return "\n".join([f"```python\n{body.strip()}\n```\n", *shown])


def _is_picture(name: str) -> bool:
    return (ROOT / "docs" / "pictures" / name).is_file()


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
