"""The three samplers give the same posteriors and evidences of fifty real stars, some of several modes."""

import numpy as np
import pytest

from albireo import NUTS, Catalog, Importance, Nested, infer
from albireo.flags import Flag

pytestmark = pytest.mark.science

NUM_STARS = 50
ERROR_FLOOR = 0.02  # mag, which the errors of the file hold; the model brings its own scatter


@pytest.fixture(scope="module")
def posteriors(model, milky_way, green2020_stars):
    """Of stars without parallax, for which a dwarf might be a giant."""
    catalog = Catalog.read(green2020_stars, bands=model.bands, labels=model.labels).without_error_floor(ERROR_FLOOR)
    catalog = catalog[np.random.default_rng(5).permutation(len(catalog))[:NUM_STARS]].without("parallax")
    samplers = {"nuts": NUTS(), "nested": Nested(), "importance": Importance(num_samples=20_000)}
    with pytest.warns(UserWarning, match="average over the sky"):
        return {
            name: infer(catalog, model=model, prior=milky_way, sampler=sampler, seed=6)
            for name, sampler in samplers.items()
        }


def test_there_are_stars_of_several_modes_and_all_converged(posteriors):
    assert np.sum(posteriors["importance"].flags & Flag.SEVERAL_MODES > 0) >= 2
    for posterior in posteriors.values():
        assert np.sum(posterior.flags & Flag.NOT_CONVERGED > 0) <= 1


@pytest.mark.parametrize("name", ["nuts", "nested"])
def test_medians_and_widths_agree(posteriors, name):
    """Each has at least 400 effective draws: in units of the standard error of a difference, scores of unit width."""
    ours, reference = (posteriors[each].summary() for each in (name, "importance"))
    for variable in ("teff", "logg", "feh", "distance_modulus", "reddening"):
        low, middle, high = (np.asarray(reference[f"{variable}_{p}"], float) for p in ("p16", "p50", "p84"))
        width = (high - low) / 2
        shift = (np.asarray(ours[f"{variable}_p50"], float) - middle) / (1.25 * width / np.sqrt(400))
        assert np.mean(np.abs(shift) < 3) >= 0.95, variable
        ratio = np.asarray(ours[f"{variable}_p84"] - ours[f"{variable}_p16"], float) / (high - low)
        assert abs(np.median(ratio) - 1) < 0.03, variable


def test_evidences_agree(posteriors):
    nested, importance = (posteriors[name].summary() for name in ("nested", "importance"))
    err = np.hypot(nested["log_evidence_err"], importance["log_evidence_err"])
    pull = (np.asarray(nested["log_evidence"]) - np.asarray(importance["log_evidence"])) / err
    assert np.mean(np.abs(pull) < 3) >= 0.95
