"""Another prior for draws that are there already: each is weighted by the ratio of the new prior to the old."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float
from scipy.special import logsumexp

from albireo.priors.base import Prior, sightline
from albireo.samplers import Batch, Draws
from albireo.samplers.convergence import judge_weights
from albireo.samplers.weights import smooth_weights


def reweight_batch(
    old: Prior,
    new: Prior,
    position: Float[np.ndarray, "star 2"],
    draws: Draws,
    log_weight: Float[np.ndarray, "star chain draw"],
    star_stats: dict[str, np.ndarray],
    efficiency: Float[np.ndarray, " star"],
) -> Batch:
    """Draws from posteriors under one prior, weighted to be those under another.

    Args:
        old: the prior of the draws.
        new: the prior that takes its place.
        position: Galactic longitude and latitude of the stars [deg]; NaN where unknown.
        draws: the draws, axes (star, chain, draw).
        log_weight: logarithms of their weights, which sum to one.
        star_stats: the log evidence under the old prior and its error, and which sampler served a star, where known.
        efficiency: how many independent draws each draw of a star is worth, at most 1.

    Returns:
        The same draws with Pareto-smoothed weights, k̂ and effective sample size; NaN for a star none of whose draws
        the new prior allows.
    """
    shape, num_stars = log_weight.shape, len(log_weight)
    log_new = np.asarray(_log_prior(new, position, draws), float)
    log_ratio = (log_new - np.asarray(_log_prior(old, position, draws), float)).reshape(num_stars, -1)
    raw = np.where(np.isfinite(log_ratio), log_ratio + log_weight.reshape(num_stars, -1), -np.inf)
    possible = np.isfinite(raw).any(axis=1)
    raw[~possible] = 0.0
    smoothed, k_hat = map(np.asarray, jax.jit(jax.vmap(smooth_weights))(jnp.asarray(raw - raw.max(1, keepdims=True))))
    stats = {"k_hat": k_hat, "ess_kish": efficiency / np.sum(np.exp(2 * smoothed), axis=1)}
    if "log_evidence" in star_stats:
        change = logsumexp(raw, axis=1)
        relative_err = np.std(np.exp(raw - change[:, None]), axis=1) * np.sqrt(raw.shape[1])
        stats["log_evidence"] = star_stats["log_evidence"] + change
        stats["log_evidence_err"] = np.hypot(star_stats["log_evidence_err"], relative_err)
    stats["converged"] = judge_weights(k_hat, stats["ess_kish"])
    stats = {name: np.where(possible, values, np.nan) for name, values in stats.items()}
    stats |= {name: star_stats[name] for name in ("engine",) if name in star_stats}
    draws = jax.tree.map(lambda a: np.where(possible.reshape(-1, *[1] * (a.ndim - 1)), a, np.nan), draws)
    return Batch(draws, smoothed.reshape(shape), {"log_prior": log_new}, stats)


def independent_draws(
    stats: xr.Dataset, log_weight: Float[np.ndarray, "star draw"], *, among_weighted: bool
) -> Float[np.ndarray, " star"]:
    """As how many independent draws those of every star count before their weights, at most as many as there are.

    Draws of chains depend on each other; and among weighted ones those of equal weights are another sampler's, which
    were chosen by their weights.
    """
    independent = np.full(len(log_weight), float(log_weight.shape[1]))
    if "ess_min" in stats:
        independent = np.fmin(independent, np.asarray(stats["ess_min"]))
    if among_weighted:
        chosen = np.ptp(log_weight, axis=1) == 0
        independent = np.where(chosen, np.fmin(independent, np.asarray(stats["ess_kish"])), independent)
    return independent


@eqx.filter_jit
def _log_prior(prior: Prior, position: Float[Array, "star 2"], draws: Draws) -> Float[Array, "star chain draw"]:
    def one(args):
        position, draws = args
        sky = sightline(prior, position)
        log_prob = jax.vmap(jax.vmap(lambda theta, mu, reddening: prior.log_prob(theta, mu, reddening, sky)))
        return log_prob(draws.theta, draws.mu, draws.reddening)

    return jax.lax.map(one, jax.tree.map(jnp.asarray, (position, draws)))
