"""The published network of Green et al. (2021), read from its own files; they are never bundled.

The files are in the public repository gregreen/green2020-stellar-model, DOI 10.5281/zenodo.3902382 (MIT).
"""

import json
from pathlib import Path

import h5py
import jax.numpy as jnp
import numpy as np

from albireo.bands import DEFAULT_BANDS
from albireo.errors import UserError
from albireo.model.domain import GridDomain
from albireo.model.network import Dense
from albireo.model.stellar import StellarModel

NETWORK_FILE = "green2020_nn_model.h5"
NORMALISATION_FILE = "green2020_theta_normalization.json"
DENSITY_FILE = "green2020_input_density.h5"

LABELS = ("teff", "logg", "feh")

# The density file's own names of its columns, in the order of `DEFAULT_BANDS` without G.
_DENSITY_NAMES = ("BP", "RP", "g", "r", "i", "z", "y", "J", "H", "K_s", "W_1", "W_2")


def load_green2020(folder: str | Path) -> StellarModel:
    """Read the published network, with its domain where the density file is there too.

    Args:
        folder: where `green2020_nn_model.h5` and `green2020_theta_normalization.json` are.

    Raises:
        UserError: a file is missing, damaged or holds something else.
    """
    folder = Path(folder)
    network, normalisation = _existing(folder, NETWORK_FILE), _existing(folder, NORMALISATION_FILE)
    median, std = _read(normalisation, _read_normalisation)
    *layers, extinction = _read(network, _read_layers)
    density = folder / DENSITY_FILE
    return StellarModel(
        layers=tuple(layers),
        extinction=extinction,
        label_median=median,
        label_std=std,
        bands=DEFAULT_BANDS,
        labels=LABELS,
        domain=_read(density, _read_domain) if density.is_file() else None,
        metadata={"name": "green2020", "source": "Green et al. 2021, ApJ 907, 57; DOI 10.5281/zenodo.3902382"},
    )


def _existing(folder, name):
    if not (folder / name).is_file():
        raise UserError(
            f"the folder {folder} has no {name}; download the published files (doi:10.5281/zenodo.3902382) into it."
        )
    return folder / name


def _read(path, reader):
    try:
        return reader(path)
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is not the published file or is damaged ({error}); download it again.") from None


def _read_normalisation(path):
    values = json.loads(path.read_text())
    median, std = np.array(values["theta_med"], float), np.array(values["theta_std"], float)
    if median.shape != (len(LABELS),) or std.shape != (len(LABELS),) or not np.all(std > 0):
        raise ValueError("it should hold three medians and three positive widths")
    return jnp.asarray(median), jnp.asarray(std)


def _read_layers(path):
    sizes = {"stellar_model_hidden_1": (3, 32), "stellar_model_hidden_2": (32, 32), "BM": (32, 13), "R": (3, 13)}
    with h5py.File(path, "r") as file:
        return [_read_dense(file["model_weights"][name][name], shape) for name, shape in sizes.items()]


def _read_dense(group, shape):
    kernel, bias = np.asarray(group["kernel:0"], float), np.asarray(group["bias:0"], float)
    if kernel.shape != shape or bias.shape != shape[1:] or not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
        raise ValueError(f"{group.name} should hold finite weights of shape {shape}")
    return Dense(jnp.asarray(kernel), jnp.asarray(bias))


def _read_domain(path):
    with h5py.File(path, "r") as file:
        grid = file["rho_stars"]
        names = [name.decode() if isinstance(name, bytes) else name for name in np.asarray(grid.attrs["bands"])]
        axes = [np.asarray(grid.attrs[label], float) for label in LABELS]
        parallax, *bands = (np.asarray(grid[names.index(name)], float) for name in ("parallax", *_DENSITY_NAMES))
    # G is not in the file because every training star has it: its density is at least that of any other band.
    gaia_g = np.max([parallax, *bands], axis=0)
    lower, step = np.array([axis[0] for axis in axes]), np.array([axis[1] - axis[0] for axis in axes])
    if gaia_g.shape != tuple(map(len, axes)) or not all(np.allclose(np.diff(a), a[1] - a[0]) for a in axes):
        raise ValueError("its axes do not fit its grid")
    return GridDomain(jnp.asarray(lower), jnp.asarray(step), jnp.asarray(np.stack([parallax, gaia_g, *bands])))
