"""Every tutorial runs from beginning to end, and leaves what it promises."""

import runpy
from pathlib import Path

import pytest

TUTORIALS = sorted((Path(__file__).parents[1] / "tutorials").glob("[0-9]*.py"))
MAX_LINES_OF_CODE = {"01_first_stars": 60}
NEEDS_DATA = {"06_distance_of_a_dust_cloud"}


def marked(path: Path):
    """The first is quick; the others are run where there is time."""
    return pytest.param(path, id=path.stem, marks=[] if path == TUTORIALS[0] else [pytest.mark.slow])


def test_every_tutorial_has_a_number_of_its_own():
    assert TUTORIALS[0].stem == "01_first_stars"
    numbers = [int(path.stem[:2]) for path in TUTORIALS]
    assert len(set(numbers)) == len(numbers)


# ArviZ 0.2x is behind its dependencies; and a handful of magnitudes is little to leave one out of.
@pytest.mark.filterwarnings("ignore:Passing a dict or None as alias_mapping")
@pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame")
@pytest.mark.filterwarnings("ignore:Estimated shape parameter")
@pytest.mark.parametrize("path", [marked(path) for path in TUTORIALS])
def test_tutorial_runs(path, tmp_path, monkeypatch, capsys, request):
    if path.stem in NEEDS_DATA:
        monkeypatch.setenv("ALBIREO_DATA", str(request.getfixturevalue("data_folder").resolve()))
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out
    assert list(tmp_path.glob("*.png"))


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_tutorial_is_short(path):
    code = [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
    assert len(code) < MAX_LINES_OF_CODE.get(path.stem, 100)
