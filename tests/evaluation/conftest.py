import dataclasses
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest

from albireo.model import KernelDomain, StellarModel
from albireo.training import TrainingSet
from training.conftest import BANDS, make_model, simulate

LABELS = ("teff", "logg", "feh", "alpha_fe")
SIX_BANDS = ("gaia_g", "gaia_bp", "gaia_rp", "2mass_j", "2mass_h", "2mass_ks")


class Case(NamedTuple):
    model: StellarModel
    stars: TrainingSet


def make_case(bands, labels, seed, num_stars=1500):
    """A model that knows its domain, and stars of it, one in ten without a usable parallax."""
    model = make_model(bands, labels, seed)
    table = simulate(model, num_stars, seed)
    table["parallax_err"][::10] = 10.0
    table["survey"] = np.where(np.arange(num_stars) % 3 == 0, "one", "two")
    table["reddening_source"] = np.where(np.arange(num_stars) % 5 == 0, "map", "spectra")
    stars = TrainingSet.from_table(table, bands=bands, labels=labels)
    stars = stars[stars.observed.sum(axis=1) > 1 + ~stars.usable_parallax(5)]  # with a degree of freedom
    peak = jnp.ones((1, 1 + len(bands)))
    domain = KernelDomain(model.label_median[None], peak, model.label_std, peak[0])
    return Case(dataclasses.replace(model, domain=domain), stars)


@pytest.fixture(scope="session")
def four_labels():
    return make_case(BANDS, LABELS, 0)


@pytest.fixture(scope="session")
def six_bands():
    return make_case(SIX_BANDS, LABELS[:3], 1)


@pytest.fixture(scope="session", params=["four_labels", "six_bands"])
def case(request) -> Case:
    return request.getfixturevalue(request.param)
