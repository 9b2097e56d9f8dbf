"""The composite prior: stars, their distances and the dust in front of them."""

from typing import TYPE_CHECKING

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from albireo.priors import distance
from albireo.priors.distance import DistancePrior, interpolate
from albireo.priors.dust import DustPrior
from albireo.priors.lines_of_sight import Sightline, tabulate
from albireo.priors.metallicity import Metallicity
from albireo.priors.reddening import Reddening
from albireo.priors.stars import StarsPrior

if TYPE_CHECKING:
    from astropy.table import Table

    from albireo.model import StellarModel


class GalacticPrior(eqx.Module):
    """p(θ, μ, E | sky) = Σ_component p(component, μ | sky) p(θ | component, μ, sky) × p(E | μ, sky).

    θ are the labels (teff [K], logg [dex], feh [dex]), μ is the distance modulus [mag] and E the reddening [mag].

    Attributes:
        stars: p(θ | component), per unit volume.
        distance: p(component, μ | sky), and each component's metallicity along the sightline.
        dust: p(E | μ, sky).
        anywhere: the average over the sky, for a star whose position is unknown.
        name: what the prior is called.
        description: a line about it.
    """

    stars: StarsPrior
    distance: DistancePrior
    dust: DustPrior
    anywhere: Sightline
    name: str = eqx.field(static=True, default="")
    description: str = eqx.field(static=True, default="")

    @property
    def depends_on_position(self) -> bool:
        """Whether a star without a position gets an average over the sky."""
        return self.distance.depends_on_position or self.dust.depends_on_position

    def sightline(self, position: Float[Array, " 2"]) -> Sightline:
        """Tabulate the prior along a line of sight [deg], or its average over the sky where the position is NaN."""
        known = jnp.all(jnp.isfinite(position))
        here = tabulate(self.distance, self.dust, jnp.where(known, position, 0.0))
        return jax.tree.map(lambda a, b: jnp.where(known, a, b.astype(a.dtype)), here, self.anywhere)

    def log_prob(
        self, theta: Float[Array, " label"], mu: Float[Array, ""], reddening: Float[Array, ""], sky: Sightline
    ) -> Float[Array, ""]:
        """log p(θ, μ, E | sky)."""
        log_stars = self.log_prob_without_reddening(theta, mu, sky)
        return log_stars + self.reddening_given_distance(mu, sky).log_prob(reddening)

    def log_prob_without_reddening(
        self, theta: Float[Array, " label"], mu: Float[Array, ""], sky: Sightline
    ) -> Float[Array, ""]:
        """log p(θ, μ | sky)."""
        log_number, metallicity = interpolate(mu, (sky.log_number, sky.metallicity))
        return logsumexp(log_number + self.stars.log_prob(theta, metallicity)) - distance.beyond(mu)

    def sample(
        self, key: PRNGKeyArray, sky: Sightline, num_samples: int
    ) -> tuple[Float[Array, "sample label"], Float[Array, " sample"], Float[Array, " sample"]]:
        """Independent draws of (θ, μ, E)."""
        key_stars, key_distance, key_dust = jax.random.split(key, 3)
        mu, component = distance.sample(key_distance, sky.log_number, num_samples)
        at = jax.vmap(interpolate, in_axes=(0, None))(mu, sky)
        metallicity = Metallicity(*(jnp.take_along_axis(a, component[:, None], 1)[:, 0] for a in at.metallicity))
        theta = self.stars.sample(key_stars, component, metallicity)
        reddening = jax.vmap(lambda p, key: p.sample(key))(at.reddening, jax.random.split(key_dust, num_samples))
        return theta, mu, reddening

    def dust_is_reliable(self, mu: Float[Array, ""], position: Float[Array, " 2"]) -> Bool[Array, ""]:
        """Whether the dust prior rests on a measurement at this distance in this direction [deg]."""
        return self.dust.is_reliable(mu, position)

    def reddening_given_distance(self, mu: Float[Array, ""], sky: Sightline) -> Reddening:
        """p(E | μ, sky)."""
        return interpolate(mu, sky.reddening)

    def mock(
        self,
        glon: float,
        glat: float,
        num_stars: int,
        *,
        model: "StellarModel | str" = "default",
        faintest: float = 18.0,
        seed: int = 0,
    ) -> "Table":
        """A mock catalogue of stars in one direction [deg] to a faintest magnitude [mag]: `albireo.simulation.mock`."""
        from albireo.simulation import mock

        return mock(self, glon, glat, num_stars, model=model, faintest=faintest, seed=seed)
