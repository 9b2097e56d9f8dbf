"""2MASS, the point source catalogue.

Columns: IRSA's `fp_psc` (Explanatory Supplement to the 2MASS All Sky Data Release, section 2.2a); VizieR II/246/out,
where `Xflg` is gal_contam and `use` is use_src; the Gaia archive's `tmass_original_valid` (from memory).
"""

from albireo.surveys.base import Cut, Magnitude, Survey
from albireo.surveys.rows import Rows

_OURS = ("2mass_j", "2mass_h", "2mass_ks")
# The "high-reliability catalog" of Green et al. (2021), section 3.2, is that of the Explanatory Supplement, section
# 1.6b; which flags it asks for is taken from the program behind the paper (gregreen/data-driven-stars,
# scripts/query_galah.py).
_RELIABLE = "high-reliability catalog: Green et al. 2021, section 3.2"


def _good_quality(rows: Rows):
    quality, read = rows.characters("ph_qual", 3), rows.characters("rd_flg", 3)
    return (quality == "A") | (read == "1") | (read == "3")


TWO_MASS = Survey(
    name="2mass",
    title="2MASS point sources",
    source="https://irsa.ipac.caltech.edu/data/2MASS/docs/releases/allsky/doc/sec2_2a.html; VizieR II/246",
    id="designation",
    other_names={
        "designation": ("2MASS", "_2MASS"),
        "ra": ("RAJ2000",),
        "dec": ("DEJ2000",),
        "jdate": ("j_date", "_JD", "JD"),
        "j_m": ("Jmag",),
        "j_msigcom": ("e_Jmag",),
        "h_m": ("Hmag",),
        "h_msigcom": ("e_Hmag",),
        "k_m": ("ks_m", "Kmag"),
        "k_msigcom": ("ks_msigcom", "e_Kmag"),
        "ph_qual": ("Qflg",),
        "rd_flg": ("Rflg",),
        "cc_flg": ("Cflg",),
        "gal_contam": ("Xflg",),
        "use_src": ("use",),
    },
    epoch=1999.5,  # the middle of June 1997 to February 2001 (Skrutskie et al. 2006, section 2)
    epoch_column="jdate",
    epoch_scale="jd",
    bands={ours: Magnitude(f"{band}_m", f"{band}_msigcom") for ours, band in zip(_OURS, ("j", "h", "k"), strict=True)},
    own_cuts=(
        Cut(
            "extended",
            "no ext_key, hence not in the catalogue of extended sources (Green et al. 2021, section 3.2)",
            lambda rows: ~(rows.measured("ext_key") > 0),
            needs=("ext_key",),
            removes="star",
            optional=True,
        ),
        Cut(
            "resolved",
            "gal_contam other than 1, which says the same (Green et al. 2021, section 3.2)",
            lambda rows: rows.measured("gal_contam") != 1,
            needs=("gal_contam",),
            removes="star",
            optional=True,
        ),
        Cut(
            "quality",
            f"ph_qual A, or rd_flg 1 or 3 ({_RELIABLE})",
            _good_quality,
            needs=("ph_qual",),
            removes="values",
            blanks=_OURS,
        ),
        Cut(
            "contamination",
            f"cc_flg 0 ({_RELIABLE})",
            lambda rows: rows.characters("cc_flg", 3) == "0",
            needs=("cc_flg",),
            removes="values",
            blanks=_OURS,
        ),
        Cut(
            "galaxy",
            f"gal_contam == 0 ({_RELIABLE})",
            lambda rows: rows.measured("gal_contam") == 0,
            needs=("gal_contam",),
            removes="values",
            blanks=_OURS,
            optional=True,
        ),
        Cut(
            "use-src",
            f"use_src == 1 ({_RELIABLE})",
            lambda rows: rows.measured("use_src") == 1,
            needs=("use_src",),
            removes="values",
            blanks=_OURS,
            optional=True,
        ),
    ),
)
