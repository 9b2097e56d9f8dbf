"""Small tables as the archives give them out, of the same good stars; tests spoil some rows."""

import numpy as np
from astropy.table import Table

NUM = 12
LOG = np.log(10) / 2.5  # flux over its error is this much less than one over the error of the magnitude

RA, DEC = np.linspace(10, 340, NUM), np.linspace(-20, 70, NUM)


def _even(*values):
    return [np.full(NUM, value) for value in values]


def gaia(release=2):
    table = Table()
    table["source_id"] = 10**18 + np.arange(NUM)
    table["ra"], table["dec"] = RA, DEC
    table["ref_epoch"] = np.full(NUM, 2015.5 if release == 2 else 2016.0)
    table["pmra"], table["pmdec"] = _even(3.0, -4.0)
    table["parallax"], table["parallax_error"] = _even(2.0, 0.04)
    for band, mag in zip(("g", "bp", "rp"), (14.0, 14.4, 13.5), strict=True):
        table[f"phot_{band}_mean_mag"] = np.full(NUM, mag)
        table[f"phot_{band}_mean_flux_over_error"] = np.full(NUM, 1 / (0.001 * LOG))
    table["phot_g_n_obs"], table["visibility_periods_used"] = _even(150, 12)
    table["astrometric_chi2_al"], table["astrometric_n_good_obs_al"] = _even(190.0, 205)
    table["ruwe"] = np.full(NUM, 1.0)
    if release == 3:
        table["astrometric_params_solved"], table["nu_eff_used_in_astrometry"] = _even(31, 1.5)
        table["pseudocolour"] = np.full(NUM, np.nan)
    return table


def gaia_vizier(release=2):
    names = {"source_id": "Source", "ra": "RA_ICRS", "dec": "DE_ICRS", "pmra": "pmRA", "pmdec": "pmDE"}
    names |= {"parallax": "Plx", "parallax_error": "e_Plx", "phot_g_n_obs": "o_Gmag", "ruwe": "RUWE"}
    names |= {"visibility_periods_used": "Nper", "astrometric_chi2_al": "chi2AL", "astrometric_n_good_obs_al": "NgAL"}
    if release == 3:
        names |= {"astrometric_params_solved": "Solved", "nu_eff_used_in_astrometry": "nueff", "pseudocolour": "pscol"}
    table = gaia(release)
    for band, name in (("g", "Gmag"), ("bp", "BPmag"), ("rp", "RPmag")):
        table[f"e_{name}"] = np.full(NUM, 0.001)
        names[f"phot_{band}_mean_mag"] = name
        del table[f"phot_{band}_mean_flux_over_error"]
    del table["ref_epoch"]
    table.rename_columns(list(names), list(names.values()))
    return table


def gaia_fluxes():
    """With fluxes and their errors alone, as the columns that VizieR gives by default."""
    table = gaia()
    for band in ("g", "bp", "rp"):
        ratio = table[f"phot_{band}_mean_flux_over_error"]
        table[f"phot_{band}_mean_flux"], table[f"phot_{band}_mean_flux_error"] = 30 * ratio, np.full(NUM, 30.0)
        del table[f"phot_{band}_mean_flux_over_error"]
    return table


def ps1():
    table = Table(
        {
            "objID": 10**17 + np.arange(NUM),
            "raMean": RA,
            "decMean": DEC,
            "epochMean": np.full(NUM, 51544.5 + 13 * 365.25),
        }
    )
    for i, band in enumerate("grizy"):
        table[f"{band}MeanPSFMag"], table[f"{band}MeanPSFMagErr"] = _even(15.0 - 0.2 * i, 0.004)
        table[f"{band}MeanApMag"], table[f"{band}QfPerfect"] = _even(15.02 - 0.2 * i, 0.99)
        table[f"{band}Flags"] = np.full(NUM, 0x1C138)
    return table


def ps1_vizier():
    table = Table(
        {"RAJ2000": RA, "DEJ2000": DEC, "objID": 10**17 + np.arange(NUM), "Epoch": np.full(NUM, 51544.5 + 13 * 365.25)}
    )
    for i, band in enumerate("grizy"):
        table[f"{band}mag"], table[f"e_{band}mag"] = _even(15.0 - 0.2 * i, 0.004)
        table[f"{band}Flags"] = np.full(NUM, 0x1C138)
    return table


def ps1_stack():
    table = Table({"objID": 10**17 + np.arange(NUM), "raStack": RA, "decStack": DEC})
    table["primaryDetection"] = np.ones(NUM, int)
    for i, band in enumerate("grizy"):
        table[f"{band}PSFMag"], table[f"{band}PSFMagErr"], table[f"{band}ApMag"] = _even(15 - 0.2 * i, 0.004, 15)
    return table


def two_mass():
    table = Table({"designation": [f"0000{i:04d}+0000000" for i in range(NUM)], "ra": RA, "dec": DEC})
    for band, mag in zip("jhk", (12.5, 12.1, 12.0), strict=True):
        table[f"{band}_m"], table[f"{band}_msigcom"] = _even(mag, 0.022)
    table["ph_qual"], table["rd_flg"], table["cc_flg"] = _even("AAA", "222", "000")
    table["use_src"], table["gal_contam"], table["jdate"] = _even(1, 0, 2451545.0)
    table["ext_key"] = np.ma.masked_all(NUM, int)
    return table


def two_mass_vizier():
    table = Table({"RAJ2000": RA, "DEJ2000": DEC, "_2MASS": [f"0000{i:04d}+0000000" for i in range(NUM)]})
    for band, mag in zip("JHK", (12.5, 12.1, 12.0), strict=True):
        table[f"{band}mag"], table[f"e_{band}mag"] = _even(mag, 0.022)
    table["Qflg"], table["Rflg"], table["Cflg"], table["Xflg"] = _even("AAA", "222", "000", 0)
    return table


def unwise():
    """Columns of the published files: vectors of W1 and W2."""
    table = Table({"unwise_objid": [f"0000m016o{i:07d}" for i in range(NUM)], "ra": RA, "dec": DEC})
    flux = 10 ** (0.4 * (22.5 - np.array([12.0, 12.1])))
    table["flux"], table["dflux"] = np.tile(flux, (NUM, 1)), np.tile(0.01 * flux, (NUM, 1))
    table["fracflux"], table["rchi2"] = np.full((NUM, 2), 0.95), np.full((NUM, 2), 1.2)
    table["flags_unwise"], table["primary"] = np.zeros((NUM, 2), int), np.ones(NUM, int)
    return table


def unwise_flat(pattern="{}_w{}"):
    """The same with a column for each band, as Data Lab and SDSS have it."""
    vectors = unwise()
    table = vectors["unwise_objid", "ra", "dec", "primary"]
    for name in ("flux", "dflux", "fracflux", "rchi2", "flags_unwise"):
        for i in (1, 2):
            table[pattern.format(name, i)] = vectors[name][:, i - 1]
    return table


def unwise_vizier():
    names = {"flux": "FW", "dflux": "e_FW", "fracflux": "fFW", "rchi2": "rchi2W", "flags_unwise": "FlagsW"}
    table = unwise_flat()
    for theirs, name in names.items():
        for i in (1, 2):
            table.rename_column(f"{theirs}_w{i}", f"{name}{i}")
    table.rename_columns(["unwise_objid", "ra", "dec", "primary"], ["objID", "RAJ2000", "DEJ2000", "Prim"])
    return table


def allwise():
    table = Table({"designation": [f"J0000{i:02d}.00" for i in range(NUM)], "ra": RA, "dec": DEC})
    for i, mag in ((1, 12.0), (2, 12.1)):
        table[f"w{i}mpro"], table[f"w{i}sigmpro"] = _even(mag, 0.023)
    table["cc_flags"], table["ext_flg"], table["w1mjdmean"] = _even("0000", 0, 55400.0)
    return table


def allwise_vizier():
    names = {"designation": "AllWISE", "ra": "RAJ2000", "dec": "DEJ2000", "cc_flags": "ccf", "ext_flg": "ex"}
    names |= {"w1mpro": "W1mag", "w1sigmpro": "e_W1mag", "w2mpro": "W2mag", "w2sigmpro": "e_W2mag"}
    table = allwise()
    table.rename_columns(list(names), list(names.values()))
    return table


def catwise():
    table = Table({"source_name": [f"J0000{i:02d}.00" for i in range(NUM)], "ra": RA, "dec": DEC})
    for i, mag in ((1, 12.0), (2, 12.1)):
        table[f"w{i}mpro_pm"], table[f"w{i}sigmpro_pm"] = _even(mag, 0.023)
    table["cc_flags"], table["meanobsmjd"] = _even("0000", 57000.0)
    return table


def lamost():
    table = Table({"SPECID": [f"2014-spectrum-{i}" for i in range(NUM)], "RA": RA, "DEC": DEC})
    table["TEFF"], table["TEFF_ERR"], table["LOGG"], table["LOGG_ERR"] = _even(5700.0, 30.0, 4.3, 0.08)
    table["FEH"], table["FEH_ERR"] = _even(-0.2, 0.05)
    for band in "UGRIZ":
        table[f"SNR_{band}"] = np.full(NUM, 40.0)
    table["QFLAG_CHI2"], table["FLAG_SINGLESTAR"] = _even("good", "YES")
    return table


def apogee(matrix=True):
    """With covariances as a matrix, or as a vector of its entries."""
    table = Table({"APOGEE_ID": [f"2M0000{i:04d}+0000000" for i in range(NUM)], "RA": RA, "DEC": DEC})
    table["PARAM"] = np.tile([5000.0, 3.0, 0.2, -0.1, 0, 0, 0, 0, 0], (NUM, 1))
    table["TEFF_ERR"], table["LOGG_ERR"], table["M_H_ERR"] = _even(90.0, 0.06, 0.004)
    cov = np.full((9, 9), 7.0)  # of what is not taken
    cov[np.ix_((0, 1, 3), (0, 1, 3))] = [[100.0, 0.2, 0.03], [0.2, 0.001, 0.0002], [0.03, 0.0002, 0.0001]]
    table["FPARAM_COV"] = np.tile(cov, (NUM, 1, 1)) if matrix else np.tile(cov.ravel(), (NUM, 1))
    table["ASPCAPFLAG"] = np.zeros(NUM, np.int64)
    return table


def apogee_vizier():
    table = Table({"APOGEE": [f"2M0000{i:04d}+0000000" for i in range(NUM)], "RAJ2000": RA, "DEJ2000": DEC})
    table["Teff"], table["e_Teff"], table["logg"], table["e_logg"] = _even(5000.0, 90.0, 3.0, 0.06)
    table["[M/H]"], table["e_[M/H]"], table["AFlag"] = _even(-0.1, 0.004, 0)
    return table


def galah(release=2):
    position = ("raj2000", "dej2000") if release == 2 else ("ra_dr2", "dec_dr2")
    table = Table({"sobject_id": 140301000000000 + np.arange(NUM), position[0]: RA, position[1]: DEC})
    table["teff"], table["e_teff"], table["logg"], table["e_logg"] = _even(5500.0, 55.0, 4.0, 0.16)
    table["fe_h"], table["e_fe_h"] = _even(0.05, 0.06)
    for i in (1, 2, 3, 4):
        table[f"snr_c{i}" + ("" if release == 2 else "_iraf")] = np.full(NUM, 35.0)
    for flag in ("flag_cannon",) if release == 2 else ("flag_sp", "flag_fe_h"):
        table[flag] = np.zeros(NUM, int)
    return table


# Every spelling of every survey.
ALL = {
    "gaia-dr2": (gaia, gaia_vizier, gaia_fluxes),
    "gaia-dr3": (lambda: gaia(3), lambda: gaia_vizier(3)),
    "ps1-mean": (ps1, ps1_vizier),
    "ps1-stack": (ps1_stack,),
    "2mass": (two_mass, two_mass_vizier),
    "unwise": (unwise, unwise_flat, unwise_vizier),
    "allwise": (allwise, allwise_vizier),
    "catwise": (catwise,),
    "lamost-ddpayne": (lamost,),
    "apogee": (apogee, lambda: apogee(matrix=False), apogee_vizier),
    "galah-dr2": (galah,),
    "galah-dr3": (lambda: galah(3),),
}
