"""All surveys by name."""

from albireo.surveys.apogee import APOGEE
from albireo.surveys.base import Survey
from albireo.surveys.gaia import GAIA_DR2, GAIA_DR3
from albireo.surveys.galah import GALAH_DR2, GALAH_DR3
from albireo.surveys.lamost import LAMOST
from albireo.surveys.pan_starrs import PS1_MEAN, PS1_STACK
from albireo.surveys.two_mass import TWO_MASS
from albireo.surveys.wise import ALLWISE, CATWISE, UNWISE

SURVEYS: dict[str, Survey] = {
    survey.name: survey
    for survey in (
        GAIA_DR2,
        GAIA_DR3,
        PS1_MEAN,
        PS1_STACK,
        TWO_MASS,
        UNWISE,
        ALLWISE,
        CATWISE,
        LAMOST,
        APOGEE,
        GALAH_DR2,
        GALAH_DR3,
    )
}
