"""The bench command: the machine, the tables, the JSON object; what it measures is sane, however fast the machine."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmlp.cli.main import run
from jaxmlp.evidence.speed.backward import compare_backward, program, random_batch
from jaxmlp.evidence.speed.bench import WORKLOADS, Workload, measure
from jaxmlp.evidence.speed.products import by_columns, by_rows, flops, random_weights, scan_products
from jaxmlp.nn.network import Network
from jaxmlp.nn.parameters import init
from jaxmlp.nn.rule import AUTODIFF, TEXTBOOK


@pytest.fixture(autouse=True)
def as_a_user():
    """float32 and the promotion of dtypes that users have."""
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


@pytest.mark.slow
def test_json_names_the_machine_and_the_figures(capsys):
    assert run(["bench", "small", "--rounds", "1", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["device"].startswith("cpu")
    assert answer["jax"] == jax.__version__
    (small,) = answer["workloads"]
    assert small["sizes"] == [20, 32, 2]
    assert min(small["microseconds"], small["limit"]) > 0
    assert small["efficiency"]["median"] == pytest.approx(small["limit"] / small["microseconds"])  # of one round
    assert small["backward"]["manual"]["flops"] > flops((20, 32, 2), 64)


@pytest.mark.slow
def test_tables_for_people(capsys):
    assert run(["bench", "small,digits", "--rounds", "1"]) == 0
    shown = capsys.readouterr().out
    for text in ("machine", "20-32-2", "64-100-10", "µs a step", "efficiency", "over autodiff's"):
        assert text in shown
    assert "…" not in shown, "a column is cut off"


def test_an_unknown_workload_is_one_line(capsys):
    assert run(["bench", "smal"]) == 2
    line = "error: workload expects one of small, digits, mnist, wide, got 'smal': did you mean 'small'?\n"
    assert capsys.readouterr().err == line
    assert [*WORKLOADS] == ["small", "digits", "mnist", "wide"]


def test_the_products_are_those_of_both_layouts(rng):
    sizes = (5, 4, 3)
    X = rng.standard_normal((2, 5, 6)).astype(np.float32)
    columns, rows = random_weights(sizes, True), random_weights(sizes, False)
    expected = by_columns(columns, X[1])
    for found, dW in zip(by_rows(rows, X[1].T), expected, strict=True):
        np.testing.assert_allclose(found.T, dW, rtol=1e-5)
    assert [dW.shape for dW in expected] == [(3, 4), (4, 5)]
    for found, dW in zip(scan_products(by_columns, columns, X)(), expected, strict=True):  # the last batch is left
        np.testing.assert_allclose(found, dW, rtol=1e-4)


def test_xla_counts_the_flops_of_the_products():
    sizes, m = (7, 5, 3), 11
    compiled = jax.jit(by_columns).lower(random_weights(sizes, True), jnp.zeros((7, m))).compile()
    costs = compiled.cost_analysis()
    costs = costs[0] if isinstance(costs, list) else costs
    assert costs is not None
    assert costs["flops"] == flops(sizes, m)


@pytest.mark.quick("sigmoid")
@pytest.mark.parametrize("output", ["softmax", "sigmoid", "identity"])
def test_both_backward_passes_give_the_same_gradient(output):
    net = Network((4, 6, 3), "tanh", output)
    params, batch = init(jax.random.key(0), net), random_batch(net, 8)
    (J, manual), (J_too, autodiff) = (program(net, rules, params, batch).run() for rules in (TEXTBOOK, AUTODIFF))
    assert float(J) == pytest.approx(float(J_too), rel=1e-6)
    for ours, theirs in zip(jax.tree.leaves(manual), jax.tree.leaves(autodiff), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_a_comparison_has_both_sides():
    found = compare_backward(Network((4, 6, 3), "relu", "softmax"), 8, rounds=3, round_seconds=0.0).to_dict()
    assert found["activation"] == "relu"
    assert {*found["manual"]} == {*found["autodiff"]} == {"microseconds", "bytes", "flops"}
    assert found["ratio"]["least"] <= found["ratio"]["median"] <= found["ratio"]["greatest"]


@pytest.mark.slow
def test_efficiency_is_limit_over_step():
    found = measure("one", Workload((4, 6, 3), 8, 4), rounds=1)
    assert found.efficiency.median == pytest.approx(found.limit / found.microseconds)
