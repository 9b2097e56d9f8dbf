"""What a sampler is: something that turns a batch of stars into draws from their posteriors."""

from typing import Any, NamedTuple, Protocol

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from albireo import marginal, outliers
from albireo.device import jit_over_stars, over_stars
from albireo.errors import UserError
from albireo.likelihood import Star
from albireo.marginal import Photometry
from albireo.model import StellarModel
from albireo.outliers import Hypotheses
from albireo.priors.base import Prior, sightline
from albireo.random import uniform


class Problem(eqx.Module):
    """A model and a prior: what defines the posterior of any star.

    Samplers work in standardised labels x = (θ − median)/std of the model, in which every label has a width of order
    one.
    """

    model: StellarModel
    prior: Prior

    def sightline(self, star: Star | Hypotheses) -> Any:
        """What the prior needs to know of the star's line of sight."""
        return sightline(self.prior, star.position)

    def labels(self, x: Float[Array, "*batch label"]) -> Float[Array, "*batch label"]:
        """θ at standardised labels x."""
        return self.model.label_median + self.model.label_std * x

    def standardise(self, theta: Float[Array, "*batch label"]) -> Float[Array, "*batch label"]:
        """x at labels θ."""
        return self.model.standardise(theta)

    def log_target(self, star: Star | Hypotheses, sky: Any, x: Float[Array, " label"]) -> Float[Array, ""]:
        """log ∫∫ p(m, ϖ, θ, μ, E) dμ dE per unit of standardised labels: its integral over x is the evidence."""
        return outliers.total(star, lambda star: self._log_marginal(star, sky, x))

    def log_target_roughly(
        self, star: Star | Hypotheses, sky: Any, x: Float[Array, " label"], photometry: Photometry | None = None
    ) -> Float[Array, ""]:
        """`log_target` by Laplace's approximation in the distance modulus: what proposals are fitted to.

        The photometry at x may be known already.
        """
        return outliers.total(star, lambda star: self._log_marginal(star, sky, x, photometry, roughly=True))

    def propose(
        self, star: Star | Hypotheses, sky: Any, x: Float[Array, "draw label"], key: PRNGKeyArray
    ) -> marginal.Proposed:
        """A distance modulus and a reddening to go with each draw of labels, and the weight that makes up for it.

        The mean weight at x is the target there, per unit of standardised labels.
        """
        return jax.vmap(lambda x, u: self._propose(star, sky, x, u))(x, uniform(key, (len(x), 2), x.dtype))

    def _propose(self, star: Star | Hypotheses, sky: Any, x: Float[Array, " label"], u: Float[Array, " 2"]):
        star, log_prior, log_chosen, rest = outliers.draw(
            star, lambda star: self._log_marginal(star, sky, x, roughly=True), u[0]
        )
        u = u.at[0].set(rest)
        drawn = marginal.propose_distance_and_reddening(self.model, self.prior, star, sky, self.labels(x), u)
        shift = self._log_jacobian + log_prior
        return drawn._replace(log_density=drawn.log_density + shift, log_weight=drawn.log_weight + shift - log_chosen)

    def complete(self, star: Star | Hypotheses, sky: Any, x: Float[Array, "draw label"], key: PRNGKeyArray) -> "Draws":
        """Draw the distance modulus and reddening that belong to draws of the labels."""

        def one(x, u):
            chosen, _, _, rest = outliers.draw(star, lambda star: self._log_marginal(star, sky, x), u[0])
            u = u.at[0].set(rest)
            return marginal.draw_distance_and_reddening(self.model, self.prior, chosen, sky, self.labels(x), u)

        mu, reddening = jax.vmap(one)(x, uniform(key, (len(x), 2), x.dtype))
        return Draws(self.labels(x), mu, reddening)

    def _log_marginal(
        self,
        star: Star,
        sky: Any,
        x: Float[Array, " label"],
        photometry: Photometry | None = None,
        *,
        roughly: bool = False,
    ) -> Float[Array, ""]:
        at = self.model, self.prior, star, sky, self.labels(x)
        return marginal.log_marginal(*at, photometry=photometry, roughly=roughly) + self._log_jacobian

    @property
    def _log_jacobian(self) -> Float[Array, ""]:
        return jnp.sum(jnp.log(self.model.label_std))


class Draws(NamedTuple):
    """Draws from posteriors, with any leading axes."""

    theta: Float[Array, "*batch label"]
    mu: Float[Array, "*batch"]
    reddening: Float[Array, "*batch"]


class Batch(NamedTuple):
    """What a sampler returns for one star, or for a batch of them with a leading star axis.

    Attributes:
        draws: θ, μ, E with axes (chain, draw).
        log_weight: logarithms of the weights of the draws, which sum to one; None if all are equal.
        draw_stats: one number a draw, axes (chain, draw), by ArviZ's names.
        star_stats: one number a star.
    """

    draws: Draws
    log_weight: Float[Array, "*star chain draw"] | None
    draw_stats: dict[str, Array]
    star_stats: dict[str, Array]


class Sampler(Protocol):
    """A configured sampler.

    One that may fail says so by `converged` among the `star_stats`, and has a method `fallbacks()`: the samplers that
    a star then goes on to, in turn.
    """

    @property
    def batch_size(self) -> int | None:
        """How many stars `run` is given at a time, if not as many as suit the device."""
        ...

    def run(self, problem: Problem, look: Any, stars: Star | Hypotheses, keys: PRNGKeyArray) -> Batch:
        """Sample a batch of stars (leading axis), each with its own key, into arrays with a leading star axis."""
        ...


@jit_over_stars
def complete_batch(
    problem: Problem, stars: Star | Hypotheses, x: Float[Array, "star chain draw label"], keys: PRNGKeyArray
) -> Draws:
    """`Problem.complete` for a batch."""

    def one(args):
        star, x, key = args
        flat = problem.complete(star, problem.sightline(star), x.reshape(-1, x.shape[-1]), key)
        return jax.tree.map(lambda a: a.reshape(*x.shape[:2], *a.shape[1:]), flat)

    return over_stars(one, (stars, x, keys))


def at_least(settings: Any, **minimum: int) -> None:
    """Check integer settings of a sampler, and keep NumPy's integers as Python's.

    Raises:
        UserError: one is not an integer or is below its minimum.
    """
    for name, least in minimum.items():
        value = getattr(settings, name)
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise UserError(f"{type(settings).__name__}: {name} must be an integer of at least {least}; got {value!r}.")
        object.__setattr__(settings, name, int(value))  # for they are frozen
