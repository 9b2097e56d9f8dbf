"""Figures of a prior show what the prior says."""

from types import SimpleNamespace
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from albireo import UserError, cli, figures
from albireo.figures import of_prior
from albireo.priors import Reddening
from albireo.priors.distance import grid
from readable import assert_readable

LOW = (30.0, -5.0)


@pytest.fixture(autouse=True)
def _few_draws(monkeypatch):
    monkeypatch.setattr(of_prior, "_NUM_DRAWS", 20_000)


class Dwarfs(eqx.Module):
    """A prior of one's own: dwarfs about 1 kpc away, the poorer in metals the farther."""

    width: float = 0.5

    def log_prob(self, theta, mu, reddening, sky):
        raise NotImplementedError

    def sample(self, key, sky, num_samples):
        keys = jax.random.split(key, 2)
        mu = 10 + self.width * jax.random.normal(keys[0], (num_samples,))
        mean = jnp.stack([jnp.full_like(mu, 5500.0), jnp.full_like(mu, 4.4), -0.2 * (mu - 10)], axis=-1)
        theta = mean + jnp.array([300.0, 0.1, 0.2]) * jax.random.normal(keys[1], (num_samples, 3))
        return theta, mu, jnp.zeros(num_samples)

    def reddening_given_distance(self, mu, sky):
        return Reddening.exponential(0.1 + 0 * mu)

    def dust_is_reliable(self, mu, position):
        return mu < 10.5


class Tables(NamedTuple):
    """What a sightline has to hold."""

    log_number: jax.Array


class Many(Dwarfs):
    """The same as a sum of 15 components."""

    distance = SimpleNamespace(names=tuple(f"thin-disc-{i}-gyr" for i in range(15)))

    def sightline(self, position):
        centers = 10 + 0.2 * jnp.arange(15)
        density = jnp.exp(-0.5 * ((grid()[:, None] - centers) / self.width) ** 2)
        return Tables(jnp.log(density / density.sum() / 0.1 + 1e-30))


def line(figure, label: str):
    """The curve of this label, or the first whose label begins with it."""
    found = [drawn for drawn in figure.axes[0].lines if str(drawn.get_label()).startswith(label)]
    return np.asarray(found[0].get_xdata(), float), np.asarray(found[0].get_ydata(), float)


def legend(figure) -> list[str]:
    return [text.get_text() for drawn in figure.legends for text in drawn.get_texts()]


def test_density_shows_every_component_with_its_share(milky_way):
    figure = figures.prior_density(milky_way, *LOW)
    names = [f"{name.replace('-', ' ')}, " for name in milky_way.distance.names]
    assert names[0] == "thin disc, "
    kpc, total = line(figure, "all")
    mu = 5 * np.log10(kpc) + 10
    assert np.trapezoid(total, mu) == pytest.approx(1, abs=0.01)
    parts = [line(figure, name) for name in names]
    np.testing.assert_allclose(sum(density for _, density in parts), total, rtol=1e-5)
    for (_, density), text in zip(parts, legend(figure)[1:], strict=True):
        share, told = 100 * np.trapezoid(density, mu), text.split(", ")[1].removesuffix(" %")
        assert share < 0.1 if told == "< 0.1" else share == pytest.approx(float(told), rel=0.05)
    low, high = figure.axes[0].get_xlim()
    inside = (kpc > low) & (kpc < high)
    assert np.trapezoid(total[inside], mu[inside]) > 0.99


def test_density_of_another_prior_is_that_of_its_draws():
    figure = figures.prior_density(Dwarfs(), *LOW)
    drawn = figure.axes[0].lines[0]
    kpc, density = np.asarray(drawn.get_xdata()), np.asarray(drawn.get_ydata())
    peak = 1 / (0.5 * np.sqrt(2 * np.pi))
    assert np.interp(1.0, kpc, density) == pytest.approx(peak, rel=0.1)
    assert legend(figure) == []


def test_kiel_diagram_has_the_density_of_the_draws():
    axes = figures.prior_kiel(Dwarfs(), *LOW).axes[0]
    assert axes.xaxis_inverted()
    assert axes.yaxis_inverted()
    density = np.ma.filled(axes.collections[0].get_array(), 0)
    peak = 1 / (2 * np.pi * 300 * 0.1)
    assert np.mean(density[37:43, 37:43]) == pytest.approx(peak, rel=0.15)
    cell = np.ptp(axes.get_xlim()) * np.ptp(axes.get_ylim()) / density.size
    assert np.nansum(density) * cell == pytest.approx(1, abs=0.1)


def test_metallicity_is_that_of_the_draws_at_each_distance():
    figure = figures.prior_metallicity(Dwarfs(), *LOW)
    kpc, median = line(figure, "median")
    known = np.isfinite(median)
    assert known.sum() > 20
    np.testing.assert_allclose(median[known], -np.log10(kpc[known]), atol=0.08)


@pytest.mark.parametrize(("glat", "says"), [(-30.0, "height below the Sun [kpc]"), (0.0, None)])
def test_heights_are_those_of_the_latitude(glat, says):
    above = figures.prior_metallicity(Dwarfs(), 10, glat).axes[0].child_axes
    assert [axes.get_xlabel() for axes in above] == ([says] if says else [])
    if above:
        assert above[0]._functions[0](2.0) == pytest.approx(1.0)


def test_reddening_has_the_quantiles_of_the_prior():
    figure = figures.prior_reddening(Dwarfs(), *LOW)
    _, median = line(figure, "median")
    np.testing.assert_allclose(median, 0.1 * np.log(2), rtol=0.01)
    band = next(drawn for drawn in figure.axes[0].collections if drawn.get_label() == "95 %")
    reddening = band.get_paths()[0].vertices[:, 1]
    assert (reddening.min(), reddening.max()) == pytest.approx((-0.1 * np.log(0.975), -0.1 * np.log(0.025)), rel=0.02)


def test_where_no_dust_was_measured_is_said(milky_way):
    figure = figures.prior_reddening(Dwarfs(), *LOW)
    shaded = next(drawn for drawn in figure.axes[0].collections if drawn.get_label() == "dust not measured")
    assert shaded.get_paths()[0].vertices[:, 0].min() == pytest.approx(10**0.1, rel=0.05)
    assert "dust not measured" not in legend(figures.prior_reddening(milky_way, *LOW))


@pytest.mark.parametrize("prior", [Dwarfs(2.5), Many()], ids=["five decades of distance", "15 components"])
def test_all_that_is_written_can_be_read(prior):
    figure = figures.prior_density(prior, *LOW)
    assert_readable(figure)
    styles = {(drawn.get_color(), drawn.get_linestyle()) for drawn in figure.axes[0].lines}
    assert len(styles) == len(figure.axes[0].lines) == max(1, len(legend(figure)))
    assert "gyr" not in " ".join(legend(figure))


def test_the_other_figures_can_be_read():
    for draw in (figures.prior_kiel, figures.prior_metallicity, figures.prior_reddening):
        assert_readable(draw(Dwarfs(2.5), *LOW))


def test_what_cannot_be_drawn_is_refused_or_left_out():
    with pytest.raises(UserError, match="no label logg"):
        figures.prior_kiel(Dwarfs(), *LOW, labels=("teff", "gravity", "feh"))
    with pytest.raises(UserError, match="no label feh"):
        figures.prior_metallicity(Dwarfs(), *LOW, labels=("teff", "logg", "m_h"))
    drawn = of_prior.draw_all(Dwarfs(), *LOW, labels=("mass", "age", "z"))
    assert list(drawn) == ["density", "reddening"]
    for draw in (figures.prior_density, figures.prior_reddening, figures.prior_kiel, figures.prior_metallicity):
        with pytest.raises(UserError, match="latitude must be between -90 and 90 deg; got 91"):
            draw(Dwarfs(), 0, 91)


def test_the_command_writes_four_figures(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("albireo.priors.load_prior", lambda name, model: Dwarfs())
    arguments = ["priors", "show", "milky-way", "--glon", "30", "--glat", "-5", "-o"]
    shown = tmp_path / "shown"
    assert cli.run([*arguments, str(shown)]) == 0
    written = ["density.png", "kiel.png", "metallicity.png", "reddening.png"]
    assert sorted(path.name for path in shown.iterdir()) == written
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in shown.iterdir())
    told = capsys.readouterr().out
    assert f"{shown}: {', '.join(written)}" in told
    assert "next: albireo mock milky-way --glon 30 --glat -5" in told
    assert cli.run([*arguments, str(shown)]) == 2
    assert "is not empty" in capsys.readouterr().err


BAD = {
    "a latitude beyond the pole": (["milky-way", "--glon", "0", "--glat", "90.5"], "latitude must be between"),
    "a longitude that is none": (["milky-way", "--glon", "nan", "--glat", "0"], "longitude must be a number"),
    "an unknown prior": (["bulge", "--glon", "0", "--glat", "0"], "there is no prior 'bulge'"),
    "a missing file": (["none.toml", "--glon", "0", "--glat", "0"], "there is no prior file"),
    "no direction": (["milky-way"], "--glon"),
    "no name": ([], "NAME"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_option_is_refused(tmp_path, capsys, case):
    arguments, message = BAD[case]
    assert cli.run(["priors", "show", *arguments, "-o", str(tmp_path / "shown")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "shown").exists()
