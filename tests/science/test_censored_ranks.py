"""Posteriors of stars that were not found in some bands hold the truth as often as they say."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from astropy.table import Table
from scipy import stats

from albireo import Catalog, Importance, infer
from albireo.calibration.uniformity import probability_integral_transform
from albireo.priors import sightline
from albireo.simulation.observe import add_noise, draw_stars, measured_columns, truth_columns
from albireo.statistics import flat
from albireo.upper_limits import LIMIT_ERR

NUM_STARS = 600
POSITION = (60.0, 20.0)
FOUND, LOOKED_IN = ("2mass_j", "2mass_h", "2mass_ks"), ("gaia_bp", "ps1_i", "wise_w2")

pytestmark = pytest.mark.science


@pytest.fixture(scope="module")
def stars(model, milky_way):
    """Stars found in three bands, and found in some of three others or not, and their true values."""
    rng = np.random.default_rng(3)
    sky = sightline(milky_way, np.array(POSITION, np.float32))
    drawn = jax.tree.map(
        lambda a: np.asarray(a, float), draw_stars(model, milky_way, jax.random.key(3), sky, NUM_STARS)
    )
    err = np.where([[band in FOUND + LOOKED_IN for band in model.bands]], 0.03, np.nan) * np.ones_like(drawn.mag)
    mag = add_noise(model, rng, drawn.mag, err)
    columns = measured_columns(model, rng, mag, err, drawn.draws.mu, np.full(NUM_STARS, np.nan))
    table = Table(columns | {"glon": np.full(NUM_STARS, POSITION[0]), "glat": np.full(NUM_STARS, POSITION[1])})
    found = mag[:, model.bands.index(FOUND[0])]
    for band in LOOKED_IN:
        here = mag[:, model.bands.index(band)]
        # About as deep as it takes for the star's own J, which is known anyway, so that it says nothing of its own.
        limit = found + np.median(here - found) + 0.3 * rng.normal(size=NUM_STARS)
        missed = here + LIMIT_ERR * rng.normal(size=NUM_STARS) > limit
        table[band], table[f"{band}_limit"] = np.where(missed, np.nan, here), np.where(missed, limit, np.nan)
    return Catalog.from_table(table, bands=model.bands, checked=True), truth_columns(model, drawn.draws)


def p_values(model, prior, catalog, truth):
    """Of every variable, for uniform ranks of the true values."""
    rng = np.random.default_rng(4)
    posterior = infer(catalog, model=model, prior=prior, sampler=Importance())
    draws, effective = posterior.sampled(), np.asarray(posterior.tree["sample_stats"]["ess_kish"])
    weight = np.exp(flat(draws["log_weight"]))
    return {
        name: stats.kstest(
            probability_integral_transform(flat(draws[name]), weight, values, effective, rng), "uniform"
        ).pvalue
        for name, values in truth.items()
    }


def test_ranks_are_uniform(model, milky_way, stars):
    catalog, truth = stars
    limited = catalog.has_limit
    assert 0.5 < np.mean(limited) < 0.95
    catalog, truth = catalog[limited], {name: values[limited] for name, values in truth.items()}
    assert min(p_values(model, milky_way, catalog, truth).values()) > 0.01
    # Who keeps the limits and leaves out what was found has a sample that is fainter than the prior's.
    lost = np.where([[band in LOOKED_IN for band in model.bands]], np.nan, 0)
    partial = replace(catalog, mag=catalog.mag + lost, mag_err=catalog.mag_err + lost)
    assert min(p_values(model, milky_way, partial, truth).values()) < 0.005
