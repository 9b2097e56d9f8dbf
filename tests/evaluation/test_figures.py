"""Every figure of an evaluation has labelled axes for any model, and says what it lacks."""

import dataclasses
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

from albireo import UserError
from albireo.evaluation import passbands
from albireo.evaluation.extinction import extinction_variation, reddening_slopes, schlafly_slopes
from albireo.evaluation.figures import FIGURES, draw_figures
from albireo.training.stars import stars_of
from test_figures import assert_readable


def named(figure, axis):
    shared = getattr(figure, f"_sup{axis}label", None)
    return shared is not None or any(getattr(axes, f"get_{axis}label")() for axes in figure.axes)


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_drawn_with_names_on_its_axes(case, name):
    figure = FIGURES[name](*case)
    assert isinstance(figure, Figure)
    assert named(figure, "x")
    assert named(figure, "y")
    assert all(axes.has_data() for axes in figure.axes if axes.get_visible())
    if len(case.model.labels) == 4:  # the figures of most panels
        assert_readable(figure)


def test_the_diagram_shows_the_stars_with_a_parallax_at_their_absolute_magnitudes(six_bands):
    observed, predicted, _ = FIGURES["color_magnitude"](*six_bands).axes
    stars = stars_of(six_bands.stars)
    used = stars.has_parallax & six_bands.stars.observed[:, :3].all(axis=1)
    shown = observed.collections[0]
    assert shown.get_array().sum() == pytest.approx(used.sum(), rel=0.03)
    assert observed.yaxis_inverted()
    assert observed.get_xlabel() == "BP − RP [mag]"
    magnitude = (stars.mag[:, 0] - stars.modulus)[used]
    middle = np.average(shown.get_offsets()[:, 1], weights=shown.get_array())
    assert middle == pytest.approx(magnitude.mean(), abs=0.1)
    assert "E" in predicted.texts[-1].get_text()
    assert shown.get_clim() == predicted.collections[0].get_clim()  # or one of them would belie the colour bar


def test_the_lines_of_the_residuals_are_percentiles_of_the_scores(four_labels):
    figure = FIGURES["residuals"](*four_labels)
    labels = [axes.get_xlabel() for axes in figure.axes if axes.get_xlabel()]
    assert labels == [r"$T_\mathrm{eff}$ [K]", r"$\log g$ [dex]", "[Fe/H] [dex]", "[α/Fe] [dex]", "reddening [mag]"]
    low, middle, high = (np.asarray(line.get_ydata()) for line in figure.axes[0].lines[:3])
    assert (low < middle).all()
    assert (middle < high).all()
    assert abs(middle.mean()) < 0.15


def test_what_is_missing_is_left_out_with_its_reason(four_labels):
    model = dataclasses.replace(four_labels.model, domain=None)
    stars = four_labels.stars
    few = dataclasses.replace(stars, mag=stars.mag[:, 2:3], mag_err=stars.mag_err[:, 2:3], bands=("2mass_j",))
    drawn, left_out = draw_figures(model, few[stars.observed[:, 2]])
    assert set(drawn) == {"extinction_variation"}
    assert "two bands" in left_out["color_magnitude"]
    assert "three bands" in left_out["residuals"]
    assert "ps1_g" in left_out["reddening_slopes"]
    with pytest.raises(UserError, match="density"):
        FIGURES["residuals_by_density"](model, stars)
    far = dataclasses.replace(stars, parallax=np.zeros(len(stars)))
    with pytest.raises(UserError, match="usable parallax"):
        FIGURES["color_magnitude"](model, far)


def test_labels_that_are_not_there_are_named(four_labels):
    names = ("mass", "age", "feh", "alpha_fe")
    model, stars = (dataclasses.replace(each, labels=names) for each in four_labels)
    with pytest.raises(UserError, match="label teff"):
        extinction_variation(model, stars)
    with pytest.raises(UserError, match="label logg"):
        FIGURES["color_color_logg"](model, stars)


def test_without_the_packages_the_figure_says_that_it_has_no_curves(four_labels, monkeypatch):
    monkeypatch.setitem(sys.modules, "speclite.filters", None)
    figure = extinction_variation(*four_labels)
    assert "install albireo[figures]" in figure.get_suptitle()
    assert not any(axes.lines for axes in figure.axes)


def test_the_model_of_schlafly_et_al_is_on_their_line(four_labels):
    """A model with their reddening vector, whatever is added to all bands, has their slopes."""
    bands = ["ps1_g", "2mass_j", "2mass_ks"]
    vector = np.array([0.65373283, -0.14213929, -0.28522577]) + 1
    model = four_labels.model
    extinction = type(model.extinction)(0 * model.extinction.kernel, np.log(np.array([1.5, *vector], np.float32)))
    figure = reddening_slopes(dataclasses.replace(model, extinction=extinction), four_labels.stars)
    lines = {line.get_label(): line.get_ydata() for line in figure.axes[0].lines}
    np.testing.assert_allclose(lines["model, median"], lines["Schlafly et al. (2016), $R_V$ = 3.3"], rtol=1e-5)
    np.testing.assert_allclose(lines["model, median"], schlafly_slopes(bands, 3.3), rtol=1e-5)


class TestPassbands:
    @pytest.fixture(autouse=True)
    def _packages(self):
        pytest.importorskip("speclite")
        pytest.importorskip("dust_extinction")

    def test_extinction_in_gaia_g_is_not_linear_as_in_appendix_b(self):
        """At 1 mag it is 0.037 mag less than thin dust suggests at 6000 K, ±20 % from 4000 to 8000 K.

        The paper has another curve of the passband and another infrared part of the law: a quarter is allowed for.
        """
        temperature = np.array([4000.0, 6000.0, 8000.0])
        thin = passbands.band_extinction("gaia_g", temperature, 1e-3) / 1e-3
        missing = [1 - passbands.band_extinction("gaia_g", temperature, 1 / of)[star] for star, of in enumerate(thin)]
        assert missing[1] == pytest.approx(0.037, rel=0.25)
        np.testing.assert_allclose(missing, missing[1], rtol=0.2)

    def test_hotter_stars_are_dimmed_more_and_infrared_bands_do_not_care(self):
        temperature = np.linspace(4000, 8000, 9)
        gaia = passbands.relative_extinction("gaia_g", temperature, 6000.0)
        assert (np.diff(gaia) > 0).all()
        assert gaia[4] == pytest.approx(0, abs=1e-9)
        assert np.ptp(gaia) > 0.1
        assert np.ptp(passbands.relative_extinction("2mass_ks", temperature, 6000.0)) < 0.005

    def test_bands_without_a_curve_are_refused(self):
        with pytest.raises(UserError, match="law of Fitzpatrick"):
            passbands.band_extinction("wise_w2", np.array([5000.0]), 1.0)
        with pytest.raises(UserError, match="not known"):
            passbands.band_extinction("sdss_u", np.array([5000.0]), 1.0)

    def test_curves_are_drawn_where_the_packages_are(self, four_labels):
        figure = extinction_variation(*four_labels)
        assert sum(bool(axes.lines) for axes in figure.axes) == 4
