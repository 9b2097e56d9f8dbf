"""Simulated stars: drawn from a prior and observed through a model, exactly as the likelihood assumes.

Simulation-based calibration holds only if, given the data, the truth is distributed as the posterior is. So what
inference takes as given must not depend on the truth: the sky position, which bands are measured and the errors all
come from another star, the *template*, an independent draw from the same prior towards the same position. And stars
may be chosen only by their data: of many draws of (θ, μ, E) with noise, the first is kept whose observed magnitudes
agree on average with the template's to half a magnitude. The posterior of the truth given those data is what it was,
p(θ, μ, E | D, chosen) = p(θ, μ, E | D), because being chosen is a function of D (and of the template, which knows
nothing of the truth). Thus errors and missing bands go with the brightness as in a survey, and ranks stay uniform.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from astropy.table import Table
from jaxtyping import Array, Float, PRNGKeyArray

from albireo.catalog import Catalog
from albireo.errors import UserError
from albireo.model import StellarModel
from albireo.priors import Prior, sightline
from albireo.simulation.observe import Noiseless, add_noise, draw_stars, measured_columns, truth_columns
from albireo.simulation.surveys import parallax_error, photometric_errors

# Templates are spread over these magnitudes in the reference band [mag].
BRIGHTEST, FAINTEST = 10.0, 20.0
_TOLERANCE = 0.5  # between observed and template magnitudes, averaged over the observed bands [mag]
_NUM_TEMPLATES, _NUM_CANDIDATES = 512, 2048
_BATCH = 16
_MAX_BATCHES_A_STAR = 50
# Not a row number, nor the number with which `infer` seeds its first look.
_STREAM = np.uint32(2**32 - 2)


class Simulation(NamedTuple):
    """Stars whose truth is known.

    Attributes:
        catalog: what was measured, for `albireo.infer`.
        truth: one column a variable: the labels, distance_modulus, reddening.
        brightness: magnitude of the template in the reference band, which set the errors [mag].
    """

    catalog: Catalog
    truth: Table
    brightness: Float[np.ndarray, " star"]


def simulate(
    model: StellarModel,
    prior: Prior,
    num_stars: int,
    *,
    seed: int = 0,
    with_parallax: float = 0.5,
    with_position: float = 1.0,
    progress: Callable[[int], None] | None = None,
) -> Simulation:
    """Draw stars from a prior and observe them; every one has at least two bands.

    Args:
        model: what turns labels into magnitudes, with the scatter of stars about it.
        prior: what stars there are.
        num_stars: how many.
        seed: of all random numbers.
        with_parallax: share of the stars that have a parallax, with the error Gaia would have made.
        with_position: share of the stars whose sky position, spread evenly over the sphere, is known.
        progress: called with the number of stars just made.

    Raises:
        UserError: a share is not between 0 and 1, or the prior has no stars between 10 and 20 mag.
    """
    for name, share in (("with_parallax", with_parallax), ("with_position", with_position)):
        if not 0 <= share <= 1:
            raise UserError(f"{name} must be a fraction between 0 and 1; got {share}.")
    rng = np.random.default_rng(seed)
    key = jax.random.fold_in(jax.random.key(seed), _STREAM)
    rows: list[dict[str, Any]] = []
    for number in range(_MAX_BATCHES_A_STAR * (num_stars // _BATCH + 1)):
        position = _positions(rng, with_position)
        keys = jax.random.split(jax.random.fold_in(key, number), (_BATCH, 2))
        drawn = jax.device_get(_draw(model, prior, jnp.asarray(position, jnp.float32), keys))
        made = [_observe(model, rng, with_parallax, *star) for star in zip(position, *_stars(drawn), strict=True)]
        made = [row for row in made if row is not None][: num_stars - len(rows)]
        rows += made
        if progress is not None:
            progress(len(made))
        if len(rows) == num_stars:
            return _simulation(model, rows)
    raise UserError(
        f"the prior has too few stars between {BRIGHTEST:.0f} and {FAINTEST:.0f} mag in {model.bands[0]}; "
        "calibrate with a prior that has some."
    )


def _positions(rng: np.random.Generator, with_position: float) -> Float[np.ndarray, "star 2"]:
    """Galactic longitude and latitude [deg], even over the sphere; NaN for the share of stars without."""
    glon, glat = rng.uniform(0, 360, _BATCH), np.degrees(np.arcsin(rng.uniform(-1, 1, _BATCH)))
    known = rng.random(_BATCH) < with_position
    return np.where(known[:, None], np.stack([glon, glat], axis=-1), np.nan).astype(np.float32)


@eqx.filter_jit
def _draw(
    model: StellarModel, prior: Prior, position: Float[Array, "star 2"], keys: PRNGKeyArray
) -> tuple[Noiseless, Noiseless]:
    """Templates and candidates towards every position."""

    def one(args):
        position, keys = args
        sky = sightline(prior, position)
        return (
            draw_stars(model, prior, keys[0], sky, _NUM_TEMPLATES),
            draw_stars(model, prior, keys[1], sky, _NUM_CANDIDATES),
        )

    return jax.lax.map(one, (position, keys))


def _stars(drawn):
    """Templates' magnitudes and candidates of one star after the other."""
    templates, candidates = drawn
    return templates.mag, (jax.tree.map(lambda a, i=i: a[i], candidates) for i in range(_BATCH))


def _observe(
    model: StellarModel,
    rng: np.random.Generator,
    with_parallax: float,
    position: Float[np.ndarray, " 2"],
    templates: Float[np.ndarray, "template band"],
    candidates: Noiseless,
) -> dict[str, Any] | None:
    """One star as a row of a table, or None if the template is not seen or no candidate is as bright as it."""
    nearest = np.argmin(np.abs(templates[:, 0] - rng.uniform(BRIGHTEST, FAINTEST)))
    template = templates[nearest].astype(float)
    mag_err = photometric_errors(template[None], model.bands, rng)[0]
    has_parallax = rng.random() < with_parallax
    seen = np.isfinite(mag_err)
    if seen.sum() < 2:
        return None
    mag = add_noise(model, rng, candidates.mag.astype(float), mag_err)
    chosen = np.flatnonzero(np.abs(np.mean((mag - template)[:, seen], axis=1)) < _TOLERANCE)
    if not len(chosen):
        return None
    draws = jax.tree.map(lambda values: np.asarray(values[chosen[0]], float), candidates.draws)
    parallax_err = float(parallax_error(template[0])) if has_parallax else np.nan
    row = truth_columns(model, draws)
    row |= measured_columns(model, rng, mag[chosen[0]], mag_err, draws.mu, parallax_err)
    return row | {"glon": position[0], "glat": position[1], "brightness": template[0]}


def _simulation(model: StellarModel, rows: list[dict[str, Any]]) -> Simulation:
    table = Table(rows=rows)
    variables = [*model.labels, "distance_modulus", "reddening"]
    truth, brightness = table[variables], np.asarray(table["brightness"])
    table.remove_columns([*variables, "brightness"])
    return Simulation(Catalog.from_table(table, bands=model.bands, labels=model.labels), truth, brightness)
