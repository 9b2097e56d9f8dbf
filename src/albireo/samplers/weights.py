"""Weighted draws from a mixture fitted to a star's posterior, and how far their weights can be trusted."""

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float, PRNGKeyArray

from albireo import flags
from albireo.device import jit_over_stars, over_stars
from albireo.likelihood import Star
from albireo.model.mixture import GaussianMixture
from albireo.outliers import Hypotheses
from albireo.samplers.base import Batch, Draws, Problem
from albireo.samplers.convergence import judge_weights

_NO_TAIL = -1.0  # k̂ of ratios of which the largest are all equal


@jit_over_stars
def weigh_batch(
    problem: Problem, stars: Star | Hypotheses, mixtures: GaussianMixture, keys: PRNGKeyArray, num_samples: int
) -> Batch:
    """Weighted draws, one chain a star, with k̂, effective sample size and evidence."""

    def one(args):
        star, mixture, key = args
        sky, (key_x, key_rest) = problem.sightline(star), jax.random.split(key)
        x = mixture.sample(key_x, num_samples)
        drawn = problem.propose(star, sky, x, key_rest)
        log_ratio = drawn.log_weight - jax.vmap(mixture.log_prob)(x)
        log_ratio = jnp.where(jnp.isfinite(log_ratio), log_ratio, -jnp.inf)
        log_weight, k_hat = smooth_weights(log_ratio)
        log_evidence = logsumexp(log_ratio) - jnp.log(num_samples)
        ess_kish = 1 / jnp.sum(jnp.exp(2 * log_weight))
        draws = Draws(problem.labels(x), drawn.mu, drawn.reddening)
        ess_mean = least_effective(log_weight, jnp.column_stack(draws))
        star_stats = {
            "log_evidence": log_evidence,
            "log_evidence_err": jnp.std(jnp.exp(log_ratio - log_evidence)) / jnp.sqrt(num_samples),
            "k_hat": k_hat,
            "ess_kish": ess_kish,
            "ess_mean": ess_mean,
            "converged": judge_weights(k_hat, ess_kish) & (ess_mean > flags.MIN_ESS_OF_MEAN),
        }
        draws, log_weight, log_density = jax.tree.map(lambda a: a[None], (draws, log_weight, drawn.log_density))
        return Batch(draws, log_weight, {"lp": log_density}, star_stats)

    return over_stars(one, (stars, mixtures, keys))


def least_effective(log_weight: Float[Array, " draw"], values: Float[Array, "draw variable"]) -> Float[Array, ""]:
    """Least effective sample size of the weighted means of variables: (std / standard error)² (Owen 2013, Eq. 9.8).

    Kish's is that of a variable that has nothing to do with the weights. Where all large weights are in one mode, the
    means that tell the modes apart are known less well.
    """
    weight = jnp.exp(log_weight)[:, None]
    deviation2 = (values - jnp.sum(weight * values, axis=0)) ** 2
    variance, squared_err = jnp.sum(weight * deviation2, axis=0), jnp.sum(weight**2 * deviation2, axis=0)
    # A variable that does not vary is known.
    return jnp.min(jnp.where(squared_err > 0, variance / squared_err, jnp.inf))


def smooth_weights(log_ratio: Float[Array, " draw"]) -> tuple[Float[Array, " draw"], Float[Array, ""]]:
    """Pareto-smoothed importance sampling (Vehtari et al. 2024, JMLR 25, 72).

    The largest min(S/5, 3√S) ratios are replaced by quantiles of the generalised Pareto distribution fitted to them.

    Returns:
        Logarithms of normalised weights, and the shape k̂ of the tail: above 0.7 the weights cannot be trusted.
    """
    num = log_ratio.size
    num_tail = int(min(num / 5, 3 * num**0.5))
    # The barrier keeps XLA from sorting all, which it does where several slices are taken of what it selects.
    largest, index = jax.lax.optimization_barrier(jax.lax.top_k(log_ratio, num_tail + 1))
    log_ratio, largest, tail = log_ratio - largest[0], jnp.flip(largest - largest[0]), jnp.flip(index[:-1])
    cutoff = jnp.exp(largest[0])
    excess = jnp.exp(largest[1:]) - cutoff
    k, scale = fit_generalised_pareto(excess)
    p = (jnp.arange(num_tail, dtype=log_ratio.dtype) + 0.5) / num_tail
    safe_k = jnp.where(jnp.abs(k) < 1e-4, 1e-4, k)
    quantile = cutoff + scale * jnp.expm1(-safe_k * jnp.log1p(-p)) / safe_k
    smoothed = log_ratio.at[tail].set(jnp.minimum(jnp.log(quantile), 0.0), unique_indices=True)
    equal = excess[-1] == 0
    usable = jnp.isfinite(k) & ~equal
    log_weight = jnp.where(usable, smoothed, log_ratio)
    return log_weight - logsumexp(log_weight), jnp.where(usable, k, jnp.where(equal, _NO_TAIL, jnp.inf))


def fit_generalised_pareto(excess: Float[Array, " tail"]) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Shape k and scale of a generalised Pareto distribution (Zhang & Stephens 2009, Technometrics 51, 316).

    Args:
        excess: exceedances over the cutoff, ascending.

    Returns:
        k, shrunk towards 0.5 by a weak prior worth ten observations as in Vehtari et al. (2024), and the scale.
    """
    n = excess.size
    num_grid = 30 + int(n**0.5)
    quarter = jnp.maximum(excess[int(n / 4 + 0.5) - 1], 1e-30)
    largest = jnp.maximum(excess[-1], 1e-30)
    j = jnp.arange(1, num_grid + 1, dtype=excess.dtype)
    theta = 1 / largest + (1 - jnp.sqrt(num_grid / (j - 0.5))) / (3 * quarter)
    k_of = jnp.mean(jnp.log1p(-theta[:, None] * excess), axis=1)
    profile = n * (jnp.log(-theta / k_of) - k_of - 1)
    theta = jnp.sum(theta * jax.nn.softmax(jnp.where(jnp.isfinite(profile), profile, -jnp.inf)))
    k = jnp.mean(jnp.log1p(-theta * excess))
    return (n * k + 5) / (n + 10), -k / theta
