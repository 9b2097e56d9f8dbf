import jax
import jax.numpy as jnp
import numpy as np
import pytest
from astropy.table import Table

from albireo.model import StellarModel
from albireo.training import TrainingSet

BANDS = ("gaia_g", "ps1_g", "2mass_j", "2mass_ks")


def make_model(bands=BANDS, labels=("teff", "logg", "feh"), seed=0):
    """A smooth model with extinctions that fall from band to band."""
    spread = np.array([600.0, 0.6, 0.3, 0.15])[: len(labels)]
    model = StellarModel.initialise(
        jax.random.key(seed),
        bands=bands,
        labels=labels,
        label_median=np.array([5500.0, 4.0, -0.2, 0.1])[: len(labels)],
        label_std=spread,
        hidden=(8, 8),
    )
    extinction = model.extinction
    falling = type(extinction)(extinction.kernel, jnp.log(jnp.linspace(2.5, 0.5, len(bands))))
    parts = [type(layer)(1.5 * layer.kernel, layer.bias) for layer in model.layers]
    return StellarModel(tuple(parts), falling, model.label_median, model.label_std, bands, labels)


def simulate(model, num_stars, seed=0, unobserved=0.1):
    """A table of stars of a model, with errors in everything and without some of the bands."""
    rng = np.random.default_rng(seed)
    median, spread = np.asarray(model.label_median), np.asarray(model.label_std)
    theta, label_err = median + spread * rng.normal(size=(num_stars, len(median))), 0.1 * spread
    modulus, reddening = rng.uniform(6, 10, num_stars), rng.exponential(0.2, num_stars)
    mag = np.asarray(model.magnitudes(jnp.asarray(theta), jnp.asarray(modulus), jnp.asarray(reddening)))
    mag = mag + 0.03 * rng.normal(size=mag.shape)
    mag[:, 2:][rng.random((num_stars, len(model.bands) - 2)) < unobserved] = np.nan
    parallax = 10 ** (2 - modulus / 5)
    columns = {"parallax": parallax + 0.05 * rng.normal(size=num_stars), "parallax_err": np.full(num_stars, 0.05)}
    columns |= {"reddening": np.abs(reddening + 0.05 * rng.normal(size=num_stars))}
    columns |= {"reddening_err": np.full(num_stars, 0.05)}
    for i, label in enumerate(model.labels):
        columns[label] = theta[:, i] + label_err[i] * rng.normal(size=num_stars)
        columns[f"{label}_err"] = np.full(num_stars, label_err[i])
    for i, band in enumerate(model.bands):
        columns[band], columns[f"{band}_err"] = mag[:, i], np.full(num_stars, 0.03)
    return Table(columns)


@pytest.fixture(scope="session")
def true_model():
    return make_model()


@pytest.fixture(scope="session")
def table(true_model):
    return simulate(true_model, 1500)


@pytest.fixture(scope="session")
def stars(table):
    return TrainingSet.from_table(table, bands=BANDS)
