"""What a prior is: p(θ, μ, E | sky position), normalised, differentiable and samplable."""

from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from albireo.errors import UserError
from albireo.priors.reddening import Reddening

METHODS = ("log_prob", "sample", "reddening_given_distance")


class Prior(Protocol):
    """The three methods of a prior. Any object that has them can be used for inference.

    `theta` are the model's labels (teff [K], logg [dex], feh [dex]), `mu` is the distance modulus [mag] and `reddening`
    is E [mag].
    `sky` is the star's Galactic longitude and latitude [deg], shape (2,), NaN where unknown. A prior that has work to
    do once a star (a table along the line of sight, say) adds a method `sightline(position)`; `sky` is then what that
    returns. One whose dust is known only so far adds `dust_is_reliable(mu, position)`: beyond, stars are flagged
    `outside_dust_map`; one that knows its other factors apart adds `log_prob_without_reddening(theta, mu, sky)`, which
    saves time. All are called for one star inside `jax.jit` and `jax.vmap`.
    """

    def log_prob(
        self, theta: Float[Array, " label"], mu: Float[Array, ""], reddening: Float[Array, ""], sky: Any
    ) -> Float[Array, ""]:
        """log p(θ, μ, E | sky), per unit label, per mag of distance modulus, per mag of reddening."""
        ...

    def sample(
        self, key: PRNGKeyArray, sky: Any, num_samples: int
    ) -> tuple[Float[Array, "sample label"], Float[Array, " sample"], Float[Array, " sample"]]:
        """Independent draws of (θ, μ, E)."""
        ...

    def reddening_given_distance(self, mu: Float[Array, ""], sky: Any) -> Reddening:
        """p(E | μ, sky), the last factor of `log_prob`."""
        ...


def direction(glon: float, glat: float) -> Float[Array, " 2"]:
    """A Galactic longitude and latitude [deg], as `sightline` takes them.

    Raises:
        UserError: they are no direction.
    """
    if not np.isfinite(glon):
        raise UserError(f"the Galactic longitude must be a number of degrees; got {glon}.")
    if not abs(glat) <= 90:
        raise UserError(f"the Galactic latitude must be between -90 and 90 deg; got {glat}.")
    return jnp.asarray([glon % 360, glat], jnp.float32)


def sightline(prior: Prior, position: Float[Array, " 2"]) -> Any:
    """What the prior's methods take as `sky` at this Galactic longitude and latitude [deg]."""
    prepare = getattr(prior, "sightline", None)
    return position if prepare is None else prepare(position)


def log_prob_without_reddening(
    prior: Prior, theta: Float[Array, " label"], mu: Float[Array, ""], sky: Any
) -> Float[Array, ""]:
    """log p(θ, μ | sky), or the prior divided by its last factor at a reddening where that is not small."""
    own = getattr(prior, "log_prob_without_reddening", None)
    if own is not None:
        return own(theta, mu, sky)
    reddening = prior.reddening_given_distance(mu, sky)
    mode = jax.lax.stop_gradient(reddening.mode)
    return prior.log_prob(theta, mu, mode, sky) - reddening.log_prob(mode)
