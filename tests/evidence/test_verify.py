"""The certificate: right equations pass, and each wrong one is named, alone."""

import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
import zoo
from marks import slow_except

import jaxmlp
from jaxmlp import Network, Objective
from jaxmlp.errors import InputError, InputTypeError
from jaxmlp.evidence.certificate import Certificate, Row
from jaxmlp.evidence.network_check import verify as module
from jaxmlp.evidence.network_check.cases import make_case
from jaxmlp.evidence.network_check.device import verify_device
from jaxmlp.evidence.network_check.equations import UserEquations, equation_rows
from jaxmlp.evidence.network_check.verify import verify, verify_all
from jaxmlp.evidence.precision import float64
from jaxmlp.nn import activations, costs

NET = Network((3, 5, 2, 4), "tanh", "sigmoid")


# --- right equations --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_standard_certificate_passes():
    report = verify()
    assert report.passed
    assert report.count("UNDECIDED") == 0
    worst = {row.witness: 0.0 for row in report.rows}
    for row in report.rows:
        assert row.difference is not None
        worst[row.witness] = max(worst[row.witness], row.difference)
    assert worst["autodiff"] <= 1e-12
    assert 0 < worst["central differences"] <= 1e-7
    wheres = {row.where.split(",")[0].split(":")[0] for row in report.rows}
    assert {f"activation {g.name}" for g in zoo.BUILT_IN} <= wheres
    assert {f"cost {name}" for name in zoo.COSTS} <= wheres


def test_every_equation_of_every_layer_has_its_row():
    report = verify(NET, Objective(l2=0.7), weights=None)
    found = {(row.check, row.witness) for row in report.rows if not row.where.startswith(("activation", "cost"))}
    both = {"BP1 dZ_3", *(f"BP2 dZ_{l}" for l in (1, 2)), *(f"BP2 dA_{l}" for l in (1, 2))}
    both |= {f"{name}_{l}" for name in ("BP3 db", "BP4 dW", "L2 dW") for l in (1, 2, 3)}
    expected = {(check, witness) for check in both for witness in ("autodiff", "central differences")}
    expected |= {(f"forward {name}_{l}", "NumPy") for name in "ZA" for l in (1, 2, 3)} | {("L2", "NumPy")}
    whole = {f"{name} d{leaf}_{l}" for name in ("grad", "backprop") for leaf in "Wb" for l in (1, 2, 3)}
    expected |= {(check, "autodiff") for check in {*whole, "grad J", "backprop J", "L2 dλ", "L2 dm"}}
    assert found == expected
    assert report.passed


@pytest.mark.parametrize("net", [Network((5, 4), "relu", zoo.SINE), Network((3, 5, 2), zoo.SOFTSIGN, "identity")])
def test_a_users_activation_is_verified_and_autodiff_says_so(net):
    report = verify(net)
    assert report.passed
    said = [row for row in report.rows if row.note == "by autodiff itself"]
    assert bool(said) == (zoo.SOFTSIGN in net.activations)


def test_a_users_cost_with_a_wrong_delta_is_found():
    quadratic = costs.find("quadratic", activations.identity)
    right = quadratic._replace(name="mine")
    wrong = right._replace(delta=lambda g, Z, Y: 2 * quadratic.delta(g, Z, Y))
    assert verify(Network((3, 2), "relu", "identity"), Objective(right)).passed
    failed = verify(Network((3, 2), "relu", "identity"), Objective(wrong)).failures
    assert {row.check for row in failed[:2]} == {"BP1 dZ"}
    assert failed[0].difference == pytest.approx(1)


@pytest.mark.parametrize(
    ("name", "forgotten"),
    [
        ("huber(0.5)", lambda Z, A, Y, m: (A - Y) / m),
        ("absolute", lambda Z, A, Y, m: np.abs(A - Y) / m),
        ("quantile(0.9)", lambda Z, A, Y, m: np.where(A > Y, 0.9, -0.1) / m),  # τ and 1 - τ swapped
    ],
)
def test_a_wrong_slope_of_the_residual_is_found(name, forgotten):
    report = verify(Network((3, 5, 2), "tanh", "identity"), Objective(name), bp1=forgotten)
    assert {row.check for row in report.failures} == {"BP1 dZ_2"}


def test_a_wrong_pullback_is_found_in_the_activation_and_in_its_layer_only():
    wrong = jaxmlp.activation("wrong_sine", jnp.sin, lambda Z, A, dA: dA * jnp.cos(A))
    report = verify(Network((3, 5, 2, 4), ("tanh", wrong), "sigmoid"))
    named = {row.check for row in report.failures if not row.check.startswith(("grad", "backprop"))}
    assert named == {"pullback", "BP2 dZ_2"}
    assert all("wrong_sine" in row.where for row in report.failures if row.check in named)


def test_given_parameters_and_data_are_those_verified():
    params, X, Y, w = zoo.example(NET, "quadratic")
    single = jax.tree.map(np.float32, params)
    report = verify(NET, Objective("quadratic"), params=single, X=np.float32(X[:, :3]), Y=Y[:, :3], weights=w[:, :3])
    assert report.passed
    assert "3 examples" in report.title


def test_data_that_no_equation_survives_is_refused_and_not_blamed_on_the_equations():
    params, X, Y, w = zoo.example(NET, "quadratic")
    classes, ids = Network((3, 5, 2), "tanh", "softmax"), np.array([[0, 1, 7, 0, 1, 0, 1]])
    with pytest.raises(InputError, match="X expects finite numbers, got NaN or infinity"):
        verify(NET, X=X * np.nan, Y=Y)
    with pytest.raises(InputError, match="layer 1, W expects finite numbers, got NaN or infinity"):
        verify(NET, params=({**params[0], "W": np.nan * params[0]["W"]}, *params[1:]))
    with pytest.raises(InputError, match="weights expects a sum other than 0, got 0"):
        verify(NET, X=X, Y=Y, weights=0 * w)
    with pytest.raises(InputError, match="the batch expects a finite cost, got nan: are labels between 0 and 1"):
        verify(classes, X=X, Y=ids)


@pytest.mark.slow
def test_the_algebra_of_the_textbook_is_in_the_certificate():
    rows = [row for row in verify().rows if row.where.startswith("algebra")]
    found = {(row.check, row.witness) for row in rows}
    assert found == {
        ("H v", "autodiff"),
        ("H v", "central differences"),
        ("H v", "the matrix H"),
        ("H", "autodiff"),
        ("H = Hᵀ", "its transpose"),
        ("∇c_i", "autodiff"),
        ("mean of ∇c_i", "autodiff"),
        ("‖∇c_i‖", "their norms"),
        ("collapse", "forward"),
    }
    assert {row.verdict for row in rows} == {"PASS"}


@pytest.mark.slow
@pytest.mark.parametrize("seed", slow_except(range(4), 0))
def test_big_and_saturated_weights_raise_no_false_alarm(seed):
    rng = np.random.default_rng(seed)
    for hidden in ("sigmoid", "relu", "gelu"):
        net = Network((3, 5, 2, 4), hidden, "softmax")
        params = tuple({"W": 10 * rng.normal(size=row.W), "b": rng.normal(size=row.b)} for row in net.shapes)
        report = verify(net, params=params, seed=seed)
        assert report.passed, report


# --- wrong equations --------------------------------------------------------------------------------------------------


def bp1(Z, A, Y, m):
    return (A - Y) / m


def bp2(W_next, dZ_next, Z, A):
    return (W_next.T @ dZ_next) * (1 - A * A)


def bp3(dZ):
    return dZ.sum(axis=1, keepdims=True)


def bp4(dZ, A_prev):
    return dZ @ A_prev.T


RIGHT = {"bp1": bp1, "bp2": bp2, "bp3": bp3, "bp4": bp4}
WRONG = [
    ("bp1", lambda Z, A, Y, m: A - Y, "BP1 dZ_3"),
    ("bp1", lambda Z, A, Y, m: (Y - A) / m, "BP1 dZ_3"),
    ("bp1", lambda Z, A, Y, m: (A - Y) / m**2, "BP1 dZ_3"),
    ("bp2", lambda W, dZ, Z, A: (W.T @ dZ) * (1 - Z * Z), "BP2 dZ_2"),
    ("bp2", lambda W, dZ, Z, A: W.T @ dZ, "BP2 dZ_2"),
    ("bp3", lambda dZ: dZ.mean(axis=1, keepdims=True), "BP3 db_3"),
    ("bp3", lambda dZ: dZ.sum(axis=1), "BP3 db_3"),
    ("bp4", lambda dZ, A_prev: -dZ @ A_prev.T, "BP4 dW_3"),
    ("bp4", lambda dZ, A_prev: dZ @ A_prev.T / dZ.shape[1], "BP4 dW_3"),
]


def test_a_readers_right_equations_pass():
    assert verify(NET, **RIGHT).passed
    assert verify(NET, bp2=jax.jit(bp2), bp3=jax.jit(bp3), bp4=jax.jit(bp4)).passed


@pytest.mark.parametrize(("name", "wrong", "first"), WRONG)
def test_a_wrong_equation_is_named_and_it_alone(name, wrong, first):
    report = verify(NET, **{**RIGHT, name: wrong})
    assert report.failures[0].check == first
    assert {row.check.split("_")[0] for row in report.failures} == {first.split("_")[0]}
    layers = {"bp1": 1, "bp2": 2, "bp3": 3, "bp4": 3}[name]
    assert len(report.failures) == 2 * layers  # by autodiff and by differences


def test_one_entry_off_by_a_thousandth_is_found():
    def nearly(dZ):
        db = dZ.sum(axis=1, keepdims=True)
        db[0] *= 1.001
        return db

    assert {row.check for row in verify(NET, bp3=nearly).failures} == {"BP3 db_3", "BP3 db_2", "BP3 db_1"}


def test_a_wrong_shape_says_which_was_expected():
    row = verify(NET, bp3=lambda dZ: dZ.sum(axis=1)).failures[0]
    assert (row.verdict, row.difference, row.note) == ("FAIL", None, "expected shape (4, 1), got (4,)")
    row = verify(NET, bp4=lambda dZ, A_prev: "nothing").failures[0]
    assert row.note == "expected an array of shape (4, 2), got str"
    row = verify(NET, bp4=lambda dZ, A_prev: None).failures[0]
    assert row.verdict == "FAIL"


def test_a_complex_answer_fails():
    row = verify(NET, bp2=lambda W, dZ, Z, A: bp2(W, dZ, Z, A) + 0j).failures[0]
    assert (row.verdict, row.note) == ("FAIL", "expected real numbers, got complex128")


def test_a_certificate_of_nan_is_json():
    report = verify(NET, bp2=lambda W, dZ, Z, A: Z * np.nan).to_dict()
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_what_a_function_raises_is_a_row():
    report = verify(NET, bp4=lambda dZ, A_prev: dZ @ A_prev)
    assert report.failures[0].check == "BP4 dW_3"
    assert report.failures[0].note.startswith("raised ValueError: matmul")
    assert {row.check.split("_")[0] for row in report.failures} == {"BP4 dW"}


def test_a_function_that_overwrites_its_arguments_harms_no_other():
    def careless(dZ):
        db = dZ.sum(axis=1, keepdims=True)
        dZ[:] = 0
        return db

    assert verify(NET, bp3=careless, bp4=bp4).passed


@pytest.mark.slow
def test_a_missing_transpose_of_a_square_matrix_is_found_in_the_copy():
    square = Network((3, 3, 3), "tanh", "sigmoid")

    def missing(W_next, dZ_next, Z, A):
        return (W_next @ dZ_next) * (1 - A * A)

    symmetric = tuple({"W": np.full((3, 3), 0.3), "b": np.full((3, 1), 0.1)} for _ in range(2))
    report = verify(square, params=symmetric, bp2=missing)
    assert "W is square" in report.title
    assert report.failures
    assert all(row.where.startswith("copy 2-3-") or row.where.startswith("copy") for row in report.failures)
    assert report.failures[0].check == "BP2 dZ_1"
    assert "copy" not in verify(NET).title


@pytest.mark.slow
def test_class_ids_reach_bp1_as_one_hot_columns():
    net = Network((3, 5, 4), "tanh", "softmax")
    X, ids = np.random.default_rng(1).normal(size=(3, 6)), np.array([[0, 3, 1, 2, 2, 0]])
    assert verify(net, X=X, Y=ids, bp1=bp1).passed
    assert not verify(net, X=X, Y=ids, bp1=lambda Z, A, Y, m: A / m).passed


# --- a whole backward pass --------------------------------------------------------------------------------------------


def by_the_oracle(params, X, Y, net):
    cost = "binary_cross_entropy" if net.activations[-1].name == "sigmoid" else "quadratic"
    return oracle.backward(list(params), X, Y, zoo.names(net), cost)


@pytest.mark.parametrize("answer", [lambda J, d: (J, d), lambda J, d: (J, tuple(d)), lambda J, d: d])
def test_a_right_backward_pass_passes(answer):
    assert verify(NET, backward=lambda *a: answer(*by_the_oracle(*a))).passed


def test_a_right_backward_pass_of_two_layers_is_not_taken_for_a_cost_and_gradients():
    net = Network((3, 5, 1), "tanh", "sigmoid")
    assert verify(net, backward=lambda *a: tuple(by_the_oracle(*a)[1])).passed


@pytest.mark.parametrize("leaf", ["W", "b"])
@pytest.mark.parametrize("l", [1, 2, 3])
def test_a_wrong_leaf_of_a_backward_pass_is_named_and_it_alone(l, leaf):
    def wrong(*arguments):
        J, gradient = by_the_oracle(*arguments)
        gradient[l - 1][leaf] = gradient[l - 1][leaf] * 1.001
        return J, gradient

    assert [row.check for row in verify(NET, backward=wrong).failures] == [f"backward d{leaf}_{l}"]


def test_a_wrong_cost_a_wrong_structure_and_an_exception_of_a_backward_pass():
    assert verify(NET, backward=lambda *a: (0.0, by_the_oracle(*a)[1])).failures[0].check == "backward J"
    row = verify(NET, backward=lambda *a: by_the_oracle(*a)[1][:2]).failures[0]
    assert (row.check, row.note) == ("backward", 'expected 3 dictionaries {"W": dW, "b": db}, or (J, those)')
    row = verify(NET, backward=lambda *a: 1 / 0).failures[0]
    assert row.note == "raised ZeroDivisionError: division by zero"


# --- kinks ------------------------------------------------------------------------------------------------------------


def test_entries_at_a_kink_are_undecided_and_named_never_failed():
    net = Network((3, 5, 2, 4), "relu", "sigmoid")
    params, X, Y, _ = zoo.example(net, "quadratic")
    X[:, 1] = 0  # with b = 0, all of column 1 lies on the kink
    params = ({**params[0], "b": 0 * params[0]["b"]}, *params[1:])
    report = verify(net, params=params, X=X, Y=(Y > 0.5).astype(float))
    assert report.passed
    rows = {row.check: row for row in report.rows if row.witness == "central differences"}
    assert rows["BP3 db_1"].verdict == "UNDECIDED"
    assert rows["BP3 db_1"].difference is None
    assert rows["BP2 dZ_1"].verdict == "PASS"
    assert rows["BP2 dZ_1"].note == "undecided, Z crosses a kink: (0, 1), (1, 1), (2, 1), …"


def test_a_wrong_equation_is_found_although_entries_are_undecided():
    net = Network((3, 5, 2, 4), "relu", "sigmoid")
    params, X, Y, _ = zoo.example(net, "quadratic")
    X[:, 1] = 0
    params = ({**params[0], "b": 0 * params[0]["b"]}, *params[1:])
    report = verify(
        net, params=params, X=X, Y=(Y > 0.5).astype(float), bp2=lambda W, dZ, Z, A: 1.01 * (W.T @ dZ) * (Z > 0)
    )
    failed = {(row.check, row.witness) for row in report.failures}
    assert failed == {(f"BP2 dZ_{l}", witness) for l in (1, 2) for witness in ("autodiff", "central differences")}


@pytest.mark.parametrize("name", zoo.RESIDUAL_COSTS)
def test_residuals_at_a_kink_of_the_cost_are_undecided_never_failed(name):
    net = Network((3, 2), "relu", "identity")
    params, X, Y, _ = zoo.example(net, name)
    kinks = costs.find(name, activations.identity).kinks
    A = params[0]["W"] @ X + params[0]["b"]
    Y[:, 1] = A[:, 1] - (kinks[-1] if kinks else 0)
    report = verify(net, Objective(name), params=params, X=X, Y=Y)
    assert report.passed
    rows = {row.check: row for row in report.rows if row.witness == "central differences" and row.where == "identity"}
    assert rows["BP3 db_1"].verdict == ("UNDECIDED" if kinks else "PASS")
    assert rows["BP1 dZ_1"].verdict == "PASS"
    assert rows["BP1 dZ_1"].note == ("undecided, Z crosses a kink: (0, 1), (1, 1)" if kinks else "")


def test_the_convention_at_a_residual_of_0_has_its_rows():
    report = verify(Network((3, 2), "relu", "identity"), Objective("quantile(0.9)"))
    rows = [row for row in report.rows if row.check == "δ at a - y = 0"]
    assert [(row.witness, row.verdict) for row in rows] == [("convention: 0", "PASS"), ("autodiff", "PASS")]

    right = costs.find("absolute", activations.identity)
    wrong = right._replace(name="mine", delta=lambda g, Z, Y: jnp.where(Z >= Y, 1.0, -1.0))
    failed = verify(Network((3, 2), "relu", "identity"), Objective(wrong)).failures
    assert [row.check for row in failed] == ["δ at a - y = 0"] * 2


# --- the process ------------------------------------------------------------------------------------------------------


def test_a_float32_process_is_verified_in_float64_and_left_as_it_was():
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        params = jaxmlp.init(jax.random.key(0), NET)
        assert params[0]["W"].dtype == jnp.float32
        report = verify(NET, params=params, bp4=bp4)
        assert report.passed
        assert max(row.difference or 0 for row in report.rows if row.witness == "autodiff") <= 1e-14
        assert jnp.ones(1).dtype == jnp.float32


def test_float64_is_left_after_an_error():
    with jax.enable_x64(False):
        with pytest.raises(InputError, match="layer 1 expects A_prev of shape"):
            verify(NET, X=np.zeros((2, 4)))
        assert jnp.ones(1).dtype == jnp.float32


def test_the_seed_decides_what_is_drawn():
    first, again, other = (verify(Network((3, 2), "relu", "sigmoid"), seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


# --- everything -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_verify_all_covers_every_activation_cost_output_and_depth(monkeypatch):
    cases = []

    def only_note(case, own, rng, *, compiled):
        cases.append(case)
        return []

    monkeypatch.setattr(module, "equation_rows", only_note)
    monkeypatch.setattr(module, "_part_rows", lambda *a: [])
    assert verify_all().passed
    hidden = {activations.find(name).name for name in module.ACTIVATIONS}
    assert {g.name for g in zoo.BUILT_IN} == hidden
    heads = {(loss, g.name) for loss, g in zoo.FEW_HEADS if g.name in hidden}
    expected = {(h, *head, depth) for h in hidden for head in heads for depth in (2, 3)}
    expected |= {("", *head, 1) for head in heads}
    found = {
        (c.net.activations[0].name if c.net.depth > 1 else "", c.cost.name, c.net.activations[-1].name, c.net.depth)
        for c in cases
    }
    assert found == expected
    assert len(cases) == len(expected)
    assert {(c.weights is None, c.objective.l2 is None) for c in cases} == {
        (a, b) for a in (True, False) for b in (True, False)
    }
    for c in cases:
        widths = [*c.net.sizes, c.X.shape[1]]
        assert len({*widths}) == len(widths)


@pytest.mark.slow
def test_the_worst_layer_stands_for_an_equation_and_failures_for_themselves():
    with float64():
        case = make_case("", NET, None, np.random.default_rng(0))
        rows = equation_rows(case, UserEquations(bp3=lambda dZ: 2 * bp3(dZ)), np.random.default_rng(0), compiled=False)
    short = module._worst_by_equation(rows)
    assert [row for row in short if row.verdict == "FAIL"] == [row for row in rows if row.verdict == "FAIL"]
    bp4s = [row for row in rows if row.check.startswith("BP4") and row.witness == "central differences"]
    kept = [row for row in short if row.check.startswith("BP4") and row.witness == "central differences"]
    assert kept == [max(bp4s, key=lambda row: row.difference or 0)]
    assert len(bp4s) == 3


@pytest.mark.slow
def test_compiled_or_not_says_the_same():
    with float64():
        case = make_case("", Network((3, 5, 4), "maxout(2)", "softmax"), Objective(l2=0.7), np.random.default_rng(0))
        one, other = (equation_rows(case, UserEquations(), np.random.default_rng(0), compiled=c) for c in (True, False))
    assert [row[:3] for row in one] == [row[:3] for row in other]
    assert {row.verdict for row in [*one, *other]} == {"PASS"}


# --- mistakes ---------------------------------------------------------------------------------------------------------


def test_mistakes_are_said_in_one_sentence():
    givens: list[dict[str, Any]] = [{"bp1": bp1}, {"params": ()}, {"objective": Objective()}]
    for given in givens:
        with pytest.raises(InputError, match=f"{next(iter(given))} expects the network that it is for, got none"):
            verify(**given)
    for seed in (-1, "a", 0.5):
        with pytest.raises(InputError, match="seed expects a whole number ≥ 0, got"):
            verify(NET, seed=seed)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="Y expects X as well, got none"):
        verify(NET, Y=np.zeros((4, 3)))
    with pytest.raises(InputError, match="bp1 with weights expects equal weights"):
        verify(NET, bp1=bp1, X=np.zeros((3, 2)), Y=np.zeros((4, 2)), weights=np.ones((1, 2)))
    with pytest.raises(InputTypeError, match="bp3 expects a function of arrays, got str"):
        verify(NET, bp3="sum")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match=r"equation of verify expects one of bp1, .*, got 'bp': did you mean 'bp"):
        verify(NET, bp=bp1)
    with pytest.raises(InputTypeError, match=r"net expects a jaxmlp\.Network, got str"):
        verify("relu")  # pyright: ignore[reportArgumentType]


# --- the device -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_device_loses_few_digits_at_highest_precision():
    report = verify_device()
    assert report.passed
    assert "float32 on cpu" in report.title
    assert "no accelerator" in report.title
    assert {row.where for row in report.rows} == {"default", "highest"}
    assert {"forward A_3", "grad dW_1", "backprop db_3"} <= {row.check for row in report.rows}
    for row in report.rows:
        assert row.difference is not None
        assert 1e-9 < row.difference < 1e-4  # float32 it is, and not float64 twice
        assert "of 6.9 digits lost" in row.note


@pytest.mark.slow
def test_the_worst_difference_is_that_of_judged_rows():
    rows = [
        Row("a", "", "", 1e-9, 1e-6, "PASS"),
        Row("b", "", "", 5.0, 1e-6, "UNDECIDED"),
        Row("c", "", "", None, None, "PASS"),
    ]
    assert Certificate("title", tuple(rows)).worst == 1e-9
    # max() alone would miss NaN behind a number
    assert np.isnan(Certificate("title", (*rows, Row("d", "", "", np.nan, 1e-6, "FAIL"))).worst)
