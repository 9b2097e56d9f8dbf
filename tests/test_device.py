"""Stars side by side give what stars one after the other give."""

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
