"""A mock catalogue of a field: stars along one line of sight as surveys would list them."""

from collections.abc import Callable
from pathlib import Path

import astropy.units as u
import equinox as eqx
import jax
import numpy as np
from astropy.table import Table, vstack
from jaxtyping import Array, Float, PRNGKeyArray

from albireo.errors import UserError
from albireo.model import StellarModel, load_model
from albireo.priors.base import Prior, direction, sightline
from albireo.priors.load import load_prior
from albireo.simulation.observe import Noiseless, add_noise, draw_stars, measured_columns, truth_columns
from albireo.simulation.surveys import parallax_error, photometric_errors

_BATCH = 1 << 15
# A field that holds a smaller share of stars as bright as asked is refused, after a few batches.
_LEAST_SHARE = 1e-4
_LEAST_BATCHES = 16
# Not a number with which `infer` or `calibrate` seed.
_STREAM = np.uint32(2**32 - 3)


def mock(
    prior: Prior | str | Path,
    glon: float,
    glat: float,
    num_stars: int,
    *,
    model: StellarModel | str | Path = "default",
    faintest: float = 18.0,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Table:
    """Stars of a field as surveys would list them, and what they are.

    They are drawn from the prior along one line of sight, get the scatter of real stars about the model and the errors
    that Gaia, Pan-STARRS, 2MASS and WISE would make at their magnitudes, and are kept if they are then bright enough;
    bands in which a survey is blind to them, and one in ten of the others, are missing.

    As errors follow from a star's own true magnitude, they tell a little of it: to judge whether posteriors are as wide
    as they say, take `albireo.calibration.simulate`.

    Args:
        prior: what stars there are; a name or a file as in `infer`, or any object with the methods of a prior.
        glon: Galactic longitude [deg].
        glat: Galactic latitude [deg].
        num_stars: how many stars.
        model: what turns labels into magnitudes, as in `infer`.
        faintest: of the stars that are kept, by their measured magnitude in the model's first band [mag]; infinite to
            keep all, also those that no survey sees.
        seed: of all random numbers; of the same seed, the first stars of a longer catalogue are those of a shorter one.
        progress: called with the number of stars just made.

    Returns:
        One row a star, in the columns that `Catalog` reads and, besides, `true_<label>`, `true_distance_modulus` [mag]
        and `true_reddening` [mag]. `meta["drawn"]` is of how many stars these are the ones bright enough.

    Raises:
        UserError: there is no such model, prior or direction, a number is out of its range, or fewer than one star in
            10,000 is bright enough.
    """
    if num_stars < 1:
        raise UserError(f"num_stars must be at least 1; got {num_stars}.")
    if np.isnan(faintest):
        raise UserError("faintest must be a magnitude; got nan.")
    position = direction(glon, glat)
    model = model if isinstance(model, StellarModel) else load_model(model)
    prior = load_prior(prior, model)
    rng = np.random.default_rng([seed, int(_STREAM)])
    key = jax.random.fold_in(jax.random.key(seed), _STREAM)
    parts, kept = [], 0
    for number in range(_LEAST_BATCHES + int(num_stars / _LEAST_SHARE / _BATCH)):
        stars = jax.device_get(_draw(model, prior, position, jax.random.fold_in(key, number)))
        part, rows = _observe(model, rng, stars, faintest)
        part = part[: num_stars - kept]
        parts.append(part)
        kept += len(part)
        if progress is not None:
            progress(len(part))
        if kept == num_stars:
            drawn = number * _BATCH + int(rows[len(part) - 1]) + 1
            told = _tell(prior, (glon, glat), f"brighter than {faintest:g} mag in {model.bands[0]}", num_stars, drawn)
            table = _name(vstack(parts), model, (glon % 360, glat))
            table.meta = {"drawn": drawn, "seed": seed, "comments": [f"{told}; seed {seed}"]}
            return table
    raise UserError(
        f"only {kept} of {(number + 1) * _BATCH} stars in this direction are brighter than {faintest:g} mag in "
        f"{model.bands[0]}; choose a fainter limit or fewer stars."
    )


@eqx.filter_jit
def _draw(model: StellarModel, prior: Prior, position: Float[Array, " 2"], key: PRNGKeyArray) -> Noiseless:
    return draw_stars(model, prior, key, sightline(prior, position), _BATCH)


def _observe(
    model: StellarModel, rng: np.random.Generator, stars: Noiseless, faintest: float
) -> tuple[Table, np.ndarray]:
    """The rows of those that are bright enough, and which of the stars they are."""
    true_mag = stars.mag.astype(float)
    mag_err = photometric_errors(true_mag, model.bands, rng)
    mag = add_noise(model, rng, true_mag, mag_err)
    columns = measured_columns(model, rng, mag, mag_err, stars.draws.mu.astype(float), parallax_error(true_mag[:, 0]))
    truth = {f"true_{name}": values for name, values in truth_columns(model, stars.draws).items()}
    rows = np.flatnonzero(mag[:, 0] <= faintest)
    return Table({name: values[rows] for name, values in (columns | truth).items()}), rows


def _tell(prior: Prior, position: tuple[float, float], what: str, num_stars: int, drawn: int) -> str:
    """Where the stars come from, in letters that FITS knows."""
    name = getattr(prior, "name", "") or type(prior).__name__
    told = (
        f"{num_stars} of {drawn} stars drawn from the prior {name} towards "
        f"l = {position[0]:g}, b = {position[1]:g} deg are {what} ({num_stars / drawn:.2%})"
    )
    return told.encode("ascii", "replace").decode()


def _name(table: Table, model: StellarModel, position: tuple[float, float]) -> Table:
    """With names of stars, their position, and units."""
    table.add_column([f"mock-{i}" for i in range(len(table))], name="name", index=0)
    table["glon"], table["glat"] = position
    for name in table.colnames:
        table[name].unit = _UNITS.get(name, u.mag if name.removesuffix("_err") in model.bands else None)
    return table


_UNITS = {name: u.deg for name in ("glon", "glat")} | {name: u.mas for name in ("parallax", "parallax_err")}
_UNITS |= {"true_teff": u.K, "true_distance_modulus": u.mag, "true_reddening": u.mag}
