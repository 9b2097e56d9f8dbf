"""A star's reddening from its photometry and a first estimate (Green et al. 2021, Eqs. 8 and 9)."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from albireo.training.covariance import Tangent

# Smallest error of an updated reddening: 0.02 mag and a tenth of it, in quadrature (section 2).
FLOOR = 0.02
RELATIVE_FLOOR = 0.1


def update_reddening(
    precision: Float[Array, "band band"],
    at: Tangent,
    unreddened_residual: Float[Array, " band"],
    first: Float[Array, ""],
    first_err: Float[Array, ""],
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Reddening and its error [mag].

    The prior stays at the first estimate: with a moving prior all reddenings and 1/R could drift together.

    Args:
        precision: C_pred⁻¹, the inverse covariance without the error of the reddening and at zero reddening.
        at: the model at the star's labels.
        unreddened_residual: observed minus predicted magnitudes without reddening [mag].
        first: first estimate of the reddening [mag].
        first_err: its error [mag].
    """
    seen = precision @ at.extinction
    # Eq. (8) divided by 1/σ_0² through and through, so that a first estimate without error stays where it is.
    weight = first_err**2
    total = 1 + weight * (at.extinction @ seen)
    reddening = jnp.maximum((first + weight * (seen @ unreddened_residual)) / total, 0.0)
    variance = weight / total
    return reddening, jnp.sqrt(jnp.maximum(variance, FLOOR**2 + (RELATIVE_FLOOR * reddening) ** 2))
