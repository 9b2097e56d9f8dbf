"""The documentation site, without mkdocs: its pages and links are there, and what it renders has docstrings."""

import importlib
import importlib.util
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
NAVIGATION = re.findall(r"^ +- [^:]+: (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
REFERENCE = sorted(
    name for path in DOCS.glob("reference/*.md") for name in re.findall(r"^::: (\S+)$", path.read_text(), re.MULTILINE)
)
PACKAGES = ("", ".training", ".surveys", ".crossmatch", ".priors", ".model", ".evaluation", ".calibration", ".figures")
PACKAGES += (".simulation",)
CONSTANTS = {"albireo.surveys.SURVEYS", *(f"albireo.figures.{name}" for name in ("BLUE", "COLORMAP", "GRAY"))}
CONSTANTS.add("albireo.figures.VERMILLION")


def hooks():
    spec = importlib.util.spec_from_file_location("hooks", DOCS / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


HOOKS = hooks()
SOURCES = [*(DOCS / page for page in NAVIGATION if page not in HOOKS.MADE_FROM)]
SOURCES += [ROOT / path for path in HOOKS.MADE_FROM.values()]


def test_every_page_of_the_navigation_is_there_and_every_page_is_in_it():
    assert len(NAVIGATION) > 20
    written = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert sorted(NAVIGATION) == sorted(written | set(HOOKS.MADE_FROM))


def anchors(text: str) -> set[str]:
    """Of all headings outside code, as the site and GitHub make them."""
    outside = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", outside, re.MULTILINE)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading.lower())) for heading in headings}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_its_links_lead_somewhere(path):
    text = path.read_text(encoding="utf-8")
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(#[^)\s]+)?\)", text):
        there = path.parent / target if target else path
        assert there.is_file(), target
        assert not anchor or anchor[1:] in anchors(there.read_text(encoding="utf-8")), anchor


def test_a_link_of_the_repository_becomes_one_of_the_site():
    text = (
        "[a](docs/limits.md), [b](tutorials/01_first_stars.py), [c](priors/README.md#priors), [d](https://e.org/f.md)"
    )
    expected = "[a](limits.md), [b](tutorials/01_first_stars.md), [c](prior_files.md#priors), [d](https://e.org/f.md)"
    assert HOOKS.site_links(text, "index.md") == expected
    assert HOOKS.site_links("[a](../docs/limits.md)", "tutorials/01_first_stars.md") == "[a](../limits.md)"


@pytest.mark.parametrize("path", HOOKS.TUTORIALS, ids=lambda path: path.stem)
def test_a_tutorial_becomes_text_and_code(path):
    text = HOOKS.tutorial_as_markdown(path)
    assert re.match(r"\s*# \w", text)
    assert "%%" not in text
    assert "kernelspec" not in text
    code = "".join(re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    compile(code, path.name, "exec")
    assert "import" in code


@pytest.mark.parametrize("path", HOOKS.TUTORIALS, ids=lambda path: path.stem)
def test_what_a_tutorial_prints_is_shown_below_the_code_that_stands_there(path):
    printed = json.loads(HOOKS.printed_file(path).read_text(encoding="utf-8"))
    cells = {HOOKS.digest(code): code for code in HOOKS.code_cells(path)}
    assert list(printed) == list(cells), f"run `python docs/run_tutorials.py {path.stem[:2]}`"
    shown = HOOKS.tutorial_as_markdown(path)
    for key, text in printed.items():
        assert not re.search(r"^print\(", cells[key], re.MULTILINE) or text, cells[key]
        assert not re.search(r"(^|[\s'\"])/(tmp|home|root|work|Users)/", text), text
        assert text.strip("\n") in shown
    assert shown.count(".printed") == sum(bool(text.strip()) for text in printed.values()) > 1


def test_every_picture_of_a_tutorial_is_there_and_shown():
    text = "".join(HOOKS.tutorial_as_markdown(path) for path in HOOKS.TUTORIALS)
    shown = re.findall(r"\(\.\./docs/pictures/(\S+)\)", text)
    assert sorted(shown) == sorted(path.name for path in DOCS.glob("pictures/*"))
    assert {name[:2] for name in shown} == {path.name[:2] for path in HOOKS.TUTORIALS}


def test_pictures_are_small():
    sizes = [path.stat().st_size for path in DOCS.rglob("*.png")]
    assert sizes
    assert max(sizes) < 150_000
    assert sum(sizes) < 1_000_000


def find(name: str) -> Any:
    """What a dotted name stands for."""
    home, _, attribute = name.rpartition(".")
    try:
        return getattr(importlib.import_module(home), attribute)
    except ModuleNotFoundError:
        return getattr(find(home), attribute)


def public_names() -> list[str]:
    packages = (f"albireo{package}" for package in PACKAGES)
    return sorted(f"{name}.{member}" for name in packages for member in importlib.import_module(name).__all__)


def test_the_reference_holds_all_that_is_public():
    shown = [find(name) for name in REFERENCE]
    missing = [name for name in public_names() if name not in CONSTANTS and not any(find(name) is o for o in shown)]
    assert not missing, f"put these into a page of docs/reference: {missing}"


def callables(name: str) -> Iterator[tuple[str, Any]]:
    """A function; or a class and what it defines itself."""
    thing = find(name)
    yield name, thing
    if inspect.isclass(thing) and thing.__module__.startswith("albireo"):
        for key, member in vars(thing).items():
            member = inspect.unwrap(getattr(member, "__func__", None) or getattr(member, "fget", None) or member)
            if not key.startswith("_") and inspect.isfunction(member) and member.__module__ == thing.__module__:
                yield f"{name}.{key}", member


@pytest.mark.parametrize("name", REFERENCE)
def test_what_is_public_has_docstrings_with_shapes(name):
    faults = []
    for where, thing in callables(name):
        docstring = inspect.getdoc(thing) or ""
        if not docstring:
            faults.append(f"{where} has no docstring")
        if not inspect.isfunction(thing):
            continue
        for argument, annotation in inspect.get_annotations(thing).items():
            # A jaxtyping annotation has its shape in it; an array without one has to be described.
            is_array = re.search(r"\b(ndarray|Array|ArrayLike)\b", str(annotation)) and argument != "return"
            shaped = any(hasattr(part, "dim_str") for part in parts(annotation))
            if is_array and not shaped and not re.search(rf"\b{argument}\b", docstring):
                faults.append(f"{where}: the array {argument} has neither a shape nor a description")
    assert not faults, "; ".join(faults)


# Arguments of such names have a unit, which has to be told where they are, or where their class is described.
UNITS = {"mu": "mag", "reddening": "mag", "mag": "mag", "floor": "mag", "error_floor": "mag", "faintest": "mag"}
UNITS |= {"position": "deg", "positions": "deg", "glon": "deg", "glat": "deg", "parallax": "mas", "distance": "pc"}
UNITS |= {"theta": "K", "label_median": "K", "label_std": "K"}


@pytest.mark.parametrize("name", REFERENCE)
def test_quantities_have_their_units_told(name):
    of_class = inspect.getdoc(find(name)) or ""
    faults = []
    for where, thing in callables(name):
        docstring = f"{of_class}\n{inspect.getdoc(thing)}"
        annotations = inspect.get_annotations(thing) if inspect.isfunction(thing) else {}
        for argument, annotation in annotations.items():
            unit = UNITS.get(argument)
            is_number = re.search(r"\bfloat\b|Float\[", str(annotation))
            if unit and is_number and not re.search(rf"(\[|\[[^\]]*\W|\bin ){unit}\b", docstring):
                faults.append(f"{where}: the unit of {argument}, {unit}")
    assert not faults, f"to be told: {'; '.join(faults)}"


def parts(annotation: Any) -> Iterator[Any]:
    """An annotation, and what it is made of if it is a union or generic."""
    yield annotation
    for part in getattr(annotation, "__args__", ()):
        yield from parts(part)
