"""A first look at a star: every mode found by brute force, then a mixture of Gaussians fitted to its posterior.

1. Points drawn once from the density of training stars and from the prior are scored against the star's photometry and
   parallax in closed form.
2. A mixture is fitted to some, drawn by a tempered score and weighted by the posterior. Where many of them count, it is
   good enough.
3. Elsewhere draws from the mixture and the points it was first fitted to, weighted by the posterior, give a better one;
   again where the weights are uneven (adaptive importance sampling: Cappé et al. 2008, Statistics and
   Computing 18, 447). The first mixture keeps a share in all of them, so that a small mode lost in a later round by
   chance is found again (a defensive mixture: Hesterberg 1995, Technometrics 37, 185).

The points take part because the main sequence is thin and bent: of a giant that might be a dwarf, few draws from
Gaussians about the dwarfs hit it, so that by chance none may count, whereas points from the prior lie on it.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from albireo.device import jit_over_stars, over_stars
from albireo.likelihood import Star, parallax_from_distance_modulus
from albireo.marginal import Photometry
from albireo.model.mixture import GaussianMixture, fit_weighted, whiten
from albireo.outliers import Hypotheses
from albireo.priors.base import log_prob_without_reddening, sightline
from albireo.priors.distance import LOG_TEN_FIFTH
from albireo.samplers.base import Problem
from albireo.samplers.weights import least_effective
from albireo.upper_limits import Limits

NUM_LOOK = 1 << 14
_FROM_PRIOR = 0.25  # share of its points
_NUM_ROWS = 16  # of the table in which its points are counted; a divisor of their number
# The score is flattened so far at least: small modes and tails get more of the points, and are known better by them.
_MIN_TEMPERATURE = 3.0
NUM_LOOKED = 512
_MIN_LOOKED = 64.0  # effective number of points that the tempered score has to leave
NUM_ADAPT = 512
NUM_REFIT = 4096
MAX_STAGES = 10
NUM_COMPONENTS = 8
NUM_EM = 4
_REFERENCE_MU = 10.0
_MU = np.linspace(-5.0, 20.0, 51, dtype=np.float32)  # 1 pc to 100 kpc [mag]
_LEAST = -1e4
_NUM_HALVINGS = 6
# A mixture is good enough where the effective sample of the labels' means is this share of the points that it is fitted
# to, and Kish's half of that. Kish's alone does not tell that a small mode is hit too seldom.
# Each round less is asked: a star that is almost there does not go on, one that is far from it does for long.
_EFFICIENT, _PATIENCE = 0.4, 0.95
# Shares of the first mixture: while the mixture adapts, and in the end.
_FIRST_ADAPTING, _FIRST_AT_LAST = 0.2, 0.1


class FirstLook(eqx.Module):
    """Points over the labels with their photometry, shared by all stars.

    Attributes:
        x: standardised labels.
        magnitude: absolute magnitudes [mag].
        extinction: extinction per unit of reddening.
        log_ratio: log of the prior over the density that the points were drawn from.
        log_density: log of that density, per unit of standardised labels.
    """

    x: Float[Array, "point label"]
    magnitude: Float[Array, "band point"]
    extinction: Float[Array, "band point"]
    log_ratio: Float[Array, " point"]
    log_density: Float[Array, " point"]

    @classmethod
    def build(cls, problem: Problem, key: PRNGKeyArray, num_points: int = NUM_LOOK) -> "FirstLook":
        """Draw the points from the density of training stars, which holds many giants too, and a share from the prior.

        Stars beyond those of the training set, and all if their density is not known, can be found by the latter alone.
        """
        sky = sightline(problem.prior, jnp.full(2, jnp.nan))
        density = problem.model.density
        num_prior = num_points if density is None else int(_FROM_PRIOR * num_points)
        key_prior, key_density = jax.random.split(key)
        theta, mu, _ = problem.prior.sample(key_prior, sky, num_prior)
        if density is not None:
            theta = jnp.concatenate([theta, density.sample(key_density, num_points - num_prior)])
        # p(μ) about the reference, where θ is compared: at least one draw of the prior is taken to be there.
        near = jnp.sum(jnp.abs(mu - _REFERENCE_MU) < 0.5)
        log_p_mu = jnp.log(jnp.maximum(near, 1) / num_prior)

        def densities(theta):
            reference = jnp.asarray(_REFERENCE_MU, theta.dtype)
            log_prior = log_prob_without_reddening(problem.prior, theta, reference, sky)
            log_of_prior = log_prior - log_p_mu
            if density is None:
                return jnp.zeros_like(log_prior), log_of_prior
            shares = jnp.log1p(-_FROM_PRIOR) + density.log_prob(theta), jnp.log(_FROM_PRIOR) + log_of_prior
            log_density = jnp.logaddexp(*shares)
            return log_prior - log_density, log_density

        log_ratio, log_density = jax.lax.map(densities, theta, batch_size=4096)
        model = problem.model
        return cls(
            model.standardise(theta),
            model.absolute_magnitudes(theta).T,
            model.extinction_vector(theta).T,
            log_ratio,
            log_density + jnp.sum(jnp.log(model.label_std)),
        )

    def score(self, problem: Problem, star: Star | Hypotheses, sky: Any) -> Float[Array, " point"]:
        """Approximate log posterior weight of every point."""
        if isinstance(star, Star):
            return self._score(problem, star, sky)
        each = jax.lax.map(lambda star: self._score(problem, star, sky), star.stars)
        return logsumexp(star.log_prior[:, None] + each, axis=0)

    def best_scores(self, problem: Problem, star: Hypotheses, sky: Any) -> Float[Array, " hypothesis"]:
        """The best point's log posterior weight under each hypothesis."""
        return star.log_prior + jax.lax.map(lambda star: jnp.max(self._score(problem, star, sky)), star.stars)

    def _score(self, problem: Problem, star: Star, sky: Any) -> Float[Array, " point"]:
        """Best (μ, E ≥ 0), parallax linearised there.

        The number of stars at each distance is taken to be that of stars of the median labels. Without it giants
        would count for little: one that looks like a dwarf is ten times as far, and so is in a far larger volume.
        """
        one = star.whiten(jnp.ones_like(star.mag))
        weight = jnp.maximum(one @ one, 1e-10)
        mean = star.whitener.T @ one / weight
        # Weighted means over bands, below what is left of them in units of the errors.
        whiten = jnp.concatenate([star.whitener - jnp.outer(one, mean), mean[None]])
        residuals = jnp.matmul(whiten, star.mag[:, None] - self.magnitude, precision="highest")
        extinctions = jnp.matmul(whiten, self.extinction, precision="highest")
        d, mean_residual, r, mean_r = residuals[:-1], residuals[-1], extinctions[:-1], extinctions[-1]
        spread = jnp.sum(r**2, axis=0) + 0.01
        reddening = jnp.maximum(jnp.sum(r * d, axis=0) / spread, 0)
        chi2 = jnp.sum((d - reddening * r) ** 2, axis=0)
        mu = mean_residual - reddening * mean_r
        parallax = parallax_from_distance_modulus(mu)
        variance_mu = 1 / weight + mean_r**2 / spread
        variance = variance_mu * (LOG_TEN_FIFTH * parallax) ** 2
        chi2_parallax = (star.parallax - parallax) ** 2 * star.parallax_ivar / (1 + variance * star.parallax_ivar)
        theta = problem.model.label_median
        log_found = 0.0
        if star.censoring is not None:
            limits = jax.vmap(star.limits, in_axes=1)(self.magnitude, self.extinction)
            log_found = jnp.sum(jax.vmap(Limits.log_prob)(limits, mu, reddening), axis=1)
        log_number = jax.vmap(lambda mu: log_prob_without_reddening(problem.prior, theta, mu, sky))(jnp.asarray(_MU))
        log_number = jnp.maximum(log_number, _LEAST)  # between infinities nothing can be interpolated
        return self.log_ratio + _between(log_number, mu) - 0.5 * (chi2 + chi2_parallax) + log_found


def _between(table: Float[Array, " grid"], mu: Float[Array, " point"]) -> Float[Array, " point"]:
    """A table on the even grid `_MU`, interpolated."""
    position = jnp.clip((mu - _MU[0]) / (_MU[1] - _MU[0]), 0, len(_MU) - 1.001)
    i = position.astype(int)
    return table[i] + (position - i) * (table[i + 1] - table[i])


def temperature(log_weight: Float[Array, " point"], min_ess: float) -> Float[Array, ""]:
    """The least T ≥ 1, to a fifth, with which weights to the power 1/T have this effective sample size."""
    log_weight = log_weight - jnp.max(log_weight)

    def ess(log_t):
        w = jnp.exp(log_weight * jnp.exp(-log_t))
        return jnp.sum(w) ** 2 / jnp.sum(w**2)

    def halve(bounds, _):
        low, high = bounds
        middle = 0.5 * (low + high)
        enough = ess(middle) >= min_ess
        return (jnp.where(enough, low, middle), jnp.where(enough, middle, high)), None

    zero = jnp.zeros((), log_weight.dtype)
    (_, high), _ = jax.lax.scan(halve, (zero, zero + 12.0), None, length=_NUM_HALVINGS)
    return jnp.exp(jnp.where(ess(zero) >= min_ess, zero, high))


def temper(log_weight: Float[Array, " point"], min_ess: float) -> Float[Array, " point"]:
    """Weights to the power 1/T, normalised, with about the least T ≥ 1 that gives this effective sample size."""
    return jax.nn.log_softmax(log_weight / temperature(log_weight, min_ess))


def systematic(
    key: PRNGKeyArray, weight: Float[Array, " point"], num: int
) -> tuple[Int[Array, " chosen"], Float[Array, ""]]:
    """Indices of an equally weighted sample (systematic resampling), and the logarithm of all weights together.

    The points are counted column by column of a table: it is quicker to add up its rows than all points in a row.
    """
    rows = weight.reshape(_NUM_ROWS, -1)
    within = jax.lax.associative_scan(jnp.add, rows)
    ends = jax.lax.associative_scan(jnp.add, within[-1])
    u = (jnp.arange(num) + jax.random.uniform(key, dtype=ends.dtype)) / num * ends[-1]
    column = jnp.clip(jnp.searchsorted(ends, u), 0, ends.size - 1)
    rest = u - jnp.where(column > 0, ends[column - 1], 0)
    row = jnp.clip(jnp.sum(within[:, column] < rest, axis=0), 0, _NUM_ROWS - 1)
    return row * ends.size + column, jnp.log(ends[-1])


def fit_mixture(
    key: PRNGKeyArray, x: Float[Array, "point label"], log_weight: Float[Array, " point"]
) -> GaussianMixture:
    """Weighted expectation maximisation, started from centres spread out as by k-means++."""
    weight = jax.nn.softmax(log_weight)
    z = whiten(x, weight)[-1]
    centers = z[_spread_centers(key, z, weight)]
    distance2 = jnp.sum((centers[:, :, None] - z.T) ** 2, axis=1)
    nearest = (distance2 == jnp.min(distance2, axis=0)).astype(x.dtype)
    return fit_weighted(x, weight, nearest.T, NUM_EM)


def _spread_centers(key, z, weight):
    """Indices of starting centres, each drawn ∝ weight × squared distance to the nearest one before.

    The first of exponential clocks to ring, of rates p, is a draw from p. The same clocks, moved on among the points,
    serve all centres.
    """
    clocks = jnp.tile(jax.random.exponential(key, weight.shape, dtype=weight.dtype), 2)
    shift = len(weight) // NUM_COMPONENTS

    def add(nearest2, k):
        clock = jax.lax.dynamic_slice(clocks, (k * shift,), weight.shape)
        index = jnp.argmin(clock / (weight * nearest2 + 1e-30))
        return jnp.minimum(nearest2, jnp.sum((z - z[index]) ** 2, axis=1)), index

    first = jnp.argmin(clocks[: len(weight)] / (weight + 1e-30))
    nearest2 = jnp.sum((z - z[first]) ** 2, axis=1)
    _, rest = jax.lax.scan(add, nearest2, jnp.arange(1, NUM_COMPONENTS))
    return jnp.concatenate([first[None], rest])


def widen(mixture: GaussianMixture) -> GaussianMixture:
    """The mixture with heavier tails: 70 % of it 1.2 times as wide, 30 % 2.5 times."""
    log_weight = jnp.concatenate([mixture.log_weight + np.log(0.7), mixture.log_weight + np.log(0.3)])
    scales = (1.2, 2.5)
    return GaussianMixture(
        log_weight,
        jnp.concatenate([mixture.mean] * 2),
        jnp.concatenate([mixture.cholesky * s for s in scales]),
        jnp.concatenate([mixture.whitener / s for s in scales]),
    )


@jit_over_stars
def propose_batch(problem: Problem, look: FirstLook, stars: Star | Hypotheses, keys: PRNGKeyArray) -> GaussianMixture:
    """`propose` for a batch."""

    def one(args):
        star, key = args
        return propose(problem, look, star, problem.sightline(star), key)

    return over_stars(one, (stars, keys))


def propose(problem: Problem, look: FirstLook, star: Star | Hypotheses, sky: Any, key: PRNGKeyArray) -> GaussianMixture:
    """A mixture close to the star's posterior over standardised labels, with heavier tails."""
    key_look, key_fit, key_stages = jax.random.split(key, 3)
    key_stages = jax.random.split(key_stages, MAX_STAGES)
    score = look.score(problem, star, sky)
    best = jnp.max(score)
    some = score[::8].at[0].set(best)  # with the best, enough to find the temperature by
    log_weight = (score - best) / jnp.maximum(temperature(some, _MIN_LOOKED * some.size / score.size), _MIN_TEMPERATURE)
    chosen, log_total = systematic(key_look, jnp.exp(log_weight), NUM_LOOKED)
    seen, seen_as = look.x[chosen], Photometry(look.magnitude[:, chosen].T, look.extinction[:, chosen].T)
    log_target = jax.vmap(lambda x: problem.log_target_roughly(star, sky, x))
    log_target_seen = jax.vmap(lambda x, as_: problem.log_target_roughly(star, sky, x, as_))(seen, seen_as)
    log_density_seen = look.log_density[chosen] + log_weight[chosen] - log_total + np.log(len(look.x))
    first, efficiency = _fit_weighted(key_fit, seen, log_target_seen - log_density_seen)
    # A point of large share is among them several times, and says no more than once.
    efficiency = efficiency * (1 + jnp.sum(chosen[1:] != chosen[:-1])) / NUM_LOOKED

    def stage(state):
        num, mixture, _ = state
        key_sample, key_fit = jax.random.split(key_stages[num])
        proposal = _join(widen(mixture), first, _FIRST_ADAPTING)
        drawn = proposal.sample(key_sample, NUM_ADAPT)
        x = jnp.concatenate([drawn, seen])
        # The points' weights count both densities they might have come from, and so stay moderate.
        log_density = jax.vmap(proposal.log_prob)(x)
        log_density = log_density.at[NUM_ADAPT:].set(jnp.logaddexp(log_density[NUM_ADAPT:], log_density_seen))
        log_weight = jnp.concatenate([log_target(drawn), log_target_seen]) - log_density
        return num + 1, *_fit_weighted(key_fit, x, log_weight)

    def goes_on(state):
        num, _, efficiency = state
        return (num < MAX_STAGES) & ~(efficiency > _EFFICIENT * _PATIENCE**num)

    _, mixture, _ = jax.lax.while_loop(goes_on, stage, (jnp.zeros((), int), first, efficiency))
    return _join(widen(mixture), first, _FIRST_AT_LAST)


def _fit_weighted(
    key: PRNGKeyArray, x: Float[Array, "point label"], log_weight: Float[Array, " point"]
) -> tuple[GaussianMixture, Float[Array, ""]]:
    """A mixture fitted to points of the star's posterior, and which share of them tells its labels' means."""
    log_weight = jnp.where(jnp.isfinite(log_weight), log_weight, -jnp.inf)
    log_share = jax.nn.log_softmax(log_weight)
    # A mean is known well as soon as a single point has all weight: Kish's must not be small either.
    kish = 1 / jnp.sum(jnp.exp(2 * log_share))
    efficiency = jnp.minimum(least_effective(log_share, x), 2 * kish) / len(x)
    return fit_mixture(key, x, temper(log_weight, 0.2 * NUM_ADAPT)), efficiency


@jit_over_stars
def refit_batch(
    problem: Problem,
    stars: Star | Hypotheses,
    mixtures: GaussianMixture,
    keys: PRNGKeyArray,
    num_refits: Int[Array, ""],
) -> GaussianMixture:
    """Mixtures fitted anew to weighted draws from them, many more than at first."""

    def one(args):
        star, mixture, key = args
        sky = problem.sightline(star)

        def refit(i, proposal):
            key_sample, key_fit = jax.random.split(jax.random.fold_in(key, i))
            x = proposal.sample(key_sample, NUM_REFIT)
            log_target = jax.lax.map(lambda x: problem.log_target_roughly(star, sky, x), x, batch_size=NUM_ADAPT)
            log_weight = log_target - jax.vmap(proposal.log_prob)(x)
            log_weight = jnp.where(jnp.isfinite(log_weight), log_weight, -jnp.inf)
            return _join(widen(fit_mixture(key_fit, x, temper(log_weight, 0.1 * NUM_REFIT))), mixture, _FIRST_ADAPTING)

        return jax.lax.fori_loop(1, num_refits, refit, refit(0, mixture))

    return over_stars(one, (stars, mixtures, keys))


def _join(one: GaussianMixture, other: GaussianMixture, share: float) -> GaussianMixture:
    """Both mixtures, of which the other has this share."""
    joined = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), one, other)
    log_weight = jnp.concatenate([one.log_weight + np.log(1 - share), other.log_weight + np.log(share)])
    return GaussianMixture(log_weight, joined.mean, joined.cholesky, joined.whitener)
