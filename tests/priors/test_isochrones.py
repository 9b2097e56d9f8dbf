"""The bundled table of populations against the isochrones that it was made from."""

from itertools import pairwise

import numpy as np
import pytest
from astropy.table import Table

from albireo.priors.initial_mass import INITIAL_MASS, chabrier, kroupa, relative_number
from albireo.priors.isochrones import AGE_EDGES, FEH, LOGG, load_populations, tabulate


@pytest.fixture(scope="module")
def isochrones(data_folder):
    return Table.read(data_folder / "parsec_isochrones.fits.gz")


def test_the_bundled_table_is_that_of_the_isochrones(isochrones):
    bundled, made = load_populations(), tabulate(isochrones)
    np.testing.assert_allclose(bundled.number, made.number, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(bundled.mass, made.mass, rtol=1e-3)


def test_giants_are_as_many_as_the_isochrones_have(isochrones):
    """Stars of logg < 3.5 among all, 5 to 7 Gyr old, against the isochrone of 5.2 Gyr (log age 9.72)."""
    table = load_populations().number[AGE_EDGES.index(5.0)]
    for metallicity in (-0.7, -0.2, 0.05):
        one = isochrones[np.isclose(isochrones["MH"], metallicity) & np.isclose(isochrones["LOGAGE"], 9.72)]
        one.sort("MINI")
        number, giant = np.diff(one["INT_IMF"]), np.asarray(one["LOGG"])[1:] < 3.5
        expected = number[giant & (np.asarray(one["LABEL"])[1:] < 9)].sum() / number.sum()
        at = table[np.abs(FEH.nodes - metallicity).argmin()]
        assert at[:, LOGG.nodes < 3.5].sum() / at.sum() == pytest.approx(expected, rel=0.15)


@pytest.mark.parametrize("metallicity", [-0.7, -0.2, 0.05])
@pytest.mark.parametrize("low", [3.0, 5.0, 7.0], ids="from {} Gyr".format)
def test_every_kind_of_star_is_as_frequent_as_in_the_isochrones(isochrones, low, metallicity):
    """Main sequence, turn-off and subgiants, red giants and clump, against all isochrones of the bin's ages."""
    i = AGE_EDGES.index(low)
    table = load_populations().number[i][np.abs(FEH.nodes - metallicity).argmin()]
    of_table = table.sum(axis=0) / table.sum()
    gyr = 10 ** (np.asarray(isochrones["LOGAGE"]) - 9)
    chosen = np.isclose(isochrones["MH"], metallicity) & (gyr > 0.93 * low) & (gyr < 1.07 * AGE_EDGES[i + 1])
    number, logg = [], []
    for age in np.unique(gyr[chosen]):
        one = isochrones[chosen & (gyr == age)]
        one.sort("MINI")
        living = np.asarray(one["LABEL"])[1:] < 9
        number.append(np.diff(one["INT_IMF"])[living])
        logg.append(np.asarray(one["LOGG"])[1:][living])
    number, logg = np.concatenate(number), np.concatenate(logg)
    for faint, bright in ((5.5, 4.3), (4.3, 3.6), (3.6, 2.7), (2.7, 2.1), (2.1, 0.5)):
        expected = number[(logg < faint) & (logg >= bright)].sum() / number.sum()
        inside = (LOGG.nodes < faint) & (LOGG.nodes >= bright)
        assert of_table[inside].sum() == pytest.approx(expected, rel=0.2), (faint, bright)


def test_the_isochrones_are_weighted_by_the_initial_mass_function_of_kroupa(isochrones):
    one = isochrones[np.isclose(isochrones["MH"], 0.05) & np.isclose(isochrones["LOGAGE"], 9.72)]
    one.sort("MINI")
    number = np.interp([0.12, 0.3, 0.5, 0.7, 1.0], np.asarray(one["MINI"]), np.asarray(one["INT_IMF"]))
    edges = [np.linspace(low, high, 1001) for low, high in pairwise([0.12, 0.3, 0.5, 0.7, 1.0])]
    expected = [np.trapezoid(kroupa(mass), mass) for mass in edges]
    np.testing.assert_allclose(np.diff(number) / np.diff(number).sum(), expected / np.sum(expected), rtol=0.01)


def test_initial_mass_function_of_chabrier():
    """PASP 115, 763, Table 1: 0.158 exp(...) and 0.0443 m^-1.3 per log10 m, which meet at one solar mass to 0.5 %."""
    mass = np.array([0.079, 0.3, 1.0, 4.0])
    expected = [0.158, 0.158 * np.exp(-(np.log10(0.3 / 0.079) ** 2) / (2 * 0.69**2)), 0.0443, 0.0443 * 4**-1.3]
    np.testing.assert_allclose(0.0443 * mass * chabrier(mass), expected, rtol=6e-3)


@pytest.mark.parametrize("name", INITIAL_MASS)
def test_living_stars_have_the_masses_of_their_initial_mass_function(isochrones, name):
    """Of those 5 to 7 Gyr old: from the least mass of the isochrones to the greatest of that of 5.2 Gyr."""
    populations = load_populations()
    i, k = AGE_EDGES.index(5.0), np.abs(FEH.nodes + 0.2).argmin()
    mass = populations.mass[i, k]
    number = populations.number[i, k] * relative_number(mass, name)
    one = isochrones[np.isclose(isochrones["MH"], -0.2) & np.isclose(isochrones["LOGAGE"], 9.72)]
    alive = np.asarray(one["MINI"])[np.asarray(one["LABEL"]) < 9]
    born = np.linspace(alive.min(), alive.max(), 10_001)
    expected = INITIAL_MASS[name](born)
    for power in (-1, 1):
        of_table = np.sum(number[number > 0] * mass[number > 0] ** power) / number.sum()
        assert of_table == pytest.approx(np.sum(expected * born**power) / expected.sum(), rel=0.03)
    heavy = number[mass > 0.6].sum() / number.sum()
    assert heavy == pytest.approx(expected[born > 0.6].sum() / expected.sum(), rel=0.06)
