"""From the archives' tables to a training set, by commands."""

import healpy
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table

from albireo import cli
from albireo.training import TrainingSet

NUM = 200
# Stars that a survey has seen: GALAH and LAMOST have some in common.
SEEN = {"galah": slice(0, 120), "lamost": slice(80, 180), "ps1": slice(10, 200), "2mass": slice(0, 190)}
# What LAMOST says too little of, and GALAH is right about.
OFFSET = {"teff": 200.0, "logg": 0.3, "feh": 0.2}
# Stars that a cut drops, or that are not stars.
POOR_ASTROMETRY, POOR_SPECTRUM, GALAXY = 3, 4, 5


def write_archives(folder, model):
    """Stars of a model within 400 pc of the plane, in the columns of six archives."""
    rng = np.random.default_rng(0)
    theta = np.asarray(model.label_median) + 0.3 * np.asarray(model.label_std) * rng.normal(size=(NUM, 3))
    distance = rng.uniform(0.3, 1.0, NUM)
    coords = SkyCoord(rng.uniform(0, 360, NUM), rng.uniform(-10, 10, NUM), unit="deg", frame="galactic").icrs
    ra, dec = coords.ra.deg, coords.dec.deg
    reddening = 0.2 * distance
    mag = np.asarray(model.magnitudes(theta, 5 * np.log10(distance * 100), reddening))
    mag = dict(zip(model.bands, (mag + 0.01 * rng.normal(size=mag.shape)).T, strict=True))
    pmra, pmdec = rng.normal(0, 20, (2, NUM))
    years = 2000 - 2015.5
    old = {"ra": ra + pmra * years / 3.6e6 / np.cos(np.deg2rad(dec)), "dec": dec + pmdec * years / 3.6e6}

    gaia = Table({"source_id": 10**18 + np.arange(NUM), "ra": ra, "dec": dec, "pmra": pmra, "pmdec": pmdec})
    gaia["ref_epoch"], gaia["visibility_periods_used"], gaia["phot_g_n_obs"] = 2015.5, 12, 150
    gaia["astrometric_chi2_al"], gaia["astrometric_n_good_obs_al"] = 190.0, 205
    gaia["parallax"], gaia["parallax_error"] = 1 / distance + 0.03 * rng.normal(size=NUM), 0.03
    for band in ("g", "bp", "rp"):
        gaia[f"phot_{band}_mean_mag"], gaia[f"phot_{band}_mean_flux_over_error"] = mag[f"gaia_{band}"], 500.0
    gaia["visibility_periods_used"][POOR_ASTROMETRY] = 5

    ps1 = Table({"objID": 10**17 + np.arange(NUM), "raMean": ra, "decMean": dec, "epochMean": np.full(NUM, 57204.1)})
    for band in "grizy":
        ps1[f"{band}MeanPSFMag"], ps1[f"{band}MeanPSFMagErr"], ps1[f"{band}Flags"] = mag[f"ps1_{band}"], 0.01, 0x138
    two_mass = Table({"designation": [f"s{i}" for i in range(NUM)], **old, "jdate": np.full(NUM, 2451545.0)})
    for band, name in zip("jhk", ("2mass_j", "2mass_h", "2mass_ks"), strict=True):
        two_mass[f"{band}_m"], two_mass[f"{band}_msigcom"] = mag[name], 0.02
    two_mass["ph_qual"], two_mass["rd_flg"], two_mass["cc_flg"] = "AAA", "222", "000"
    two_mass["gal_contam"], two_mass["use_src"] = 0, 1
    two_mass["gal_contam"][GALAXY] = 1
    unwise = Table({"unwise_objid": [f"u{i}" for i in range(NUM)], "ra": ra, "dec": dec})
    vega = np.stack([mag["wise_w1"] - 2.699, mag["wise_w2"] - 3.339], axis=1)
    unwise["flux"] = 10 ** (0.4 * (22.5 - vega))
    unwise["dflux"] = 0.01 * unwise["flux"]
    for name, value in (("fracflux", 0.9), ("rchi2", 1.0), ("flags_unwise", 0)):
        unwise[name] = np.full((NUM, 2), value)

    truth = dict(zip(("teff", "logg", "feh"), theta.T, strict=True))
    errors = {"teff": 40.0, "logg": 0.05, "feh": 0.03}
    seen = {name: {k: v + errors[k] * rng.normal(size=NUM) for k, v in truth.items()} for name in ("galah", "lamost")}
    galah = Table({"sobject_id": np.arange(NUM), "raj2000": old["ra"], "dej2000": old["dec"]})
    lamost = Table({"SPECID": [f"l{i}" for i in range(NUM)], "RA": old["ra"], "DEC": old["dec"]})
    for label, name in (("teff", "teff"), ("logg", "logg"), ("feh", "fe_h")):
        galah[name], galah[f"e_{name}"] = seen["galah"][label], errors[label]
        lamost[label.upper()] = seen["lamost"][label] - OFFSET[label]
        lamost[f"{label.upper()}_ERR"] = errors[label]
    for i in (1, 2, 3, 4):
        galah[f"snr_c{i}"] = 50.0
    galah["flag_cannon"] = 0
    galah["flag_cannon"][POOR_SPECTRUM] = 1
    for band in "UGRIZ":
        lamost[f"SNR_{band}"] = 50.0
    lamost["QFLAG_CHI2"], lamost["FLAG_SINGLESTAR"] = "good", "YES"

    tables = {"gaia": gaia, "ps1": ps1, "2mass": two_mass, "unwise": unwise, "galah": galah, "lamost": lamost}
    for name, table in tables.items():
        part = table[SEEN.get(name, slice(None))]
        part[rng.permutation(len(part))].write(folder / f"{name}.fits")
    healpy.write_map(folder / "sfd.fits", np.full(12, 0.6), dtype=float)
    mu = np.linspace(4, 19, 121)
    np.save(folder / "dust3d.npy", np.tile(0.2 * 10 ** (mu / 5 - 2), (12, 1)))
    return truth, reddening


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
