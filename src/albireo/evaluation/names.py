"""How bands, colours and labels are named and ordered on the figures of an evaluation."""

from collections.abc import Sequence

from albireo.bands import in_order
from albireo.errors import UserError
from albireo.figures import axis_label

_LABEL_UNITS = {"teff": "K", "logg": "dex", "feh": "dex", "alpha_fe": "dex"}


def label_text(label: str) -> str:
    """A label with its unit, where that is known."""
    return axis_label(label, _LABEL_UNITS.get(label, ""))


def narrow_bands(bands: Sequence[str]) -> list[str]:
    """Bands from blue to red, without Gaia's, which overlap with each other and with others, if three are left.

    Raises:
        UserError: there are fewer than three bands.
    """
    narrow = [band for band in in_order(bands) if not band.startswith("gaia_")]
    if len(bands) < 3:
        raise UserError(f"it needs three bands; there are only {', '.join(bands)}.")
    return narrow if len(narrow) >= 3 else in_order(bands)


def widest_color(bands: Sequence[str]) -> tuple[str, str]:
    """Gaia's BP and RP, or else the bluest and the reddest band.

    Raises:
        UserError: there is only one band.
    """
    if {"gaia_bp", "gaia_rp"} <= set(bands):
        return "gaia_bp", "gaia_rp"
    if len(bands) < 2:
        raise UserError(f"it needs two bands; there is only {bands[0]}.")
    return in_order(bands)[0], in_order(bands)[-1]
