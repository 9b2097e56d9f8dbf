"""The likelihood's integral over distance modulus and reddening at fixed labels, and draws of both.

The magnitudes are linear in the distance modulus μ and the reddening E, so −2 log L of them is a quadratic. With a
prior on E that is a mixture of truncated Gaussians the integral over E is closed; the integral over μ, along which the
parallax and the distance prior enter, is a Gauss–Hermite sum about the mode. What is left is a smooth function of the
labels alone, which is what the samplers explore.

Upper limits are factors Φ(z), z linear in (μ, E), by which each component of that mixture is averaged (`upper_limits`).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp, ndtri
from jaxtyping import Array, Float

from albireo.likelihood import Star, log_likelihood_parallax, log_normal, parallax_from_distance_modulus
from albireo.model import StellarModel
from albireo.normal import inverse_mills, log_ndtr
from albireo.priors.base import Prior, log_prob_without_reddening
from albireo.priors.distance import LOG_TEN_FIFTH
from albireo.priors.reddening import truncated_normal_at
from albireo.random import choose
from albireo.upper_limits import Limits

NUM_NODES = 9
NUM_NEWTON, NUM_NEWTON_ROUGHLY = 5, 3
NUM_GRID = 24
# The distance modulus is proposed from a narrow and a broad Gaussian about its conditional mode: their widths in units
# of the conditional width, and their shares.
_SCALES, _SHARES = np.array([1.1, 2.5]), np.array([0.85, 0.15])


class Quadratic(NamedTuple):
    """Photometric log-likelihood at fixed θ: peak + g·a − ½ aᵀHa with a = (μ − μ0, E − E0).

    (μ0, E0) is the best fit, so that nothing large cancels in single precision.
    """

    peak: Float[Array, ""]
    mu: Float[Array, ""]
    reddening: Float[Array, ""]
    slope_mu: Float[Array, ""]
    slope_reddening: Float[Array, ""]
    h_mu: Float[Array, ""]
    h_cross: Float[Array, ""]
    h_reddening: Float[Array, ""]
    limits: Limits | None


def _whitening(model: StellarModel, star: Star, theta: Float[Array, " label"]):
    """The linear map of magnitudes after which errors, scatter and spread at these labels are white, and log 1/√det."""
    if model.spread is None:
        return star.whiten, 0.0
    steps, log_norm = [], 0.0

    def whiten(mag):
        white = star.whiten(mag)
        for u, factor in steps:
            white = white - factor * (white @ u) * u
        return white

    # One direction u at a time: (1 + u uᵀ)^(−½) = 1 − factor · u uᵀ.
    for direction in model.spread.directions(model.standardise(theta)).T:
        u = whiten(direction)
        total = 1 + u @ u
        steps.append((u, 1 / (total + jnp.sqrt(total))))
        log_norm -= 0.5 * jnp.log(total)
    return whiten, log_norm


class Photometry(NamedTuple):
    """What the model says of given labels: absolute magnitudes [mag], and extinction per unit of reddening."""

    absolute_mag: Float[Array, "*batch band"]
    extinction: Float[Array, "*batch band"]

    @classmethod
    def of(cls, model: StellarModel, theta: Float[Array, "*batch label"]) -> "Photometry":
        """Of stars of these labels."""
        return cls(model.absolute_magnitudes(theta), model.extinction_vector(theta))


def photometric_quadratic(
    model: StellarModel, star: Star, theta: Float[Array, " label"], photometry: Photometry | None = None
) -> Quadratic:
    """Expand the photometric log-likelihood about its best (μ, E) at these labels, whose photometry may be known."""
    whiten, log_norm = _whitening(model, star, theta)
    absolute_mag, extinction = Photometry.of(model, theta) if photometry is None else photometry
    residual = star.mag - absolute_mag
    # In units of the errors: one magnitude of distance modulus, one of reddening, and what is to be explained.
    one, r = whiten(jnp.ones_like(residual)), whiten(extinction)
    w = one @ one
    safe_w = jnp.where(w > 0, w, 1.0)
    mean_r, mean_residual = one @ r / safe_w, one @ whiten(residual) / safe_w
    d, reddest = whiten(residual - mean_residual), r - mean_r * one
    # The ridge of one E known to ±10 mag keeps a star with one band, where E and μ are degenerate, finite.
    reddening = reddest @ d / (reddest @ reddest + 0.01)
    mu = mean_residual - reddening * mean_r
    left = d - reddening * reddest
    return Quadratic(
        peak=jnp.sum(log_normal(left, jnp.diagonal(star.whitener))) + log_norm,
        mu=mu,
        reddening=reddening,
        slope_mu=left @ one,
        slope_reddening=left @ r,
        h_mu=w,
        h_cross=one @ r,
        h_reddening=r @ r,
        limits=star.limits(absolute_mag, extinction),
    )


class _ReddeningGivenDistance(NamedTuple):
    """The posterior of E at fixed θ and μ: for each component a Gaussian of this mean and width, truncated at 0."""

    log_weight: Float[Array, " component"]
    mean: Float[Array, " component"]
    std: Float[Array, " component"]


def _reddening_moments(quadratic: Quadratic, mu, linear, precision):
    """Mean and width of the Gaussian over E, before truncation, of photometry × exp(linear·E − ½ precision·E²) at μ."""
    slope = quadratic.slope_reddening - quadratic.h_cross * (mu - quadratic.mu) + linear
    total = quadratic.h_reddening + precision
    mean = quadratic.reddening + (slope - precision * quadratic.reddening) / total
    return mean, 1 / jnp.sqrt(total)


def _condition_on_mu(quadratic: Quadratic, prior: Prior, sky, mu) -> _ReddeningGivenDistance:
    """Photometry × p(E | μ) as a mixture of truncated Gaussians; its total weight is the integral over E ≥ 0."""
    a = mu - quadratic.mu
    at_expansion = quadratic.peak + quadratic.slope_mu * a - 0.5 * quadratic.h_mu * a**2

    def condition(p):
        mean, std = _reddening_moments(quadratic, mu, p.linear, p.precision)
        e = quadratic.reddening
        gaussian = 0.5 * ((mean - e) / std) ** 2 + jnp.log(std) + 0.5 * jnp.log(2 * jnp.pi)
        log_prior = p.log_weight + p.log_norm + p.linear * e - 0.5 * p.precision * e**2
        return log_prior + at_expansion + gaussian + log_ndtr(mean / std), mean, std

    # One component after another: what is compiled then runs over many points inside, which takes a third of the time.
    log_weight, mean, std = jax.lax.map(condition, prior.reddening_given_distance(mu, sky))
    limits = quadratic.limits
    if limits is not None:
        log_weight += jax.vmap(lambda mean, std: limits.log_mean(mu, mean, std))(mean, std)
    return _ReddeningGivenDistance(log_weight, mean, std)


def _log_integrand(prior: Prior, star: Star, sky, quadratic: Quadratic, theta, mu):
    """log ∫ p(m, ϖ | θ, μ, E) p(θ, μ, E | sky) dE, and the posterior of E at this μ."""
    given = _condition_on_mu(quadratic, prior, sky, mu)
    of_distance = log_likelihood_parallax(star, mu) + log_prob_without_reddening(prior, theta, mu, sky)
    return logsumexp(given.log_weight) + of_distance, given


def _mode_and_width(prior: Prior, star: Star, sky, quadratic: Quadratic, num_newton: int = NUM_NEWTON):
    """Mode and Gaussian width of photometry × parallax × p(E | μ) over μ, by Newton steps.

    They start where photometry and parallax meet, both taken as Gaussians in μ: a precise parallax may be far from what
    the photometry says.
    The density of stars along the sightline and upper limits are left out: they change slowly over this width. Of a
    mixture p(E | μ) the component is taken that is heaviest where photometry alone puts the star. The integral does not
    depend on where its nodes stand, so no gradient is taken through them.
    """
    quadratic = jax.lax.stop_gradient(quadratic)._replace(limits=None)
    k = jnp.argmax(_condition_on_mu(quadratic, prior, sky, quadratic.mu).log_weight)

    def step(mu, _):
        p = prior.reddening_given_distance(mu, sky)
        mean, std = _reddening_moments(quadratic, mu, p.linear[k], p.precision[k])
        x = mean / std
        mills = inverse_mills(x)
        # The slope is that of photometry at ⟨E | μ⟩; the variance of E | μ, less than std² by truncation, lowers the
        # curvature.
        a, b = mu - quadratic.mu, mean + std * mills - quadratic.reddening
        slope = quadratic.slope_mu - quadratic.h_mu * a - quadratic.h_cross * b
        curvature = quadratic.h_mu - (quadratic.h_cross * std) ** 2 * (1 - mills * (mills + x))
        parallax = parallax_from_distance_modulus(mu)
        jacobian = -LOG_TEN_FIFTH * parallax
        slope = slope + star.parallax_ivar * (star.parallax - parallax) * jacobian
        curvature = jnp.maximum(curvature, 1e-4 * quadratic.h_mu) + star.parallax_ivar * jacobian**2
        curvature = jnp.maximum(curvature, 0.1)
        return mu + jnp.clip(slope / curvature, -1.0, 1.0), 1 / jnp.sqrt(curvature)

    of_parallax = jnp.maximum(star.parallax, 1e-3)
    precision = jnp.where(star.parallax > 0, star.parallax_ivar * (LOG_TEN_FIFTH * of_parallax) ** 2, 0)
    of_photometry = quadratic.h_mu - quadratic.h_cross**2 / (quadratic.h_reddening + 0.01)
    share = precision / (precision + jnp.maximum(of_photometry, 0.1))
    start = quadratic.mu + share * (-jnp.log(0.01 * of_parallax) / LOG_TEN_FIFTH - quadratic.mu)
    mu, widths = jax.lax.scan(step, start, None, length=num_newton)
    return mu, widths[-1]


def log_marginal(
    model: StellarModel,
    prior: Prior,
    star: Star,
    sky,
    theta: Float[Array, " label"],
    *,
    photometry: Photometry | None = None,
    roughly: bool = False,
) -> Float[Array, ""]:
    """log ∫∫ p(m, ϖ | θ, μ, E) p(θ, μ, E | sky) dμ dE of one star: the samplers' target.

    Roughly, the integral over μ is Laplace's approximation. The photometry at θ may be known already.
    """
    num_nodes, num_newton = (1, NUM_NEWTON_ROUGHLY) if roughly else (NUM_NODES, NUM_NEWTON)
    quadratic = photometric_quadratic(model, star, theta, photometry)
    mu, width = _mode_and_width(prior, star, sky, quadratic, num_newton)
    node, weight = (a.astype(width.dtype) for a in np.polynomial.hermite_e.hermegauss(num_nodes))
    # One node after another, for the same reason as in `_condition_on_mu`.
    log_f = jax.lax.map(lambda mu: _log_integrand(prior, star, sky, quadratic, theta, mu)[0], mu + width * node)
    return logsumexp(log_f + np.log(weight) + 0.5 * node**2) + jnp.log(width)


class Proposed(NamedTuple):
    """A draw of (μ, E) at fixed labels, in proportion to something close to their posterior.

    Attributes:
        mu: distance modulus [mag].
        reddening: reddening [mag].
        log_density: log ∫ p(m, ϖ | θ, μ, E) p(θ, μ, E | sky) dE.
        log_weight: that, over the density μ was drawn from; the mean of its exponential is that of `log_marginal`.
    """

    mu: Float[Array, ""]
    reddening: Float[Array, ""]
    log_density: Float[Array, ""]
    log_weight: Float[Array, ""]


def propose_distance_and_reddening(
    model: StellarModel, prior: Prior, star: Star, sky, theta: Float[Array, " label"], u: Float[Array, " 2"]
) -> Proposed:
    """One weighted draw of (μ, E) at fixed labels, for a fraction of the work that the integral takes.

    It is made of uniform random numbers u, for to draw these for many points together is far quicker than to give every
    point a key.
    """
    quadratic = photometric_quadratic(model, star, theta)
    center, width = _mode_and_width(prior, star, sky, quadratic, NUM_NEWTON_ROUGHLY)
    scales, shares = (jnp.asarray(a, width.dtype) for a in (_SCALES, np.log(_SHARES)))
    k, within = choose(u[0], shares)
    step = scales[k] * ndtri(within)
    log_proposal = logsumexp(shares - jnp.log(scales * width) - 0.5 * (step / scales) ** 2) - 0.5 * jnp.log(2 * jnp.pi)
    mu = center + width * step
    log_density, given = _log_integrand(prior, star, sky, quadratic, theta, mu)
    reddening = _draw_reddening(quadratic, given, mu, u[1])
    return Proposed(mu, reddening, log_density, log_density - log_proposal)


def draw_distance_and_reddening(
    model: StellarModel, prior: Prior, star: Star, sky, theta: Float[Array, " label"], u: Float[Array, " 2"]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """One draw of (μ, E) from their posterior at fixed labels, made of uniform random numbers u.

    μ by inverting its tabulated distribution over ±5 widths, which widens it by 1.6 %, then E from its truncated
    Gaussian.
    """
    quadratic = photometric_quadratic(model, star, theta)
    center, width = _mode_and_width(prior, star, sky, quadratic)
    grid = center + width * jnp.linspace(-5.0, 5.0, NUM_GRID, dtype=width.dtype)
    log_f = jax.vmap(lambda mu: _log_integrand(prior, star, sky, quadratic, theta, mu)[0])(grid)
    mu = _draw_from_table(u[0], grid, log_f)
    return mu, _draw_reddening(quadratic, _condition_on_mu(quadratic, prior, sky, mu), mu, u[1])


def _draw_reddening(
    quadratic: Quadratic, given: _ReddeningGivenDistance, mu: Float[Array, ""], u: Float[Array, ""]
) -> Float[Array, ""]:
    k, within = choose(u, given.log_weight)
    if quadratic.limits is not None:
        return quadratic.limits.draw(within, mu, given.mean[k], given.std[k])
    return truncated_normal_at(within, given.mean[k], given.std[k])


def _draw_from_table(u, grid, log_f):
    """A draw from the density that is linear between the points of an even grid."""
    f = jnp.exp(log_f - jnp.max(log_f))
    cumulative = jnp.concatenate([jnp.zeros(1, f.dtype), jnp.cumsum(0.5 * (f[1:] + f[:-1]))])
    u = u * cumulative[-1]
    i = jnp.clip(jnp.searchsorted(cumulative, u, side="right") - 1, 0, grid.size - 2)
    # Within the cell: solve f_i t + ½ (f_{i+1} − f_i) t² = u − cumulative_i for t in [0, 1], without cancellation.
    rest, slope = u - cumulative[i], f[i + 1] - f[i]
    t = 2 * rest / (f[i] + jnp.sqrt(jnp.maximum(f[i] ** 2 + 2 * slope * rest, 0)) + 1e-30)
    return grid[i] + jnp.clip(t, 0, 1) * (grid[1] - grid[0])
