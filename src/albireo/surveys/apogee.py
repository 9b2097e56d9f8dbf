"""APOGEE DR16 and DR17.

Columns: the allStar files (https://data.sdss.org/datamodel/files/APOGEE_ASPCAP/APRED_VERS/ASPCAP_VERS/allStar.html);
VizieR III/284 (DR16) and III/286 (DR17), which have no covariances. PARAM and FPARAM hold teff, logg, log vmicro, [M/H]
and others in this order (https://www.sdss4.org/dr16/irspec/parameters). Missing is -9999.
"""

import numpy as np

from albireo.surveys.base import Cut, Labels, Survey
from albireo.surveys.rows import Rows

_PAPER = "Green et al. 2021, section 3.1"
# Bits of ASPCAPFLAG (https://www.sdss4.org/dr16/algorithms/bitmasks): the program behind the paper tests the same.
_STAR_WARN, _STAR_BAD = 7, 23
# Where teff, logg and [M/H] are in PARAM.
_ENTRIES = (0, 1, 3)


def _covariance(rows: Rows):
    """Covariances of the fit to spectra, FPARAM_COV, a matrix a star that may be stored as a vector.

    Section 3.1 takes these off the diagonal, and on it the larger of them and the calibrated variances. (The program
    behind the paper takes other entries off the diagonal, 9 k + l for k, l of 0 to 2, of which l = 2 is vmicro.)
    """
    fitted = rows.vectors("fparam_cov")
    if fitted is None:
        return np.full((len(rows), 3, 3), np.nan)
    size = int(np.sqrt(fitted[0].size))
    matrix = fitted.reshape(len(rows), size, size)[:, _ENTRIES][:, :, _ENTRIES]
    known = (np.diagonal(matrix, axis1=1, axis2=2) > 0).all(axis=1)
    return np.where(known[:, None, None], matrix, np.nan)


def _without_bit(bit: int):
    return lambda rows: rows.bits("aspcapflag") >> bit & 1 == 0


APOGEE = Survey(
    name="apogee",
    title="APOGEE DR16 and DR17, calibrated parameters",
    source="https://data.sdss.org/datamodel (allStar); VizieR III/284, III/286",
    id="apogee_id",
    other_names={
        "apogee_id": ("APOGEE",),
        "ra": ("RAJ2000",),
        "dec": ("DEJ2000",),
        "param[0]": ("teff",),
        "teff_err": ("e_Teff",),
        "param[1]": ("logg",),
        "logg_err": ("e_logg",),
        "param[3]": ("m_h", "[M/H]", "__M_H_"),
        "m_h_err": ("e_[M/H]", "e__M_H_"),
        "aspcapflag": ("AFlag",),
    },
    unique=False,  # a star in two fields, or seen by two telescopes, has a row for each
    epoch=1999.5,  # positions are those of 2MASS (from memory)
    labels=Labels("APOGEE", (("param[0]", "teff_err"), ("param[1]", "logg_err"), ("param[3]", "m_h_err")), _covariance),
    own_cuts=(
        Cut("star-warn", f"no STAR_WARN in ASPCAPFLAG ({_PAPER})", _without_bit(_STAR_WARN), needs=("aspcapflag",)),
        Cut("star-bad", f"no STAR_BAD in ASPCAPFLAG ({_PAPER})", _without_bit(_STAR_BAD), needs=("aspcapflag",)),
    ),
    notes="feh is [M/H], as in Green et al. 2021, section 3.1",
)
