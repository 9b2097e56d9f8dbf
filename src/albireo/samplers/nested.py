"""Nested sampling with dynesty: a check of the other samplers, and the evidence with its error.

dynesty explores a unit cube u that heavy-tailed coordinates about the first look at the star unfold to all labels:

    x = center + cholesky · t(u),        log L(u) = log target(x) − log p(x),

where t(u) are quantiles of Student's t with two degrees of freedom and p is the density of x if u is uniform. Whatever
the first look found, ∫ L du is the evidence and the posterior is that of the target; the closer it came, the fewer
steps from the whole cube to the posterior. Distance modulus and reddening are integrated out, so there are only as many
dimensions as labels.
"""

import warnings
from dataclasses import dataclass
from functools import partial
from numbers import Real
from typing import Any, NamedTuple

import dynesty
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from dynesty.internal_samplers import SamplerArgument, SamplerReturn
from dynesty.utils import LoglOutput
from jaxtyping import Array, Float, PRNGKeyArray

from albireo import flags
from albireo.errors import UserError
from albireo.likelihood import Star
from albireo.outliers import Hypotheses
from albireo.samplers.base import Batch, Problem, at_least
from albireo.samplers.proposal import FirstLook, temper
from albireo.statistics import systematic

# Points of the first look that the coordinates are fitted to, in number of equal weight.
_ESS_LOOK = 64.0
# Points whose density is computed together, and points asked for together: while they wait, the least likelihood that
# is allowed rises, and one in ten becomes useless.
_BLOCK, _QUEUE = 128, 100
# Ellipsoids about the live points are blown up to so many times their volume: those about the few points of a small
# mode are too small as they stand, and 1.5 times lost half of one that held a quarter of the probability. They are
# drawn anew after so many calls for each live point, which is most of what dynesty takes.
_ENLARGE, _UPDATE = 4.0, 3.0
_LOWEST = -1e30


@dataclass(frozen=True)
class Nested:
    """Nested sampling (Skilling 2004; Speagle 2020, MNRAS 493, 3132).

    Attributes:
        num_live: live points; of dynamic sampling, at first and in each batch that is added.
        num_samples: equally weighted draws kept; dynamic sampling goes on until so many are effective.
        dynamic: whether live points are added where the posterior is, rather than being as many everywhere.
        max_calls: of the posterior density; a star that needs more is flagged as not converged.
        dlogz: stops when the evidence left among the live points, which is counted in, is below this [nat].
        batch_size: stars between two reports of progress; they are sampled one by one.
    """

    num_live: int = 500
    num_samples: int = 2000
    dynamic: bool = False
    max_calls: int = 200_000
    dlogz: float = 0.1
    batch_size: int = 1

    def __post_init__(self) -> None:
        at_least(self, num_live=50, num_samples=4, max_calls=1000, batch_size=1)
        if isinstance(self.dlogz, bool) or not isinstance(self.dlogz, Real) or not 0 < self.dlogz < np.inf:
            raise UserError(f"Nested: dlogz must be a positive number of nats; got {self.dlogz!r}.")

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
        key_dynesty, key_complete = jax.random.split(key)
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key_dynesty)))
        coordinates = _Coordinates(*(np.asarray(a, float) for a in _first_moments(problem, look, star)))
        blocks = _Blocks(_target(problem, star, look.x.dtype), coordinates, rng, self.max_calls)
        results = self._explore(blocks, rng)
        weight = results.importance_weights()
        chosen = rng.permutation(systematic(rng.random(1), weight[None], self.num_samples)[0])
        x = results.samples[chosen]
        x = np.where(results.logl[chosen, None] > _LOWEST, x, np.nan)  # a posterior of no mass has no draws
        draws = _complete(problem, star, jnp.asarray(x, look.x.dtype), key_complete)
        ess_kish = 1 / np.sum(weight**2)
        star_stats = {
            "log_evidence": results.logz[-1],
            "log_evidence_err": results.logzerr[-1],
            "ess_kish": ess_kish,
            "converged": (ess_kish > flags.MIN_ESS) & (blocks.num_calls < self.max_calls),
        }
        draw_stats = {"lp": (results.logl[chosen] + coordinates.log_density(x))[None]}
        return Batch(jax.tree.map(lambda a: np.asarray(a)[None], draws), None, draw_stats, star_stats)

    def _explore(self, blocks: "_Blocks", rng: np.random.Generator) -> Any:
        """dynesty's results."""
        # dynesty's samplers make their objects in __new__, which type checkers do not follow.
        make: Any = dynesty.DynamicNestedSampler if self.dynamic else dynesty.NestedSampler
        stop: dict[str, Any] = {"maxcall": self.max_calls}
        stop |= {"dlogz_init": self.dlogz, "n_effective": self.num_samples} if self.dynamic else {"dlogz": self.dlogz}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # stopped short: which is flagged
            warnings.filterwarnings("ignore", "All the initial likelihood values", RuntimeWarning)  # no mass: flagged
            sampler = make(
                blocks.log_likelihood,
                blocks.coordinates.labels,
                blocks.coordinates.center.size,
                nlive=self.num_live,
                sample="unif",
                enlarge=_ENLARGE,
                update_interval=_UPDATE,
                rstate=rng,
                pool=blocks,
                queue_size=_QUEUE,
                use_pool={"prior_transform": False, "update_bound": False, "stop_function": False},
            )
            sampler.run_nested(**stop, print_progress=False)
        return sampler.results


class _Coordinates(NamedTuple):
    """Student's t with two degrees of freedom in each direction, whose quantiles are closed."""

    center: Float[np.ndarray, " label"]
    cholesky: Float[np.ndarray, "label label"]

    def labels(self, u: Float[np.ndarray, "*point label"]) -> Float[np.ndarray, "*point label"]:
        """Standardised labels x at points of the unit cube."""
        return self.center + ((2 * u - 1) / np.sqrt(2 * u * (1 - u))) @ self.cholesky.T

    def log_density(self, x: Float[np.ndarray, "*point label"]) -> Float[np.ndarray, "*point"]:
        """Log density of x where u is uniform."""
        t = (x - self.center) @ np.linalg.inv(self.cholesky).T
        return -1.5 * np.sum(np.log(2 + t**2), axis=-1) - np.sum(np.log(np.diagonal(self.cholesky)))


class _Blocks:
    """In place of a pool of processes: what dynesty wants of many points is computed for a block at a time.

    Called point by point, the density of one star costs ten times as much.
    """

    def __init__(self, log_target, coordinates: _Coordinates, rng: np.random.Generator, max_calls: int) -> None:
        self._log_target, self._rng, self._max_calls = log_target, rng, max_calls
        self.coordinates, self.num_calls = coordinates, 0

    def log_likelihood(self, x: Float[np.ndarray, "*point label"]) -> Float[np.ndarray, "*point"]:
        """log L at any number of points."""
        points = x.reshape(-1, x.shape[-1])
        padded = np.resize(points, (-(-len(points) // _BLOCK) * _BLOCK, points.shape[1]))
        blocks = [self._log_target(block) for block in padded.reshape(-1, _BLOCK, points.shape[1])]
        value = np.concatenate(blocks)[: len(points)] - self.coordinates.log_density(points)
        value = np.where(np.isfinite(value), np.maximum(value, _LOWEST), _LOWEST)
        self.num_calls += len(points)
        return value.reshape(x.shape[:-1])

    def map(self, _, arguments) -> list:
        """dynesty's way to ask for points above the least likelihood, or for the likelihoods of points."""
        arguments = list(arguments)
        if isinstance(arguments[0], SamplerArgument):
            return self._draw_above(arguments[0], len(arguments))
        return [LoglOutput(value, blob_flag=False) for value in self.log_likelihood(np.stack(arguments))]

    def _draw_above(self, argument: SamplerArgument, num: int) -> list[SamplerReturn]:
        """So many points uniform in the part of dynesty's bound that is likely enough.

        Out of calls, any points will do: dynesty is told so and stops before it takes a second one.
        """
        found, num_calls = [], 0
        while len(found) < num:
            u = self._draw_in_bound(argument.kwargs.get("bound"), len(argument.u))
            if not len(u):  # next to all of the bound is outside of the cube; counted, so that it comes to an end
                self.num_calls += _BLOCK
                if self.num_calls <= self._max_calls:
                    continue
                u = self._draw_in_bound(None, len(argument.u))
            x = self.coordinates.labels(u)
            log_likelihood = self.log_likelihood(x)
            if self.num_calls > self._max_calls:
                log_likelihood, num_calls = (
                    np.maximum(log_likelihood, np.nextafter(argument.loglstar, np.inf)),
                    self._max_calls,
                )
            for u_one, x_one, log_l in zip(u, x, log_likelihood, strict=True):
                num_calls += 1
                if log_l > argument.loglstar:
                    found.append(SamplerReturn(u_one, x_one, log_l, num_calls, [], None, None))
                    num_calls = 0
        return found[:num]

    def _draw_in_bound(self, bound: Any, dim: int) -> Float[np.ndarray, "point label"]:
        """A block of points uniform in a union of ellipsoids and the unit cube; in the whole cube at first."""
        if not hasattr(bound, "ells"):
            return self._rng.random((_BLOCK, dim))
        share = np.exp(bound.logvol_ells - np.logaddexp.reduce(bound.logvol_ells))
        which = self._rng.choice(len(share), size=_BLOCK, p=share)
        z = self._rng.standard_normal((_BLOCK, dim))
        z *= (self._rng.random(_BLOCK) ** (1 / dim) / np.linalg.norm(z, axis=1))[:, None]
        axes = np.stack([ellipsoid.axes for ellipsoid in bound.ells])
        u = bound.ctrs[which] + np.einsum("nij,nj->ni", axes[which], z)
        # Where ellipsoids overlap, points come that much more often.
        step = u[:, None] - bound.ctrs
        num_hold = np.sum(np.einsum("nki,kij,nkj->nk", step, bound.ams, step) < 1, axis=1)
        keep = (self._rng.random(_BLOCK) * num_hold < 1) & np.all((u > 0) & (u < 1), axis=1)
        return u[keep]


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
def _log_target(structure, leaves, x: Float[Array, "point label"]):
    problem, star, sky = eqx.combine(jax.tree.unflatten(structure.tree, leaves), structure.static)
    return jax.vmap(lambda x: problem.log_target(star, sky, x))(x)


def _target(problem: Problem, star: Star | Hypotheses, dtype: np.dtype):
    """log target of a block of points of one star."""
    # Flattened once: for hundreds of calls, flattening the model costs more than the density.
    arrays, static = eqx.partition((problem, star, _sightline(problem, star)), eqx.is_array)
    leaves, tree = jax.tree.flatten(arrays)
    structure = _Structure(tree, static)
    return lambda x: np.asarray(_log_target(structure, leaves, x.astype(dtype)), float)


@eqx.filter_jit
def _first_moments(problem: Problem, look: FirstLook, star: Star | Hypotheses):
    """Mean of the first look at a star and Cholesky factor of its covariance."""
    weight = jnp.exp(temper(look.score(problem, star, problem.sightline(star)), _ESS_LOOK))
    mean = weight @ look.x
    covariance = ((look.x - mean).T * weight) @ (look.x - mean)
    return mean, jnp.linalg.cholesky(covariance + 1e-4 * jnp.eye(mean.size, dtype=mean.dtype))


@eqx.filter_jit
def _sightline(problem: Problem, star: Star | Hypotheses):
    return problem.sightline(star)


@eqx.filter_jit
def _complete(problem: Problem, star: Star | Hypotheses, x: Float[Array, "draw label"], key: PRNGKeyArray):
    return problem.complete(star, problem.sightline(star), x, key)
