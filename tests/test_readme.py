"""README and the pages of the site: their code runs, and their tables say what the program says."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table, vstack
from simulated_archives import write_archives

from albireo import cli
from albireo.bands import BANDS
from albireo.flags import describe_flags
from albireo.model import load_model
from albireo.priors import list_priors
from albireo.summary import DEX, OTHERS, VARIABLES, Column
from commands import unparsed
from stars import PLANET_HOSTS

ROOT = Path(__file__).parents[1]
# In the order in which their code runs: pages go on with what README has inferred.
PAGES = [
    "README.md",
    *(f"docs/{name}.md" for name in ("input", "results", "figures", "catalogues", "priors", "models")),
]
PAGES += [f"docs/{name}.md" for name in ("performance", "calibration", "coming_from", "method")]
TEXT = "\n".join((ROOT / page).read_text(encoding="utf-8") for page in PAGES)
N_STAR = 4

# These, and `infer` with the model they make, would take minutes here; their arguments are checked all the same.
LONG = {"train", "evaluate", "demo", "calibrate"}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


def commands() -> list[list[str]]:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [
        shlex.split(line)[1:] for line in lines if line.startswith("albireo ") and not line.startswith("albireo --")
    ]


def table_rows(name: str) -> list[str]:
    """The rows below the head of the table between two markers."""
    lines = TEXT.split(f"<!-- {name} -->\n")[1].split(f"<!-- /{name} -->")[0].strip().splitlines()
    assert set(lines[1]) == {"|", "-"}
    return lines[2:]


@pytest.fixture
def in_folder_with_stars(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = Table.read(PLANET_HOSTS)[100 : 100 + N_STAR]
    table.meta.clear()
    table.write("stars.fits")
    table["source_id"], table["survey"] = range(1, N_STAR + 1), "GALAH"
    other = table.copy()
    other["survey"] = ["LAMOST"] * N_STAR
    vstack([table, other]).write("surveys.fits")
    table.remove_columns(["source_id", "survey"])
    table.rename_columns(["2mass_j", "2mass_j_err", "parallax", "parallax_err"], ["Jmag", "e_Jmag", "Plx", "e_Plx"])
    table.write("from_vizier.csv")
    write_labelled_stars()
    write_archives(tmp_path, load_model("default"))
    return tmp_path


def write_labelled_stars():
    """Stars of the bundled model with labels, errors and reddenings, as training needs them."""
    model, num = load_model("default"), 200
    rng = np.random.default_rng(0)
    theta = np.asarray(model.label_median) + 0.3 * np.asarray(model.label_std) * rng.normal(size=(num, 3))
    columns = dict(zip(model.labels, theta.T, strict=True))
    columns |= {f"{label}_err": np.full(num, width) for label, width in zip(model.labels, (50, 0.1, 0.1), strict=True)}
    mag = np.asarray(model.magnitudes(theta, np.full(num, 8.0), np.full(num, 0.1)))
    columns |= dict(zip(model.bands, mag.T, strict=True)) | {f"{band}_err": np.full(num, 0.02) for band in model.bands}
    constant = {"parallax": 2.5, "parallax_err": 0.05, "reddening": 0.1, "reddening_err": 0.02}
    Table(columns | {name: np.full(num, value) for name, value in constant.items()}).write("labelled.fits")


def write_hats():
    """Two of the archives' tables as catalogues that are partitioned on the sky."""
    lsdb = pytest.importorskip("lsdb")
    for name in ("gaia", "2mass"):
        table, options = Table.read(f"{name}.fits").to_pandas(), {"partition_rows": 100, "margin_threshold": 5}
        catalog = lsdb.from_dataframe(table, ra_column="ra", dec_column="dec", **options)
        catalog.to_hats(base_catalog_path=f"{name}_hats", catalog_name=name, progress_bar=False)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # lsdb and dask warn of their own future
def test_the_python_blocks_run_in_order(in_folder_with_stars, capsys):
    write_hats()
    names = {}
    assert len(blocks("python")) >= 3
    for block in blocks("python"):
        exec(compile(block, "README and docs", "exec"), names)
    assert (in_folder_with_stars / "posterior.nc").exists()
    assert len(names["catalog"]) == len(names["renamed"]) == N_STAR
    assert "2mass_j" in names["renamed"].bands
    assert (in_folder_with_stars / "stars_hats").exists()
    assert "teff" in capsys.readouterr().out


@pytest.mark.slow
def test_the_commands_run(in_folder_with_stars, capsys):
    ran = 0
    for arguments in commands():
        if arguments[0] in LONG or "my_model.safetensors" in arguments:
            continue
        assert cli.run(arguments) == 0, (arguments, capsys.readouterr().err)
        ran += 1
    assert ran >= 4
    assert len(Table.read("run/summary.parquet")) == N_STAR
    assert len(Table.read("quick/summary.parquet")) == 3
    assert "teff_zero_point" in Table.read("training_stars.fits").colnames
    assert {"gaia_g", "2mass_j", "teff", "reddening"} <= set(Table.read("reddened.fits").colnames)


@pytest.mark.parametrize("arguments", commands(), ids=" ".join)
def test_the_commands_parse(arguments):
    assert unparsed(arguments) == []


def test_other_commands_are_known_to_make_or_pip():
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for block in blocks("sh"):
        for line in block.splitlines():
            program, argument, *_ = shlex.split(line)
            assert program in ("albireo", "pip") or (program == "make" and argument in targets), line


def summary_row(name: str, column: Column) -> str:
    unit = "" if column.unit == DEX else column.unit
    cells = (f"`{name}`", unit, f"`{column.ucd}`" if column.ucd else "", column.description)
    return f"| {' | '.join(cells)} |"


SUMMARY = {**VARIABLES, **OTHERS}
SUMMARY["flags"] = OTHERS["flags"]._replace(description="what may be wrong with the star, as above")

TABLES = {
    "summary": [summary_row(name, column).replace("|  |", "| |") for name, column in SUMMARY.items()],
    "bands": [f"| `{name}` | {band.survey} {band.label} | {band.system} |" for name, band in BANDS.items()],
    "flags": [f"| {bit} | `{name}` | {text} |" for bit, name, text in describe_flags()],
    "priors": [f"| `{name}` | {description} |" for name, description in list_priors()],
}


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_agree_with_the_program(name):
    assert table_rows(name) == TABLES[name], f"paste this between the markers `{name}`:\n" + "\n".join(TABLES[name])
