"""Wide data in the space of their rows: the same run as by plain steps, to rounding."""

from typing import Any

import jax
import numpy as np
import optax
import pytest

from jaxmlp import Dataset, EarlyStopping, Network, Objective, fit
from jaxmlp.training.row_space import orthonormal_basis

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 200))
Y = (X[:, :20].sum(axis=1) > 0).astype(int)
NET = Network((200, 7, 4, 1), "tanh", "sigmoid")
PLAIN: dict[str, Any] = {"optimizer": "momentum", "learning_rate": 0.05, "batch_size": "full", "epochs": 40}


def leaves(*trees):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(trees) if jax.numpy.issubdtype(leaf.dtype, np.number)]


def assert_same(a, b, atol=1e-13):
    for p, q in zip(leaves(a.params, a.state), leaves(b.params, b.state), strict=True):
        np.testing.assert_allclose(p, q, rtol=0, atol=atol)
    np.testing.assert_allclose([r.cost for r in a.history], [r.cost for r in b.history], rtol=0, atol=atol)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("net", "options"),
    [
        (NET, {"optimizer": "sgd", "learning_rate": 0.1}),
        (NET, {"objective": Objective(l2=0.7), "batch_size": 8}),
        (NET, {"optimizer": "nesterov(0.8)", "objective": Objective(l2=3.0, max_norm=0.6, dropout=0.2, mixup=0.3)}),
        (NET, {"ema_decay": 0.9, "clip_norm": 0.05, "schedule": "cosine", "warmup": 3, "objective": Objective(l2=2.0)}),
        (Network((200, 7, 4, 1), "maxout(2)", "sigmoid", "layer"), {"freeze": [2], "sample_weight": np.arange(30.0)}),
        (Network((200, 7, 4, 1), "relu", "sigmoid", "batch"), {"batch_size": 10, "initializer": "zeros"}),
        (Network((200, 1), output="sigmoid"), {"schedule": "plateau(0.5, 3)", "epochs": 150}),
    ],
)
def test_it_is_the_run_of_plain_steps(net, options: dict[str, Any]):
    options = PLAIN | options
    fast, plain = fit(net, (X, Y), **options), fit(net, (X, Y), row_space=False, **options)
    n_rows = 29 if "sample_weight" in options else 30  # the row of weight 0 is left out
    assert (fast.row_space, plain.row_space) == (n_rows, None)
    assert_same(fast, plain)


@pytest.mark.slow
def test_rows_that_validate_are_in_the_space():
    data = Dataset.from_arrays(X, Y).split_validation(0.2)
    options: dict[str, Any] = PLAIN | {"early_stopping": EarlyStopping(5), "objective": Objective(l2=5.0)}
    fast, plain = (fit(NET, data, metrics="auc", row_space=value, **options) for value in (True, False))
    assert fast.row_space == 30
    assert_same(fast, plain)
    assert fast.best_epoch == plain.best_epoch
    assert fast.history[-1].metrics == plain.history[-1].metrics


@pytest.mark.slow
def test_float32_agrees_to_its_rounding():
    options: dict[str, Any] = PLAIN | {"precision": "float32"}
    fast, plain = fit(NET, (X, Y), **options), fit(NET, (X, Y), row_space=False, **options)
    assert fast.row_space == 30
    assert_same(fast, plain, atol=2e-6)


def test_callbacks_see_the_network_itself():
    shapes = []
    fit(NET, (X, Y), **PLAIN, callbacks=lambda state, report: shapes.append(state.params[0]["W"].shape))
    assert shapes == [(7, 200)] * 40


@pytest.mark.slow
@pytest.mark.parametrize("objective", [None, Objective(l2=2.0)])
def test_a_resumed_run_has_the_same_bits(tmp_path, objective):
    options: dict[str, Any] = PLAIN | {"objective": objective, "batch_size": 8}
    whole = fit(NET, (X, Y), **options)
    half = fit(NET, (X, Y), **dict(options, epochs=20), checkpoints=tmp_path / "run")
    origins: list[dict[str, Any]] = [{"resume": half}, {"checkpoints": tmp_path / "run"}]
    for origin in origins:
        resumed = fit(NET, (X, Y), **options, **origin)
        assert resumed.row_space == 30
        for p, q in zip(leaves(whole.params), leaves(resumed.params), strict=True):
            np.testing.assert_array_equal(p, q)


def test_a_run_resumed_with_other_rows_takes_plain_steps():
    half = fit(NET, (X, Y), **PLAIN)
    other = np.random.default_rng(1).normal(size=X.shape)
    options: dict[str, Any] = PLAIN | {"epochs": 80}
    fast = fit(NET, (other, Y), **options, resume=half)
    assert fast.row_space is None
    assert_same(fast, fit(NET, (other, Y), **options, resume=half, row_space=False))
    # and one that began with plain steps goes on with them
    assert fit(NET, (X, Y), **options, resume=fit(NET, (X, Y), **PLAIN, row_space=False)).row_space is None


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": "adam"},
        {"optimizer": optax.sgd(0.05)},
        {"objective": Objective(l1=0.1)},
        {"objective": Objective(input_noise=0.1)},
        {"objective": Objective(input_dropout=0.1)},
        {"freeze": [1]},
        {"precision": "bfloat16"},
        {"epochs": 2},  # the basis would take longer than the steps
        {"row_space": False},
        {"mesh": 1},
    ],
)
def test_where_it_is_not_exact_or_not_cheaper_steps_are_plain(options: dict[str, Any]):
    options = PLAIN | options
    if not isinstance(options["optimizer"], str):
        del options["learning_rate"]
    assert fit(NET, (X, Y), **options).row_space is None


@pytest.mark.slow
def test_more_rows_than_features_are_trained_as_they_are():
    assert fit(Network((20, 7, 1), "tanh", "sigmoid"), (X[:, :20], Y), **PLAIN).row_space is None


@pytest.mark.slow
def test_equal_rows_have_one_direction():
    rows = np.concatenate([X, X[:10]])
    labels = np.concatenate([Y, Y[:10]])
    fast = fit(NET, (rows, labels), **PLAIN)
    assert fast.row_space == 30
    assert_same(fast, fit(NET, (rows, labels), row_space=False, **PLAIN))


@pytest.mark.parametrize("decades", [3, 6])
def test_directions_of_very_different_size_are_kept(decades):
    left, right = (np.linalg.qr(RNG.normal(size=(n, 30)))[0] for n in (30, 200))
    rows = left * np.logspace(0, -decades, 30) @ right.T  # each row has a part in every direction
    basis = orthonormal_basis(rows)
    assert basis is not None
    Q = basis.T.T @ rows
    rounding = 30 * np.finfo(float).eps * 10**decades  # of 30 products of rows, up to 1, with T, up to 10^decades
    np.testing.assert_allclose(Q @ Q.T, np.eye(30), rtol=0, atol=rounding)
    np.testing.assert_allclose(basis.R.T @ Q, rows, rtol=0, atol=1e-14)


@pytest.mark.slow
def test_rows_that_cannot_be_told_apart_have_no_basis():
    nearly = np.concatenate([X, X[:1] + 1e-9 * RNG.normal(size=(1, 200))])  # beyond what K in float64 can resolve
    assert orthonormal_basis(nearly) is None
    assert orthonormal_basis(np.zeros((3, 5))) is None
    assert fit(NET, (nearly, np.append(Y, Y[0])), **PLAIN).row_space is None
