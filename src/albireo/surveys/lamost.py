"""LAMOST DR5 as reduced by the Data-Driven Payne (Xiang et al. 2019).

Columns: those of the published catalogue as the program behind Green et al. (2021) reads them
(gregreen/data-driven-stars, scripts/query_ddpayne.py). SPECID, RA and DEC, and the names of VizieR J/ApJS/245/34, are
from memory.
"""

from albireo.surveys.base import Cut, Labels, Survey

_PAPER = "Green et al. 2021, section 3.1"
_MIN_SNR = 20
_SNRS = tuple(f"snr_{band}" for band in "ugriz")

LAMOST = Survey(
    name="lamost-ddpayne",
    title="LAMOST DR5, Data-Driven Payne",
    source="Xiang et al. 2019, ApJS 245, 34; VizieR J/ApJS/245/34",
    id="specid",
    other_names={
        "specid": ("starid", "obsid", "LAMOST"),
        "ra": ("RAJ2000",),
        "dec": ("DEJ2000",),
        "teff_err": ("e_Teff",),
        "logg_err": ("e_logg",),
        "feh": ("[Fe/H]", "__Fe_H_"),
        "feh_err": ("e_[Fe/H]", "e__Fe_H_"),
        **{name: (name.replace("_", ""),) for name in _SNRS},
    },
    unique=False,  # a row a spectrum
    # Positions are those of the targets, taken from several surveys at epochs that are not given.
    labels=Labels("LAMOST", (("teff", "teff_err"), ("logg", "logg_err"), ("feh", "feh_err"))),
    own_cuts=(
        Cut(
            "snr",
            f"signal-to-noise above {_MIN_SNR} in u, g, r, i or z ({_PAPER})",
            lambda rows: (rows.each(_SNRS) > _MIN_SNR).any(axis=1),
            needs=_SNRS,
        ),
        Cut(
            "chi2",
            f"qflag_chi2 good ({_PAPER})",
            lambda rows: rows.text("qflag_chi2") == "good",
            needs=("qflag_chi2",),
        ),
        Cut(
            "single-star",
            f"flag_singlestar YES ({_PAPER})",
            lambda rows: rows.text("flag_singlestar") == "YES",
            needs=("flag_singlestar",),
        ),
    ),
)
