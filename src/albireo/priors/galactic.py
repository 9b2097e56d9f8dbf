"""The composite prior: stars, their distances and the dust in front of them."""

from typing import NamedTuple

import equinox as eqx
import jax
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float, PRNGKeyArray

from albireo.priors import distance
from albireo.priors.distance import DistancePrior, Galaxy
from albireo.priors.dust import DustDisc, DustPrior
from albireo.priors.reddening import Reddening
from albireo.priors.stars import TrainingStars


class Sightline(NamedTuple):
    """What the prior needs along one line of sight."""

    position: Float[Array, " 2"]
    table: Float[Array, "component grid"]


class GalacticPrior(eqx.Module):
    """p(θ, μ, E | sky) = p(θ) Σ_component p(component, μ | sky) p(E | μ, sky).

    Attributes:
        stars: p(θ), per unit volume.
        distance: p(component, μ | sky).
        dust: p(E | μ, sky).
        name: what the prior is called.
        description: a line about it.
    """

    stars: TrainingStars
    distance: DistancePrior
    dust: DustPrior
    name: str = eqx.field(static=True, default="")
    description: str = eqx.field(static=True, default="")

    @property
    def depends_on_position(self) -> bool:
        """Whether a star without a position gets an average over the sky."""
        return isinstance(self.distance, Galaxy) or isinstance(self.dust, DustDisc)

    def sightline(self, position: Float[Array, " 2"]) -> Sightline:
        """Tabulate the distance prior along a line of sight [deg]."""
        return Sightline(position, self.distance.sightline(position))

    def log_prob(
        self, theta: Float[Array, " label"], mu: Float[Array, ""], reddening: Float[Array, ""], sky: Sightline
    ) -> Float[Array, ""]:
        """log p(θ, μ, E | sky)."""
        log_distance = logsumexp(distance.log_prob(mu, sky.table))
        log_dust = self.reddening_given_distance(mu, sky).log_prob(reddening)
        return self.stars.log_prob(theta) + log_distance + log_dust

    def sample(
        self, key: PRNGKeyArray, sky: Sightline, num_samples: int
    ) -> tuple[Float[Array, "sample label"], Float[Array, " sample"], Float[Array, " sample"]]:
        """Independent draws of (θ, μ, E)."""
        key_stars, key_distance, key_dust = jax.random.split(key, 3)
        theta = self.stars.sample(key_stars, num_samples)
        mu = distance.sample(key_distance, sky.table, num_samples)
        keys = jax.random.split(key_dust, num_samples)
        reddening = jax.vmap(lambda key, mu: self.reddening_given_distance(mu, sky).sample(key))(keys, mu)
        return theta, mu, reddening

    def reddening_given_distance(self, mu: Float[Array, ""], sky: Sightline) -> Reddening:
        """p(E | μ, sky)."""
        return self.dust.reddening_given_distance(mu, sky.position)
