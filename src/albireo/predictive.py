"""What draws say of the data: how likely each magnitude is, which is an outlier, how all would be measured again."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float

from albireo.catalog import Catalog
from albireo.device import jit_over_stars, over_stars
from albireo.likelihood import (
    Star,
    log_likelihood_each_band,
    log_likelihood_limits,
    log_likelihood_magnitudes,
    log_likelihood_parallax,
    parallax_from_distance_modulus,
    scores,
)
from albireo.model import StellarModel
from albireo.outliers import Hypotheses, hypotheses, outlier_probability
from albireo.samplers import Batch, Draws
from albireo.statistics import systematic

_NUM_JUDGED = 64  # draws of a star by which its outliers are judged


@jit_over_stars
def extinction(model: StellarModel, draws: Draws) -> Float[Array, "star chain draw"]:
    """In the reference band [mag]."""
    return over_stars(lambda draws: draws.reddening * model.extinction_vector(draws.theta)[..., 0], draws)


@jit_over_stars
def best(model: StellarModel, stars: Star, draws: Draws) -> tuple[Float[Array, " star"], Float[Array, " star"]]:
    """The least χ² of each star's magnitudes among its draws, and the probability of its unlikeliest limit at best."""

    def one(args):
        star, draws = args
        score, _ = jax.vmap(jax.vmap(lambda *draw: scores(model, star, *draw)))(*draws)
        log_not_found = jax.vmap(jax.vmap(lambda *draw: log_likelihood_limits(model, star, *draw)))(*draws)
        return jnp.min(jnp.sum(score**2, axis=-1)), jnp.exp(jnp.max(jnp.min(log_not_found, axis=-1)))

    return over_stars(one, (stars, draws))


def outlier_probabilities(
    batch: Batch, catalog: Catalog, model: StellarModel, fraction: float
) -> Float[np.ndarray, "star band"]:
    """How likely each magnitude is an outlier, where this share of all is taken to be, by some of a star's draws."""
    num = len(catalog)
    weight = np.ones((num, batch.draws.mu[0].size)) if batch.log_weight is None else np.exp(batch.log_weight)
    index = systematic(np.full(num, 0.5), weight.reshape(num, -1), _NUM_JUDGED)
    flat_draws = (np.asarray(a).reshape(num, -1, *np.shape(a)[3:]) for a in batch.draws)
    judged = [np.take_along_axis(a, index.reshape(*index.shape, *[1] * (a.ndim - 2)), axis=1) for a in flat_draws]
    every = jax.tree.map(jnp.asarray, hypotheses(catalog, model.scatter, fraction))
    return np.asarray(outlier_probability(model, every, *map(jnp.asarray, judged)))


@eqx.filter_jit
def log_likelihood_of_draws(
    model: StellarModel, stars: Star | Hypotheses, draws: Draws
) -> tuple[Float[Array, "star chain draw band"], Float[Array, "star chain draw"]]:
    """Of each magnitude given the star's others, and of the parallax.

    Under several hypotheses h it is p(m) / p(m without it), each the sum over h: of p(h) p(m | h), and of that over the
    magnitude's own p given the others and h.
    """

    def one(star, draw):
        if isinstance(star, Star):
            bands = log_likelihood_each_band(model, star, *draw)
            return bands, log_likelihood_parallax(star, draw.mu)
        each = jax.vmap(lambda star: log_likelihood_each_band(model, star, *draw))(star.stars)
        log_p = star.log_prior + jax.vmap(lambda star: log_likelihood_magnitudes(model, star, *draw))(star.stars)
        bands = logsumexp(log_p) - logsumexp(log_p[:, None] - each, axis=0)
        return bands, log_likelihood_parallax(jax.tree.map(lambda a: a[0], star.stars), draw.mu)

    over_draws = jax.vmap(jax.vmap(one, in_axes=(None, 0)), in_axes=(None, 0))
    return jax.lax.map(lambda args: over_draws(*args), (stars, draws), batch_size=16)


def measure_again(
    model: StellarModel,
    draws: Draws,
    mag_err: Float[np.ndarray, "star band"],
    parallax_err: Float[np.ndarray, " star"],
    rng: np.random.Generator,
) -> tuple[Float[np.ndarray, "star chain draw band"], Float[np.ndarray, "star chain draw"]]:
    """Magnitudes [mag] and parallaxes [mas] with these errors, the model's scatter and its spread, one of each draw."""
    mag, parallax, spread = jax.tree.map(np.asarray, _predict(model, draws))
    mag = mag + rng.normal(size=mag.shape) * mag_err[:, None, None]
    if model.scatter is not None:
        own, shared = np.asarray(model.scatter.own), np.asarray(model.scatter.shared)
        mag = mag + rng.normal(size=mag.shape) * own
        mag = mag + rng.normal(size=(*mag.shape[:-1], shared.shape[1])) @ shared.T
    if spread is not None:
        mag = mag + np.squeeze(spread @ rng.normal(size=(*spread.shape[:-2], spread.shape[-1], 1)), -1)
    return mag, parallax + rng.normal(size=parallax.shape) * parallax_err[:, None, None]


@eqx.filter_jit
def _predict(model, draws: Draws):
    spread = None if model.spread is None else model.spread.directions(model.standardise(draws.theta))
    mag = model.magnitudes(draws.theta, draws.mu, draws.reddening)
    return mag, parallax_from_distance_modulus(draws.mu), spread
