"""The demo: what it prints and what it writes, on a few of its stars."""

import numpy as np
import pytest
from astropy.table import Table

from albireo import Catalog, Posterior, cli, demo
from stars import PLANET_HOSTS

N_STAR = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("demo") / "run"


@pytest.fixture(scope="module")
def printed(folder):
    from io import StringIO
    from unittest.mock import patch

    with patch("sys.stdout", new_callable=StringIO) as out:
        assert cli.run(["demo", "-o", str(folder), "--stars", str(N_STAR)]) == 0
    return out.getvalue().splitlines()


def test_there_are_at_least_100_stars():
    assert len(demo.planet_hosts()) >= 100


def test_demo_prints_ours_beside_the_published_labels(printed, folder):
    summary, published = Table.read(folder / "summary.parquet"), Catalog.read(PLANET_HOSTS)
    for line, ours, theta, err in zip(
        printed[1:], summary, published.theta, np.sqrt(published.theta_cov[:, 0, 0]), strict=False
    ):
        if not line:
            break
        assert line.startswith(ours["name"])
        assert f"{ours['teff_p50']:.0f} ± {ours['teff_std']:.0f}" in line
        assert f"{theta[0]:.0f} ± {err:.0f}" in line
        assert f"{ours['distance_p50']:.2f} ±" in line
    text = "\n".join(printed)
    assert f"all {N_STAR} stars" in text
    assert all(f"  {label:5} median difference" in text for label in ("teff", "logg", "feh"))
    assert str(folder) in printed[-2]
    assert printed[-1].startswith("next: albireo infer")


def test_demo_writes_everything(printed, folder):
    names = ["corner.png", "kiel.png", "posterior.nc", "run.json", "summary.parquet"]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert len(Posterior.load(folder / "posterior.nc")) == N_STAR
    for name in ("corner.png", "kiel.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")


def test_agreement_of_pulls_drawn_from_a_gaussian():
    rng = np.random.default_rng(0)
    catalog = demo.planet_hosts()
    err = np.sqrt(np.diagonal(catalog.theta_cov, axis1=1, axis2=2))
    summary = Table({"flags": np.zeros(len(catalog), int)})
    for i, label in enumerate(catalog.labels):
        summary[f"{label}_std"] = err[:, i]
        summary[f"{label}_mean"] = catalog.theta[:, i] + np.sqrt(2) * err[:, i] * rng.normal(size=len(catalog))
    for line in demo.agreement(summary, catalog)[1:4]:
        assert float(line.split("robust width ")[1]) == pytest.approx(1, abs=0.25)
        assert float(line.split("pulls: median ")[1].split(",")[0]) == pytest.approx(0, abs=0.3)


def test_more_stars_than_there_are_is_refused(tmp_path, capsys):
    assert cli.run(["demo", "-o", str(tmp_path / "run"), "--stars", "5000"]) == 2
    assert "there are 150 bundled stars" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
