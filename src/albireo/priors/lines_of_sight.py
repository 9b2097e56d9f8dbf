"""The prior along one line of sight, or averaged over the sky, as tables over the distance modulus."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float

from albireo.cache import keep_result
from albireo.priors import distance
from albireo.priors.distance import DistancePrior, grid
from albireo.priors.dust import DustPrior
from albireo.priors.metallicity import Metallicity
from albireo.priors.reddening import Reddening

# A star anywhere on the sky is in one of the zones of |sin b| between these.
_ZONE_EDGES = (0.0, 0.1, 0.35, 1.0)
_NOTHING = -1e9  # log weight of a component that is not there


class Sightline(NamedTuple):
    """The prior along one line of sight, or averaged over the sky, on the grid of distance moduli.

    Attributes:
        log_number: log p(component, μ) [mag⁻¹].
        metallicity: of every component.
        reddening: p(E | μ), a mixture over zones of the sky.
    """

    log_number: Float[Array, "grid component"]
    metallicity: Metallicity
    reddening: Reddening


def tabulate(stars: DistancePrior, dust: DustPrior, position: Float[Array, " 2"]) -> Sightline:
    """The prior towards one Galactic longitude and latitude [deg]."""
    mu = jnp.asarray(grid(), position.dtype)
    log_number = jax.vmap(lambda mu: stars.log_number(mu, position))(mu)
    metallicity = jax.vmap(lambda mu: stars.metallicity(mu, position))(mu)
    reddening = jax.vmap(lambda mu: dust.reddening_given_distance(mu, position))(mu)
    # The zones of the average take the places of as many components, here without weight.
    spare = _num_zones(dust) - 1
    padded = Reddening(
        *(
            jnp.concatenate([values, jnp.broadcast_to(fill, (mu.size, spare)).astype(values.dtype)], axis=1)
            for values, fill in zip(vars(reddening).values(), (_NOTHING, -1.0, 0.0), strict=True)
        )
    )
    return Sightline(distance.normalise(log_number), metallicity, padded)


def log_seen(
    anywhere: Sightline, magnitude: Float[Array, ""], extinction: Float[Array, ""], brightest: float, faintest: float
) -> Float[Array, " component"]:
    """Log probability that a star, anywhere on the sky, is of each component and appears between two magnitudes.

    All stars are taken to have this absolute magnitude: m = M + μ + E R, with μ and E from the prior and R the
    extinction per unit reddening.
    """
    mu = jnp.asarray(grid(), magnitude.dtype)

    def below(limit):
        return jax.vmap(lambda p, mu: p.probability_below((limit - magnitude - mu) / extinction))(
            anywhere.reddening, mu
        )

    number = jnp.exp(anywhere.log_number - logsumexp(anywhere.log_number))
    return jnp.log((below(faintest) - below(brightest)) @ number + 1e-30)


def _num_zones(dust: DustPrior) -> int:
    return len(_ZONE_EDGES) - 1 if dust.depends_on_position else 1


@keep_result(Sightline(0.0, Metallicity(0.0, 0.0), Reddening(0.0, 0.0, 0.0)))
def average_over_sky(stars: DistancePrior, dust: DustPrior) -> Sightline:
    """Over the pixels of a HEALPix map (nside 16: 3.7° pixels), each counted by the stars it holds.

    The metallicities of a component at one distance, a mixture over pixels, become the Gaussian of the same mean and
    width; the reddenings in each zone of latitude an exponential of the same mean.
    """
    import healpy

    if not (stars.depends_on_position or dust.depends_on_position):
        return eqx.filter_jit(tabulate)(stars, dust, jnp.zeros(2, jnp.float32))
    glon, glat = healpy.pix2ang(16, np.arange(healpy.nside2npix(16)), lonlat=True)
    sin_b = np.abs(np.sin(np.radians(glat)))
    zone = np.digitize(sin_b, _ZONE_EDGES[1:-1]) if dust.depends_on_position else np.zeros(len(sin_b), int)
    positions = jnp.asarray(np.stack([glon, glat], axis=-1), jnp.float32)
    return _average(stars, dust, positions, jnp.asarray(zone), jnp.asarray(grid(), jnp.float32))


@eqx.filter_jit
def _average(stars: DistancePrior, dust: DustPrior, positions, zone, mu) -> Sightline:
    def over(function):
        return jax.vmap(jax.vmap(function, in_axes=(0, None)), in_axes=(None, 0))(mu, positions)

    log_number, metallicity = over(stars.log_number), over(stars.metallicity)  # axes (pixel, grid, component)
    share = jax.nn.softmax(log_number, axis=0)
    mean = jnp.sum(share * metallicity.mean, axis=0)
    variance = jnp.sum(share * (metallicity.std**2 + (metallicity.mean - mean) ** 2), axis=0)

    in_pixel = logsumexp(log_number, axis=2)
    num_zones = _num_zones(dust)
    in_zone = [logsumexp(jnp.where((zone == n)[:, None], in_pixel, -jnp.inf), axis=0) for n in range(num_zones)]
    if dust.depends_on_position:
        each = over(lambda mu, position: dust.reddening_given_distance(mu, position).mean)
        log_share = [jnp.where((zone == n)[:, None], in_pixel - in_zone[n], -jnp.inf) for n in range(num_zones)]
        mean_reddening = [jnp.sum(jnp.exp(share) * each, axis=0) for share in log_share]
        linear = -1 / jnp.stack(mean_reddening, axis=-1)
        log_weight = jax.nn.log_softmax(jnp.stack(in_zone, axis=-1), axis=-1)
        reddening = Reddening(log_weight, linear, jnp.zeros_like(linear))
    else:
        reddening = jax.vmap(lambda mu: dust.reddening_given_distance(mu, positions[0]))(mu)
    log_number = distance.normalise(logsumexp(log_number, axis=0))
    return Sightline(log_number, Metallicity(mean, jnp.sqrt(variance)), reddening)
