"""Equal runs share their programs, and many different runs in one process stay within bounds."""

import jax
import numpy as np
import optax
import pytest

import jaxmlp
from jaxmlp.nn import program_store
from jaxmlp.nn.program_store import Programs
from jaxmlp.training import EarlyStopping

ROWS = np.random.default_rng(0).normal(size=(20, 3))
LABELS = (ROWS[:, 0] > 0).astype(int)


@pytest.fixture
def compilations(monkeypatch):
    """The names of the functions that are compiled from now on."""
    names, lower = [], Programs.lower

    def noted(self, *arguments):
        names.append(self.function.__name__)
        return lower(self, *arguments)

    monkeypatch.setattr(Programs, "lower", noted)
    return names


def fitted(width=4, **options):
    return jaxmlp.fit(jaxmlp.Network((3, width, 1), "tanh", "sigmoid"), (ROWS, LABELS), epochs=2, **options)


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [
        lambda: optax.adam(1e-3),
        lambda: optax.adamw(optax.cosine_decay_schedule(1e-2, 50), weight_decay=0.1),
        lambda: optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1, momentum=0.9, nesterov=True)),
        lambda: optax.lion(1e-3),
    ],
    ids=["adam", "adamw with a schedule", "chain", "lion"],
)
def test_a_hundred_equal_optimizers_compile_once(compilations, make):
    first = fitted(optimizer=make())
    compilations.clear()
    results = [fitted(optimizer=make()) for _ in range(99)]
    assert compilations == []
    jax.tree.map(np.testing.assert_array_equal, results[-1].params, first.params)


def test_another_number_of_an_optimizer_is_another_program(compilations):
    fitted(optimizer=optax.adam(1e-3))
    compilations.clear()
    fitted(optimizer=optax.adam(2e-3))
    assert "block" in compilations


@pytest.mark.slow
def test_fits_of_many_shapes_stay_within_the_bounds_and_repeat_their_results(monkeypatch):
    monkeypatch.setattr(program_store, "MAX_LOADED", 3)
    monkeypatch.setattr(program_store, "MAX_SERIALIZED_BYTES", 2**20)
    options = {"optimizer": optax.sgd(0.1), "early_stopping": EarlyStopping(patience=2)}
    results = [fitted(width, **options).params for width in range(2, 9)]
    store = program_store._store
    assert len(store.loaded) <= 3
    assert store.serialized_bytes <= 2**20
    jax.tree.map(np.testing.assert_array_equal, results[0], fitted(2, **options).params)
