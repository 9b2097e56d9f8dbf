"""A star whose draws cannot be trusted goes on to the next sampler; its draws take the place of the first's."""

import numpy as np
from jaxtyping import Bool, Int

from albireo.samplers.base import Batch, Draws
from albireo.statistics import systematic


def trusted(batch: Batch) -> Bool[np.ndarray, " star"]:
    """Whether a star's draws converged without a divergent transition; a sampler that does not say so is believed."""
    stats = batch.star_stats
    if "converged" not in stats:
        return np.ones(len(batch.draws.mu), bool)
    # A sampler without transitions has none that diverge: NaN, or no such statistic.
    return np.asarray(stats["converged"], bool) & ~(np.asarray(stats.get("n_divergent", np.nan)) > 0)


def replace_stars(
    batch: Batch, index: Int[np.ndarray, " again"], other: Batch, seeds: Int[np.ndarray, " again"]
) -> Batch:
    """A batch in which these stars have the draws of another sampler, brought to the same chains and draws.

    Args:
        batch: the stars; its arrays, no two of which may share their memory, are written into where they can be.
        index: which are to be replaced.
        other: those, sampled otherwise.
        seeds: of each, for the choice among the other sampler's draws.
    """
    num_chains, num_draws = batch.draws.mu.shape[1:]
    chosen = np.stack([_choose(other, i, num_chains, num_draws, seed) for i, seed in enumerate(seeds)])

    def put(values, new):
        values = np.require(values, requirements="W")
        flat = np.asarray(new).reshape(len(index), -1, *values.shape[3:])
        picked = np.take_along_axis(flat, chosen.reshape(len(index), -1, *[1] * (flat.ndim - 2)), axis=1)
        values[index] = picked.reshape(len(index), *values.shape[1:])
        return values

    draws = Draws(*(put(values, new) for values, new in zip(batch.draws, other.draws, strict=True)))
    log_weight = None
    if batch.log_weight is not None:
        log_weight = np.require(batch.log_weight, requirements="W")
        log_weight[index] = -np.log(num_chains * num_draws)
    draw_stats = {}
    for name, values in batch.draw_stats.items():
        missing = np.zeros_like(other.draws.mu) if np.asarray(values).dtype.kind in "biu" else np.nan * other.draws.mu
        draw_stats[name] = put(values, other.draw_stats.get(name, missing))
    return Batch(draws, log_weight, draw_stats, _merge(batch.star_stats, index, other.star_stats, len(draws.mu)))


def _choose(other: Batch, star: int, num_chains: int, num_draws: int, seed) -> Int[np.ndarray, "chain draw"]:
    """Places of the draws to keep in the other sampler's, all chains one after the other."""
    chains, draws = other.draws.mu.shape[1:]
    rng = np.random.default_rng(seed)
    if other.log_weight is not None:
        weight = np.exp(np.asarray(other.log_weight[star], float).ravel())
        return systematic(rng.random(1), weight[None], num_chains * num_draws).reshape(num_chains, num_draws)
    if chains == num_chains:
        kept = np.linspace(0, draws - 1, num_draws).round().astype(int)
        return np.arange(chains)[:, None] * draws + kept
    kept = np.linspace(0, chains * draws - 1, num_chains * num_draws).round().astype(int)
    return rng.permutation(kept).reshape(num_chains, num_draws)


def _merge(stats, index, new, num):
    """Statistics of all stars; NaN where a star's sampler has none of that name."""
    merged = {}
    for name in {**stats, **new}:
        values = np.array(stats[name]) if name in stats else np.full(num, np.nan)
        values[index] = new.get(name, np.nan)
        merged[name] = values
    return merged
