"""What surveys would measure of a star of given magnitudes: which bands, with which errors, and what parallax."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from albireo.bands import BANDS


class Depth(NamedTuple):
    """How a survey sees one band.

    Attributes:
        brightest: stars brighter than this are saturated, or left out [mag].
        depth: the magnitude at which the noise of the sky makes an error of 0.2 mag; fainter stars are not seen [mag].
        floor: error of the brightest stars [mag].
    """

    brightest: float
    depth: float
    floor: float


# Errors: our fit of hypot(floor, 0.2 · 10^(0.4 (m − depth))) to the medians, in steps of half a magnitude, of the
# errors of the stars of Green et al. (2021, doi:10.5281/zenodo.3902382), their floor of 0.02 mag taken off. Depths of
# Pan-STARRS, whose faint stars are not among them: the 3π stack's (Chambers et al. 2016, arXiv 1612.05560, abstract).
# Brightest: of Pan-STARRS and WISE the half percentile of the same stars; the limits of Gaia and 2MASS (from memory,
# not checked) are beyond the brightest templates here, so that they hardly matter.
DEPTHS = {
    "gaia_g": Depth(6.0, 22.7, 0.0004),
    "gaia_bp": Depth(6.0, 20.8, 0.0014),
    "gaia_rp": Depth(6.0, 20.2, 0.0010),
    "ps1_g": Depth(12.9, 23.3, 0.0044),
    "ps1_r": Depth(12.9, 23.2, 0.0044),
    "ps1_i": Depth(13.0, 23.1, 0.0039),
    "ps1_z": Depth(12.5, 22.3, 0.0045),
    "ps1_y": Depth(11.7, 21.4, 0.0043),
    "2mass_j": Depth(5.0, 17.0, 0.0230),
    "2mass_h": Depth(5.0, 16.1, 0.0237),
    "2mass_ks": Depth(5.0, 15.5, 0.0202),
    "wise_w1": Depth(15.2, 21.0, 0.0021),
    "wise_w2": Depth(14.5, 20.2, 0.0026),
}
_UNKNOWN = Depth(-np.inf, np.inf, 0.01)
# Share of the sky that a survey leaves out (Pan-STARRS: all south of −30° declination), and of the magnitudes of a
# survey that fail its quality cuts (our choice; of the stars above, 5 to 35 % lack a band that is within its limits).
_OUTSIDE = {"Pan-STARRS 1": 0.25}
_FAILED = 0.1
# The limiting magnitude of Gaia DR3 (Gaia Collaboration, Vallenari et al. 2023, A&A 674, A1; from memory, not checked).
_FAINTEST_OF_GAIA = 21.0


def photometric_errors(
    mag: Float[np.ndarray, "star band"], bands: tuple[str, ...], rng: np.random.Generator
) -> Float[np.ndarray, "star band"]:
    """Errors [mag] with which surveys would measure stars of these magnitudes; NaN where they would not.

    A band that no survey here knows is always measured, to 0.01 mag.
    """
    brightest, depth, floor = np.transpose([DEPTHS.get(band, _UNKNOWN) for band in bands])
    error = np.hypot(floor, 0.2 * 10 ** (0.4 * (mag - depth)))
    surveys = [BANDS[band].survey if band in BANDS else band for band in bands]
    covered = {name: rng.random(len(mag)) >= _OUTSIDE.get(name, 0) for name in dict.fromkeys(surveys)}
    seen = np.stack([covered[name] for name in surveys], axis=1) & (rng.random(mag.shape) >= _FAILED)
    return np.where(seen & (mag > brightest) & (mag < depth), error, np.nan)


def parallax_error(magnitude: Float[np.ndarray, " star"]) -> Float[np.ndarray, " star"]:
    """Error of a Gaia DR3 parallax [mas] at Gaia G; NaN beyond G = 21, where Gaia has none.

    σ = √(40 + 800 z + 30 z²) µas with z = 10^(0.4 (max(G, 13) − 15)) (ESA, Gaia science performance,
    https://www.cosmos.esa.int/web/gaia/science-performance).
    """
    z = 10 ** (0.4 * (np.maximum(magnitude, 13.0) - 15))
    return np.where(magnitude < _FAINTEST_OF_GAIA, np.sqrt(40 + 800 * z + 30 * z**2) / 1000, np.nan)
