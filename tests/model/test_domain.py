import jax
import jax.numpy as jnp
import numpy as np
import pytest

from albireo.model import GridDomain, KernelDomain

BANDWIDTH = np.array([50.0, 0.05, 0.05])


@pytest.fixture(scope="module")
def stars():
    rng = np.random.default_rng(0)
    theta = rng.normal([5500, 4.2, -0.2], [300, 0.3, 0.2], (3000, 3))
    return theta, rng.random((3000, 3)) < [0.9, 1.0, 0.5]


def direct_density(theta, observed, at):
    z = (at[:, None] - theta) / BANDWIDTH
    return np.exp(-0.5 * np.sum(z**2, axis=-1)) @ observed


def test_kernel_density_equals_direct_sum_with_peak_one(stars):
    theta, observed = stars
    domain = KernelDomain.fit(theta, observed, BANDWIDTH)
    raw, at_stars = direct_density(theta, observed, theta[:200]), direct_density(theta, observed, theta)
    np.testing.assert_allclose(
        domain.density(jnp.asarray(theta[:200])), raw / at_stars.max(axis=0), rtol=0.1, atol=0.01
    )


def test_few_cells_keep_density_of_many_stars():
    rng = np.random.default_rng(1)
    theta = rng.normal([5500, 4.2, -0.2], [150, 0.15, 0.15], (30_000, 3))
    observed = np.ones((30_000, 2), bool)
    at = jnp.asarray(theta[:300])
    fine, coarse = (KernelDomain.fit(theta, observed, BANDWIDTH, max_cells=n) for n in (30_000, 1500))
    assert len(coarse.center) <= 1500
    np.testing.assert_allclose(coarse.density(at), fine.density(at), rtol=0.15, atol=0.03)


@pytest.mark.parametrize("kind", ["kernel", "grid"])
def test_domain_is_differentiable_batched_and_selects_bands(stars, kind):
    values = jnp.asarray(np.random.default_rng(0).random((3, 4, 4, 4)))
    grid = GridDomain(jnp.array([4000.0, 3, -1]), jnp.array([800.0, 0.6, 0.6]), values)
    domain = KernelDomain.fit(*stars, BANDWIDTH) if kind == "kernel" else grid
    theta = jnp.array([[5500, 4.2, -0.2], [5300, 4.0, -0.1]])
    density = domain.density(theta)
    assert density.shape == (2, 3)
    np.testing.assert_allclose(domain.density(theta[1]), density[1], rtol=1e-5)
    np.testing.assert_allclose(domain.select_bands(jnp.array([1])).density(theta), density[:, [0, 2]], rtol=1e-5)
    assert np.isfinite(jax.jacfwd(domain.density)(theta[0])).all()


def test_grid_interpolates_a_linear_function_exactly():
    nodes = np.meshgrid(*[np.arange(4.0)] * 3, indexing="ij")
    grid = GridDomain(jnp.zeros(3), jnp.ones(3), jnp.asarray((nodes[0] + 2 * nodes[1] - nodes[2])[None]))
    assert grid.density(jnp.array([0.5, 1.25, 2.75]))[0] == pytest.approx(0.5 + 2.5 - 2.75)
    assert grid.density(jnp.array([0.5, 1.25, 3.01]))[0] == 0
