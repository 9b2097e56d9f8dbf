"""Saved models: one safetensors file, a JSON header and plain arrays. Nothing in it can execute code."""

import itertools
import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from albireo.errors import UserError
from albireo.model.domain import GridDomain, KernelDomain
from albireo.model.mixture import GaussianMixture
from albireo.model.network import Dense
from albireo.model.scatter import Scatter
from albireo.model.spread import Spread
from albireo.model.stellar import StellarModel

FORMAT_VERSION = 3
_BUNDLED = Path(__file__).parents[1] / "data"


def bundled_models() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(path.stem for path in _BUNDLED.glob("*.safetensors"))


def model_path(name: str | Path) -> Path:
    """Where a model is: the file of a bundled model by its name, or else the path itself."""
    return _BUNDLED / f"{name}.safetensors" if str(name) in bundled_models() else Path(name)


def save_model(model: StellarModel, path: str | Path) -> None:
    """Write a model to one file, whole or not at all."""
    path = Path(path)
    header = {
        "format": "albireo stellar model",
        "version": FORMAT_VERSION,
        "bands": model.bands,
        "labels": model.labels,
        "metadata": model.metadata,
    }
    partial = path.with_name(path.name + ".partial")
    save_file(_to_arrays(model), partial, metadata={"albireo": json.dumps(header)})
    partial.replace(path)


def load_model(path: str | Path) -> StellarModel:
    """Read a bundled model by name, or a file that `save_model` wrote.

    Raises:
        UserError: no such file, not a model of albireo, damaged, or written by a newer version.
    """
    path = model_path(path)
    if not path.is_file():
        known = ", ".join(bundled_models())
        raise UserError(f"there is no model file {path}; give the path of a model, or a bundled one: {known}.")
    try:
        with safe_open(path, framework="numpy") as file:
            header = json.loads((file.metadata() or {}).get("albireo", "null"))
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a dict
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise UserError(f"{path} is not a model file or is damaged ({error}); train or copy it again.") from None
    if not isinstance(header, dict) or header.get("format") != "albireo stellar model":
        raise UserError(f"{path} was not written by albireo; give the path of a model written by `albireo train`.")
    if header.get("version") not in range(1, FORMAT_VERSION + 1):
        raise UserError(
            f"{path} has model format {header.get('version')}, this albireo reads {FORMAT_VERSION}; "
            "update albireo or train the model again."
        )
    try:
        return _from_arrays(arrays, header)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is damaged ({error}); train or copy it again.") from None


_DOMAINS = (KernelDomain, GridDomain)


def _to_arrays(model: StellarModel) -> dict[str, np.ndarray]:
    """All arrays of a model by a name that says where they belong, such as `layers.0.kernel`."""
    parts = {f"layers.{i}": layer for i, layer in enumerate(model.layers)} | {"extinction": model.extinction}
    if model.density is not None:
        parts["density"] = model.density
    if model.scatter is not None:
        parts["scatter"] = model.scatter
    if model.spread is not None:
        parts |= {f"spread.{i}": layer for i, layer in enumerate(model.spread.layers)}
    if model.domain is not None:
        parts[type(model.domain).__name__] = model.domain
    arrays = {f"{part}.{field}": value for part, module in parts.items() for field, value in vars(module).items()}
    arrays |= {"label_median": model.label_median, "label_std": model.label_std}
    return {name: np.ascontiguousarray(value) for name, value in arrays.items()}


def _from_arrays(arrays: dict[str, np.ndarray], header: dict) -> StellarModel:
    """The model that `_to_arrays` and the header describe, in JAX's default precision."""
    for name, value in arrays.items():
        if not np.isfinite(value).all():
            raise ValueError(f"{name} holds values that are not finite")
    num_layers = sum(name.startswith("layers.") for name in arrays) // 2
    model = StellarModel(
        layers=_layers(arrays, "layers", num_layers),
        extinction=_module(Dense, arrays, "extinction"),
        label_median=jnp.asarray(arrays["label_median"], float),
        label_std=jnp.asarray(arrays["label_std"], float),
        bands=tuple(header["bands"]),
        labels=tuple(header["labels"]),
        density=_module(GaussianMixture, arrays, "density") if "density.mean" in arrays else None,
        domain=next((_module(kind, arrays, kind.__name__) for kind in _DOMAINS if _has(arrays, kind)), None),
        scatter=_module(Scatter, arrays, "scatter") if "scatter.own" in arrays else None,
        spread=Spread(_layers(arrays, "spread", num_layers)) if "spread.0.kernel" in arrays else None,
        metadata=header["metadata"],
    )
    _check_shapes(model)
    return model


def _layers(arrays, part, num):
    return tuple(_module(Dense, arrays, f"{part}.{i}") for i in range(num))


def _has(arrays, kind):
    return any(name.startswith(f"{kind.__name__}.") for name in arrays)


def _module(kind, arrays, part):
    """A module whose fields are all arrays."""
    return kind(**{name: jnp.asarray(arrays[f"{part}.{name}"], float) for name in kind.__dataclass_fields__})


def _check_shapes(model):
    num_labels, num_bands = len(model.labels), len(model.bands)
    sizes = [num_labels, *(layer.bias.size for layer in model.layers)]
    expected = [*itertools.pairwise(sizes), (num_labels, num_bands)]
    found = [layer.kernel.shape for layer in (*model.layers, model.extinction)]
    fits = found == expected and sizes[-1] == num_bands and model.extinction.bias.shape == (num_bands,)
    if not (fits and model.label_median.shape == model.label_std.shape == (num_labels,)):
        raise ValueError("its arrays do not fit its bands and labels")
    if not np.all(np.asarray(model.label_std) > 0):
        raise ValueError("its label_std is not positive")
    if len(set(model.bands)) < num_bands or len(set(model.labels)) < num_labels:
        raise ValueError("it names a band or a label twice")
    if model.scatter is not None and not (
        model.scatter.own.shape == (num_bands,) == model.scatter.shared.shape[:1] and model.scatter.shared.ndim == 2
    ):
        raise ValueError("its scatter does not fit its bands")
    if model.spread is not None:
        found = [(layer.kernel.shape, layer.bias.shape) for layer in model.spread.layers]
        members = found[0][0][:1]
        if members < (2,) or found != [((*members, *shape), (*members, shape[1])) for shape in expected[:-1]]:
            raise ValueError("its spread does not fit its layers")
    if model.density is not None:
        num = model.density.log_weight.size
        square = (num, num_labels, num_labels)
        found = (model.density.mean.shape, model.density.cholesky.shape, model.density.whitener.shape)
        if found != ((num, num_labels), square, square):
            raise ValueError("its density does not fit its labels")
    if model.domain is not None and model.domain.density(model.label_median).shape != (1 + num_bands,):
        raise ValueError("its domain does not fit its bands")
