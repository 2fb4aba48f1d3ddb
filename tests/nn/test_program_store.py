"""Programs are compiled once for each set of shapes, and what is kept of them is bounded."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from marks import cpu_only

from jaxmlp.nn import program_store
from jaxmlp.nn.program_store import Programs


@pytest.fixture
def store(monkeypatch):
    """A store with room for two loaded programs, as where JAX keeps no programs in a folder."""
    store = program_store._ProgramStore()
    monkeypatch.setattr(program_store, "_store", store)
    monkeypatch.setattr(program_store, "MAX_LOADED", 2)
    monkeypatch.setattr(program_store, "_has_cache_folder", lambda: False)
    return store


def counted():
    """A function with its programs, and the list of the shapes that it was traced for."""
    traced = []
    unique = np.random.default_rng().uniform(1e-30, 1e-29)  # so that no program comes from the folder that tests share

    def halve(x):
        traced.append((x.shape, x.dtype))
        return x / 2 + unique

    return Programs(halve), traced


@cpu_only
def test_a_shape_is_compiled_once_whether_its_program_is_loaded_or_serialized(store):
    halve, traced = counted()
    for _ in range(3):
        for n in range(1, 6):
            np.testing.assert_allclose(halve(jnp.arange(float(n))), np.arange(n) / 2, atol=1e-20)
    assert len(traced) == 5
    assert (len(store.loaded), len(store.serialized), halve.n_programs()) == (2, 3, 5)
    assert store.serialized_bytes == sum(len(stored.executable) for stored in store.serialized.values())


@cpu_only
def test_programs_that_jax_keeps_in_a_folder_are_dropped(store, monkeypatch):
    monkeypatch.setattr(program_store, "_has_cache_folder", lambda: True)
    halve, _ = counted()
    for n in range(1, 6):
        halve(jnp.ones(n))
    assert (len(store.loaded), len(store.serialized)) == (2, 0)


@cpu_only
def test_the_oldest_programs_are_dropped_when_their_bytes_are_too_many(store, monkeypatch):
    halve, traced = counted()
    for n in (1, 2, 3):
        halve(jnp.ones(n))
    monkeypatch.setattr(program_store, "MAX_SERIALIZED_BYTES", store.serialized_bytes * 3 // 2)
    for n in (4, 5, 6):
        halve(jnp.ones(n))
    assert (len(store.loaded), len(store.serialized)) == (2, 1)
    assert store.serialized_bytes <= program_store.MAX_SERIALIZED_BYTES
    halve(jnp.ones(1))
    assert len(traced) == 7


@cpu_only
def test_memory_of_dropped_programs_goes_back_to_the_system(store, monkeypatch):
    returned = []
    monkeypatch.setattr(program_store, "_trim", returned.append)
    halve, _ = counted()
    for n in range(1, 2 + 2 * 5):  # two are kept
        halve(jnp.ones(n))
    assert len(returned) == 9 // program_store.MAX_LOADED


def test_a_c_library_without_trim_keeps_its_memory(store, monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    trim = program_store._find_trim()
    assert trim is None
    monkeypatch.setattr(program_store, "_trim", trim)
    halve, _ = counted()
    assert [float(halve(jnp.ones(n))[0]) for n in range(1, 6)] == [0.5] * 5


def test_no_trace_and_no_function_outlives_its_compilation(store):
    halve, traced = counted()
    halve(jnp.ones(1))
    halve.function = lambda x: traced.append(x)
    assert halve(jnp.ones(1)).tolist() == [0.5]
    assert len(traced) == 1


@pytest.mark.parametrize(
    "setting",
    [jax.default_matmul_precision("highest"), jax.numpy_dtype_promotion("standard"), jax.debug_nans(True)],
    ids=["precision", "promotion", "NaN"],
)
def test_other_settings_are_another_program(store, setting):
    halve, traced = counted()
    halve(jnp.ones(1))
    with setting:
        halve(jnp.ones(1))
    halve(jnp.ones(1))
    assert len(traced) == 2


def test_other_types_and_devices_are_another_program(store, monkeypatch):
    monkeypatch.setattr(program_store, "MAX_LOADED", 9)
    halve, traced = counted()
    for x in (1.0, np.ones(()), jnp.ones((), jnp.float32), jnp.asarray(1.0), jax.device_put(1.0, jax.devices()[-1])):
        assert halve(x) == 0.5
    assert halve.n_programs() == len(traced) == 5  # an array that is committed to a device, even to the first, counts


def test_inside_another_program_it_is_a_part_of_it(store):
    halve, _ = counted()
    assert jax.jit(lambda x: halve(x) + 1)(2.0) == 2
    assert jax.grad(halve)(1.0) == 0.5
    assert jax.vmap(halve)(jnp.ones(2)).tolist() == [0.5, 0.5]
    with jax.disable_jit():
        assert halve(jnp.ones(1)).tolist() == [0.5]
    assert halve.n_programs() == 0


@pytest.mark.slow
def test_the_caches_of_jax_are_cleared_after_many_programs(monkeypatch):
    monkeypatch.setattr(program_store, "MAX_COMPILATIONS", 3)
    monkeypatch.setattr(program_store._store, "n_compiled", 0)
    traced = []

    @jax.jit
    def own(x):
        traced.append(x)
        return x + 1

    programs = Programs(lambda x: 2 * x)
    for n in range(1, 4):
        assert own(jnp.ones(1)).tolist() == [2.0]
        assert programs(jnp.ones(n)).tolist() == [2.0] * n
    assert len(traced) == 1
    assert own(jnp.ones(1)).tolist() == [2.0]  # the third program has cleared it: it is compiled once more
    assert len(traced) == 2
    assert programs(jnp.ones(1)).tolist() == [2.0]
    assert programs.n_programs() == 3  # those of the store stay
    assert program_store._store.n_compiled == 0
