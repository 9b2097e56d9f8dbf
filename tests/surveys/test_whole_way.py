"""From the archives' tables to a training set, by commands."""

import numpy as np
import pytest
from astropy.table import Table
from simulated_archives import GALAXY, OFFSET, POOR_ASTROMETRY, POOR_SPECTRUM, write_archives

from albireo import cli
from albireo.training import TrainingSet


def test_archives_become_a_training_set(tmp_path, monkeypatch, model, capsys):
    monkeypatch.chdir(tmp_path)
    truth, reddening = write_archives(tmp_path, model)
    surveys = {"gaia": "gaia-dr2", "ps1": "ps1-mean", "galah": "galah-dr2", "lamost": "lamost-ddpayne"}
    for name in ("gaia", "ps1", "2mass", "unwise", "galah", "lamost"):
        command = ["read", f"{name}.fits", "--survey", surveys.get(name, name), "-o", f"read-{name}.fits"]
        assert cli.run(command) == 0, capsys.readouterr().err
    others = [f"read-{name}.fits" for name in ("ps1", "2mass", "unwise", "galah", "lamost")]
    dust = ["--sfd", "sfd.fits", "--dust-map", "dust3d.npy", "--map-distances", "4:19"]
    for command in (
        ["match", "read-gaia.fits", *others, "-o", "matched.fits"],
        ["add-reddening", "matched.fits", "-o", "reddened.fits", *dust],
        ["zero-points", "reddened.fits", "-o", "training.fits", "--reference", "GALAH"],
    ):
        assert cli.run(command) == 0, capsys.readouterr().err
    table = Table.read("training.fits")
    star = np.asarray(table["source_id"] - 10**18)
    galah, lamost = (sorted(star[table["survey"] == name].tolist()) for name in ("GALAH", "LAMOST"))
    assert galah == [i for i in range(120) if i not in (POOR_ASTROMETRY, POOR_SPECTRUM, GALAXY)]
    assert lamost == list(range(80, 180))
    assert np.isfinite(table["2mass_j"]).sum() == len(table)
    assert set(star[np.isnan(table["ps1_g"])]) == set(range(10)) - {POOR_ASTROMETRY, POOR_SPECTRUM, GALAXY}
    np.testing.assert_allclose(table["wise_w1_err"], np.hypot(0.0108574, 0.02), rtol=1e-4)
    assert set(table["reddening_source"]) == {"3d-map"}
    pull = (table["reddening"] - reddening[star]) / table["reddening_err"]
    assert np.abs(pull).max() < 3
    for label, added in OFFSET.items():
        assert table[f"{label}_zero_point"][table["survey"] == "LAMOST"][0] == pytest.approx(added, rel=0.2)
        assert np.std((table[label] - truth[label][star]) / table[f"{label}_err"]) == pytest.approx(0.9, abs=0.25)

    stars = TrainingSet.from_table(table)
    assert len(stars) == len(table)
    assert stars.bands == model.bands
    assert stars.dropped == {}
    assert set(stars.zero_points) == {"GALAH", "LAMOST"}
