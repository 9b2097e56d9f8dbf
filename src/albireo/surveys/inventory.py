"""Which of albireo's columns a table has, and what it would take to infer or to train."""

from astropy.table import Table

from albireo.bands import DEFAULT_BANDS
from albireo.catalog import DEFAULT_LABELS
from albireo.tables import Columns


def inventory(table: Table) -> tuple[list[str], dict[str, list[str]]]:
    """Albireo's columns that a table has, and those that it lacks, by what they are needed for."""
    columns = Columns(table)
    quantities = ("parallax", *DEFAULT_LABELS, "reddening")
    everything = [name for stem in (*DEFAULT_BANDS, *quantities) for name in (stem, f"{stem}_err")]
    have = [name for name in (*everything, "ra", "dec", "glon", "glat", "theta_cov") if columns.find(name)]
    with_errors = [band for band in DEFAULT_BANDS if columns.find(band) and columns.find(f"{band}_err")]
    missing = {}
    if not with_errors:
        missing["to infer"] = ["a band with errors, such as gaia_g and gaia_g_err"]
    labels = [name for label in DEFAULT_LABELS for name in (label, f"{label}_err") if not columns.find(name)]
    if columns.find("theta_cov"):
        labels = [name for name in labels if not name.endswith("_err")]
    needed = labels + [name for name in ("reddening", "reddening_err") if not columns.find(name)]
    if needed:
        missing["to train"] = needed
    useful = [name for name in ("parallax", "parallax_err") if not columns.find(name)]
    if not (columns.find("ra") and columns.find("dec")) and not (columns.find("glon") and columns.find("glat")):
        useful.append("ra and dec")
    if useful:
        missing["and useful"] = useful
    return have, missing
