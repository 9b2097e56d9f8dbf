"""What is kept between sessions and between calls is what would be computed."""

from types import SimpleNamespace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save

from albireo import cache
from albireo.cache import keep_result, make_room_for_programs, remember_last
from albireo.model.mixture import GaussianMixture


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.setattr(cache, "cache_folder", lambda: tmp_path)
    return tmp_path / "results"


@pytest.fixture
def asked():
    return []


@pytest.fixture
def kept(asked):
    """A function whose results are kept, which notes what it is asked."""

    @keep_result(GaussianMixture(0.0, 0.0, 0.0, 0.0))
    def mixture(scale, limits, seed):
        asked.append(seed)
        numbers = scale * np.arange(1.0, 13.0, dtype=np.float32) + limits[0] + seed
        return GaussianMixture(*(jnp.asarray(numbers) / k for k in range(1, 5)))

    return mixture


def test_a_result_is_kept_for_the_same_numbers_of_the_same_code_alone(folder, asked, kept, monkeypatch):
    scale, other = jnp.ones(12), jnp.ones(12).at[3].set(2)
    first = kept(scale, (1.0, 2.0), 0)
    again = kept(jnp.ones(12), (1.0, 2.0), 0)
    assert jax.tree.structure(again) == jax.tree.structure(first)
    for one, two in zip(jax.tree.leaves(first), jax.tree.leaves(again), strict=True):
        assert one.dtype == two.dtype
        np.testing.assert_array_equal(one, two)
    assert asked == [0]
    whole = np.ones(12, np.int32).view(np.float32)  # of the same bytes as integers
    for arguments in [
        (other, (1.0, 2.0), 0),
        (scale, (1.5, 2.0), 0),
        (scale, (1.0, 2.0), 1),
        (scale, [1.0, 2.0], 0),
        (whole, (1.0, 2.0), 0),
        (whole.view(np.int32), (1.0, 2.0), 0),
    ]:
        kept(*arguments)
    assert len(asked) == 7
    with jax.default_prng_impl("rbg"):
        kept(scale, (1.0, 2.0), 0)
    monkeypatch.setattr(cache, "_CODE", "other code")
    kept(scale, (1.0, 2.0), 0)
    assert len(asked) == len(list(folder.iterdir())) == 9


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"",
        lambda whole: b"{}",
        lambda whole: whole[:-8],
        lambda whole: whole[:-40] + bytes([whole[-40] ^ 1]) + whole[-39:],
        lambda whole: whole[:-80] + bytes(80),
        lambda whole: save({str(i): np.ones(3, np.float32) for i in range(4)}),
    ],
    ids=["empty", "another format", "cut", "a flipped bit", "zeros", "other numbers"],
)
def test_a_damaged_result_is_made_anew(folder, asked, kept, damage):
    whole = kept(jnp.ones(12), (1.0, 2.0), 0)
    (path,) = folder.iterdir()
    path.write_bytes(damage(path.read_bytes()))
    again = kept(jnp.ones(12), (1.0, 2.0), 0)
    np.testing.assert_array_equal(again.mean, whole.mean)
    kept(jnp.ones(12), (1.0, 2.0), 0)
    assert asked == [0, 0]


def test_a_folder_that_cannot_be_written_to_is_done_without(asked, kept, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setattr(cache, "cache_folder", lambda: tmp_path / "file")
    kept(jnp.ones(12), (1.0, 2.0), 0)
    monkeypatch.setattr(cache, "cache_folder", lambda: None)
    kept(jnp.ones(12), (1.0, 2.0), 0)
    assert asked == [0, 0]


class Scale:
    """A number that JAX does not know."""

    def __mul__(self, other):
        return 2 * other


class Module(eqx.Module):
    """A number in an object whose code is not the package's."""

    value: jax.Array

    def __mul__(self, other):
        return self.value * other


@pytest.mark.parametrize("scale", [Scale(), Module(jnp.asarray(2.0))])
def test_nothing_is_kept_that_is_asked_of_what_else_could_change(folder, asked, kept, scale):
    kept(scale, (1.0, 2.0), 0)
    assert asked == [0]
    assert not folder.exists()


def test_nothing_is_kept_within_a_transformation(folder):
    @keep_result((0.0, 0.0))
    def twice(x):
        return 2 * jnp.asarray(x), jnp.asarray(x)

    np.testing.assert_array_equal(jax.vmap(twice)(jnp.arange(3.0))[0], [0, 2, 4])
    assert jax.grad(lambda x: twice(x)[0])(3.0) == 2
    key = jax.random.key(0)
    assert keep_result((0.0,))(lambda key: (jax.random.uniform(key),))(key)[0] == jax.random.uniform(key)
    assert not folder.exists()
    for _ in range(2):
        assert [a.shape for a in twice(3.0)] == [(), ()]
    assert len(list(folder.iterdir())) == 1


def test_another_line_of_code_or_name_of_a_file_is_other_code(tmp_path):
    def code():
        return cache._hash_of_code(tmp_path)

    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "stars.py").write_text("_NUM_EM = 12")
    before = code()
    (tmp_path / "__pycache__" / "stars.cpython-312.pyc.140234").write_text("being written")
    assert code() == before
    (tmp_path / "stars.py").write_text("_NUM_EM = 13")
    after = code()
    (tmp_path / "stars.py").rename(tmp_path / "start.py")
    assert len({before, after, code()}) == 3


def test_a_cache_elsewhere_than_on_this_machine_holds_no_results(monkeypatch):
    settings = SimpleNamespace(jax_enable_compilation_cache=True, jax_compilation_cache_dir="gs://bucket/folder")
    monkeypatch.setattr(cache.jax, "config", settings)
    assert cache.cache_folder() is None


class Opaque:
    """An object that JAX does not know."""


def test_a_result_is_remembered_for_the_same_arrays_alone():
    calls = []

    @remember_last
    def twice(tree, seed):
        calls.append(seed)
        return [2 * seed for _ in jax.tree.leaves(tree)]

    array = jnp.ones(3)
    for tree, seed, num in [
        ({"a": array}, 1, 1),
        ({"a": array}, 1, 1),  # another dictionary of the same array
        ({"a": array}, 2, 2),
        ({"b": array}, 2, 3),
        ({"b": jnp.ones(3)}, 2, 4),
        (np.ones(3), 2, 5),
        (np.ones(3), 2, 6),  # could have been written to
        (Opaque(), 2, 7),
        (Opaque(), 2, 8),
    ]:
        assert twice(tree, seed) == [2 * seed]
        assert len(calls) == num


def test_programs_are_forgotten_before_they_are_too_many(monkeypatch, tmp_path):
    program = jax.jit(lambda x: x + 1)
    program(1.0)
    make_room_for_programs()
    assert program._cache_size() == 1  # there is room
    monkeypatch.setattr("albireo.cache._MOST_MAPS", 0.0)
    monkeypatch.setattr("albireo.cache._MAX_MAPS", tmp_path / "missing")  # no such limit
    make_room_for_programs()
    assert program._cache_size() == 1
    (tmp_path / "missing").write_text("65530\n")
    (tmp_path / "maps").write_text("one piece\nanother\n")
    monkeypatch.setattr("albireo.cache._MAPS", tmp_path / "maps")
    make_room_for_programs()
    assert program._cache_size() == 0
    assert program(1.0) == 2
