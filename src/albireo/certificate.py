"""The certificate of every star: convergence, what its labels owe to the data, quality of the fit, and flags."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Bool, Float, Int
from scipy.stats import chi2 as chi2_distribution

from albireo import flags
from albireo.cache import remember_last
from albireo.catalog import Catalog
from albireo.device import in_few_sizes, in_parts, jit_over_stars
from albireo.flags import Flag
from albireo.labels import MODES, PriorOfLabels, judge_labels
from albireo.model import StellarModel
from albireo.model.domain import MIN_DENSITY_ABSOLUTE, MIN_DENSITY_COLOR, Domain
from albireo.priors import Prior, sightline
from albireo.samplers import Batch, Problem

_NUM_DOMAIN_DRAWS, _NUM_PRIOR_DRAWS = 16, 4096
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
        chi2: χ² of the photometry at the best of some draws.
        not_found: of the star's upper limits the least probability, at the draw where it is highest; 1 without any.
        catalog: the stars, in the model's bands.
        problem: the model and the prior.
    """
    stats = {name: np.asarray(values) for name, values in batch.star_stats.items()}
    if "engine" in stats:
        stats["engine"] = stats["engine"].astype(str)
    stats |= {"chi2": chi2, "n_bands": catalog.n_bands}
    converged = np.asarray(stats.pop("converged", np.ones(len(catalog))), bool)
    conditions = {}
    if "diverging" in batch.draw_stats:
        diverging = np.asarray(batch.draw_stats["diverging"])
        conditions[Flag.DIVERGENT] = np.mean(diverging, axis=(1, 2)) > flags.MAX_DIVERGENT_FRACTION
    model = problem.model
    theta = np.stack([posterior[label].transpose("star", "chain", "draw").values for label in model.labels], axis=-1)
    x = np.asarray(model.standardise(theta)).reshape(len(catalog), -1, len(model.labels))
    drawn = [variable.transpose("star", "chain", "draw").values for variable in posterior.data_vars.values()]
    failed = ~np.all([np.isfinite(values).all(axis=(1, 2)) for values in drawn], axis=0)
    of_labels = in_parts(partial(judge_labels, _prior_of_labels(problem)), np.where(failed[:, None, None], 0, x))
    stats["n_modes"] = np.where(failed, 0, of_labels.num_modes)
    stats |= {name: np.where(failed, np.nan, share) for name, share in zip(MODES, of_labels.mode_share.T, strict=True)}
    stats |= {
        f"information_{label}": np.where(failed, np.nan, nats)
        for label, nats in zip(model.labels, of_labels.information.T, strict=True)
    }
    conditions |= {
        Flag.NOT_SAMPLED: failed,
        Flag.NOT_CONVERGED: ~converged,
        Flag.SEVERAL_MODES: stats["n_modes"] > 1,
        Flag.POOR_FIT: is_poor_fit(stats["chi2"], stats["n_bands"], len(model.labels) + 2)
        | (not_found < flags.MIN_FIT_P_VALUE),
        Flag.OUTSIDE_DOMAIN: _outside_domain(model, x, catalog),
        Flag.PRIOR_DOMINATED: of_labels.prior_dominated,
        Flag.PARALLAX_TENSION: _parallax_tension(posterior, catalog),
        Flag.FEW_BANDS: catalog.n_bands < flags.MIN_BANDS,
        Flag.BAD_INPUT: catalog.bad_input,
        Flag.OUTSIDE_DUST_MAP: _outside_dust_map(problem.prior, posterior, catalog),
    }
    sampled_only = {flag: condition & ~failed for flag, condition in conditions.items() if flag not in _OF_INPUT}
    stats["flags"] = _combine(conditions | sampled_only)
    return stats


def is_poor_fit(
    chi2: Float[np.ndarray, " star"], n_bands: Int[np.ndarray, " star"], num_parameters: int
) -> Bool[np.ndarray, " star"]:
    """Whether the best χ² is improbable for this many bands and parameters."""
    dof = np.maximum(n_bands - num_parameters, 1)
    return chi2_distribution.sf(chi2, dof) < flags.MIN_FIT_P_VALUE


def _combine(conditions: dict[Flag, Bool[np.ndarray, " star"]]) -> Int[np.ndarray, " star"]:
    """One integer a star from the conditions of its flags."""
    return sum(np.where(condition, int(flag), 0) for flag, condition in conditions.items())  # pyright: ignore


def _outside_domain(model: StellarModel, x: Float[np.ndarray, "star draw label"], catalog: Catalog):
    """Whether at most draws the model had too few training stars, with a parallax or in one of the star's bands."""
    if model.domain is None:
        return np.zeros(len(catalog), bool)
    # Evenly spread over the first label's quantiles: fewer draws tell a share as well as more at random.
    places = ((np.arange(_NUM_DOMAIN_DRAWS) + 0.5) / _NUM_DOMAIN_DRAWS * x.shape[1]).astype(int)
    order = np.argsort(x[..., 0], axis=1)[:, places]
    thinned = np.take_along_axis(x, order[..., None], axis=1)
    theta = np.asarray(model.label_median) + np.asarray(model.label_std) * thinned
    density = in_few_sizes(partial(_density, model.domain), theta.astype(np.float32))
    used = np.isfinite(catalog.mag)[:, None]
    outside = (density[..., 0] < MIN_DENSITY_ABSOLUTE) | np.any((density[..., 1:] < MIN_DENSITY_COLOR) & used, axis=-1)
    return np.mean(outside, axis=1) > 0.5


@jit_over_stars
def _density(domain: Domain, theta: Float[Array, "star draw label"]) -> Float[Array, "star draw 1+band"]:
    return jax.lax.map(domain.density, theta, batch_size=4)


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


@remember_last
def _prior_of_labels(problem: Problem) -> PriorOfLabels:
    """Of standardised labels, in all the sky: they do not depend on the direction much."""
    return PriorOfLabels.of(np.asarray(problem.standardise(_prior_draws(problem))).T)


@eqx.filter_jit
def _prior_draws(problem: Problem) -> Float[Array, "prior_draw label"]:
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
