"""Stars side by side give what stars one after the other give."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from albireo import Importance, device, infer
from stars import simulate


@pytest.mark.parametrize("at_once", [1, 2, 3, 8])
def test_all_stars_are_computed_whatever_the_number_at_once(monkeypatch, at_once):
    monkeypatch.setattr(device, "stars_at_once", lambda: at_once)
    first, second = jnp.arange(5.0), jnp.arange(10.0).reshape(5, 2)
    result = device.over_stars(lambda args: {"sum": args[0] + args[1].sum()}, (first, second))
    np.testing.assert_array_equal(result["sum"], first + second.sum(axis=1))


@pytest.mark.parametrize("double", [False, True])
def test_numbers_are_as_precise_as_they_are_asked_to_be(double):
    """An accelerator multiplies matrices with ten bits unless it is told."""
    with device.arithmetic(double):
        product = jax.make_jaxpr(lambda a: a @ a)(jnp.ones((2, 2)))
    assert "HIGHEST" in str(product)
    assert product.out_avals[0].dtype == (np.float64 if double else np.float32)


@pytest.mark.parametrize("options", [{}, {"xla_cpu_multi_thread_eigen": False, "xla_no_such_option": 1}])
def test_options_that_xla_does_not_know_are_left_out(monkeypatch, options):
    monkeypatch.setattr(device, "_OPTIONS", options)
    device._known_options.cache_clear()
    assert "xla_no_such_option" not in device._known_options()
    assert len(device._known_options()) == min(len(options), 1)
    cubed = device.jit_over_stars(lambda stars, power: stars**power)
    np.testing.assert_array_equal(cubed(jnp.arange(4.0), 3), [0, 1, 8, 27])
    device._known_options.cache_clear()


def test_every_core_of_the_process_has_a_batch(monkeypatch):
    monkeypatch.setattr(device.os, "sched_getaffinity", lambda _: {3, 5, 6}, raising=False)
    assert device.batches_in_flight() == 3


@pytest.mark.parametrize("most", [1, 2, 7, 64])
def test_batches_are_of_few_sizes_and_hold_all_stars_on_a_processor(monkeypatch, most):
    """Large ones for all cores as long as there are enough, and at most one star filled up."""
    monkeypatch.setattr(device, "batches_in_flight", lambda: 3)
    for num in (1, 2, 5, 64, 191, 192, 1000):
        sizes = device.batch_sizes(num, most)
        assert set(sizes) <= {most, 16, 2, 1}
        assert max(sizes) <= most
        assert num <= sum(sizes) <= num + 1
        assert sizes.count(most) >= num // (most * 3) * 3
        assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("num", [1, 4, 63, 64, 65, 300, 5000])
def test_batches_are_of_one_size_on_an_accelerator(monkeypatch, num):
    monkeypatch.setattr(device, "stars_at_once", lambda: 1024)
    monkeypatch.setattr(device, "batches_in_flight", lambda: 2)
    sizes = device.batch_sizes(num, 1024)
    assert len(set(sizes)) == 1
    assert sizes[0] <= 1024
    assert sum(sizes) - sizes[0] < num <= sum(sizes)


@pytest.mark.parametrize("num", [1, 4, 5, 255, 300])
def test_few_sizes_are_compiled_and_no_star_is_lost(num):
    sizes = []

    def function(stars, weight):
        sizes.append(len(weight))
        return {"sum": stars["mag"].sum(axis=1) * weight}

    stars, weight = {"mag": np.arange(3.0 * num).reshape(num, 3)}, np.arange(num)
    result = device.in_few_sizes(function, stars, weight)
    np.testing.assert_array_equal(result["sum"], stars["mag"].sum(axis=1) * weight)
    assert sorted(sizes) == {1: [4], 4: [4], 5: [16], 255: [256], 300: [64, 256]}[num]


class FakeGPU:
    platform = "gpu"

    def __init__(self, memory):
        self.memory = memory

    def memory_stats(self):
        return self.memory


@pytest.mark.parametrize(
    ("memory", "expected"),
    [({"bytes_limit": 1 << 30}, 64), ({"bytes_limit": 60 << 30}, 2048), ({"bytes_limit": 1 << 50}, 16384), (None, 512)],
    ids=("small", "large", "huge", "unknown"),
)
def test_an_accelerator_is_given_as_many_stars_as_fit(monkeypatch, memory, expected):
    monkeypatch.setattr(device.jax, "devices", lambda: [FakeGPU(memory)])
    assert device.stars_at_once() == device.stars_in_a_batch() == expected


def test_a_processor_is_given_one_star_at_a_time():
    assert device.stars_at_once() == 1
    assert device.stars_in_a_batch() == 64


@pytest.mark.slow
def test_posteriors_do_not_depend_on_the_number_at_once(monkeypatch, model, milky_way):
    catalog = simulate(model)
    one_by_one = infer(catalog, model=model, prior=milky_way, sampler=Importance(escalate=False), seed=1).summary()
    monkeypatch.setattr(device, "stars_at_once", lambda: 3)
    # Another shape of the batch, so that compiled code of the first run is not taken.
    sampler = Importance(escalate=False, batch_size=3)
    together = infer(catalog, model=model, prior=milky_way, sampler=sampler, seed=1).summary()
    for name in ("teff", "logg", "feh", "distance_modulus", "reddening"):
        mean, std = (np.asarray(one_by_one[f"{name}_{what}"], float) for what in ("mean", "std"))
        np.testing.assert_allclose(np.asarray(together[f"{name}_mean"], float), mean, atol=0.05 * std.min())
