"""Figures: they show what they are given, leave no state behind, and refuse what they cannot draw."""

import numpy as np
import pytest
from astropy.table import QTable

from albireo import Catalog, UserError, figures
from albireo.samplers import Problem
from made_up import made_up_posterior
from readable import assert_readable
from stars import PLANET_HOSTS

N_STAR = 3


@pytest.fixture(scope="module")
def hosts():
    return Catalog.read(PLANET_HOSTS)[:N_STAR]


@pytest.fixture(scope="module")
def posterior(model, milky_way, hosts):
    return made_up_posterior(Problem(model, milky_way), hosts)


def test_kiel_diagram_shows_every_star_with_axes_as_astronomers_draw_them(posterior, hosts):
    summary = posterior.summary()
    axes = figures.kiel_diagram(summary, hosts.to_table()).axes[0]
    assert axes.xaxis_inverted()
    assert axes.yaxis_inverted()
    assert (axes.get_xlabel(), axes.get_ylabel()) == (r"$T_\mathrm{eff}$ [K]", r"$\log g$ [dex]")
    offsets = np.concatenate([c.get_offsets() for c in axes.collections if str(c.get_label()).startswith("albireo")])
    assert sorted(offsets[:, 0]) == pytest.approx(sorted(np.asarray(summary["teff_p50"])))
    published = next(line for line in axes.lines if line.get_label() == "published")
    np.testing.assert_array_equal(published.get_xdata(), hosts.theta[:, 0])


def test_kiel_diagram_takes_a_data_frame_and_marks_flagged_stars(posterior):
    summary = posterior.summary()
    summary["flags"] = [0, 16, 0]
    frame = QTable(summary).to_pandas()
    labels = {str(c.get_label()) for c in figures.kiel_diagram(frame).axes[0].collections}
    assert {"albireo", "albireo, flagged"} <= labels


def test_kiel_diagram_refuses_other_stars(posterior, hosts):
    with pytest.raises(UserError, match="same order; got 2"):
        figures.kiel_diagram(posterior.summary(), hosts[:2].to_table())
    with pytest.raises(UserError, match="teff_p16"):
        figures.kiel_diagram(hosts.to_table())


def test_corner_marks_truth_and_prior_and_names_units(posterior, hosts):
    truth = dict(zip(hosts.labels, hosts.theta[1], strict=True))
    figure = figures.corner(posterior, 1, truth, figures.draw_from_prior(posterior, 1))
    num = len(hosts.labels) + 2
    grid = np.array(figure.axes).reshape(num, num)
    labels = [axes.get_xlabel() for axes in grid[-1]]
    assert labels == [r"$T_\mathrm{eff}$ [K]", r"$\log g$ [dex]", "[Fe/H] [dex]", "distance [pc]", "reddening [mag]"]
    marked = [line.get_xdata()[0] for line in grid[0, 0].lines]
    assert truth["teff"] in marked
    legend = {text.get_text() for text in figure.legends[0].get_texts()}
    assert legend == {"posterior", "prior", "published"}
    p16, p50, p84 = np.quantile(posterior.tree["posterior"]["teff"][..., 1], [0.16, 0.5, 0.84])
    assert grid[0, 0].get_title() == f"${p50:.0f}^{{+{p84 - p50:.0f}}}_{{-{p50 - p16:.0f}}}$"


def test_no_labels_overlap_or_leave_the_figure(posterior, hosts):
    truth = dict(zip(hosts.labels, hosts.theta[0], strict=True))
    assert_readable(figures.corner(posterior, 0, truth))
    assert_readable(figures.kiel_diagram(posterior.summary(), hosts.to_table()))


def test_the_priors_draws_follow_the_prior_at_the_stars_position(posterior, model, milky_way):
    draws = figures.draw_from_prior(posterior, 0)
    assert set(draws) == {*model.labels, "distance", "reddening"}
    assert all(np.isfinite(values).all() for values in draws.values())
    assert draws["reddening"].min() >= 0
    assert 100 < np.median(draws["distance"]) < 50_000


def test_corner_refuses_stars_it_cannot_draw(posterior, tmp_path):
    from albireo import Posterior

    with pytest.raises(UserError, match="no star 'Vega'"):
        figures.corner(posterior, "Vega")
    with pytest.raises(UserError, match="no star number 3"):
        figures.corner(posterior, N_STAR)
    posterior.save(tmp_path / "posterior.nc")
    loaded = Posterior.load(tmp_path / "posterior.nc")
    with pytest.raises(UserError, match="without its prior"):
        figures.draw_from_prior(loaded, 0)
    loaded.tree["posterior"]["teff"][:, :, 0] = np.nan
    with pytest.raises(UserError, match="could not be sampled"):
        figures.corner(loaded, 0)


def test_figures_leave_no_state_in_pyplot(posterior):
    from matplotlib import pyplot, rcParams

    before = dict(rcParams)
    figures.corner(posterior, 0)
    figures.kiel_diagram(posterior.summary())
    assert pyplot.get_fignums() == []
    assert dict(rcParams) == before
