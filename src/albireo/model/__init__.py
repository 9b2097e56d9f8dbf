"""The stellar model: photometry as a function of stellar labels, with the domain it was learned in."""

from albireo.model.domain import Domain, GridDomain, KernelDomain
from albireo.model.green2020 import load_green2020
from albireo.model.io import bundled_models, load_model, model_path, save_model
from albireo.model.mixture import GaussianMixture
from albireo.model.scatter import Scatter
from albireo.model.spread import Spread
from albireo.model.stellar import StellarModel

__all__ = [
    "Domain",
    "GaussianMixture",
    "GridDomain",
    "KernelDomain",
    "Scatter",
    "Spread",
    "StellarModel",
    "bundled_models",
    "load_green2020",
    "load_model",
    "model_path",
    "save_model",
]
