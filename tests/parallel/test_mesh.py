"""Many devices: the parameters of one device, to rounding, for every way to lay a run out."""

import re
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, Mesh
from marks import slow_except

import jaxmlp
from jaxmlp.data import Dataset
from jaxmlp.errors import DivergenceError, InputError
from jaxmlp.nn.objective import Batch, Objective
from jaxmlp.parallel.mesh import make_mesh, make_sharding, shard, shard_batch
from jaxmlp.training import EarlyStopping
from jaxmlp.training.checkpoints import Checkpointer
from jaxmlp.training.engine import EpochData, Hyperparameters, block_program
from jaxmlp.training.execution_plan import ExecutionPlan
from jaxmlp.training.step import StaticConfig

NET = jaxmlp.Network((3, 8, 6, 2), "tanh", "softmax")
NORMED = jaxmlp.Network((3, 8, 6, 2), "tanh", "softmax", norm="batch")
NOISY = Objective(l2=0.1, dropout=0.3, input_noise=0.1, mixup=0.4, label_smoothing=0.1)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(61, 3))
    labels = (rows[:, 0] * rows[:, 1] > 0).astype(int)
    return Dataset.from_arrays(rows[:49], labels[:49], validation=(rows[49:], labels[49:]))


# what is run, and on which meshes
RUNS: dict[str, tuple[jaxmlp.Network, tuple[Any, ...], dict[str, Any]]] = {
    "a shorter last batch": (NET, (8, "4x2"), {"batch_size": 16, "sample_weight": np.arange(49) % 4 / 2}),
    "a batch of fewer rows than devices": (NET, (8,), {"batch_size": 3}),
    "full batch": (NET, ((2, 2),), {"batch_size": "full"}),
    "batch norm and every noise": (NORMED, ("4x2",), {"batch_size": 13, "objective": NOISY, "ema_decay": 0.9}),
    "early_stopping": (
        NET,
        ((1, 2),),
        {"optimizer": "muon", "clip_norm": 0.1, "early_stopping": EarlyStopping(2, "f1")},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", slow_except(RUNS, "a shorter last batch", "batch norm and every noise"))
def test_the_parameters_of_one_device(data, name):
    net, meshes, arguments = RUNS[name]
    arguments = {"epochs": 3, "key": jax.random.key(7)} | arguments
    one = jaxmlp.fit(net, data, **arguments)
    for mesh in meshes:
        many = jaxmlp.fit(net, data, mesh=mesh, **arguments)
        chex.assert_trees_all_close(many.params, one.params, rtol=1e-9, atol=1e-12)
        chex.assert_trees_all_close(many.state.opt_state, one.state.opt_state, rtol=1e-8, atol=1e-11)
        chex.assert_trees_all_close(many.state.moments, one.state.moments, rtol=1e-9)
        for ours, theirs in zip(many.history, one.history, strict=True):
            chex.assert_trees_all_close(ours._replace(seconds=0.0), theirs._replace(seconds=0.0), rtol=1e-9)
        assert all(leaf.sharding.device_set == {jax.devices()[0]} for leaf in jax.tree.leaves(many.state))


@pytest.mark.slow
def test_wide_layers_are_split_and_stay_split(data):
    states = []
    jaxmlp.fit(NET, data, mesh="4x2", epochs=2, callbacks=lambda state, report: states.append(state))
    for state in states:
        for params in (state.params, state.opt_state[0].mu):
            shapes = [{name: leaf.sharding.shard_shape(leaf.shape) for name, leaf in layer.items()} for layer in params]
            assert shapes == [{"W": (4, 3), "b": (4, 1)}, {"W": (6, 4), "b": (6, 1)}, {"W": (2, 6), "b": (2, 1)}]
    sharding = make_sharding("4x2", jaxmlp.Network((3, 5, 4, 8, 4, 2), "relu", "softmax"))
    specs = [tuple(dict(layer)["W"]) for layer in sharding.layers]
    whole, rows, columns = (None, None), ("model", None), (None, "model")
    assert specs == [whole, rows, columns, rows, columns]


def test_a_batch_is_dealt_out_and_only_sums_travel(data):
    sharding, optimizer = make_sharding(8, NET), optax.sgd(0.1)
    batch = jax.jit(lambda batch: shard_batch(batch, sharding))(Batch(jnp.ones((3, 16)), jnp.ones((2, 16))))
    assert {shard.data.shape for shard in batch.X.addressable_shards} == {(3, 2)}
    batches = jaxmlp.make_batches(data, NET, None, 7)  # 49 rows: 7 whole batches
    state, rows = shard((jaxmlp.init_state(jax.random.key(0), NET, optimizer), batches.train), sharding)
    program = block_program(StaticConfig(NET, optimizer, batches.task, sharding=sharding), ExecutionPlan())
    orders = np.asarray([batches.order((0,), 0)])
    text = program.lower(state, EpochData(rows), orders, Hyperparameters(Objective()), 1).compile().as_text() or ""
    assert {*re.findall(r" ((?:all|collective)-[a-z]+|reduce-scatter)\(", text)} == {"all-reduce"}
    assert len(re.findall(r"all-reduce\(.*while/body", text)) == 1  # all of a step's sums in one


@pytest.mark.slow
def test_a_run_goes_on_on_any_mesh(data, tmp_path):
    arguments: dict[str, Any] = {"batch_size": 16, "objective": Objective(dropout=0.2), "key": jax.random.key(1)}
    whole = jaxmlp.fit(NET, data, epochs=6, **arguments)
    for epochs, mesh in ((2, "4x2"), (4, None), (6, 8)):
        kept = jaxmlp.fit(NET, data, epochs=epochs, mesh=mesh, checkpoints=Checkpointer(tmp_path, every=0), **arguments)
    chex.assert_trees_all_close(kept.params, whole.params, rtol=1e-9)
    assert [report.epoch for report in kept.history] == [1, 2, 3, 4, 5, 6]
    half = jaxmlp.fit(NET, data, epochs=3, mesh="4x2", **arguments)
    other = jaxmlp.fit(NET, data, epochs=6, resume=half.snapshot, **arguments)
    chex.assert_trees_all_close(other.params, whole.params, rtol=1e-9)


def test_meshes_by_number_by_pair_and_by_jax():
    devices = np.array(jax.devices())
    assert make_mesh("all") == make_mesh(8) == make_mesh("8") == Mesh(devices, ("data",))
    assert make_mesh((4, 2)) == make_mesh("4x2") == Mesh(devices.reshape(4, 2), ("data", "model"))
    explicit = Mesh(devices[:2], ("data",), axis_types=(AxisType.Explicit,))
    assert make_mesh(explicit) == Mesh(devices[:2], ("data",))


@pytest.mark.parametrize(
    ("mesh", "sentence"),
    [
        (0, "mesh expects 'all', a number of devices, or two as in '4x2', got 0: write 'all'"),
        ("4x", "mesh expects 'all', a number of devices, or two as in '4x2', got '4x': write 'all'"),
        (True, "mesh expects 'all', a number of devices, or two as in '4x2', got True: write 'all'"),
        (
            "8x2",
            "mesh expects at most 8 of JAX's devices, got 16: "
            "take fewer; on a CPU the environment variable JAX_NUM_CPU_DEVICES makes more",
        ),
        ("1x7", "mesh expects a hidden layer whose width 7 divides, got 8, 6: leave the axis 'model' out"),
        (
            Mesh(np.array(jax.devices("cpu")[:1]), ("rows",)),
            "mesh expects the axes 'data' and perhaps 'model', got ('rows',): "
            "name them with Mesh(devices, ('data', 'model'))",
        ),
    ],
)
def test_mistakes_get_one_sentence(data, mesh, sentence):
    with pytest.raises(InputError) as caught:
        jaxmlp.fit(NET, data, mesh=mesh)
    assert str(caught.value) == sentence


@pytest.mark.slow
def test_divergence_on_a_mesh_names_the_layer(data):
    net = jaxmlp.Network(NET.sizes, "relu", "softmax")
    with pytest.raises(DivergenceError, match="first in the") as caught:
        jaxmlp.fit(net, data, optimizer="sgd", learning_rate=1e200, mesh="4x2", epochs=3, batch_size=16)
    assert np.isfinite(caught.value.last_good.params[0]["W"]).all()
