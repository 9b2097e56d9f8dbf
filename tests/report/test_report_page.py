"""The report page: what is in the file, and what a person sees and does with it in a browser."""

import json
import re

import numpy as np
import pytest

from albireo import cli
from albireo.catalog import Catalog
from albireo.figures import draw_from_prior
from albireo.report.page import json_in_html
from albireo.runs import Run
from albireo.samplers import Problem
from browser import CHROMIUM, open_browser
from made_up import settings_of, write_run
from stars import TRUTHS, simulate

pytest.importorskip("plotly")

# Names that would be a part of the page, or of plotly's texts, if they were not escaped.
NAMES = [
    "<script>alert(1)</script>",
    "</script><b>bold</b>",
    "<!-- Tom & Jerry -->",
    "<a href='javascript:alert(1)'>x</a>",
    'q"uote',
    "Vega",
]

# Three kinds of stars, and three that are hotter and redder, so that no two points of a diagram cover each other.
STARS = [*TRUTHS, *(((teff + 400, logg - 0.2, feh), mu, e + 0.2) for (teff, logg, feh), mu, e in TRUTHS)]


@pytest.fixture(scope="module")
def problem(model, milky_way):
    return Problem(model, milky_way)


@pytest.fixture(scope="module")
def place(problem, tmp_path_factory):
    """Two runs of the same stars, one with draws and one without, with a report each."""
    place = tmp_path_factory.mktemp("report")
    table = simulate(problem.model, STARS).to_table()
    table.remove_column("theta_cov")
    table["name"] = NAMES
    table["teff"], table["teff_err"] = [theta[0] for theta, _, _ in STARS], np.full(len(NAMES), 60.0)
    table.write(place / "stars.ecsv")
    catalog = Catalog.read(place / "stars.ecsv")
    settings = settings_of(place / "stars.ecsv")
    for name, keep_draws in (("run", True), ("summary", False)):
        write_run(place / name, problem, catalog, settings, truths=STARS, keep_draws=keep_draws)
        assert cli.run(["report", str(place / name)]) == 0
    return place


def html_of(place, name="run"):
    return (place / name / "report.html").read_text(encoding="utf-8")


def data_of(html):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)[1])


def without_plotly(html):
    from plotly.offline import get_plotlyjs

    return html.replace(get_plotlyjs(), "")


def test_the_page_needs_no_other_file(place):
    page = without_plotly(html_of(place))
    page = re.sub(r'<script type="application/json".*?</script>', "", page, flags=re.DOTALL)
    assert not re.search(r"""(?:src|href)=["'](?!data:)""", page)
    assert "@import" not in page
    assert len(page) < 400_000


def test_names_cannot_end_the_data_or_begin_a_tag(place):
    page = without_plotly(html_of(place))
    assert data_of(page)["stars"] == NAMES
    assert page.count("<script") == page.count("</script>") == 4
    assert "alert(1)</" not in page
    assert json_in_html({"a": "</script>&\u2028"}) == '{"a":"\\u003c/script\\u003e\\u0026\\u2028"}'


def test_what_the_page_holds_is_what_the_run_holds(place, problem):
    data, run = data_of(html_of(place)), Run.open(place / "run")
    teff = next(each for each in data["variables"] if each["name"] == "teff")
    np.testing.assert_allclose(teff["middle"], run.summary["teff_p50"], atol=0.5)
    assert data["flags"] == list(run.summary["flags"])
    assert data["truth"]["teff"] == [theta[0] for theta, _, _ in STARS]
    corner, posterior = data["corner"], run.posterior(1).tree["posterior"]
    low, high = np.array(corner["ranges"][1]).T
    drawn = posterior["teff"].values[:, :, 0].T.ravel()
    assert drawn.min() - 1e-3 <= low[0] < high[0] <= drawn.max() + 1e-3
    assert corner["num"] % 3 == 0
    page = html_of(place)
    packed = re.search(r'id="draws">(.*?)</script>', page)[1]
    assert len(packed) == len(NAMES) * len(corner["names"]) * corner["num"] * 2 * 4 // 3


def test_the_corner_has_the_prior_of_the_star_in_its_bins(place, problem):
    data, run = data_of(html_of(place)), Run.open(place / "run")
    drawn = draw_from_prior(run.posterior(1), 0, num_draws=20_000, seed=1)
    for name, ranges, counts in zip(
        data["corner"]["names"], data["corner"]["ranges"][1], data["prior"]["counts"][1], strict=True
    ):
        expected = np.histogram(drawn[name], data["prior"]["bins"], ranges)[0] / 20_000
        shares = np.array(counts) / data["prior"]["draws"]
        assert shares.sum() > 0, name
        np.testing.assert_allclose(shares, expected, atol=4 * np.sqrt((expected.max() + 1e-3) / data["prior"]["draws"]))
    assert len({str(counts) for counts in data["prior"]["counts"]}) == len(NAMES)


def test_without_draws_the_page_says_how_to_have_them(place):
    data = data_of(html_of(place, "summary"))
    assert data["corner"]["place"] == [-1] * len(NAMES)
    assert "--draws" in data["corner"]["missing"]
    assert "--draws" in data["sed"]
    assert data["prior"]["counts"] == [None] * len(NAMES)
    assert len(data["color"]["x"]) == len(NAMES)  # from the run's input


def test_a_sample_is_said_to_be_one(place, tmp_path, capsys):
    path = tmp_path / "some.html"
    assert cli.run(["report", str(place / "run"), "-o", str(path), "--stars", "2", "--seed", "7"]) == 0
    page = path.read_text(encoding="utf-8")
    assert "This page shows 2 of them, chosen at random (seed 7)" in page
    assert len(data_of(page)["stars"]) == 2
    assert "6 stars; 6 converged, 4 have no flag." in page
    assert "2 of 6 stars" in capsys.readouterr().out


@pytest.fixture(scope="module")
def with_a_failure(problem, tmp_path_factory):
    """A run one star of which has no magnitude, whose input nobody knows."""
    folder = tmp_path_factory.mktemp("failure") / "run"
    catalog = simulate(problem.model)
    catalog.mag[1] = catalog.mag_err[1] = np.nan
    write_run(folder, problem, catalog, {})
    assert cli.run(["report", str(folder)]) == 0
    return folder


def test_a_star_without_a_posterior_has_a_row_and_no_draws(with_a_failure):
    data = data_of((with_a_failure / "report.html").read_text(encoding="utf-8"))
    assert data["variables"][0]["middle"][1] is None
    assert data["corner"]["place"] == [0, -1, 1]
    assert data["certificates"][1].startswith("There is no posterior")
    assert "does not say what model and prior" in data["sed"]


def test_mistakes_are_said_in_a_sentence(place, tmp_path, capsys):
    for arguments, message in (
        ([tmp_path], "holds no summary.parquet"),
        ([place / "run"], "report.html is already there"),
        ([place / "run", "-o", tmp_path / "x.pdf"], "must end in .html"),
    ):
        assert cli.run(["report", *map(str, arguments)]) == 2
        err = capsys.readouterr().err
        assert message in err
        assert len(err.splitlines()) == 1


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (apt-get install chromium)")
    with open_browser(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture
def opened(page, place):
    page.problems.clear()
    page.open((place / "run" / "report.html").as_uri())
    yield page
    assert page.problems == []


def shown_star(page):
    return page.run("document.getElementById('star-name').textContent")


def names_in_table(page):
    return page.run("[...document.querySelectorAll('#table tbody th')].map((each) => each.textContent)")


@pytest.mark.slow
@pytest.mark.parametrize("diagram", ["kiel", "color"])
def test_a_click_on_a_point_shows_that_star(opened, diagram):
    for index in (1, 5):
        x, y = opened.run(
            f"(() => {{ const all = [...document.querySelectorAll('#{diagram} .trace')]"
            f".map((trace) => trace.querySelectorAll('path.point')).find((points) => points.length === {len(NAMES)});"
            f" all[{index}].scrollIntoView({{block: 'center'}}); const box = all[{index}].getBoundingClientRect();"
            " return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        opened.click(x, y)
        opened.wait(f"document.getElementById('star-name').textContent === {json.dumps(NAMES[index])}", 5)
        assert opened.run("document.querySelector('#table tr[aria-current] th').textContent") == NAMES[index]
        assert opened.run("document.querySelectorAll('#corner .bars').length") == 10  # with the prior
        assert "Grey: the prior" in opened.run("document.getElementById('corner-caption').textContent")
        assert opened.run("document.querySelectorAll('#sed .point').length") > 10


@pytest.mark.slow
def test_names_stay_text(opened):
    assert names_in_table(opened) == NAMES
    for index, name in enumerate(NAMES):
        opened.run(f"choose({index})")
        assert shown_star(opened) == name
    assert opened.run("document.querySelectorAll('main b, main a').length") == 0
    assert opened.run("document.getElementById('kiel').data[1].text[3]").startswith("&lt;a href")


@pytest.mark.slow
def test_sorting_turns_the_table_and_says_so(opened):
    order = [opened.run("document.querySelectorAll('#table thead button')[1].click()") or names_in_table(opened)]
    assert opened.run("document.querySelectorAll('#table thead th')[1].getAttribute('aria-sort')") == "ascending"
    order.append(opened.run("document.querySelectorAll('#table thead button')[1].click()") or names_in_table(opened))
    assert opened.run("document.querySelectorAll('#table thead th')[1].getAttribute('aria-sort')") == "descending"
    teff = opened.run("data.variables[0].middle")
    expected = [NAMES[i] for i in np.argsort(teff, kind="stable")]
    assert order == [expected, expected[::-1]]


@pytest.mark.slow
def test_filters_by_name_flag_and_number(opened):
    def filtered(**values):
        opened.run("document.getElementById('filter').reset()")
        for name, value in values.items():
            opened.run(f"document.getElementById('filter-{name}').value = {json.dumps(value)}")
        opened.run("filter()")
        return names_in_table(opened)

    assert filtered(name="script>") == NAMES[:2]
    assert filtered(flag="64") == [NAMES[2], NAMES[5]]
    assert filtered(flag="0") == [NAMES[i] for i in (0, 1, 3, 4)]
    assert filtered(column="teff", low="5500") == [NAMES[0], NAMES[3]]
    assert filtered(name="no such star") == []
    faint = "document.getElementById('kiel').data[1].marker.opacity.filter((each) => each < 0.5).length"
    assert opened.run(faint) == len(NAMES)
    assert len(filtered()) == len(NAMES)


@pytest.mark.slow
def test_everything_is_reached_by_keys(opened):
    opened.run("document.getElementById('kiel').focus()")
    opened.run("choose(0)")
    order = opened.run(
        "[...data.stars.keys()].sort((a, b) => data.variables[0].middle[b] - data.variables[0].middle[a])"
    )
    place = order.index(0)
    opened.press("ArrowRight")
    assert shown_star(opened) == NAMES[order[place + 1]]
    opened.press("ArrowLeft")
    assert shown_star(opened) == NAMES[0]
    opened.run("document.querySelectorAll('#table tbody button')[4].focus()")
    opened.press("Enter")
    assert shown_star(opened) == NAMES[4]
    controls = "document.querySelectorAll('button, input, select, .chart[role=group]')"
    assert opened.run(f"[...{controls}].every((each) => each.tabIndex >= 0)")


@pytest.mark.slow
def test_a_dark_page_is_legible(opened):
    paper, ink = "getComputedStyle(document.body).backgroundColor", "getComputedStyle(document.body).color"
    light = opened.run(paper), opened.run(ink)
    opened.prefer("dark")
    dark = opened.run(paper), opened.run(ink)
    opened.wait("document.getElementById('kiel').layout.font.color === '#e8eaed'")
    opened.prefer("light")
    for first, second in (light, dark):
        assert contrast(first, second) > 7  # WCAG 2.2, level AAA
    assert dark != light


def contrast(one, other):
    """The ratio of contrast of two colours "rgb(r, g, b)" (WCAG 2.2, relative luminance)."""

    def luminance(text):
        part = np.array([int(number) for number in re.findall(r"\d+", text)[:3]]) / 255
        linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.slow
def test_without_draws_the_panels_say_so(page, place):
    page.problems.clear()
    page.open((place / "summary" / "report.html").as_uri())
    assert "--draws" in page.run("document.getElementById('corner-missing').textContent")
    assert page.run("document.getElementById('corner').hidden")
    assert page.run("document.getElementById('corner-caption').hidden")
    assert page.run("document.getElementById('certificate').textContent").startswith("All chains agree")
    assert page.problems == []


@pytest.mark.slow
def test_a_star_without_a_posterior_is_shown_as_such(page, with_a_failure):
    page.problems.clear()
    page.open((with_a_failure / "report.html").as_uri())
    page.run("choose(1)")
    assert page.run("document.getElementById('corner-missing').textContent") == "This star has no posterior."
    assert "–" in page.run("document.querySelector('#table tr[aria-current]').textContent")
    page.run("choose(2)")
    assert page.run("document.getElementById('corner-missing').hidden")
    assert page.problems == []
