"""The certificate of every star: convergence, modes, quality of the fit, and the flags made of them."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Bool, Float, Int
from scipy.special import digamma
from scipy.stats import chi2 as chi2_distribution
from scipy.stats import gaussian_kde

from albireo import flags
from albireo.cache import remember_last
from albireo.catalog import Catalog
from albireo.device import in_few_sizes
from albireo.flags import Flag
from albireo.model import StellarModel
from albireo.model.domain import MIN_DENSITY_ABSOLUTE, MIN_DENSITY_COLOR, Domain
from albireo.priors import Prior, sightline
from albireo.samplers import Batch, Problem

_NUM_DOMAIN_DRAWS = 16
_NUM_INFORMATION_DRAWS, _NUM_PRIOR_DRAWS, _NUM_PRIOR_GRID = 500, 4096, 64
# Flags that hold for a star without a posterior too.
_OF_INPUT = (Flag.NOT_SAMPLED, Flag.FEW_BANDS, Flag.BAD_INPUT)


def certify(
    batch: Batch,
    posterior: xr.Dataset,
    chi2: Float[np.ndarray, " star"],
    not_found: Float[np.ndarray, " star"],
    catalog: Catalog,
    problem: Problem,
) -> dict[str, np.ndarray]:
    """Statistics and flags of every star.

    Args:
        batch: what the sampler returned.
        posterior: equally weighted draws by name.
        chi2: χ² of the photometry at the best draw.
        not_found: of the star's upper limits the least probability, at the draw where it is highest; 1 without any.
        catalog: the stars, in the model's bands.
        problem: the model and the prior.
    """
    stats = {name: np.asarray(values) for name, values in batch.star_stats.items()}
    if "engine" in stats:
        stats["engine"] = stats["engine"].astype(str)
    stats |= {"chi2": chi2, "n_bands": catalog.n_bands}
    converged = np.asarray(stats.pop("converged", np.zeros(len(catalog))), bool)
    conditions = {}
    if "diverging" in batch.draw_stats:
        diverging = np.asarray(batch.draw_stats["diverging"])
        conditions[Flag.DIVERGENT] = np.mean(diverging, axis=(1, 2)) > flags.MAX_DIVERGENT_FRACTION
    model = problem.model
    theta = np.stack([posterior[label].values for label in model.labels], axis=-1)
    theta = theta.reshape(-1, *theta.shape[2:])
    x = np.asarray(model.standardise(theta))
    failed = ~np.all(np.isfinite(x), axis=(0, 2))
    sampled = np.where(failed[:, None], 0, x)
    prior_draws = np.asarray(_prior_draws(problem))
    gained = information(sampled, np.asarray(model.standardise(prior_draws)))
    stats["second_mode"] = np.where(failed, np.nan, second_mode(sampled - sampled.mean(axis=0)))
    stats |= {
        f"information_{label}": np.where(failed, np.nan, nats)
        for label, nats in zip(model.labels, gained.T, strict=True)
    }
    conditions |= {
        Flag.NOT_SAMPLED: failed,
        Flag.NOT_CONVERGED: ~converged,
        Flag.SEVERAL_MODES: stats["second_mode"] > 0,
        Flag.POOR_FIT: is_poor_fit(stats["chi2"], stats["n_bands"], len(model.labels) + 2)
        | (not_found < flags.MIN_FIT_P_VALUE),
        Flag.OUTSIDE_DOMAIN: _outside_domain(model, theta, catalog),
        Flag.PRIOR_DOMINATED: _prior_dominated(prior_draws, theta),
        Flag.PARALLAX_TENSION: _parallax_tension(posterior, catalog),
        Flag.FEW_BANDS: catalog.n_bands < flags.MIN_BANDS,
        Flag.BAD_INPUT: catalog.bad_input,
        Flag.OUTSIDE_DUST_MAP: _outside_dust_map(problem.prior, posterior, catalog),
    }
    sampled_only = {flag: condition & ~failed for flag, condition in conditions.items() if flag not in _OF_INPUT}
    stats["flags"] = _combine(conditions | sampled_only)
    return stats


def second_mode(draws: Float[np.ndarray, "draw star label"]) -> Float[np.ndarray, " star"]:
    """Share of the draws in the lesser of two modes: 0 unless some label's draws fall into groups far apart.

    Far apart for their widths, and with a valley between them.

    The split is the one with the largest variance between groups; the measure is Ashman's D = √2 |Δ mean| / √(σ1² +
    σ2²). A long tail has no valley: it has more draws half-way between the means than about the mean of its end.
    """
    x = np.sort(np.moveaxis(draws, 0, -1), axis=-1)  # draws together in memory, which sorting is quickest with
    n = x.shape[-1]
    count = np.arange(1, n)
    total, total2 = np.cumsum(x, axis=-1), np.cumsum(x**2, axis=-1)
    mean1, mean2 = total[..., :-1] / count, (total[..., -1:] - total[..., :-1]) / (n - count)
    split = np.argmax(count * (n - count) * (mean2 - mean1) ** 2, axis=-1)[..., None]
    mean1, mean2, part2 = (np.take_along_axis(a, split, axis=-1) for a in (mean1, mean2, total2))
    num = split + 1
    variance = part2 / num - mean1**2 + (total2[..., -1:] - part2) / (n - num) - mean2**2
    with np.errstate(all="ignore"):
        separation = np.sqrt(2) * (mean2 - mean1) / np.sqrt(np.maximum(variance, 1e-12))
    fraction = np.minimum(num, n - num) / n

    def num_about(center):
        return np.sum(np.abs(x - center) < (mean2 - mean1) / 8, axis=-1, keepdims=True)

    valley = 2 * num_about((mean1 + mean2) / 2) < np.minimum(num_about(mean1), num_about(mean2))
    apart = (separation > flags.MIN_MODE_SEPARATION) & (fraction >= flags.MIN_MODE_FRACTION)
    return np.max(np.where(apart & valley, fraction, 0), axis=(1, 2))


def is_poor_fit(
    chi2: Float[np.ndarray, " star"], n_bands: Int[np.ndarray, " star"], num_parameters: int
) -> Bool[np.ndarray, " star"]:
    """Whether the best χ² is improbable for this many bands and parameters."""
    dof = np.maximum(n_bands - num_parameters, 1)
    return chi2_distribution.sf(chi2, dof) < flags.MIN_FIT_P_VALUE


def _combine(conditions: dict[Flag, Bool[np.ndarray, " star"]]) -> Int[np.ndarray, " star"]:
    """One integer a star from the conditions of its flags."""
    return sum(np.where(condition, int(flag), 0) for flag, condition in conditions.items())  # pyright: ignore


def _outside_domain(model: StellarModel, theta: Float[np.ndarray, "draw star label"], catalog: Catalog):
    """Whether at most draws the model had too few training stars, with a parallax or in one of the star's bands."""
    if model.domain is None:
        return np.zeros(len(catalog), bool)
    thinned = theta[np.linspace(0, len(theta) - 1, _NUM_DOMAIN_DRAWS).astype(int)]
    density = in_few_sizes(partial(_density, model.domain), np.swapaxes(thinned, 0, 1).astype(np.float32))
    used = np.isfinite(catalog.mag)[:, None]
    outside = (density[..., 0] < MIN_DENSITY_ABSOLUTE) | np.any((density[..., 1:] < MIN_DENSITY_COLOR) & used, axis=-1)
    return np.mean(outside, axis=1) > 0.5


@eqx.filter_jit
def _density(domain: Domain, theta: Float[Array, "star draw label"]) -> Float[Array, "star draw 1+band"]:
    return jax.lax.map(domain.density, theta, batch_size=16)


def _outside_dust_map(prior: Prior, posterior: xr.Dataset, catalog: Catalog):
    """Whether the prior says that it does not know the dust at the star's median distance."""
    known = np.isfinite(catalog.glon)
    if not hasattr(prior, "dust_is_reliable") or not known.any():
        return np.zeros(len(catalog), bool)
    mu = np.median(posterior["distance_modulus"].values, axis=(0, 1))
    position = np.stack([catalog.glon, catalog.glat], axis=-1)
    return known & ~in_few_sizes(partial(_dust_is_reliable, prior), np.nan_to_num(mu), np.nan_to_num(position))


@eqx.filter_jit
def _dust_is_reliable(prior, mu: Float[Array, " star"], position: Float[Array, "star 2"]) -> Bool[Array, " star"]:
    return jax.vmap(prior.dust_is_reliable)(mu, position)


def information(
    draws: Float[np.ndarray, "draw star label"], prior_draws: Float[np.ndarray, "prior_draw label"]
) -> Float[np.ndarray, "star label"]:
    """What the data say of every label: ∫ p(x | data) log [p(x | data) / p(x)] dx [nat].

    The posterior's entropy from the spacings of its sorted draws (Vasicek 1976, JRSS B 38, 54, with the correction of
    their mean logarithm), the prior's density by a kernel estimate: right to a tenth where the prior is not small.
    """
    some = draws[:: max(len(draws) // _NUM_INFORMATION_DRAWS, 1)]
    x = np.sort(np.moveaxis(some, 0, -1), axis=-1)
    n = x.shape[-1]
    step, i = int(np.sqrt(n)) // 2 + 1, np.arange(n)
    above, below = np.minimum(i + step, n - 1), np.maximum(i - step, 0)
    log_spacing = np.log(np.maximum(x[..., above] - x[..., below], 1e-12))
    entropy = np.mean(log_spacing - digamma(above - below), axis=-1) + np.log(n + 1)
    log_prior = np.empty_like(entropy)
    for label, values in enumerate(prior_draws.T):
        grid = np.linspace(x[:, label].min(), x[:, label].max(), _NUM_PRIOR_GRID)
        log_density = np.log(gaussian_kde(values)(grid) + 1e-30)
        log_prior[:, label] = np.mean(np.interp(x[:, label], grid, log_density), axis=-1)
    return np.maximum(-entropy - log_prior, 0)


def _prior_dominated(prior_draws: Float[np.ndarray, "prior_draw label"], theta: Float[np.ndarray, "draw star label"]):
    """Whether some label's central interval is about as wide as the prior's, and its median inside the prior's."""
    p16, p50, p84 = np.percentile(theta, (16, 50, 84), axis=0)
    low, prior_p16, prior_p84, high = np.percentile(prior_draws, (2.5, 16, 84, 97.5), axis=0)
    wide = (p84 - p16) / (prior_p84 - prior_p16) > flags.MAX_PRIOR_WIDTH_RATIO
    return np.any(wide & (p50 > low) & (p50 < high), axis=1)


@remember_last
@eqx.filter_jit
def _prior_draws(problem: Problem) -> Float[Array, "prior_draw label"]:
    """Labels by the prior in all the sky: they do not depend on the direction much."""
    return problem.prior.sample(jax.random.key(0), sightline(problem.prior, jnp.full(2, jnp.nan)), _NUM_PRIOR_DRAWS)[0]


def _parallax_tension(posterior: xr.Dataset, catalog: Catalog):
    """Whether the parallax is far from what photometry and prior alone would predict.

    For Gaussians the posterior mean, which the parallax has drawn to itself, differs from the parallax by a variance of
    err² − var(posterior), from which the distance in standard deviations to the prediction without it follows.
    """
    predicted = 1000 / posterior["distance"].values.reshape(-1, len(catalog)).astype(float)
    err = catalog.parallax_err
    # Where the parallax dominates, that difference of variances is noise, and the volume of space pulls the mean too.
    width = np.sqrt(np.maximum(err**2 - predicted.var(axis=0), 0.2 * err**2))
    pull = np.abs(catalog.parallax - predicted.mean(axis=0)) / width
    return np.nan_to_num(pull) > flags.MAX_PARALLAX_TENSION
