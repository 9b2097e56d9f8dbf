"""Initial mass functions: how many stars are born of each mass."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

Masses = Float[np.ndarray, "*shape"]


def kroupa(mass: Masses) -> Masses:
    """m^−1.3 up to half a solar mass and m^−2.3 beyond (Kroupa 2001, MNRAS 322, 231, Eq. 2), 1 at that mass."""
    relative = mass / 0.5
    return np.where(relative < 1, relative**-1.3, relative**-2.3)


def chabrier(mass: Masses) -> Masses:
    """Log-normal up to one solar mass and m^−2.3 beyond, of single stars of the disc (Chabrier 2003, Table 1), 1 there.

    ξ(log m) ∝ exp(−(log₁₀ m − log₁₀ 0.079)² / (2 · 0.69²)) (PASP 115, 763); per unit m that is divided by m.
    """
    z = (np.log10(np.minimum(mass, 1.0)) - np.log10(0.079)) / 0.69
    at_one = np.log10(0.079) / 0.69
    return np.where(mass < 1, np.exp(0.5 * (at_one**2 - z**2)) / mass, mass**-2.3)


INITIAL_MASS: dict[str, Callable[[Masses], Masses]] = {"kroupa": kroupa, "chabrier": chabrier}


def relative_number(mass: Masses, name: str) -> Masses:
    """Stars born of these masses [solar masses] by this function per star by Kroupa's, on any scale; 1 at no mass."""
    known = np.where(mass > 0, mass, 1.0)
    return np.where(mass > 0, INITIAL_MASS[name](known) / kroupa(known), 1.0)
