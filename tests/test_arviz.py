"""ArviZ works on what `to_arviz` gives, whichever of its versions is installed, without further steps."""

import warnings

import arviz as az
import numpy as np
import pytest
from matplotlib import pyplot as plt

from albireo.groups import arviz_version
from albireo.samplers import Problem
from made_up import CHAINS, DRAWS, made_up_posterior
from stars import simulate

NEW = arviz_version() >= 1
LABELS = ["teff", "logg"]
PLOTS = {
    "trace": lambda data: (az.plot_trace_dist if NEW else az.plot_trace)(data, var_names=LABELS),
    "pair": lambda data: az.plot_pair(data, var_names=LABELS),
    "rank": lambda data: az.plot_rank(data, var_names=LABELS),
    "predictive": lambda data: (az.plot_ppc_dist if NEW else az.plot_ppc)(data, var_names=["magnitude"]),
}


@pytest.fixture(scope="module")
def posterior(model, milky_way):
    """Three stars, all without a band and one without two more, some of whose transitions diverged."""
    stars = simulate(model).without(model.bands[3])
    stars.mag[1, :2] = np.nan
    posterior = made_up_posterior(Problem(model, milky_way), stars)
    posterior.tree["sample_stats"]["diverging"].values[0, 5:8] = True
    return posterior


@pytest.fixture(scope="module")
def all_stars(posterior):
    return posterior.to_arviz(posterior_predictive=True)


@pytest.fixture(scope="module")
def one_star(posterior):
    return posterior[0].to_arviz(posterior_predictive=True)


@pytest.mark.parametrize("which", ["all_stars", "one_star"])
@pytest.mark.parametrize("plot", PLOTS)
def test_arviz_draws_it(request, which, plot):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ArviZ 0.2x and matplotlib are at odds
        PLOTS[plot](request.getfixturevalue(which))
    assert plt.get_fignums()
    plt.close("all")


@pytest.mark.parametrize("which", ["all_stars", "one_star"])
def test_arviz_summarises_it(request, which):
    data = request.getfixturevalue(which)
    summary = az.summary(data)
    assert len(summary) == 7 * data["posterior"].sizes["star"]
    assert np.isfinite(summary["mean"].astype(float)).all()


def test_variables_have_units_and_stars_have_names(all_stars):
    units = {name: variable.attrs["units"] for name, variable in all_stars["posterior"].data_vars.items()}
    assert units == {"teff": "K", "logg": "dex", "feh": "dex", "reddening": "mag", "extinction": "mag"} | {
        "distance_modulus": "mag",
        "distance": "pc",
    }
    assert all_stars["observed_data"]["parallax"].attrs["units"] == "mas"
    assert all_stars["posterior_predictive"]["magnitude"].attrs["units"] == "mag"
    assert list(all_stars["posterior"]["star"].values) == ["star 0", "star 1", "star 2"]
    assert all_stars["observed_data"].sizes["band"] == all_stars["posterior_predictive"].sizes["band"] == 12


def test_every_measured_magnitude_is_a_datum(all_stars, posterior):
    row, whole = all_stars["log_likelihood"]["magnitude"], posterior.log_likelihood()["magnitude"]
    observed = posterior.tree["observed_data"]["magnitude"]
    assert row.sizes == {"chain": CHAINS, "draw": DRAWS, "measurement": int(np.isfinite(observed).sum())}
    for i in (0, -1):
        star, band = (row[f"measured_{name}"].values[i] for name in ("star", "band"))
        assert np.isfinite(observed.sel(star=star, band=band))
        np.testing.assert_array_equal(row.values[..., i], whole.sel(star=star, band=band).transpose("chain", "draw"))


@pytest.mark.parametrize("which", ["all_stars", "one_star"])
def test_the_better_prediction_wins(request, which, posterior):
    """Draws that are moved off by a magnitude predict every magnitude worse."""
    worse = posterior[:] if which == "all_stars" else posterior[0]
    worse.tree["posterior"]["distance_modulus"] += 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # these draws were not sampled: Pareto's k is large
        data = request.getfixturevalue(which)
        loo = az.loo(data)
        table = az.compare({"worse": worse.to_arviz(), "better": data})
    assert loo.n_data_points == data["log_likelihood"].sizes["measurement"]
    assert list(table.index) == ["better", "worse"]


def test_some_of_the_stars_are_picked_by_id_place_slice_or_mask(posterior):
    ids = list(posterior.tree["posterior"]["star"].values)
    picks = [(ids[1], [1]), (2, [2]), (-1, [2]), (slice(0, 2), [0, 1])]
    for pick, expected in picks:
        assert list(posterior[pick].tree["posterior"]["star"].values) == [ids[i] for i in expected]
    assert len(posterior[np.array([True, False, True])]) == len(posterior[[ids[0], ids[2]]]) == 2
    np.testing.assert_array_equal(posterior[ids[1]].flags, posterior.flags[1:2])
