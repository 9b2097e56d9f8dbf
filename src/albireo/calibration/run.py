"""calibrate(): simulated stars are inferred, and their true values ranked among the draws."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from astropy.table import Table
from jaxtyping import Float

from albireo.calibration.report import Calibration
from albireo.calibration.simulate import Simulation, simulate
from albireo.calibration.uniformity import probability_integral_transform
from albireo.errors import UserError
from albireo.inference import infer
from albireo.model import StellarModel, load_model
from albireo.posterior import Posterior
from albireo.priors import Prior, load_prior
from albireo.samplers import Sampler
from albireo.statistics import flat, summarise

# Stars whose draws are held in memory at a time.
_CHUNK = 256


def calibrate(
    *,
    model: StellarModel | str | Path = "default",
    prior: Prior | str | Path = "milky-way",
    sampler: Sampler | str = "importance",
    num_stars: int = 1000,
    seed: int = 0,
    with_parallax: float = 0.5,
    with_position: float = 1.0,
    simulating: Callable[[int], None] | None = None,
    inferring: Callable[[int], None] | None = None,
) -> Calibration:
    """Simulate stars from the prior, infer them, and see whether the posteriors are as wide as they say.

    Simulation-based calibration (Talts et al. 2018, arXiv 1804.06788). It judges the sampler and the likelihood's
    arithmetic, given model and prior; whether the model fits real stars is another question.

    Args:
        model: as in `infer`.
        prior: as in `infer`.
        sampler: as in `infer`.
        num_stars: how many stars.
        seed: of all random numbers.
        with_parallax: share of stars with a parallax.
        with_position: share of stars whose sky position is known.
        simulating: called with the number of stars just simulated.
        inferring: called with the number of stars just inferred.

    Raises:
        UserError: there is no such model, prior or sampler, or a number is out of its range.
    """
    if num_stars < 1:
        raise UserError(f"num_stars must be at least 1; got {num_stars}.")
    model = model if isinstance(model, StellarModel) else load_model(model)
    prior = load_prior(prior, model)
    shares = {"with_parallax": with_parallax, "with_position": with_position}
    simulation = simulate(model, prior, num_stars, seed=seed, **shares, progress=simulating)
    return judge(simulation, model=model, prior=prior, sampler=sampler, seed=seed, progress=inferring)


def judge(
    simulation: Simulation,
    *,
    model: StellarModel,
    prior: Prior,
    sampler: Sampler | str,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Calibration:
    """Infer simulated stars and rank their true values; every star is kept, also one that could not be sampled.

    Args:
        simulation: the stars, which this model and prior may or may not have made.
        model: to infer with.
        prior: to infer with.
        sampler: as in `infer`.
        seed: as in `infer`.
        progress: called with the number of stars just inferred.
    """
    rng = np.random.default_rng([seed, 1])
    parts = []
    for index in np.array_split(np.arange(len(simulation.catalog)), -(-len(simulation.catalog) // _CHUNK)):
        catalog = simulation.catalog[index]
        posterior = infer(catalog, model=model, prior=prior, sampler=sampler, seed=seed, progress=progress)
        parts.append(_rank(posterior, simulation.truth[index], rng))
    ranked = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return Calibration.from_stars(_known(simulation) | ranked, model.bands[0])


def _known(simulation: Simulation) -> dict[str, np.ndarray]:
    """What was measured of the simulated stars, what else results are divided by, and the truth."""
    catalog = simulation.catalog
    measured = {name: getattr(catalog, name) for name in ("glon", "glat", "parallax", "parallax_err")}
    for band, mag, mag_err in zip(catalog.bands, catalog.mag.T, catalog.mag_err.T, strict=True):
        measured |= {band: mag, f"{band}_err": mag_err}
    divided = {"brightness": simulation.brightness, "n_bands": catalog.n_bands}
    truth = {f"{name}_true": np.asarray(simulation.truth[name]) for name in simulation.truth.colnames}
    return measured | divided | truth


def _rank(posterior: Posterior, truth: Table, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Transform and median of every variable, and flags, of every star."""
    group = posterior.sampled()
    weight = np.exp(flat(group["log_weight"])) if "log_weight" in group else None
    effective = _effective(posterior, flat(group["distance_modulus"]).shape[1])
    columns: dict[str, np.ndarray] = {"flags": posterior.flags, "effective": effective}
    for name in truth.colnames:
        draws = flat(group[name])
        columns[f"{name}_p50"] = summarise(draws, weight)["p50"]
        columns[f"{name}_pit"] = probability_integral_transform(draws, weight, np.asarray(truth[name]), effective, rng)
    return columns


def _effective(posterior: Posterior, num_draws: int) -> Float[np.ndarray, " star"]:
    """Effective number of draws of every star: of weights, or of chains."""
    stats = posterior.tree["sample_stats"]
    known = [np.asarray(stats[name], float) for name in ("ess_kish", "ess_min") if name in stats]
    effective = np.full(len(posterior), np.nan if known else float(num_draws))
    for values in known:
        effective = np.fmax(effective, values)
    return np.clip(np.nan_to_num(effective, nan=1.0), 1, num_draws)
