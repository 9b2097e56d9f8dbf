"""Extinction in a band as it follows from a spectrum, a passband and an extinction law (Green et al. 2021, Eq. B19).

Passbands come from speclite, Gaia DR2's from the mission's revision of 2018, Pan-STARRS 1's of Tonry et al. (2012),
2MASS's of Cohen et al. (2003) and WISE's of Wright et al. (2010); the law is that of Fitzpatrick (1999) as
dust_extinction has it. Both packages ship their data, and are installed by `albireo[figures]`.
"""

import numpy as np
from jaxtyping import Float

from albireo.errors import UserError

_PASSBANDS = {
    "gaia_g": "gaiadr2-G",
    "gaia_bp": "gaiadr2-BP",
    "gaia_rp": "gaiadr2-RP",
    "ps1_g": "panstarrs-g",
    "ps1_r": "panstarrs-r",
    "ps1_i": "panstarrs-i",
    "ps1_z": "panstarrs-z",
    "ps1_y": "panstarrs-y",
    "2mass_j": "twomass-J",
    "2mass_h": "twomass-H",
    "2mass_ks": "twomass-Ks",
    "wise_w1": "wise2010-W1",
    "wise_w2": "wise2010-W2",
}
# hc/k, the second radiation constant (CODATA 2018) [Å K].
_SECOND_RADIATION_CONSTANT = 1.438776877e8
# The law ends here [1/µm].
_LONGEST = 0.3
# A screen so thin that extinction is proportional to it [mag].
_THIN = 1e-3


def band_extinction(
    band: str, temperature: Float[np.ndarray, " temperature"], a_v: float, r_v: float = 3.1
) -> Float[np.ndarray, " temperature"]:
    """Extinction of black bodies in a band [mag], counting photons.

    Args:
        band: name of the band.
        temperature: of the black bodies [K].
        a_v: extinction at 550 nm, how much dust there is [mag].
        r_v: A_V / E(B − V) of the dust.

    Raises:
        UserError: a package is missing, no passband is known, or the law does not reach as far as it.
    """
    wavelength, response = _passband(band)
    transmitted = 10 ** (-0.4 * a_v * _law(wavelength, r_v))
    x = _SECOND_RADIATION_CONSTANT / (wavelength * np.asarray(temperature)[..., None])
    photons = response * wavelength**-4 / np.expm1(x)
    return -2.5 * np.log10(np.trapezoid(photons * transmitted, wavelength) / np.trapezoid(photons, wavelength))


def relative_extinction(
    band: str, temperature: Float[np.ndarray, " temperature"], reference: float
) -> Float[np.ndarray, " temperature"]:
    """R at temperatures, less R at a reference temperature, over the latter, behind thin dust.

    Raises:
        UserError: as `band_extinction`.
    """
    thin = band_extinction(band, np.append(temperature, reference), _THIN)
    return thin[:-1] / thin[-1] - 1


def _passband(band):
    """Wavelengths [Å] at which a photon has a chance to be counted, and that chance in arbitrary units."""
    try:
        from speclite.filters import load_filter  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise UserError("passbands need the package speclite; install albireo[figures].") from None
    if band not in _PASSBANDS:
        raise UserError("the passband is not known; give one of albireo's own bands.")
    passband = load_filter(_PASSBANDS[band])
    seen = passband.response > 0
    return passband.wavelength[seen], passband.response[seen]


def _law(wavelength, r_v):
    """A(λ) / A_V."""
    try:
        from dust_extinction.parameter_averages import F99  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise UserError("the extinction law needs the package dust_extinction; install albireo[figures].") from None
    import astropy.units as u

    wavenumber = 1e4 / wavelength
    if wavenumber.min() < _LONGEST:
        raise UserError(f"the law of Fitzpatrick (1999) ends at {1 / _LONGEST:.1f} µm.")
    return F99(r_v)(wavenumber / u.micron)
