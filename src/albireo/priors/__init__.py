"""Priors p(θ, μ, E | sky): a protocol, parts to compose one from, and a library of TOML files."""

from albireo.priors.base import Prior, sightline
from albireo.priors.galactic import GalacticPrior
from albireo.priors.load import list_priors, load_prior
from albireo.priors.reddening import Reddening

__all__ = ["GalacticPrior", "Prior", "Reddening", "list_priors", "load_prior", "sightline"]
