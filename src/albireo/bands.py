"""The passbands albireo knows by name: which survey, which magnitude system.

A model may use any band names; these are the ones of the bundled model and of the survey readers.
"""

from collections.abc import Sequence
from typing import NamedTuple


class Band(NamedTuple):
    """What is known of one passband."""

    survey: str
    """Survey that measured it."""
    label: str
    """How to write it on a figure."""
    system: str
    """Magnitude system of the values albireo expects: "Vega" or "AB"."""
    wavelength: float
    """Mean or pivot wavelength [nm], for ordering bands on a figure."""


# Wavelengths: pivot wavelengths of the SVO Filter Profile Service (Rodrigo & Solano 2020) for the curves named in
# Green et al. (2021), Fig. 4. WISE magnitudes are AB: unWISE Vega + 2.699 and + 3.339 (Green et al. 2021, section 3.2).
BANDS: dict[str, Band] = {
    "gaia_g": Band("Gaia", "G", "Vega", 622),
    "gaia_bp": Band("Gaia", "BP", "Vega", 511),
    "gaia_rp": Band("Gaia", "RP", "Vega", 777),
    "ps1_g": Band("Pan-STARRS 1", "g", "AB", 481),
    "ps1_r": Band("Pan-STARRS 1", "r", "AB", 616),
    "ps1_i": Band("Pan-STARRS 1", "i", "AB", 750),
    "ps1_z": Band("Pan-STARRS 1", "z", "AB", 867),
    "ps1_y": Band("Pan-STARRS 1", "y", "AB", 961),
    "2mass_j": Band("2MASS", "J", "Vega", 1239),
    "2mass_h": Band("2MASS", "H", "Vega", 1649),
    "2mass_ks": Band("2MASS", "Ks", "Vega", 2164),
    "wise_w1": Band("WISE", "W1", "AB", 3353),
    "wise_w2": Band("WISE", "W2", "AB", 4603),
}

DEFAULT_BANDS: tuple[str, ...] = tuple(BANDS)


def in_order(bands: Sequence[str]) -> list[str]:
    """Bands from blue to red; in the order given where a wavelength is not known."""
    known = all(band in BANDS for band in bands)
    return sorted(bands, key=lambda band: BANDS[band].wavelength) if known else list(bands)


def band_text(*bands: str) -> str:
    """The name of a band, or of the colour of two, as figures have it."""
    return " − ".join(BANDS[band].label if band in BANDS else band for band in bands)
