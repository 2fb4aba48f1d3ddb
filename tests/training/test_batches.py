"""Mini-batches: every row once an epoch, the padding counts nothing, orders depend on key and epoch alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxmlp
from jaxmlp.data import Dataset
from jaxmlp.data.aligned import empty_aligned
from jaxmlp.errors import InputError
from jaxmlp.nn.backprop import evaluate
from jaxmlp.nn.objective import Objective
from jaxmlp.training.batches import Batches, Rows, gather, make_batches

NET = jaxmlp.Network((2, 3), "relu", "softmax")


def dataset(m=10, n=2, C=3, **more):
    rng = np.random.default_rng(m)
    return Dataset.from_arrays(rng.normal(size=(m, n)), np.arange(m) % C, **more)


@settings(max_examples=40, deadline=None)
@given(m=st.integers(1, 40), B=st.integers(1, 40), epoch=st.integers(0, 5))
def test_an_epoch_visits_every_row_once(m, B, epoch):
    B = min(B, m)
    batches = Batches(Rows(jnp.zeros((m, 1)), jnp.zeros((m, 1))), None, B, True, "binary")
    order = batches.order((1, 2), epoch)
    if m == B:
        assert order is None
        return
    assert order is not None
    assert order.shape == (batches.steps, B)
    assert sorted(order.ravel()[:m]) == list(range(m))
    assert (order.ravel()[m:] == 2 * m - 1).all()  # the last row, with weight 0
    assert batches.sizes().sum() == m
    assert batches.sizes()[-1] == (order[-1] < m).sum()


def test_order_depends_on_key_and_epoch_alone():
    batches = make_batches(dataset(), NET, Objective(), 3)
    np.testing.assert_array_equal(batches.order((0, 1), 4), batches.order((0, 1), 4))
    assert (batches.order((0, 1), 4) != batches.order((0, 1), 5)).any()
    assert (batches.order((0, 1), 4) != batches.order((0, 2), 4)).any()
    still = batches._replace(shuffle=False).order((0, 1), 4)
    assert still is not None
    np.testing.assert_array_equal(still.ravel(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 19, 19])


def test_padded_batch_costs_what_its_real_rows_cost():
    data = dataset(7)
    params = jaxmlp.init(jax.random.key(0), NET)
    batches = make_batches(data, NET, Objective(), 4)
    batch = gather(batches.train, jnp.array([4, 5, 6, 7]))
    np.testing.assert_array_equal(batch.weights, [[1.0, 1.0, 1.0, 0.0]])
    J, _, _ = evaluate(params, batch, NET, Objective())
    expected = jaxmlp.cost(params, data.train.rows[4:].T, data.train.targets[None, 4:], NET)
    np.testing.assert_allclose(J, expected, rtol=1e-15)


def test_batches_without_rest_carry_no_weights():
    batches = make_batches(dataset(8), NET, Objective(), 4)
    assert gather(batches.train, jnp.arange(4)).weights is None
    assert gather(batches.train, None).X.shape == (2, 8)


def test_preprocessing_is_applied_and_the_test_part_watched():
    data = dataset(20, standardize=True).split_test(0.25)
    assert data.test is not None
    batches = make_batches(data, NET, Objective(), "full")
    np.testing.assert_allclose(batches.train.X.mean(axis=0), 0, atol=1e-14)
    assert batches.validation is not None
    np.testing.assert_allclose(batches.validation.X, data.preprocessing(data.test.rows, np.float64))
    assert batches.steps == 1


def targets(labels, net, cost=None, **more):
    rows = np.random.default_rng(0).normal(size=(len(labels), 2))
    return np.asarray(make_batches(Dataset.from_arrays(rows, labels, **more), net, Objective(cost), 4).train.Y)


def test_targets_take_the_form_of_the_cost():
    N = jaxmlp.Network
    np.testing.assert_array_equal(targets([0, 2, 1, 0], NET), [[0], [2], [1], [0]])
    np.testing.assert_array_equal(targets([0, 2, 1, 0], NET, "quadratic"), np.eye(3)[[0, 2, 1, 0]])
    np.testing.assert_array_equal(targets([0, 2, 1, 0], N((2, 3), "relu", "sigmoid")), np.eye(3)[[0, 2, 1, 0]])
    np.testing.assert_array_equal(targets(["a", "b", "b"], N((2, 1), "relu", "sigmoid")), [[0], [1], [1]])
    np.testing.assert_array_equal(targets(["a", "b", "b"], N((2, 2), "relu", "softmax")), [[0], [1], [1]])
    flags = np.array([[1, 1], [0, 1], [0, 0]])
    np.testing.assert_array_equal(targets(flags, N((2, 2), "relu", "sigmoid")), flags)
    np.testing.assert_array_equal(targets([0.5, 1.5, 9.5], N((2, 1), "relu", "identity")), [[0.5], [1.5], [9.5]])


@pytest.mark.parametrize(
    ("net", "labels", "sentence"),
    [
        (
            jaxmlp.Network((3, 3), "relu", "softmax"),
            [0, 1, 2],
            "the network expects sizes[0] = 2, the features of data set 'arrays', got 3: use jaxmlp.network_for(data)",
        ),
        (
            jaxmlp.Network((2, 4), "relu", "softmax"),
            [0, 1, 2],
            "the network expects an output of 3 units for the multiclass data set 'arrays', got 4 with 'softmax': "
            "use jaxmlp.network_for(data)",
        ),
        (
            jaxmlp.Network((2, 3), "relu", "sigmoid"),
            [0, 1, 0],
            "the network expects an output of 1 or 2 units for the binary data set 'arrays', got 3 with 'sigmoid': "
            "use jaxmlp.network_for(data)",
        ),
        (
            jaxmlp.Network((2, 2), "relu", "softmax"),
            np.array([[1, 1], [0, 0], [0, 1]]),
            "the network expects an output of 2 units for the multilabel data set 'arrays', got 2 with 'softmax': "
            "use jaxmlp.network_for(data)",
        ),
    ],
)
def test_network_and_data_that_do_not_fit(net, labels, sentence):
    data = Dataset.from_arrays(np.eye(3, 2), labels)
    with pytest.raises(InputError) as caught:
        make_batches(data, net, Objective(), 2)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("size", [0, -1, 2.5, "half", True, None])
def test_batch_sizes_that_are_none(size):
    with pytest.raises(InputError, match="batch_size expects a positive whole number or 'full', got "):
        make_batches(dataset(), NET, Objective(), size)


def test_batch_size_beyond_the_rows_is_a_full_batch():
    assert make_batches(dataset(10), NET, Objective(), 99).batch_size == 10


@pytest.mark.parametrize(("task", "n_outputs"), [("regression", 1), ("multilabel", 2)])
def test_batches_are_not_the_arrays_they_were_made_of(task, n_outputs):
    rows, targets, weights = (
        empty_aligned((16, 8), np.float32),
        empty_aligned((16, n_outputs), np.float32),
        empty_aligned((16,), np.float32),
    )
    for array in (rows, targets):
        array[:] = 0
    weights[:] = 1
    targets[::2] = 1
    data = jaxmlp.Dataset.from_arrays(rows, targets, task=task)
    net = jaxmlp.Network((8, n_outputs), "relu", "identity" if task == "regression" else "sigmoid")
    batches = jaxmlp.make_batches(data, net, jaxmlp.Objective(), 2, dtype=np.float32, weights=weights)
    for array in (data.train.rows, data.train.targets, rows, targets, weights):
        array.setflags(write=True)
        array[:] = 7
    assert not batches.train.X.any()
    assert set(np.unique(batches.train.Y)) == {0, 1}
    assert batches.train.weights is not None
    assert (batches.train.weights == 1).all()
