"""A dust prior from its table in a prior's file: one function for each kind."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from albireo.errors import UserError
from albireo.priors.dust import DustDisc, DustMap, DustPrior, Exponential, TruncatedNormal
from albireo.priors.dust_cap import UNITS, DustCap
from albireo.priors.section import Section


def _dust_map(section: Section) -> DustMap:
    file = section.path.parent / section.text("file")
    reddening = _load_array(file, section)
    ordering = section.choice("ordering", ("nested", "ring"))
    first, last = _range(section, "first_distance_modulus_mag", "last_distance_modulus_mag")
    nearest, farthest = _range(section, "reliable_from_mag", "reliable_to_mag")
    scatter = {
        "fractional": section.number("fractional_scatter"),
        "absolute": section.number("absolute_scatter_mag"),
    }
    moduli = np.linspace(first, last, np.shape(reddening)[-1] if np.ndim(reddening) else 1)
    try:
        return DustMap.from_array(
            reddening, moduli, nested=ordering == "nested", nearest=nearest, farthest=farthest, **scatter
        )
    except UserError as error:
        raise UserError(f"{section.path}: {section.where}.file {file}: {error}") from None


def _range(section: Section, low: str, high: str) -> tuple[float, float]:
    """Two numbers, of which the second is the greater."""
    first, last = section.number(low, positive=False), section.number(high, positive=False)
    if first >= last:
        raise UserError(f"{section.path}: {section.where}.{low} must be less than {high}; got {first:g} and {last:g}.")
    return first, last


def _load_array(file: Path, section: Section) -> np.ndarray:
    try:
        array = np.load(file, allow_pickle=False)
        if not isinstance(array, np.ndarray):  # an archive of several
            array.close()
            raise ValueError
    except (OSError, ValueError, EOFError) as error:
        cause = error.strerror if isinstance(error, OSError) and error.strerror else "no array, or damaged"
        raise UserError(
            f"{section.path}: {section.where}.file {file} cannot be read ({cause}); "
            "name a .npy file with a row for each HEALPix pixel."
        ) from None
    return array


def _dust_cap(section: Section) -> DustCap:
    file = section.path.parent / section.text("file")
    settings = {
        "units": section.choice("units", tuple(UNITS)),
        "scale_height": section.number("scale_height_kpc"),
        "scale_length": section.number("scale_length_kpc"),
        "fractional": section.number("fractional_scatter"),
        "absolute": section.number("absolute_scatter_mag"),
    }
    try:
        return DustCap.read(file, **settings)
    except UserError as error:
        named = "" if str(file) in str(error) else f" {file}"
        raise UserError(f"{section.path}: {section.where}.file{named}: {error}") from None


DUSTS: dict[str, Callable[[Section], DustPrior]] = {
    "exponential": lambda section: Exponential(section.number("mean_mag")),
    "truncated-normal": lambda section: TruncatedNormal(
        section.number("mean_mag", positive=False), section.number("std_mag")
    ),
    "map": _dust_map,
    "cap": _dust_cap,
    "disc": lambda section: DustDisc(
        section.number("midplane_mag_per_kpc"), section.number("scale_height_kpc"), section.number("floor_mag")
    ),
}
