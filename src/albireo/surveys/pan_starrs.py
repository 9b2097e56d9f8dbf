"""Pan-STARRS 1, DR1 and DR2: means of single exposures, and stacks.

Columns: MAST's MeanObject with ObjectThin, and StackObjectThin (https://outerspace.stsci.edu/display/PANSTARRS, "PS1
Database object and detection tables"), which are the same in DR1 and DR2; VizieR II/349/ps1 (DR1) and II/389 (DR2,
whose names are taken to be those of II/349); the Gaia archive's `panstarrs1_original_valid` (from memory). Missing is
-999.

Green et al. (2021), section 3.2, average single exposures themselves and leave out what is unphotometric, saturated or
has bad pixels. The catalogue's averages are of exposures of the best rank to be had, from 0 to 4; the pipeline counts
the ranks up to 2 as good, and an exposure as good if 85 % of its pixels, weighted by the PSF, are not masked
(`GoodPS1` and `psfQFperf` in the sources of the Image Processing Pipeline's `relphot`). So we ask for both.
"""

import numpy as np

from albireo.surveys.base import Cut, Magnitude, Survey
from albireo.surveys.rows import Rows

_BANDS = "grizy"
_OURS = tuple(f"ps1_{band}" for band in _BANDS)
_PAPER = "Green et al. 2021, section 3.2"

# Bits of gFlags and so on: RANK_3 and RANK_4 of the pipeline's ID_SECF flags (MAST: ObjectFilterFlags).
_POOR_RANK = 0x800 | 0x1000
_MIN_PERFECT = 0.85
# Aperture magnitudes of galaxies are brighter than their PSF magnitudes by more than this [mag]: not in the text of
# Green et al. (2021), but in the program that made their catalogue (gregreen/data-driven-stars,
# scripts/query_galah.py).
_EXTENDED = 0.1


def _names(pattern: str) -> tuple[str, ...]:
    return tuple(pattern.format(band) for band in _BANDS)


def _mean_names() -> dict[str, tuple[str, ...]]:
    names = {
        "objID": ("obj_id",),
        "raMean": ("RAJ2000", "ra"),
        "decMean": ("DEJ2000", "dec"),
        "epochMean": ("Epoch", "epoch_mean"),
    }
    for band in _BANDS:
        names[f"{band}MeanPSFMag"] = (f"{band}mag", f"{band}_mean_psf_mag")
        names[f"{band}MeanPSFMagErr"] = (f"e_{band}mag", f"{band}_mean_psf_mag_error")
        names[f"{band}Flags"] = (f"{band}_flags",)
    return names


def _good_rank(rows: Rows):
    flags = np.stack([rows.bits(name) for name in _names("{}Flags")], axis=1)
    return flags & _POOR_RANK == 0


def _point_like(psf: tuple[str, ...], aperture: tuple[str, ...]):
    return lambda rows: ~(rows.each(psf) - rows.each(aperture) > _EXTENDED).any(axis=1)


def _extended(psf: tuple[str, ...], aperture: tuple[str, ...]) -> Cut:
    return Cut(
        "extended",
        f"PSF less aperture magnitude of at most {_EXTENDED} mag in every band (the program behind Green et al. 2021)",
        _point_like(psf, aperture),
        needs=(*psf, *aperture),
        removes="star",
        optional=True,
    )


PS1_MEAN = Survey(
    name="ps1-mean",
    title="Pan-STARRS 1 DR1 and DR2, means of exposures",
    source="https://outerspace.stsci.edu/display/PANSTARRS; VizieR II/349",
    id="objID",
    other_names=_mean_names(),
    position=("raMean", "decMean"),
    epoch=2012.8,  # the middle of 2010.4 to 2014.2, when the images were taken (Chambers et al. 2016); our estimate
    epoch_column="epochMean",
    epoch_scale="mjd",
    bands={
        ours: Magnitude(f"{band}MeanPSFMag", f"{band}MeanPSFMagErr") for ours, band in zip(_OURS, _BANDS, strict=True)
    },
    own_cuts=(
        _extended(_names("{}MeanPSFMag"), _names("{}MeanApMag")),
        Cut(
            "rank",
            f"gFlags and so on without RANK_3 and RANK_4 ({_PAPER}: not unphotometric or saturated)",
            _good_rank,
            needs=_names("{}Flags"),
            removes="values",
            blanks=_OURS,
        ),
        Cut(
            "qf-perfect",
            f"gQfPerfect > {_MIN_PERFECT} and so on ({_PAPER}: no bad pixels)",
            lambda rows: rows.each(_names("{}QfPerfect")) > _MIN_PERFECT,
            needs=_names("{}QfPerfect"),
            removes="values",
            blanks=_OURS,
            optional=True,
        ),
    ),
)

PS1_STACK = Survey(
    name="ps1-stack",
    title="Pan-STARRS 1 DR1 and DR2, stacks",
    source="https://outerspace.stsci.edu/display/PANSTARRS/PS1+StackObjectThin+table+fields",
    id="objID",
    other_names={},
    unique=False,
    position=("raStack", "decStack"),
    epoch=2012.8,
    bands={ours: Magnitude(f"{band}PSFMag", f"{band}PSFMagErr") for ours, band in zip(_OURS, _BANDS, strict=True)},
    own_cuts=(
        Cut(
            "primary",
            "primaryDetection == 1 (MAST: the stack that covers the source best)",
            lambda rows: rows.measured("primaryDetection") == 1,
            needs=("primaryDetection",),
        ),
        _extended(_names("{}PSFMag"), _names("{}ApMag")),
        Cut(
            "qf-perfect",
            f"gpsfQfPerfect > {_MIN_PERFECT} and so on ({_PAPER}: no bad pixels)",
            lambda rows: rows.each(_names("{}psfQfPerfect")) > _MIN_PERFECT,
            needs=_names("{}psfQfPerfect"),
            removes="values",
            blanks=_OURS,
            optional=True,
        ),
    ),
    notes="the paper and the bundled model are about means of exposures, not stacks",
)
