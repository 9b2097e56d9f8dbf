"""Nested sampling with dynesty: an independent check of the other samplers, and the evidence with its error.

It explores a box around the prior's mass and takes likelihood × prior as its likelihood, so it owes nothing to the
proposals that the other samplers start from. Distance modulus and reddening are integrated out, so it has only as
many dimensions as there are labels.
"""

import warnings
from dataclasses import dataclass
from functools import partial
from typing import Any

import dynesty
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from albireo import flags
from albireo.likelihood import Star
from albireo.outliers import Hypotheses
from albireo.samplers.base import Batch, Problem, at_least
from albireo.samplers.proposal import FirstLook
from albireo.statistics import systematic

# How far the box reaches beyond the outermost of the first look's points, in standard deviations of the labels.
_MARGIN = 0.3
_LOWEST = -1e30


@dataclass(frozen=True)
class Nested:
    """Nested sampling (Skilling 2004; Speagle 2020, MNRAS 493, 3132).

    Attributes:
        num_live: live points; of dynamic sampling, at first.
        num_samples: equally weighted draws kept.
        dynamic: whether live points are added where the posterior is, rather than being as many everywhere.
        max_calls: of the posterior density; a star that needs more is flagged as not converged.
        dlogz: stops when the evidence left among the live points is below this [nat].
        batch_size: stars between two reports of progress; they are sampled one by one.
    """

    num_live: int = 500
    num_samples: int = 2000
    dynamic: bool = False
    max_calls: int = 200_000
    dlogz: float = 0.01
    batch_size: int = 1

    def __post_init__(self) -> None:
        at_least(self, num_live=50, num_samples=4, max_calls=1000, batch_size=1)

    @property
    def engine(self) -> str:
        """What the summary calls it."""
        return "nested-dynamic" if self.dynamic else "nested"

    def run(self, problem: Problem, look: FirstLook, stars: Star | Hypotheses, keys: PRNGKeyArray) -> Batch:
        """Sample a batch of stars, one after the other."""
        one_by_one = [
            self._sample(problem, look, jax.tree.map(lambda a, i=i: a[i], stars), key) for i, key in enumerate(keys)
        ]
        return jax.tree.map(lambda *leaves: np.stack(leaves), *one_by_one)

    def _sample(self, problem: Problem, look: FirstLook, star: Star | Hypotheses, key: PRNGKeyArray) -> Batch:
        low, high = np.asarray(look.x.min(axis=0) - _MARGIN), np.asarray(look.x.max(axis=0) + _MARGIN)
        key_dynesty, key_complete = jax.random.split(key)
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key_dynesty)))

        # Flattened once: for thousands of calls, flattening the model costs more than the likelihood.
        arrays, static = eqx.partition((problem, star, _sightline(problem, star)), eqx.is_array)
        leaves, tree = jax.tree.flatten(arrays)
        structure = _Structure(tree, static)

        def log_likelihood(x):
            value = float(_log_target(structure, leaves, x.astype(look.x.dtype)))
            return max(value, _LOWEST) if np.isfinite(value) else _LOWEST

        # dynesty's samplers make their objects in __new__, which type checkers do not follow.
        make: Any = dynesty.DynamicNestedSampler if self.dynamic else dynesty.NestedSampler
        sampler = make(log_likelihood, lambda u: low + (high - low) * u, low.size, nlive=self.num_live, rstate=rng)
        stop = {"dlogz_init" if self.dynamic else "dlogz": self.dlogz, "maxcall": self.max_calls}
        with warnings.catch_warnings():
            # A curved posterior makes dynesty warn that its ellipsoids grow large: slower, not wrong.
            warnings.simplefilter("ignore", UserWarning)
            sampler.run_nested(**stop, print_progress=False)
        results = sampler.results
        # The box has the uniform density 1/volume; its inverse makes the evidence that of the normalised prior.
        log_volume = np.sum(np.log(high - low))
        weight = results.importance_weights()
        chosen = systematic(rng, weight, self.num_samples)
        x = jnp.asarray(results.samples[chosen], look.x.dtype)
        draws = _complete(problem, star, x, key_complete)
        ess_kish = 1 / np.sum(weight**2)
        star_stats = {
            "log_evidence": results.logz[-1] + log_volume,
            "log_evidence_err": results.logzerr[-1],
            "ess_kish": ess_kish,
            "converged": (ess_kish > flags.MIN_ESS) & (np.sum(results.ncall) < self.max_calls),
        }
        draw_stats = {"lp": results.logl[chosen][None]}
        return Batch(jax.tree.map(lambda a: np.asarray(a)[None], draws), None, draw_stats, star_stats)


class _Structure:
    """What is not an array in a problem, a star and a sightline; alike where tree and leaves are, so compiled once."""

    def __init__(self, tree, static) -> None:
        self.tree, self.static = tree, static
        leaves, static_tree = jax.tree.flatten(static)
        self._key = (tree, static_tree, tuple(leaves))

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other) -> bool:
        return isinstance(other, _Structure) and self._key == other._key


@partial(jax.jit, static_argnums=0)
def _log_target(structure, leaves, x: Float[Array, " label"]):
    problem, star, sky = eqx.combine(jax.tree.unflatten(structure.tree, leaves), structure.static)
    return problem.log_target(star, sky, x)


@eqx.filter_jit
def _sightline(problem: Problem, star: Star | Hypotheses):
    return problem.sightline(star)


@eqx.filter_jit
def _complete(problem: Problem, star: Star | Hypotheses, x: Float[Array, "draw label"], key: PRNGKeyArray):
    return problem.complete(star, problem.sightline(star), x, key)
