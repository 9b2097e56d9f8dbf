"""Gaia DR2 and DR3.

Columns: the archive's `gaia_source` (Gaia data release documentation, chapter "Datamodel"); VizieR I/345/gaia2 and
I/355/gaiadr3. The VizieR names are those of I/355; that I/345 has the same ones is from memory.

Section 3.2 of Green et al. (2021) does without parallaxes of less than 5σ. Training does that (`min_parallax_snr`), so
that they stay in the table here: for inference they are data.
"""

import numpy as np

from albireo.surveys.base import MAX_MAG_ERR, Cut, Magnitude, Survey
from albireo.surveys.parallaxes import DR2_CORRECTIONS, DR3_CORRECTIONS
from albireo.surveys.rows import Rows

_BANDS = {
    f"gaia_{band}": Magnitude(
        f"phot_{band}_mean_mag",
        f"phot_{band}_mean_mag_error",
        snr=f"phot_{band}_mean_flux_over_error",
        flux=(f"phot_{band}_mean_flux", f"phot_{band}_mean_flux_error"),
    )
    for band in ("g", "bp", "rp")
}

_OTHER_NAMES = {
    "source_id": ("Source",),
    "ra": ("RA_ICRS",),
    "dec": ("DE_ICRS",),
    "pmdec": ("pmDE",),
    "parallax": ("Plx",),
    "parallax_error": ("e_Plx",),
    "phot_g_mean_mag": ("Gmag",),
    "phot_g_mean_mag_error": ("e_Gmag",),
    "phot_g_mean_flux_over_error": ("RFG",),
    "phot_g_mean_flux": ("FG",),
    "phot_g_mean_flux_error": ("e_FG",),
    "phot_g_n_obs": ("o_Gmag",),
    "phot_bp_mean_mag": ("BPmag",),
    "phot_bp_mean_mag_error": ("e_BPmag",),
    "phot_bp_mean_flux_over_error": ("RFBP",),
    "phot_bp_mean_flux": ("FBP",),
    "phot_bp_mean_flux_error": ("e_FBP",),
    "phot_rp_mean_mag": ("RPmag",),
    "phot_rp_mean_mag_error": ("e_RPmag",),
    "phot_rp_mean_flux_over_error": ("RFRP",),
    "phot_rp_mean_flux": ("FRP",),
    "phot_rp_mean_flux_error": ("e_FRP",),
    "visibility_periods_used": ("Nper",),
    "astrometric_chi2_al": ("chi2AL",),
    "astrometric_n_good_obs_al": ("NgAL",),
    "astrometric_params_solved": ("Solved",),
    "nu_eff_used_in_astrometry": ("nueff",),
    "pseudocolour": ("pscol",),
}


def _small_chi2(rows: Rows):
    """χ²/(n − 5) < 1.44 max(1, exp(−0.4 (G − 19.5))); the limit of faint stars where G is not known."""
    chi2, num = rows.measured("astrometric_chi2_al"), rows.measured("astrometric_n_good_obs_al")
    mag = rows.measured("phot_g_mean_mag")
    limit = 1.44 * np.fmax(1.0, np.exp(-0.4 * (mag - 19.5)))
    return (num > 5) & (chi2 < limit * (num - 5))


_PAPER = "Green et al. 2021, section 3.2"
_OBSERVATIONS = Cut(
    "g-observations",
    f"phot_g_n_obs > 2 ({_PAPER})",
    lambda rows: rows.measured("phot_g_n_obs") > 2,
    needs=("phot_g_n_obs",),
)
_G_BAND = Cut(
    "g-band",
    f"a magnitude in G, with an error of at most {MAX_MAG_ERR} mag ({_PAPER})",
    lambda rows: rows.mag_err[:, 0] <= MAX_MAG_ERR,
)

GAIA_DR2 = Survey(
    name="gaia-dr2",
    title="Gaia DR2",
    source="https://gea.esac.esa.int/archive/documentation/GDR2; VizieR I/345",
    id="source_id",
    other_names=_OTHER_NAMES,
    epoch=2015.5,
    epoch_column="ref_epoch",
    epoch_is_release=True,
    proper_motion=("pmra", "pmdec"),
    parallax=("parallax", "parallax_error"),
    bands=_BANDS,
    own_cuts=(
        Cut(
            "visibility-periods",
            f"visibility_periods_used > 8 ({_PAPER}, after Arenou et al. 2018)",
            lambda rows: rows.measured("visibility_periods_used") > 8,
            needs=("visibility_periods_used",),
        ),
        Cut(
            "astrometric-chi2",
            "astrometric_chi2_al/(astrometric_n_good_obs_al - 5) < 1.44 max(1, exp(-0.4 (G - 19.5))) "
            f"({_PAPER}, after Arenou et al. 2018)",
            _small_chi2,
            needs=("astrometric_chi2_al", "astrometric_n_good_obs_al"),
        ),
        _OBSERVATIONS,
        _G_BAND,
    ),
    corrections=DR2_CORRECTIONS,
)

# Which of DR3's parallaxes to trust is our choice: the paper is about DR2. RUWE takes the place of the cut on χ², whose
# limit was fitted to DR2; 1.4 is the usual limit (Lindegren 2018, technical note GAIA-C3-TN-LU-LL-124-01, for DR2).
GAIA_DR3 = Survey(
    name="gaia-dr3",
    title="Gaia DR3",
    source="https://gea.esac.esa.int/archive/documentation/GDR3; VizieR I/355",
    id="source_id",
    other_names=_OTHER_NAMES,
    epoch=2016.0,
    epoch_column="ref_epoch",
    epoch_is_release=True,
    proper_motion=("pmra", "pmdec"),
    parallax=("parallax", "parallax_error"),
    bands=_BANDS,
    own_cuts=(
        Cut(
            "visibility-periods",
            "visibility_periods_used > 8 (our choice, as for DR2)",
            lambda rows: rows.measured("visibility_periods_used") > 8,
            needs=("visibility_periods_used",),
            removes="values",
            blanks=("parallax",),
        ),
        Cut(
            "ruwe",
            "ruwe < 1.4 (our choice, after Lindegren 2018, GAIA-C3-TN-LU-LL-124-01)",
            lambda rows: rows.measured("ruwe") < 1.4,
            needs=("ruwe",),
            removes="values",
            blanks=("parallax",),
        ),
        _OBSERVATIONS,
        _G_BAND,
    ),
    corrections=DR3_CORRECTIONS,
    notes="the passbands of DR3 differ a little from those of DR2, which the bundled model was trained on",
)
