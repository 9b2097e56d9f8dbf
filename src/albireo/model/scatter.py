"""The scatter of real stars about a model."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


class Scatter(eqx.Module):
    """What stars of equal labels differ by beyond their errors: a Gaussian of Σ = diag(own²) + shared·sharedᵀ.

    Rotation, activity, abundances and unseen companions, calibrations that differ over the sky, and the faults of the
    model all add to it.

    Attributes:
        own: standard deviation of every band by itself [mag].
        shared: what bands have in common: the change of all magnitudes with one standard deviation of each mode [mag].
    """

    own: Float[Array, " band"]
    shared: Float[Array, "band mode"]

    def covariance(self) -> Float[Array, "band band"]:
        """Σ [mag²]."""
        return jnp.diag(self.own**2) + jnp.matmul(self.shared, self.shared.T, precision="highest")

    def select_bands(self, index: Int[Array, " selected"]) -> "Scatter":
        """The scatter of some bands."""
        return Scatter(self.own[index], self.shared[index])
