"""The bundled table of populations against the isochrones that it was made from."""

import numpy as np
import pytest
from astropy.table import Table

from albireo.priors.isochrones import AGE_EDGES, FEH, LOGG, load_populations, tabulate


@pytest.fixture(scope="module")
def isochrones(data_folder):
    return Table.read(data_folder / "parsec_isochrones.fits.gz")


def test_the_bundled_table_is_that_of_the_isochrones(isochrones):
    np.testing.assert_allclose(load_populations(), tabulate(isochrones), rtol=1e-5, atol=1e-9)


def test_giants_are_as_many_as_the_isochrones_have(isochrones):
    """Stars of logg < 3.5 among all, 5 to 7 Gyr old, against the isochrone of 5.2 Gyr (log age 9.72)."""
    table = load_populations()[AGE_EDGES.index(5.0)]
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
    table = load_populations()[i][np.abs(FEH.nodes - metallicity).argmin()]
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
