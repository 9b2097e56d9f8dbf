"""Stars for the tests: simulated with the bundled model, or the bundled planet hosts."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from astropy.table import Table

import albireo
from albireo.catalog import Catalog
from albireo.inference import in_double as to_double  # noqa: F401, for tests of models, priors and stars
from albireo.likelihood import Star, parallax_from_distance_modulus
from albireo.model import Spread

PLANET_HOSTS = Path(albireo.__file__).parent / "data" / "planet_hosts.ecsv"

# A dwarf like the Sun, a red-clump giant and a cool dwarf: (teff, logg, feh), distance modulus, reddening.
SUN = ((5780.0, 4.44, 0.0), 8.0, 0.1)
GIANT = ((4800.0, 2.5, -0.3), 11.0, 0.3)
COOL_DWARF = ((4500.0, 4.6, -0.1), 6.5, 0.02)
TRUTHS = (SUN, GIANT, COOL_DWARF)


def simulate(model, truths=TRUTHS, *, mag_err=0.02, parallax_snr=20.0, seed=1) -> Catalog:
    """Stars of known labels, distance and reddening, observed in all bands of a model."""
    rng = np.random.default_rng(seed)
    rows = []
    for number, (theta, mu, reddening) in enumerate(truths):
        mag = np.asarray(model.magnitudes(jnp.array(theta), mu, reddening)) + mag_err * rng.normal(
            size=len(model.bands)
        )
        parallax = float(parallax_from_distance_modulus(mu))
        parallax_err = parallax / parallax_snr
        row = {"name": f"star {number}", "glon": 60.0 * number, "glat": 20.0 - 10 * number}
        row |= {band: value for band, value in zip(model.bands, mag, strict=True)}
        row |= {f"{band}_err": mag_err for band in model.bands}
        row |= {"parallax": parallax + parallax_err * rng.normal(), "parallax_err": parallax_err}
        rows.append(row)
    return Catalog.from_table(Table(rows=rows), bands=model.bands)


def stars_of(catalog: Catalog, dtype=np.float32, scatter=None) -> Star:
    return jax.tree.map(jnp.asarray, Star.from_catalog(catalog, dtype, scatter=scatter))


def one(stars: Star, index: int) -> Star:
    return jax.tree.map(lambda values: values[index], stars)


def with_spread(model, num_members=3, seed=4):
    """The model with a spread: its own layers, each a little off in its own way."""
    rng = np.random.default_rng(seed)

    def stray(a):
        return jnp.stack([a * (1 + 0.01 * rng.normal(size=a.shape)) for _ in range(num_members)])

    return model.with_spread(Spread(jax.tree.map(stray, model.layers)))
