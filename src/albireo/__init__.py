"""albireo: what photometric stars are, how far away they are, and how much dust lies in front of them.

catalog = albireo.Catalog.read("stars.fits")
posterior = albireo.infer(catalog, prior="milky-way", sampler="nuts")
posterior.summary()
arviz.summary(posterior.to_arviz())
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from albireo.catalog import Catalog
    from albireo.errors import UserError
    from albireo.inference import infer
    from albireo.model import StellarModel, load_green2020, load_model, save_model
    from albireo.posterior import Posterior
    from albireo.priors import list_priors, load_prior
    from albireo.samplers import NUTS, Importance, Nested

# Names are imported when they are first used: `import albireo` and the command line's help then need not wait for JAX.
_HOME = {
    "Catalog": "catalog",
    "UserError": "errors",
    "infer": "inference",
    "StellarModel": "model",
    "load_green2020": "model",
    "load_model": "model",
    "save_model": "model",
    "Posterior": "posterior",
    "list_priors": "priors",
    "load_prior": "priors",
    "NUTS": "samplers",
    "Importance": "samplers",
    "Nested": "samplers",
}

__all__ = [
    "NUTS",
    "Catalog",
    "Importance",
    "Nested",
    "Posterior",
    "StellarModel",
    "UserError",
    "infer",
    "list_priors",
    "load_green2020",
    "load_model",
    "load_prior",
    "save_model",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'albireo' has no attribute {name!r}")
    value = getattr(import_module(f"albireo.{_HOME[name]}"), name)
    globals()[name] = value
    return value
