"""The No-U-Turn sampler over the labels, many stars at once.

Distance modulus and reddening are integrated out and drawn back (see `marginal`), which leaves few, well-behaved
dimensions. Each draw is two independence Metropolis steps that propose from the mixture fitted to the star's
posterior, which move between modes, then one NUTS transition (Hoffman & Gelman 2014; BlackJAX's kernel), which moves
within a mode. Both leave the posterior invariant, so their composition does; a dwarf that might be a giant is visited
as both by every chain, in proportion to their masses.
"""

from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, NamedTuple

import blackjax.mcmc.nuts as blackjax_nuts
import equinox as eqx
import jax
import jax.numpy as jnp
from blackjax.adaptation.step_size import dual_averaging_adaptation
from blackjax.mcmc.hmc import HMCState
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from albireo.device import jit_over_stars
from albireo.errors import UserError
from albireo.likelihood import Star
from albireo.model.mixture import GaussianMixture
from albireo.outliers import Hypotheses
from albireo.random import split_each
from albireo.samplers.base import Batch, Problem, Sampler, at_least, complete_batch
from albireo.samplers.convergence import judge_chains
from albireo.samplers.nested import Nested
from albireo.samplers.proposal import FirstLook, propose_batch, refit_batch
from albireo.samplers.weights import weigh_batch

_NUM_WEIGHED = 1000
_INITIAL_STEP = 0.8
_KERNEL = blackjax_nuts.build_kernel()


@dataclass(frozen=True)
class NUTS:
    """NUTS with jumps between modes.

    Attributes:
        num_chains: chains per star.
        num_warmup: draws during which the step size adapts, then dropped.
        num_samples: draws kept from each chain.
        num_jumps: proposals of a jump before each draw.
        max_doublings: a trajectory has at most 2^this − 1 leapfrog steps; jumps make long ones needless, and short
            ones keep a batch of stars from waiting for its slowest.
        target_acceptance: mean acceptance probability that the step size is adapted to. Jumps make short steps cheap,
            and with them hardly a transition diverges.
        num_refits: how often the mixture that jumps are proposed from is fitted anew to weighted draws from it.
        escalate: whether a star with r̂ above 1.01, an effective sample below 400 or a divergent transition goes on by
            itself to more jumps from a better mixture and shorter steps, then to importance and to nested sampling.
        batch_size: stars sampled together; by default up to 64 on a processor, as many as its memory holds on a GPU.
    """

    num_chains: int = 4
    num_warmup: int = 100
    num_samples: int = 500
    num_jumps: int = 2
    max_doublings: int = 2
    target_acceptance: float = 0.99
    num_refits: int = 2
    escalate: bool = True
    batch_size: int | None = None

    def __post_init__(self) -> None:
        at_least(self, num_chains=2, num_warmup=10, num_samples=4, num_jumps=1, max_doublings=1, num_refits=0)
        if self.batch_size is not None:
            at_least(self, batch_size=1)
        if not isinstance(self.target_acceptance, Real) or not 0 < self.target_acceptance < 1:
            raise UserError(f"NUTS: target_acceptance must be between 0 and 1; got {self.target_acceptance!r}.")

    @property
    def engine(self) -> str:
        """What the summary calls it."""
        return "nuts-refit" if self.num_refits > NUTS.num_refits else "nuts"

    def more(self) -> "NUTS":
        """Twice as many jumps, from a mixture fitted anew five times more, and shorter steps."""
        return replace(
            self,
            num_jumps=2 * self.num_jumps,
            target_acceptance=1 - (1 - self.target_acceptance) / 2,
            num_refits=self.num_refits + 5,
            escalate=False,
        )

    def fallbacks(self) -> tuple[Sampler, ...]:
        """What a star goes on to whose chains cannot be trusted."""
        from albireo.samplers.importance import Importance  # which goes on to this sampler in turn

        return (self.more(), Importance().more().more(), Nested()) if self.escalate else ()

    def run(self, problem: Problem, look: FirstLook, stars: Star | Hypotheses, keys: PRNGKeyArray) -> Batch:
        """Sample a batch of stars."""
        keys = split_each(keys, 5)
        mixtures = propose_batch(problem, look, stars, keys[0])
        if self.num_refits:
            mixtures = refit_batch(problem, stars, mixtures, keys[4], jnp.asarray(self.num_refits))
        weighted = weigh_batch(problem, stars, mixtures, keys[1], _NUM_WEIGHED)
        x = problem.standardise(weighted.draws.theta[:, 0])
        spaces = _space(mixtures, x, jnp.asarray(weighted.log_weight)[:, 0])
        # Two samplers share compiled code that differ in these two, which are numbers in it, in the batch size, which
        # is in the arrays' shapes, and in what is done elsewhere.
        numbers = jnp.asarray(self.num_jumps), jnp.asarray(self.target_acceptance, x.dtype)
        settings = replace(self, num_jumps=1, target_acceptance=0.5, num_refits=0, escalate=False, batch_size=1)
        x, draw_stats = _run_batch(settings, problem, stars, spaces, keys[2], *numbers)
        draws = complete_batch(problem, stars, x, keys[3])
        evidence = {name: weighted.star_stats[name] for name in ("log_evidence", "log_evidence_err")}
        return Batch(draws, None, draw_stats, evidence | judge_chains(draws, draw_stats["diverging"]))


class _Space(NamedTuple):
    """Whitened coordinates z with x = center + cholesky·z, and the mixture that proposes jumps, over x."""

    center: Float[Array, " label"]
    cholesky: Float[Array, "label label"]
    whitener: Float[Array, "label label"]
    mixture: GaussianMixture

    def x(self, z: Float[Array, "*batch label"]) -> Float[Array, "*batch label"]:
        return self.center + z @ self.cholesky.T

    def z(self, x: Float[Array, "*batch label"]) -> Float[Array, "*batch label"]:
        return (x - self.center) @ self.whitener.T


class _Info(NamedTuple):
    """Statistics of one draw, by ArviZ's names."""

    lp: Float[Array, ""]
    diverging: Bool[Array, ""]
    acceptance_rate: Float[Array, ""]
    n_steps: Array
    jumped: Bool[Array, ""]
    step_size: Float[Array, ""]


@jax.jit
@jax.vmap
def _space(mixture: GaussianMixture, x: Float[Array, "draw label"], log_weight: Float[Array, " draw"]) -> _Space:
    """Centred on the mean of weighted draws, whitened by the width of the modes."""
    within = jnp.einsum("k,kij,klj->il", jnp.exp(mixture.log_weight), mixture.cholesky, mixture.cholesky)
    cholesky = jnp.linalg.cholesky(within)
    return _Space(jnp.exp(log_weight) @ x, cholesky, jnp.linalg.inv(cholesky), mixture)


@jit_over_stars
def _run_batch(
    settings: NUTS,
    problem: Problem,
    stars: Star | Hypotheses,
    spaces: _Space,
    keys: PRNGKeyArray,
    num_jumps: Int[Array, ""],
    target_acceptance: Float[Array, ""],
):
    """All chains of all stars, in step with each other.

    They warm up, adapting the step size by dual averaging (Hoffman & Gelman 2014, section 3.2), then draw. One loop for
    both: the transition, which is most of the program, is compiled once. It runs over steps of all chains, side by side
    along one axis: JAX takes far longer to make one loop of a loop for each chain of each star.
    """
    init, update, final = dual_averaging_adaptation(target_acceptance)
    num_stars, num_chains = len(keys), settings.num_chains
    every = stars, eqx.filter_vmap(problem.sightline)(stars), spaces
    every = jax.tree.map(lambda a: jnp.repeat(a, num_chains, axis=0) if eqx.is_array(a) else a, every)
    keys = jax.vmap(lambda key: jax.random.split(key, num_chains))(keys).reshape(-1)

    def step(one, carry, key, i):
        target, (state, adaptation) = _Target(problem, *one), carry
        warm = i < settings.num_warmup
        step_size = jnp.where(warm, jnp.exp(adaptation.log_step_size), final(adaptation))
        state, info = _transition(settings, target, state, step_size, num_jumps, jax.random.fold_in(key, i))
        adapted = update(adaptation, info.acceptance_rate)
        adaptation = jax.tree.map(lambda new, old: jnp.where(warm, new, old), adapted, adaptation)
        return (state, adaptation), (state.position, info)

    def step_all(carry, i):
        return eqx.filter_vmap(step, in_axes=(eqx.if_array(0), 0, 0, None))(every, carry, keys, i)

    # A chain starts where the density is taken to be 0, so that its first step is to the first draw from the
    # mixture that the posterior allows.
    nowhere = jnp.zeros((*keys.shape, spaces.center.shape[-1]), spaces.center.dtype)
    start = _State(nowhere, jnp.full(keys.shape, -jnp.inf, nowhere.dtype))
    adaptation = jax.tree.map(lambda a: jnp.full(keys.shape, a), init(_INITIAL_STEP))
    _, drawn = jax.lax.scan(step_all, (start, adaptation), jnp.arange(settings.num_warmup + settings.num_samples))
    drawn = jax.tree.map(lambda a: jnp.moveaxis(a[settings.num_warmup :], 0, 1), drawn)
    z, info = jax.tree.map(lambda a: a.reshape(num_stars, num_chains, *a.shape[1:]), drawn)
    return jax.vmap(_Space.x)(spaces, z), info._asdict()


class _Target(NamedTuple):
    """The posterior of one star over whitened coordinates z.

    Its gradient is that of its approximation, which takes a third of the time. Leapfrog steps along the gradient of any
    other function are reversible and keep volumes; what makes the draws those of the target is that its own values
    decide on them.
    """

    problem: Problem
    star: Star | Hypotheses
    sky: Any
    space: _Space

    @eqx.filter_jit
    def log_prob(self, z: Float[Array, " label"]) -> Float[Array, ""]:
        exact = jax.lax.stop_gradient(self.problem.log_target(self.star, self.sky, self.space.x(z)))
        return jnp.where(jnp.isnan(exact), -jnp.inf, exact)

    @eqx.filter_jit
    def only_gradient(self, z: Float[Array, " label"]) -> Float[Array, ""]:
        """0, but with a gradient."""
        roughly = self.problem.log_target_roughly(self.star, self.sky, self.space.x(z))
        return jnp.where(jnp.isfinite(roughly), roughly - jax.lax.stop_gradient(roughly), 0)

    def log_prob_with_gradient(self, z: Float[Array, " label"]) -> Float[Array, ""]:
        return self.log_prob(z) + self.only_gradient(z)


class _State(NamedTuple):
    """Where a chain is, and the logarithm of the target there."""

    position: Float[Array, " label"]
    log_prob: Float[Array, ""]


def _transition(settings: NUTS, target: _Target, state: _State, step_size, num_jumps, key: PRNGKeyArray):
    key_nuts, key_jump = jax.random.split(key)

    def jump(i, carry):
        state, jumped = carry
        state, accepted = _jump(target, state, jax.random.fold_in(key_jump, i))
        return state, jumped | accepted

    state, jumped = jax.lax.fori_loop(0, num_jumps, jump, (state, jnp.zeros((), bool)))
    start = HMCState(state.position, state.log_prob, jax.grad(target.only_gradient)(state.position))
    unit = jnp.ones_like(state.position)
    end, nuts = _KERNEL(
        key_nuts, start, target.log_prob_with_gradient, step_size, unit, max_num_doublings=settings.max_doublings
    )
    info = _Info(
        end.logdensity,
        nuts.is_divergent,
        nuts.acceptance_rate,
        nuts.num_integration_steps,
        jumped,
        step_size,
    )
    return _State(end.position, end.logdensity), info


def _jump(target: _Target, state: _State, key: PRNGKeyArray):
    """One independence Metropolis step with the mixture as proposal."""
    key_propose, key_accept = jax.random.split(key)
    space = target.space
    x = space.mixture.sample(key_propose, 1)[0]
    proposed = _State(space.z(x), target.log_prob(space.z(x)))
    log_ratio = proposed.log_prob - state.log_prob
    log_ratio += space.mixture.log_prob(space.x(state.position)) - space.mixture.log_prob(x)
    accept = jnp.log(jax.random.uniform(key_accept, dtype=x.dtype)) < log_ratio
    return jax.tree.map(lambda new, old: jnp.where(accept, new, old), proposed, state), accept
