"""Stars of a model as six archives would have them, with maps of dust to go with them."""

import healpy
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table

# Which part of the stars a survey has seen: GALAH and LAMOST have some in common.
SEEN = {"galah": (0.0, 0.6), "lamost": (0.4, 0.9), "ps1": (0.05, 1.0), "2mass": (0.0, 0.95)}
# What LAMOST says too little of, and GALAH is right about.
OFFSET = {"teff": 200.0, "logg": 0.3, "feh": 0.2}
# Stars that a cut drops, or that are not stars.
POOR_ASTROMETRY, POOR_SPECTRUM, GALAXY = 3, 4, 5


def write_archives(folder, model, num=200):
    """Write stars of a model near the Galactic plane in the columns of six archives, and two maps of dust.

    Args:
        folder: a pathlib.Path.
        model: an albireo model of 13 bands.
        num: how many stars.

    Returns:
        The true labels by name, and the true reddenings [mag].
    """
    rng = np.random.default_rng(0)
    theta = np.asarray(model.label_median) + 0.3 * np.asarray(model.label_std) * rng.normal(size=(num, 3))
    distance = rng.uniform(0.3, 1.0, num)
    coords = SkyCoord(rng.uniform(0, 360, num), rng.uniform(-10, 10, num), unit="deg", frame="galactic").icrs
    ra, dec = coords.ra.deg, coords.dec.deg
    reddening = 0.2 * distance
    mag = np.asarray(model.magnitudes(theta, 5 * np.log10(distance * 100), reddening))
    mag = dict(zip(model.bands, (mag + 0.01 * rng.normal(size=mag.shape)).T, strict=True))
    pmra, pmdec = rng.normal(0, 20, (2, num))
    years = 2000 - 2015.5
    old = {"ra": ra + pmra * years / 3.6e6 / np.cos(np.deg2rad(dec)), "dec": dec + pmdec * years / 3.6e6}

    gaia = Table({"source_id": 10**18 + np.arange(num), "ra": ra, "dec": dec, "pmra": pmra, "pmdec": pmdec})
    gaia["ref_epoch"], gaia["visibility_periods_used"], gaia["phot_g_n_obs"] = 2015.5, 12, 150
    gaia["astrometric_chi2_al"], gaia["astrometric_n_good_obs_al"] = 190.0, 205
    zero_point = -0.029  # of Gaia DR2 [mas], which `albireo read` takes off
    gaia["parallax"], gaia["parallax_error"] = 1 / distance + zero_point + 0.03 * rng.normal(size=num), 0.03
    for band in ("g", "bp", "rp"):
        gaia[f"phot_{band}_mean_mag"], gaia[f"phot_{band}_mean_flux_over_error"] = mag[f"gaia_{band}"], 500.0
    gaia["visibility_periods_used"][POOR_ASTROMETRY] = 5

    ps1 = Table({"objID": 10**17 + np.arange(num), "raMean": ra, "decMean": dec, "epochMean": np.full(num, 57204.1)})
    for band in "grizy":
        ps1[f"{band}MeanPSFMag"], ps1[f"{band}MeanPSFMagErr"], ps1[f"{band}Flags"] = mag[f"ps1_{band}"], 0.01, 0x138
    two_mass = Table({"designation": [f"s{i}" for i in range(num)], **old, "jdate": np.full(num, 2451545.0)})
    for band, name in zip("jhk", ("2mass_j", "2mass_h", "2mass_ks"), strict=True):
        two_mass[f"{band}_m"], two_mass[f"{band}_msigcom"] = mag[name], 0.02
    two_mass["ph_qual"], two_mass["rd_flg"], two_mass["cc_flg"] = "AAA", "222", "000"
    two_mass["gal_contam"], two_mass["use_src"] = 0, 1
    two_mass["gal_contam"][GALAXY] = 1
    unwise = Table({"unwise_objid": [f"u{i}" for i in range(num)], "ra": ra, "dec": dec})
    vega = np.stack([mag["wise_w1"] - 2.699, mag["wise_w2"] - 3.339], axis=1)
    unwise["flux"] = 10 ** (0.4 * (22.5 - vega))
    unwise["dflux"] = 0.01 * unwise["flux"]
    for name, value in (("fracflux", 0.9), ("rchi2", 1.0), ("flags_unwise", 0)):
        unwise[name] = np.full((num, 2), value)

    truth = dict(zip(("teff", "logg", "feh"), theta.T, strict=True))
    errors = {"teff": 40.0, "logg": 0.05, "feh": 0.03}
    seen = {name: {k: v + errors[k] * rng.normal(size=num) for k, v in truth.items()} for name in ("galah", "lamost")}
    galah = Table({"sobject_id": np.arange(num), "raj2000": old["ra"], "dej2000": old["dec"]})
    lamost = Table({"SPECID": [f"l{i}" for i in range(num)], "RA": ra, "DEC": dec})
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
        first, last = SEEN.get(name, (0.0, 1.0))
        part = table[round(first * num) : round(last * num)]
        part[rng.permutation(len(part))].write(folder / f"{name}.fits")
    healpy.write_map(folder / "sfd.fits", np.full(12, 0.6), dtype=float)
    mu = np.linspace(4, 19, 121)
    np.save(folder / "dust3d.npy", np.tile(0.2 * 10 ** (mu / 5 - 2), (12, 1)))
    return truth, reddening
