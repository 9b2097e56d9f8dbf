"""Importance sampling: weighted draws from the mixture fitted to each star's posterior. The engine for catalogues."""

from dataclasses import dataclass, replace

import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from albireo.likelihood import Star
from albireo.outliers import Hypotheses
from albireo.random import split_each
from albireo.samplers.base import Batch, Problem, Sampler, at_least
from albireo.samplers.nested import Nested
from albireo.samplers.nuts import NUTS
from albireo.samplers.proposal import FirstLook, propose_batch, refit_batch
from albireo.samplers.weights import weigh_batch


@dataclass(frozen=True)
class Importance:
    """Adaptive importance sampling with Pareto-smoothed weights.

    Attributes:
        num_samples: weighted draws per star; with less than about 700 the effective sample of most is below 400.
        num_refits: how often the mixture is fitted anew to weighted draws from it, which some stars need.
        escalate: whether a star of k̂ above 0.7, an effective sample below 400 or one of any variable's mean below 200
            goes on by itself to one refit, three and seven, with two, four and eight times as many draws, then to NUTS,
            then to nested sampling.
        batch_size: stars sampled together; by default up to 64 on a processor, as many as its memory holds on a GPU.
    """

    num_samples: int = 1000
    num_refits: int = 0
    escalate: bool = True
    batch_size: int | None = None

    def __post_init__(self) -> None:
        at_least(self, num_samples=100, num_refits=0)
        if self.batch_size is not None:
            at_least(self, batch_size=1)

    @property
    def engine(self) -> str:
        """What the summary calls it."""
        return "importance-refit" if self.num_refits else "importance"

    def more(self) -> "Importance":
        """Twice as many draws, from a mixture fitted anew once, or twice as often and once more."""
        return replace(self, num_samples=2 * self.num_samples, num_refits=2 * self.num_refits + 1, escalate=False)

    def fallbacks(self) -> tuple[Sampler, ...]:
        """What a star goes on to whose weights cannot be trusted."""
        if not self.escalate:
            return ()
        once = self.more()
        return (once, once.more(), once.more().more(), NUTS().more(), Nested())

    def run(self, problem: Problem, look: FirstLook, stars: Star | Hypotheses, keys: PRNGKeyArray) -> Batch:
        """Sample a batch of stars; the draws of each form one chain."""
        key_propose, key_refit, key_sample = split_each(keys, 3)
        mixtures = propose_batch(problem, look, stars, key_propose)
        if self.num_refits:
            mixtures = refit_batch(problem, stars, mixtures, key_refit, jnp.asarray(self.num_refits))
        return weigh_batch(problem, stars, mixtures, key_sample, self.num_samples)
