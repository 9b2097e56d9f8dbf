import json
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from albireo.errors import UserError
from albireo.model import (
    GaussianMixture,
    GridDomain,
    KernelDomain,
    Scatter,
    Spread,
    StellarModel,
    load_model,
    save_model,
)

GRID = GridDomain(jnp.zeros(2), jnp.ones(2), jnp.asarray(np.random.default_rng(0).random((4, 3, 3))))
KERNELS = KernelDomain(jnp.ones((5, 2)), jnp.ones((5, 4)), jnp.ones(2), jnp.full(4, 5.0))
SCATTER = Scatter(jnp.full(3, 0.01), jnp.full((3, 2), 0.02))
MIXTURE = GaussianMixture.from_moments(np.log([0.4, 0.6]), np.ones((2, 2)), np.stack([np.eye(2)] * 2))


def make_model(density=None, domain=None, scatter=None, spread=None):
    model = StellarModel.initialise(
        jax.random.key(0),
        bands=("a", "b", "c"),
        labels=("teff", "logg"),
        label_median=np.array([5000.0, 4.0]),
        label_std=np.array([500.0, 0.5]),
        hidden=(5, 4),
    )
    fields = {name: getattr(model, name) for name in ("layers", "extinction", "label_median", "label_std")}
    metadata = {"seed": 3, "held_out": {"chi2": 0.9}, "note": ["ä", None]}
    return StellarModel(
        **fields,
        bands=model.bands,
        labels=model.labels,
        density=density,
        domain=domain,
        scatter=scatter,
        spread=spread,
        metadata=metadata,
    )


@pytest.mark.parametrize("density", [None, MIXTURE])
@pytest.mark.parametrize("domain", [None, GRID, KERNELS])
@pytest.mark.parametrize(("scatter", "members"), [(None, 0), (SCATTER, 0), (SCATTER, 3)])
def test_model_survives_a_round_trip(tmp_path, density, domain, scatter, members):
    layers = jax.tree.map(lambda a: jnp.stack([a] * members), make_model().layers) if members else None
    model = make_model(density, domain, scatter, layers and Spread(layers))
    save_model(model, tmp_path / "model.safetensors")
    again = load_model(tmp_path / "model.safetensors")
    assert jax.tree.structure(again) == jax.tree.structure(model)
    jax.tree.map(np.testing.assert_array_equal, again, model)
    assert again.metadata == model.metadata
    assert not list(tmp_path.glob("*.partial"))


def change_header(path, **changes):
    header = {"format": "albireo stellar model", "version": 2, "bands": ["a", "b", "c"], "labels": ["teff", "logg"]}
    save_file(load_file(path), path, metadata={"albireo": json.dumps(header | {"metadata": None} | changes)})


def change_array(path, name, value):
    save_file(load_file(path) | {name: value}, path, metadata=None)
    change_header(path)


DAMAGES = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:400]),
    "empty": lambda path: path.write_bytes(b""),
    "pickle": lambda path: path.write_bytes(pickle.dumps({"a": 1})),
    "foreign safetensors": lambda path: save_file({"x": np.ones(3)}, path),
    "future version": lambda path: change_header(path, version=99),
    "another label": lambda path: change_header(path, labels=["teff", "logg", "feh"]),
    "no bands": lambda path: change_header(path, bands=None),
    "NaN weights": lambda path: change_array(path, "layers.0.bias", np.full(5, np.nan)),
    "zero width of a label": lambda path: change_array(path, "label_std", np.zeros(2)),
    "a density of other labels": lambda path: change_array(path, "density.mean", np.ones((1, 3))),
    "a spread of one member": lambda path: change_array(path, "spread.0.kernel", np.ones((1, 2, 5))),
    "a band twice": lambda path: change_header(path, bands=["a", "a", "c"]),
    "wrong shape": lambda path: change_array(path, "layers.0.kernel", np.ones((2, 7))),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_or_foreign_file_gives_one_clear_error(tmp_path, damage):
    path = tmp_path / "model.safetensors"
    spread = Spread(jax.tree.map(lambda a: jnp.stack([a, a]), make_model().layers))
    save_model(make_model(MIXTURE, KERNELS, spread=spread), path)
    DAMAGES[damage](path)
    with pytest.raises(UserError, match=r"model\.safetensors"):
        load_model(path)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.safetensors"):
        load_model(tmp_path / "nowhere.safetensors")
