"""Training with equal layers stacked: that of layers written out, by a program that does not grow with the depth."""

import chex
import jax
import numpy as np
import optax
import pytest
import zoo
from marks import cpu_only, slow_except

import jaxmlp
from jaxmlp.errors import DivergenceError
from jaxmlp.nn.layer_stacks import stack_layers
from jaxmlp.parallel.mesh import make_sharding
from jaxmlp.training.engine import EpochData, Hyperparameters, block_program
from jaxmlp.training.execution_plan import plan_execution
from jaxmlp.training.optimizers import make_optimizer
from jaxmlp.training.step import StaticConfig

KEY = jax.random.key(3)


@pytest.fixture(scope="module")
def data():
    rows = np.random.default_rng(1).standard_normal((24, 5))
    return jaxmlp.Dataset.from_arrays(rows, np.arange(24) % 3)


CASES = {
    "plain": {},
    "batch norm": {"norm": "batch"},
    "layer norm": {"norm": "layer"},
    "noise": {"objective": jaxmlp.Objective(dropout=0.2, input_noise=0.1, max_norm=1.0, l1=0.01)},
    "clipped and averaged": {"clip_norm": 0.1, "ema_decay": 0.9},
    "a validation part": {"split_validation": True},
    "bfloat16": {"precision": "bfloat16"},
}


@pytest.mark.slow
@pytest.mark.parametrize("case", slow_except(CASES, "plain", "batch norm", "noise", "a validation part"))
def test_training_is_that_of_layers_written_out(case, data):
    options = dict(CASES[case])
    net = zoo.deep(norm=options.pop("norm", None))
    if options.pop("split_validation", False):
        data = data.split_validation(0.25)
    options |= {"epochs": 3, "batch_size": 8}
    ours = jaxmlp.fit(net, data, optimizer="adam", learning_rate=0.01, **options)
    theirs = jaxmlp.fit(net, data, optimizer=optax.adam(0.01), **options)  # not known to be elementwise
    assert net.runs == (1, 9, 1)
    tolerance = 2e-2 if case == "bfloat16" else 1e-6
    found, expected = (
        (run.params, run.state.moments, [report.cost for report in run.history]) for run in (ours, theirs)
    )
    chex.assert_trees_all_close(found, expected, rtol=tolerance, atol=tolerance)
    assert jax.tree.structure(ours.state.params) == jax.tree.structure(theirs.state.params)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(ours.params))


@pytest.mark.slow
@pytest.mark.parametrize("name", slow_except(["momentum", "rmsprop", "adamw", "adamw_ntk", "lion"], "momentum"))
def test_every_elementwise_optimizer(name, data):
    net, made = zoo.deep(), make_optimizer(name, 0.01)

    def update(updates, state, params=None):
        return made.update(updates, state, params)

    unknown = optax.GradientTransformation(made.init, update)  # the same, and nobody knows it
    ours, theirs = (jaxmlp.fit(net, data, optimizer=one, epochs=2, batch_size=12) for one in (made, unknown))
    found, expected = ((run.params, run.state.opt_state) for run in (ours, theirs))
    chex.assert_trees_all_close(found, expected, rtol=1e-6)


@pytest.mark.slow
def test_frozen_layers_and_other_optimizers_are_written_out(data):
    net = zoo.deep()
    result = jaxmlp.fit(net, data, epochs=2, freeze=[4])
    first = jaxmlp.init_state(jax.random.key(0), net, make_optimizer("adam")).params
    np.testing.assert_array_equal(result.params[3]["W"], first[3]["W"])
    assert (result.params[4]["W"] != first[4]["W"]).any()
    for name in ("muon", "lbfgs"):
        found = jaxmlp.fit(net, data, optimizer=name, epochs=2, batch_size="full")
        assert found.history[-1].cost < found.history[0].cost


@cpu_only
def test_layers_on_a_mesh_are_written_out(data):
    net, optimizer = zoo.deep(), make_optimizer("adam")
    state, batches = jaxmlp.init_state(jax.random.key(0), net, optimizer), jaxmlp.make_batches(data, net, None, 8)
    static = StaticConfig(net, optimizer, batches.task)
    assert plan_execution(static, state, batches).runs == net.runs
    assert plan_execution(static._replace(sharding=make_sharding(2, net)), state, batches).runs == ()


@pytest.mark.slow
def test_a_resumed_run_is_that_of_one_go(data):
    net = zoo.deep(norm="batch")
    whole = jaxmlp.fit(net, data, epochs=5, batch_size=8, ema_decay=0.9)
    half = jaxmlp.fit(net, data, epochs=2, batch_size=8, ema_decay=0.9)
    again = jaxmlp.fit(net, data, epochs=5, batch_size=8, ema_decay=0.9, resume=half)
    chex.assert_trees_all_equal(again.params, whole.params)
    seen = []
    jaxmlp.fit(net, data, epochs=5, batch_size=8, ema_decay=0.9, callbacks=lambda state, report: seen.append(state))
    chex.assert_trees_all_equal(seen[1].params, half.state.params)


@pytest.mark.slow
def test_divergence_names_the_layer(data):
    net = zoo.deep(activation="relu")
    with pytest.raises(DivergenceError, match=r"first in the (update|forward pass) of layer \d+; lower the learning"):
        jaxmlp.fit(net, data, optimizer="sgd", learning_rate=1e30, epochs=2)


@pytest.mark.slow
def test_the_program_of_an_epoch_does_not_grow_with_the_depth(data):
    def size(n):
        net, optimizer, objective = zoo.deep(n), make_optimizer("adam"), jaxmlp.Objective(dropout=0.1)
        batches = jaxmlp.make_batches(data, net, objective, 8)
        state = jaxmlp.init_state(KEY, net, optimizer)
        static = StaticConfig(net, optimizer, batches.task)
        plan = plan_execution(static, state, batches)
        orders = np.asarray([batches.order((0, 0), 0)] * plan.capacity)
        arguments = (EpochData(batches.train), orders, Hyperparameters(objective), np.int32(1))
        program = block_program(static, plan)
        return len(program.lower(stack_layers(state, plan.runs), *arguments).as_text().splitlines())

    assert size(10) == size(30)
