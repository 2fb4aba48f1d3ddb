"""A run with `fade` lowers dropout and weight decay to 0 in its second half, in `fit` and in `fit_many`."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import zoo

import jaxmlp
from jaxmlp import Network, Objective, TrainConfig
from jaxmlp.errors import InputError, InputTypeError
from jaxmlp.nn.objective import Batch
from jaxmlp.training.step import StaticConfig, StepOptions, update

NET = Network((3, 5, 3), "tanh", "softmax")
ETA, EPOCHS, STEPS = 3.0, 3, 4  # 25 rows in batches of 8


@pytest.fixture(scope="module")
def data():
    return zoo.three_classes(25)


def factor(t, total):
    """The schedule, written anew: 1, then half a cosine."""
    return 1.0 if t <= total / 2 else (1 + math.cos(math.pi * (2 * t / total - 1))) / 2


def same(ours, theirs, rtol=1e-12):
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-14)


@pytest.mark.slow
def test_weight_decay_falls_as_that_of_an_optax_schedule(data):
    total = EPOCHS * STEPS
    etas = jnp.array([ETA * factor(t, total) for t in range(total)])

    def decay(updates: Any, state: Any, params: Any = None) -> Any:
        layers = zip(updates, params, strict=True)
        return tuple({**update, "W": update["W"] + etas[state] * layer["W"]} for update, layer in layers), state + 1

    decay_W = optax.GradientTransformation(lambda params: jnp.int32(0), decay)
    theirs = optax.chain(optax.scale_by_adam(), decay_W, optax.scale(-0.05))
    options: dict[str, Any] = {"epochs": EPOCHS, "batch_size": 8}
    ours = jaxmlp.fit(NET, data, optimizer="adamw", learning_rate=0.05, weight_decay=ETA, fade=True, **options)
    same(ours.params, jaxmlp.fit(NET, data, optimizer=theirs, **options).params, rtol=1e-6)  # f is float32
    plain = jaxmlp.fit(NET, data, optimizer="adamw", learning_rate=0.05, weight_decay=ETA, **options)
    assert np.linalg.norm(plain.params[0]["W"]) < 0.9 * np.linalg.norm(ours.params[0]["W"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dropout", "input_dropout"])
def test_dropout_of_a_step_has_the_factor_of_the_step(data, name):
    X, Y = data.train.rows.T, np.eye(3)[:, data.train.targets.ravel()]
    batch = Batch(jnp.asarray(X, float), jnp.asarray(Y))
    optimizer = optax.sgd(0.1)
    static = StaticConfig(NET, optimizer, "multiclass")
    first = jaxmlp.init_state(jax.random.key(1), NET, optimizer)

    def with_rate(rate):
        return Objective(dropout=rate) if name == "dropout" else Objective(input_dropout=rate)

    for t in (0, 7, 9):
        state = first._replace(step=jnp.int32(t))
        fading, _, _ = update(static, state, batch, with_rate(0.4), StepOptions(fade_steps=10.0))
        constant, _, _ = update(static, state, batch, with_rate(0.4 * factor(t, 10)))
        same(fading.params, constant.params, rtol=1e-6)


@pytest.mark.slow
def test_the_first_half_is_that_of_a_run_without(data):
    options: dict[str, Any] = {
        "batch_size": 8,
        "optimizer": "adamw",
        "weight_decay": ETA,
        "objective": Objective(dropout=0.3),
    }
    half = jaxmlp.fit(NET, data, epochs=2, **options)
    whole = jaxmlp.fit(NET, data, epochs=4, fade=True, **options)
    np.testing.assert_allclose([r.cost for r in half.history], [r.cost for r in whole.history[:2]], rtol=1e-12)
    assert whole.history[3].cost != jaxmlp.fit(NET, data, epochs=4, **options).history[3].cost


@pytest.mark.slow
def test_a_member_of_a_population_fades_as_the_run_of_its_seed(data):
    options: dict[str, Any] = {"epochs": 4, "batch_size": 8, "optimizer": "adamw", "weight_decay": ETA, "fade": True}
    options["objective"] = Objective(dropout=0.3)
    population = jaxmlp.fit_many(NET, data, seeds=2, **options)
    alone = jaxmlp.fit(NET, data, key=jax.random.key(1), **options)
    same(population.members[1].params, alone.params, rtol=1e-9)


def test_a_run_that_has_nothing_to_fade_is_refused(data):
    with pytest.raises(InputError, match="fade expects dropout or a named optimizer with weight decay, got neither"):
        jaxmlp.fit(NET, data, epochs=1, fade=True)
    nothing: dict[str, Any]
    for nothing in ({"objective": Objective(dropout=0.0)}, {"optimizer": "adamw", "weight_decay": 0}):
        with pytest.raises(InputError, match="got neither"):
            jaxmlp.fit(NET, data, epochs=1, fade=True, **nothing)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["lion", "adamw_ntk"])
def test_a_run_that_is_resumed_in_its_second_half_fades_as_if_it_had_never_stopped(data, optimizer, tmp_path):
    options: dict[str, Any] = {"batch_size": 8, "optimizer": optimizer, "ema_decay": 0.9, "freeze": (2,)}
    options |= {"objective": Objective(dropout=0.3), "fade": True, "epochs": 4}
    whole = jaxmlp.fit(NET, data, **options)
    stop = jaxmlp.ReportCallback(lambda report: report.epoch == 3)
    jaxmlp.fit(NET, data, callbacks=stop, checkpoints=tmp_path / "run", **options)
    same(jaxmlp.fit(NET, data, checkpoints=tmp_path / "run", **options).params, whole.params, rtol=0)


def test_fade_is_true_or_false():
    with pytest.raises(InputTypeError, match="fade expects True or False, got 'yes'"):
        TrainConfig(fade="yes")  # pyright: ignore[reportArgumentType]
