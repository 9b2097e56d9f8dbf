"""What all simulated catalogues share: stars of a prior, the noise of their magnitudes, and columns for a table."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from albireo.model import StellarModel
from albireo.priors.base import Prior
from albireo.samplers import Draws


class Noiseless(NamedTuple):
    """Draws from the prior, and their magnitudes."""

    draws: Draws
    mag: Float[Array, "*batch band"]


def draw_stars(model: StellarModel, prior: Prior, key: PRNGKeyArray, sky: Any, num: int) -> Noiseless:
    """Stars along a sightline."""
    draws = Draws(*prior.sample(key, sky, num))
    return Noiseless(draws, model.magnitudes(draws.theta, draws.mu, draws.reddening))


def add_noise(
    model: StellarModel,
    rng: np.random.Generator,
    mag: Float[np.ndarray, "star band"],
    mag_err: Float[np.ndarray, "star band"] | Float[np.ndarray, " band"],
) -> Float[np.ndarray, "star band"]:
    """Magnitudes with Gaussian errors, and with the scatter of stars about the model; an error of NaN counts as 0."""
    mag = mag + np.nan_to_num(mag_err) * rng.normal(size=mag.shape)
    if model.scatter is None:
        return mag
    own, shared = np.asarray(model.scatter.own, float), np.asarray(model.scatter.shared, float)
    mag = mag + own * rng.normal(size=mag.shape)
    return mag + rng.normal(size=(len(mag), shared.shape[1])) @ shared.T


def truth_columns(model: StellarModel, draws: Draws) -> dict[str, Any]:
    """The labels [K, dex, dex], distance_modulus [mag] and reddening [mag] of one star or of many."""
    theta, mu, reddening = (np.asarray(values, float) for values in draws)
    labels = dict(zip(model.labels, np.moveaxis(theta, -1, 0), strict=True))
    return labels | {"distance_modulus": mu, "reddening": reddening}


def measured_columns(
    model: StellarModel,
    rng: np.random.Generator,
    mag: Float[np.ndarray, "*star band"],
    mag_err: Float[np.ndarray, "*star band"],
    mu: Float[np.ndarray, "*star"],
    parallax_err: Float[np.ndarray, "*star"] | float,
) -> dict[str, Any]:
    """Magnitudes [mag] where they have errors, and parallaxes [mas] with noise, of one star or of many."""
    seen = np.isfinite(mag_err)
    columns: dict[str, Any] = {}
    for i, band in enumerate(model.bands):
        columns[band] = np.where(seen[..., i], mag[..., i], np.nan)
        columns[f"{band}_err"] = mag_err[..., i]
    columns["parallax"] = 10 ** (2 - mu / 5) + parallax_err * rng.normal(size=np.shape(mu))
    return columns | {"parallax_err": parallax_err}
