"""Magnitudes that may be wrong: a blend, a wrong match, a saturated or a variable star.

A star has one of several hypotheses h: that all its magnitudes are as good as they say, or that one of them is an
outlier, whose error is then larger by `OUTLIER_WIDTH`. The likelihood is the mixture

    p(m | θ, μ, E) = Σ_h p(h) p(m | θ, μ, E, h),        p(h) ∝ (1 − ε)^n  or  ε (1 − ε)^(n − 1) for each of n bands,

of Gaussians that differ in their covariances alone, so every term keeps the closed form over (μ, E).
"""

from collections.abc import Callable
from dataclasses import replace
from numbers import Real

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float

from albireo.catalog import Catalog
from albireo.errors import UserError
from albireo.likelihood import Star, log_likelihood
from albireo.model import Scatter, StellarModel
from albireo.random import choose as choose_one

# Standard deviation of an outlier [mag]: of the order of what blends and wrong matches do; our choice.
OUTLIER_WIDTH = 2.0
NUM_SUSPECTS = 3
"""Bands of a star that may be the wrong one; the others are taken to be right."""


class Hypotheses(eqx.Module):
    """A star under several hypotheses about its magnitudes (or many stars, with a leading axis).

    Attributes:
        stars: the star under each.
        log_prior: their log probabilities, −inf for one that cannot be.
    """

    stars: Star
    log_prior: Float[Array, "*star hypothesis"]

    def without_limits(self) -> "Hypotheses":
        """The same but for upper limits, where the star has none."""
        return Hypotheses(self.stars.without_limits(), self.log_prior)

    @property
    def position(self) -> Float[Array, " 2"]:
        """Galactic longitude and latitude of one star [deg]."""
        return self.stars.position[0]


def total(star: Star | Hypotheses, log_f: Callable[[Star], Float[Array, ""]]) -> Float[Array, ""]:
    """log Σ_h p(h) f(star under h); just log f of a star without hypotheses."""
    if isinstance(star, Star):
        return log_f(star)
    return logsumexp(star.log_prior + jax.vmap(log_f)(star.stars))


def draw(
    star: Star | Hypotheses, log_f: Callable[[Star], Float[Array, ""]], u: Float[Array, ""]
) -> tuple[Star, Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
    """The star under a hypothesis drawn ∝ p(h) f(star under h), log p(h), and the log probability of the choice.

    The draw is made of a uniform random number u, of which another one, the last, is left.
    """
    if isinstance(star, Star):
        nothing = jnp.zeros((), star.mag.dtype)
        return star, nothing, nothing, u
    log_share = jax.nn.log_softmax(star.log_prior + jax.vmap(log_f)(star.stars))
    h, u = choose_one(u, log_share)
    return jax.tree.map(lambda a: a[h], star.stars), star.log_prior[h], log_share[h], u


def check_fraction(outliers: float) -> None:
    """Refuse a share of outliers that is none.

    Raises:
        UserError: it is negative, or a half or more.
    """
    if not isinstance(outliers, Real) or not 0 <= outliers < 0.5:
        raise UserError(f"outliers, the share of magnitudes that are wrong, must be from 0 to 0.5; got {outliers!r}.")


def hypotheses(catalog: Catalog, scatter: Scatter | None, outliers: float, dtype=np.float32) -> Hypotheses:
    """All hypotheses of every star: no outlier, then each band in turn.

    Args:
        catalog: the stars, in the model's bands.
        scatter: the model's.
        outliers: the share ε of magnitudes that are wrong.
        dtype: of the arrays.
    """
    used = np.isfinite(catalog.mag) & np.isfinite(catalog.mag_err)
    num, n_band = used.sum(axis=1, keepdims=True), used.shape[1]
    none = num * np.log1p(-outliers)
    log_prior = np.concatenate([none, np.where(used, none + np.log(outliers) - np.log1p(-outliers), -np.inf)], axis=1)
    extra = np.concatenate([np.zeros((1, n_band)), OUTLIER_WIDTH * np.eye(n_band)])
    position = np.stack([catalog.glon, catalog.glat], axis=-1)

    def each(values):
        return np.repeat(values[:, None], n_band + 1, axis=1)

    stars = Star.from_measurements(
        each(catalog.mag),
        np.hypot(each(catalog.mag_err), extra),
        each(catalog.parallax),
        each(catalog.parallax_err),
        each(position),
        each(catalog.mag_limit) if catalog.has_limit.any() else None,
        scatter=scatter,
        dtype=dtype,
    )
    return Hypotheses(stars, (log_prior - _log_sum(log_prior)).astype(dtype))


def _log_sum(log_prior: Float[np.ndarray, "star hypothesis"]) -> Float[np.ndarray, "star 1"]:
    return np.log(np.sum(np.exp(log_prior), axis=1, keepdims=True))


def choose(every: Hypotheses, score: Float[Array, "star hypothesis"]) -> Hypotheses:
    """Of all hypotheses of every star the first, and those that a score, which holds their prior, puts highest."""
    order = np.argsort(-np.asarray(score)[:, 1:], axis=1)[:, :NUM_SUSPECTS] + 1
    chosen = np.concatenate([np.zeros((len(order), 1), int), order], axis=1)
    return jax.tree.map(lambda a: np.asarray(a)[np.arange(len(order))[:, None], chosen], every)


@eqx.filter_jit
def outlier_probability(
    model: StellarModel,
    every: Hypotheses,
    theta: Float[Array, "star draw label"],
    mu: Float[Array, "star draw"],
    reddening: Float[Array, "star draw"],
) -> Float[Array, "star band"]:
    """How likely each magnitude is an outlier: the mean of p(h | θ, μ, E) over a star's draws."""

    def of_draw(star: Hypotheses, theta, mu, reddening):
        log_like = jax.vmap(lambda h: log_likelihood(model, h, theta, mu, reddening))(star.stars)
        return jax.nn.softmax(star.log_prior + log_like)[1:]

    def of_star(args):
        star, *draws = args
        return jnp.mean(jax.vmap(lambda *draw: of_draw(star, *draw))(*draws), axis=0)

    return jax.lax.map(of_star, (every, theta, mu, reddening))


def with_outliers(catalog: Catalog, probability: Float[np.ndarray, "star band"] | None) -> Catalog:
    """The stars, with larger errors where a magnitude is more likely an outlier than not."""
    if probability is None:
        return catalog
    extra = np.where(probability > 0.5, OUTLIER_WIDTH, 0)
    return replace(catalog, mag_err=np.hypot(catalog.mag_err, extra))


def name_outliers(probability: Float[np.ndarray, "star band"], catalog: Catalog) -> dict[str, np.ndarray]:
    """`outlier`: the band that is more likely an outlier than not, or nothing."""
    likeliest = np.nan_to_num(probability).argmax(axis=1)
    found = np.nan_to_num(probability).max(axis=1) > 0.5
    return {"outlier": np.where(found, np.asarray(catalog.bands)[likeliest], "")}
