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
