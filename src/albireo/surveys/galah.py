"""GALAH DR2 and DR3.

Columns: DR2, the published catalogue (Buder et al. 2018; VizieR J/MNRAS/478/4513, whose names are taken to be the
same); DR3, `GALAH_DR3_main_allstar` (https://docs.datacentral.org.au/galah/dr3). The names raj2000 and dej2000 are from
memory.
"""

from albireo.surveys.base import Cut, Labels, Survey

_LABELS = Labels("GALAH", (("teff", "e_teff"), ("logg", "e_logg"), ("fe_h", "e_fe_h")))
_NAMES = {"fe_h": ("[Fe/H]", "__Fe_H_"), "e_fe_h": ("e_[Fe/H]", "e__Fe_H_")}
_PAPER = "Green et al. 2021, section 3.1"
_MIN_SNR = 20


def _signal(names: tuple[str, ...]) -> Cut:
    return Cut(
        "snr",
        f"signal-to-noise above {_MIN_SNR} in one of the four channels ({_PAPER})",
        lambda rows: (rows.each(names) > _MIN_SNR).any(axis=1),
        needs=names,
    )


def _unflagged(name: str, column: str, source: str) -> Cut:
    return Cut(name, f"{column} == 0 ({source})", lambda rows: rows.measured(column) == 0, needs=(column,))


GALAH_DR2 = Survey(
    name="galah-dr2",
    title="GALAH DR2",
    source="Buder et al. 2018, MNRAS 478, 4513; VizieR J/MNRAS/478/4513",
    id="sobject_id",
    other_names=_NAMES,
    position=("raj2000", "dej2000"),
    unique=False,
    epoch=2000.0,  # raj2000 and dej2000 are of the epoch, too (from memory)
    labels=_LABELS,
    own_cuts=(
        _signal(tuple(f"snr_c{i}" for i in (1, 2, 3, 4))),
        _unflagged("flag-cannon", "flag_cannon", _PAPER),
    ),
)

GALAH_DR3 = Survey(
    name="galah-dr3",
    title="GALAH DR3",
    source="https://docs.datacentral.org.au/galah/dr3",
    id="sobject_id",
    other_names=_NAMES,
    position=("ra_dr2", "dec_dr2"),
    unique=False,
    epoch=2015.5,  # positions of Gaia DR2
    labels=_LABELS,
    own_cuts=(
        _signal(tuple(f"snr_c{i}_iraf" for i in (1, 2, 3, 4))),
        _unflagged("flag-sp", "flag_sp", "advice of the survey, in place of the flag_cannon of DR2"),
        _unflagged("flag-fe-h", "flag_fe_h", "advice of the survey"),
    ),
    notes="the labels of DR3 are on another scale than those of DR2, which the paper and the bundled model are on",
)
