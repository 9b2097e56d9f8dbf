"""unWISE, AllWISE and CatWISE2020: W1 and W2, brought from Vega to AB magnitudes.

Columns of unWISE: the published band-merged files (https://catalog.unwise.me/catalogs.html), where each is a vector of
W1 and W2; NOIRLab's Data Lab and SDSS (flux_w1, …); VizieR II/363/unwise. Fluxes are in Vega nanomaggies. Columns of
AllWISE: IRSA's `allwise_p3as_psd`, VizieR II/328/allwise. Columns of CatWISE2020: IRSA's `catwise_2020`, VizieR
II/365/catwise; in the fit with proper motion, which is the better for stars that move.
"""

from albireo.surveys.base import Cut, Flux, Magnitude, Survey

_OURS = ("wise_w1", "wise_w2")
# From Vega to AB magnitudes [mag]: Green et al. (2021), section 3.2, after Schlafly et al. (2019).
VEGA_TO_AB = (2.699, 3.339)
# Of a nanomaggy, a billionth of the flux of magnitude zero.
_NANOMAGGY = 22.5
_PAPER = "Green et al. 2021, section 3.2"
_MAX_CHI2 = 5.0
_MIN_FRACTION = 0.5


def _unwise_names() -> dict[str, tuple[str, ...]]:
    names = {"unwise_objid": ("objID",), "ra": ("RAJ2000", "RAdeg"), "dec": ("DEJ2000", "DEdeg"), "primary": ("Prim",)}
    vizier = {
        "flux": "FW{}",
        "dflux": "e_FW{}",
        "fracflux": "fFW{}",
        "rchi2": "rchi2W{}",
        "flags_unwise": "FlagsW{}",  # from the order of the columns: f_FlagsW1, after it, should be flags_info
    }
    for theirs, name in vizier.items():
        for band in (1, 2):
            names[f"{theirs}_w{band}"] = (f"{theirs}[{band - 1}]", name.format(band))
    return names


def _both(name: str) -> tuple[str, str]:
    return name.format(1), name.format(2)


UNWISE = Survey(
    name="unwise",
    title="unWISE",
    source="https://catalog.unwise.me/catalogs.html; VizieR II/363",
    id="unwise_objid",
    other_names=_unwise_names(),
    # The mean of the years of the images, 2010.0 to 2011.1 and 2013.9 to 2017.9 (Schlafly et al. 2019, section 2, from
    # memory), two and eight passes of the sky: our estimate.
    epoch=2014.9,
    bands={
        ours: Flux(f"flux_w{i}", f"dflux_w{i}", _NANOMAGGY + VEGA_TO_AB[i - 1]) for i, ours in enumerate(_OURS, start=1)
    },
    own_cuts=(
        Cut(
            "primary",
            "primary == 1 (of sources on the edges of two tiles, the one: program behind Green et al. 2021)",
            lambda rows: rows.measured("primary") == 1,
            needs=("primary",),
            optional=True,
        ),
        Cut(
            "flags",
            f"flags_unwise == 0 ({_PAPER})",
            lambda rows: rows.each(_both("flags_unwise_w{}")) == 0,
            needs=_both("flags_unwise_w{}"),
            removes="values",
            blanks=_OURS,
        ),
        Cut(
            "fracflux",
            f"fracflux > {_MIN_FRACTION} ({_PAPER})",
            lambda rows: rows.each(_both("fracflux_w{}")) > _MIN_FRACTION,
            needs=_both("fracflux_w{}"),
            removes="values",
            blanks=_OURS,
        ),
        Cut(
            "chi2",
            f"rchi2 of at most {_MAX_CHI2:g} ({_PAPER})",
            lambda rows: rows.each(_both("rchi2_w{}")) <= _MAX_CHI2,
            needs=_both("rchi2_w{}"),
            removes="values",
            blanks=_OURS,
        ),
    ),
)


def _uncontaminated(name: str) -> Cut:
    """The paper uses unWISE alone; this asks of the others what the Explanatory Supplement of AllWISE advises."""
    return Cut(
        "contamination",
        f"{name} 0 (our choice)",
        lambda rows: rows.characters(name, 4)[:, :2] == "0",
        needs=(name,),
        removes="values",
        blanks=_OURS,
    )


def _vega(value: str, error: str) -> dict[str, Magnitude]:
    return {
        ours: Magnitude(value.format(i), error.format(i), offset=VEGA_TO_AB[i - 1])
        for i, ours in enumerate(_OURS, start=1)
    }


ALLWISE = Survey(
    name="allwise",
    title="AllWISE",
    source="https://wise2.ipac.caltech.edu/docs/release/allwise/expsup/sec2_1a.html; VizieR II/328",
    id="designation",
    other_names={
        "designation": ("AllWISE",),
        "ra": ("RAJ2000",),
        "dec": ("DEJ2000",),
        "w1mpro": ("W1mag",),
        "w1sigmpro": ("e_W1mag",),
        "w2mpro": ("W2mag",),
        "w2sigmpro": ("e_W2mag",),
        "cc_flags": ("ccf",),
        "ext_flg": ("ex",),
    },
    epoch=2010.56,  # MJD 55400, to which the catalogue's positions with proper motion refer
    epoch_column="w1mjdmean",
    epoch_scale="mjd",
    bands=_vega("w{}mpro", "w{}sigmpro"),
    own_cuts=(
        _uncontaminated("cc_flags"),
        Cut(
            "extended",
            "ext_flg == 0, not in or near an extended source of 2MASS, nor of extended shape (our choice)",
            lambda rows: rows.measured("ext_flg") == 0,
            needs=("ext_flg",),
            removes="values",
            blanks=_OURS,
        ),
    ),
    notes="the paper and the bundled model are about unWISE, whose magnitudes differ a little",
)

CATWISE = Survey(
    name="catwise",
    title="CatWISE2020",
    source="https://irsa.ipac.caltech.edu/data/WISE/CatWISE/gator_docs/CatWISE2020README_IRSA.txt; VizieR II/365",
    id="source_name",
    other_names={
        "source_name": ("Name",),
        "ra": ("RA_ICRS",),
        "dec": ("DE_ICRS",),
        "meanobsmjd": ("MJD",),
        "w1mpro_pm": ("W1mproPM",),
        "w1sigmpro_pm": ("e_W1mproPM",),
        "w2mpro_pm": ("W2mproPM",),
        "w2sigmpro_pm": ("e_W2mproPM",),
        "cc_flags": ("ccf",),
    },
    epoch=2014.5,  # the middle of 2010.0 to 2018.9, when the images were taken
    epoch_column="meanobsmjd",
    epoch_scale="mjd",
    bands=_vega("w{}mpro_pm", "w{}sigmpro_pm"),
    own_cuts=(_uncontaminated("cc_flags"),),
    notes="the paper and the bundled model are about unWISE, whose magnitudes differ a little",
)
