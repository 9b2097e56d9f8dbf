"""What is known to be wrong with Gaia's parallaxes: their zero points, and errors that are too small.

The zero point is what a parallax of 0 is measured as, so it is subtracted. Where a star is outside the range that a
correction was fitted to, it gets the value at the nearest edge: a zero point of -0.03 mas that is half right leaves
less error than none.
"""

import warnings

import astropy.units as u
import numpy as np
from jaxtyping import Bool, Float

from albireo.surveys.base import Correction
from albireo.surveys.rows import Rows

_Amounts = tuple[Float[np.ndarray, " row"], Bool[np.ndarray, " row"]]

# Of 556,849 quasars (Lindegren et al. 2018, A&A 616, A2; Arenou et al. 2018, A&A 616, A17, Fig. 1) [mas].
DR2_ZERO_POINT = -0.029

# Ranges of Lindegren et al. (2021): magnitudes, and by the solution (31: five parameters, 95: six) the column of the
# effective wavenumber [1/µm] and its range.
_MAGNITUDES = (6.0, 21.0)
_COLOURS = {31: ("nu_eff_used_in_astrometry", 1.1, 1.9), 95: ("pseudocolour", 1.24, 1.72)}
_OBLIQUITY = np.deg2rad(84381.406 / 3600)  # of the ecliptic at J2000 (IAU 2006 precession)

# Equation 16 of El-Badry, Rix & Heintz (2021); its range of magnitudes is from memory.
_BUMP, _BUMP_AT, _BUMP_WIDTH = 0.21, 12.65, 0.90
_SLOPE = (1.141, 0.0040, -0.00062)
_INFLATION_MAGNITUDES = (7.0, 21.0)


def _dr2_zero_point(rows: Rows) -> _Amounts:
    return np.full(len(rows), DR2_ZERO_POINT), np.zeros(len(rows), bool)


def _dr3_zero_point(rows: Rows) -> _Amounts:
    """By magnitude, colour and ecliptic latitude, from the package of the authors."""
    from zero_point import zpt

    mag, solution = rows.measured("phot_g_mean_mag"), rows.measured("astrometric_params_solved")
    colour, low, high = np.full((3, len(rows)), np.nan)
    for kind, (column, *ends) in _COLOURS.items():
        is_kind = solution == kind
        colour[is_kind] = rows.measured(column)[is_kind]
        low[is_kind], high[is_kind] = ends
    latitude = _ecliptic_latitude(rows)
    known = np.isfinite(mag) & np.isfinite(colour) & np.isfinite(latitude)
    outside = (mag < _MAGNITUDES[0]) | (mag > _MAGNITUDES[1]) | (colour < low) | (colour > high)
    mag, colour = np.clip(mag, *_MAGNITUDES), np.clip(colour, low, high)
    amounts = np.full(len(rows), np.nan)
    zpt.load_tables()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of values at the edges, where these were put
        amounts[known] = zpt.get_zpt(mag[known], colour[known], colour[known], latitude[known], solution[known])
    return amounts, outside


def _ecliptic_latitude(rows: Rows) -> Float[np.ndarray, " row"]:
    """From the position [deg]; the table need not have the archive's own."""
    ra, dec = (rows.floats(name, u.deg) for name in rows.survey.position)
    ra, dec = np.deg2rad(ra), np.deg2rad(np.where(np.abs(dec) <= 90, dec, np.nan))
    sine = np.sin(dec) * np.cos(_OBLIQUITY) - np.cos(dec) * np.sin(_OBLIQUITY) * np.sin(ra)
    return np.rad2deg(np.arcsin(np.clip(sine, -1, 1)))


def _dr3_inflation(rows: Rows) -> _Amounts:
    """A bump at G = 12.65 on a slope, never below 1: faint errors are right, so that none is made smaller."""
    mag = rows.measured("phot_g_mean_mag")
    outside = (mag < _INFLATION_MAGNITUDES[0]) | (mag > _INFLATION_MAGNITUDES[1]) | ~(rows.measured("ruwe") < 1.4)
    mag = np.clip(mag, *_INFLATION_MAGNITUDES)
    bump = _BUMP * np.exp(-(((mag - _BUMP_AT) / _BUMP_WIDTH) ** 2))
    return np.maximum(bump + np.polynomial.Polynomial(_SLOPE)(mag), 1.0), outside


DR2_CORRECTIONS = (
    Correction(
        "zero-point",
        f"the zero point, {DR2_ZERO_POINT} mas for every star (Lindegren et al. 2018, A&A 616, A2)",
        _dr2_zero_point,
    ),
)
DR3_CORRECTIONS = (
    Correction(
        "zero-point",
        "the zero point by magnitude, colour and ecliptic latitude (Lindegren et al. 2021, A&A 649, A4)",
        _dr3_zero_point,
        needs=("phot_g_mean_mag", "astrometric_params_solved", *(column for column, *_ in _COLOURS.values())),
    ),
    Correction(
        "error-inflation",
        "errors too small for bright stars, of single stars with ruwe < 1.4 (El-Badry, Rix & Heintz 2021, "
        "MNRAS 506, 2269, equation 16)",
        _dr3_inflation,
        needs=("phot_g_mean_mag", "ruwe"),
        of="error",
    ),
)
