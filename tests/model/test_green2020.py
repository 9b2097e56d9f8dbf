import json
import shutil

import h5py
import jax.numpy as jnp
import numpy as np
import pytest

from albireo.errors import UserError
from albireo.model import load_green2020
from albireo.model.network import to_colors

FILES = ("green2020_nn_model.h5", "green2020_theta_normalization.json", "green2020_input_density.h5")


@pytest.fixture(scope="module")
def folder(data_folder):
    return data_folder / "green2020_published"


@pytest.fixture(scope="module")
def published(folder):
    return load_green2020(folder)


# B(M + E R) that the published TensorFlow network itself gives, G first, then colours to G.
CHECKS = [
    (
        (5780, 4.44, 0.0),
        1.0,
        "7.270337 1.107544 -1.191765 1.510071 0.051758 -0.771210 -1.262896 -1.578752 -2.912618 -3.578178 -3.825740 "
        "-1.311925 -0.657825",
    ),
    (
        (4800, 2.5, -0.3),
        0.0,
        "0.488241 0.495701 -0.658271 0.542071 -0.099550 -0.325972 -0.433341 -0.485546 -1.487214 -2.003530 -2.099586 "
        "0.552985 1.295932",
    ),
]


@pytest.mark.parametrize(("theta", "reddening", "expected"), CHECKS)
def test_published_network_gives_its_published_values(published, theta, reddening, expected):
    mag = published.magnitudes(jnp.array(theta), 0.0, reddening)
    np.testing.assert_allclose(to_colors(mag), np.array(expected.split(), float), atol=1e-5)


def test_published_network_equals_keras_weights_evaluated_in_numpy(published, folder):
    rng = np.random.default_rng(1)
    theta = rng.uniform([4000, 0.5, -2], [7500, 5, 0.4], (200, 3))
    reddening = rng.uniform(0, 2, 200)
    norm = json.loads((folder / FILES[1]).read_text())
    with h5py.File(folder / FILES[0]) as file:
        weights = file["model_weights"]

        def dense(name, x):
            return x @ weights[name][name]["kernel:0"][:].astype(float) + weights[name][name]["bias:0"][:]

        to_color = weights["BA"]["BA"]["kernel:0"][:].astype(float)
        x = (theta - norm["theta_med"]) / norm["theta_std"]
        hidden = 1 / (1 + np.exp(-dense("stellar_model_hidden_1", x)))
        hidden = 1 / (1 + np.exp(-dense("stellar_model_hidden_2", hidden)))
        expected = dense("BM", hidden) + (reddening[:, None] * np.exp(dense("R", x))) @ to_color
    found = to_colors(published.magnitudes(jnp.asarray(theta), jnp.zeros(200), jnp.asarray(reddening)))
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_published_domain_equals_its_nodes_and_is_zero_outside(published, folder):
    with h5py.File(folder / FILES[2]) as file:
        grid = file["rho_stars"]
        node = np.array([grid.attrs[name][i] for name, i in (("teff", 22), ("logg", 35), ("feh", 34))])
        names = list(grid.attrs["bands"])
        expected = grid[:, 22, 35, 34]
    density = np.asarray(published.domain.density(jnp.asarray(node)))
    assert density[0] == pytest.approx(expected[names.index("parallax")], rel=1e-3)
    assert density[1 + published.bands.index("2mass_ks")] == pytest.approx(expected[names.index("K_s")], rel=1e-3)
    assert density[1 + published.bands.index("gaia_g")] == pytest.approx(expected.max(), rel=1e-3)
    assert not np.any(published.domain.density(jnp.array([2000.0, 4.0, 0.0])))


def test_network_without_density_file_has_no_domain(folder, tmp_path):
    for name in FILES[:2]:
        shutil.copy(folder / name, tmp_path)
    assert load_green2020(tmp_path).domain is None


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["truncated", "foreign"])
def test_damaged_published_file_is_named(folder, tmp_path, name, damage):
    for other in FILES:
        shutil.copyfile(folder / other, tmp_path / other)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2] if damage == "truncated" else b"something else")
    with pytest.raises(UserError, match=name):
        load_green2020(tmp_path)


def test_missing_published_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"green2020_nn_model\.h5"):
        load_green2020(tmp_path)
