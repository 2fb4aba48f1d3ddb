"""Network, forward propagation and its pieces: normal form, shapes, values against the oracle, dtypes, sentences."""

import inspect
import re
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
import zoo

import jaxmlp
from jaxmlp import Network, Objective
from jaxmlp.errors import InputError, InputTypeError

every_network = pytest.mark.parametrize(("net", "cost"), zoo.NETWORKS.values(), ids=zoo.NETWORKS.keys())
forward, logits, trace = map(inspect.unwrap, (jaxmlp.forward, jaxmlp.logits, jaxmlp.trace))  # not compiled


# --- the record -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "net",
    [
        Network([3, 5, 4, 1], ["leaky_relu", "elu(1)"], "sigmoid"),  # pyright: ignore[reportArgumentType]
        Network(np.array([3, 5, 4, 1]), ("leaky_relu(.01)", " elu "), "sigmoid "),  # pyright: ignore[reportArgumentType]
        Network((3, 5, 4, 1), (zoo.ACTIVATIONS[5], "elu"), zoo.ACTIVATIONS[2]),
    ],
    ids=["lists", "spellings", "records"],
)
def test_networks_written_differently_are_equal(net):
    same = Network((3, 5, 4, 1), ("leaky_relu(0.01)", "elu(1.0)"), "sigmoid")

    assert net == same
    assert hash(net) == hash(same)
    assert (net.sizes, net.hidden, net.output) == ((3, 5, 4, 1), ("leaky_relu(0.01)", "elu(1.0)"), "sigmoid")
    assert all(type(n) is int for n in net.sizes)


def test_one_hidden_activation_is_for_all_hidden_layers():
    assert Network((3, 5, 4, 1), "tanh", "sigmoid") == Network((3, 5, 4, 1), ("tanh", "tanh"), "sigmoid")


def test_hidden_layers_are_relu_by_default_and_may_be_absent():
    assert Network(sizes=(2, 1), output="sigmoid") == Network((2, 1), "tanh", "sigmoid")
    assert Network(sizes=(3, 5, 4, 1), output="sigmoid") == Network((3, 5, 4, 1), "relu", "sigmoid")
    with pytest.raises(InputError) as error:
        Network(sizes=(2, 1))
    assert str(error.value) == (
        "Network expects the activation of the last layer, got no output: "
        "write output='sigmoid', 'softmax' or 'identity'"
    )


def test_own_activation_stays_a_record():
    net = Network((3, 5, 4), zoo.SINE, zoo.SOFTSIGN)

    assert net.hidden == (zoo.SINE,)
    assert net.output is zoo.SOFTSIGN
    assert net.activations == (zoo.SINE, zoo.SOFTSIGN)
    assert net == Network((3, 5, 4), zoo.SINE, zoo.SOFTSIGN) != Network((3, 5, 4), zoo.SOFTSIGN, zoo.SOFTSIGN)


@pytest.mark.parametrize(
    "other",
    [
        Network((3, 6, 1), "tanh", "sigmoid"),
        Network((3, 5, 1), "relu", "sigmoid"),
        Network((3, 5, 1), "tanh", "identity"),
    ],
)
def test_different_networks_differ(other):
    assert Network((3, 5, 1), "tanh", "sigmoid") != other


def test_network_is_a_pytree_without_leaves():
    net = Network((3, 5, 4), zoo.SINE, "softmax")

    assert jax.tree.leaves(net) == []
    assert jax.tree.map(lambda leaf: 2 * leaf, net) is net
    assert jax.jit(lambda net: net)(net) == net
    assert jax.vmap(lambda x, net: x * net.depth, in_axes=(0, None))(jnp.ones(2), net).tolist() == [2, 2]
    assert jax.grad(lambda x, net: x * net.depth)(1.0, net) == 2


def test_network_cannot_be_changed():
    with pytest.raises(AttributeError, match=r"^cannot assign to field 'output'$"):
        Network((3, 1), "relu", "sigmoid").output = "tanh"  # pyright: ignore[reportAttributeAccessIssue]


def test_table_of_shapes():
    net = Network((2, 3, 5, 4, 2, 1), ("relu", "maxout(3)", "tanh", "elu"), "sigmoid")

    assert [tuple(row)[:5] for row in net.shapes] == [
        (2, 3, "relu", (3, 2), (3, 1)),
        (3, 5, "maxout(3)", (15, 3), (15, 1)),
        (5, 4, "tanh", (4, 5), (4, 1)),
        (4, 2, "elu(1.0)", (2, 4), (2, 1)),
        (2, 1, "sigmoid", (1, 2), (1, 1)),
    ]
    assert [row.n_parameters for row in net.shapes] == [9, 60, 24, 10, 3]
    assert net.n_parameters == 106
    assert net.depth == 5


@every_network
def test_table_of_shapes_is_that_of_the_parameters(net, cost):
    params = inspect.unwrap(jaxmlp.init)(jax.random.key(0), net, "constant(1)")

    assert [(layer["W"].shape, layer["b"].shape) for layer in params] == [(row.W, row.b) for row in net.shapes]
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == net.n_parameters


# --- forward propagation ----------------------------------------------------------------------------------------------


@every_network
def test_forward_logits_and_trace_are_the_oracles(net, cost):
    params, X, _, _ = zoo.example(net, cost)
    A_L, caches = oracle.forward(list(params), X, zoo.names(net))
    steps = trace(params, X, net)
    worst = max(
        [
            oracle.relative_difference(forward(params, X, net), A_L),
            oracle.relative_difference(logits(params, X, net), caches[-1][1]),
            *(oracle.relative_difference(step["Z"], Z) for step, (_, Z) in zip(steps, caches, strict=True)),
            *(oracle.relative_difference(step["A"], A) for step, (A, _) in zip(steps, caches[1:], strict=False)),
        ]
    )

    assert worst <= 1e-13
    assert [(step["Z"].shape, step["A"].shape) for step in steps] == [
        ((row.W[0], 7), (row.n_out, 7)) for row in net.shapes
    ]
    np.testing.assert_array_equal(steps[-1]["A"], forward(params, X, net))


@pytest.mark.parametrize("name", ["tutorial", "mixed"])
def test_compiled_functions_are_the_same(name):
    net, cost = zoo.NETWORKS[name]
    params, X, _, _ = zoo.example(net, cost)

    np.testing.assert_allclose(jaxmlp.forward(params, X, net), forward(params, X, net), rtol=1e-13)
    np.testing.assert_allclose(jaxmlp.logits(params, X, net), logits(params, X, net), rtol=1e-12)
    compiled, eager = jaxmlp.trace(params, X, net), trace(params, X, net)
    for ours, theirs in zip(jax.tree.leaves(compiled), jax.tree.leaves(eager), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-15)


def test_one_layer_by_hand():
    # Z = 1·0.5 + 2·(-0.25) = 0, A = 1/2
    params = ({"W": np.array([[0.5, -0.25]]), "b": np.zeros((1, 1))},)

    assert forward(params, np.array([[1.0], [2.0]]), Network((2, 1), "relu", "sigmoid")).tolist() == [[0.5]]


def test_forward_is_the_matrix_product_not_the_elementwise_one():
    W, X = np.array([[1.0, 2], [3, 4]]), -np.array([[1.0, 2], [3, 4]])
    net = Network((2, 2), "relu", "identity")

    assert forward(({"W": W, "b": np.zeros((2, 1))},), X, net).tolist() == [[-7, -10], [-15, -22]]
    assert (W * X).tolist() == [[-1, -4], [-9, -16]]


def test_neuron_by_neuron_is_the_matrix_equation():
    net, cost = zoo.NETWORKS["tutorial"]
    params, X, _, _ = zoo.example(net, cost)
    A = X
    for layer, row, step in zip(params, net.shapes, trace(params, X, net), strict=True):
        Z = np.empty((row.n_out, 7))
        for i in range(7):
            for unit in range(row.n_out):
                Z[unit, i] = sum(layer["W"][unit, k] * A[k, i] for k in range(row.n_in)) + layer["b"][unit, 0]
        np.testing.assert_allclose(step["Z"], Z, rtol=1e-12, atol=1e-14)
        A = np.asarray(step["A"])


@every_network
def test_batch_is_the_stack_of_its_examples(net, cost):
    params, X, _, _ = zoo.example(net, cost)
    singles = [forward(params, X[:, [i]], net) for i in range(7)]

    np.testing.assert_allclose(forward(params, X, net), np.concatenate(singles, axis=1), rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("depth", [1, 2, 5, 10])
def test_linear_layers_collapse_to_one(depth):
    net = Network((3, *[2 + l % 3 for l in range(depth - 1)], 4), "identity", "identity")
    params, X, _, _ = zoo.example(net, "")
    W, b = np.eye(3), np.zeros((3, 1))
    for layer in params:
        W, b = layer["W"] @ W, layer["W"] @ b + layer["b"]

    assert oracle.relative_difference(forward(params, X, net), W @ X + b) <= 1e-12
    assert np.linalg.matrix_rank(W) <= min(net.sizes)


def test_no_hidden_layer_is_logistic_softmax_and_linear_regression():
    params, X, _, _ = zoo.example(Network((3, 4), "relu", "identity"), "")
    Z = params[0]["W"] @ X + params[0]["b"]

    def A(output: str) -> jax.Array:
        return forward(params, X, Network((3, 4), "relu", output))

    np.testing.assert_allclose(A("identity"), Z, rtol=1e-13)
    np.testing.assert_allclose(A("sigmoid"), 1 / (1 + np.exp(-Z)), rtol=1e-13)
    np.testing.assert_allclose(A("softmax"), np.exp(Z) / np.exp(Z).sum(axis=0), rtol=1e-13)


def test_hidden_activation_is_not_that_of_the_output():
    params, X, _, _ = zoo.example(Network((3, 5, 4), "tanh", "identity"), "")
    A1 = np.tanh(params[0]["W"] @ X + params[0]["b"])

    expected = np.maximum(params[1]["W"] @ A1 + params[1]["b"], 0)
    np.testing.assert_allclose(forward(params, X, Network((3, 5, 4), "tanh", "relu")), expected, rtol=1e-12)


# --- dtypes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64", jnp.bfloat16])
@pytest.mark.parametrize("kind", ["uint8", "int64", "bool", "float32", "float64"])
def test_parameters_decide_the_dtype(dtype, kind):
    net = Network((3, 5, 4), "tanh", "softmax")
    params, X, _, _ = zoo.example(net, "")
    params = jax.tree.map(lambda leaf: leaf.astype(dtype), params)
    X = (10 * np.abs(X)).astype(kind)

    for array in jax.tree.leaves((forward(params, X, net), trace(params, X, net))):
        assert array.dtype == dtype
    np.testing.assert_array_equal(forward(params, X, net), forward(params, jnp.asarray(X).astype(dtype), net))


@pytest.mark.parametrize("dtype", ["float32", jnp.bfloat16])
def test_cost_and_gradient_have_the_dtype_of_the_parameters(dtype):
    net = Network((3, 5, 4), "tanh", "softmax")
    params, X, Y, w = zoo.example(net, "")
    params = jax.tree.map(lambda leaf: leaf.astype(dtype), params)
    J, gradient = jaxmlp.backprop(params, X, Y, net, Objective(l2=np.float64(0.5), examples=20), w)

    assert [leaf.dtype for leaf in jax.tree.leaves((J, gradient))] == [dtype] * 5
    assert jaxmlp.cost(params, X, Y, net, Objective(l2=np.float64(0.5), examples=20), w).dtype == dtype


def test_numpy_and_jax_parameters_and_a_list_give_the_same():
    net, cost = zoo.NETWORKS["tutorial"]
    params, X, _, _ = zoo.example(net, cost)
    A = jaxmlp.forward(params, X, net)

    np.testing.assert_array_equal(jaxmlp.forward(jax.tree.map(jnp.asarray, params), jnp.asarray(X), net), A)
    np.testing.assert_array_equal(jaxmlp.forward(list(params), X, net), A)  # pyright: ignore[reportArgumentType]


def test_no_examples_give_no_columns():
    net, cost = zoo.NETWORKS["tutorial"]

    assert forward(zoo.example(net, cost).params, np.ones((2, 0)), net).shape == (1, 0)


# --- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(3,), (), (3, 0, 1), (3, -1), (3, 2.5), 5, "ab", None], ids=repr)
def test_sentence_for_wrong_sizes(sizes):
    with pytest.raises(InputError) as error:
        Network(sizes, "relu", "sigmoid")
    assert str(error.value) == (
        f"sizes expects at least two positive whole numbers, got {sizes!r}: "
        "give the units of every layer from the input on, as in (2, 4, 1)"
    )


@pytest.mark.parametrize(
    ("sizes", "hidden", "output", "text"),
    [
        (
            (3, 5, 4, 1),
            ("relu",),
            "sigmoid",
            "hidden expects 2 activations, got 1: give one activation for all, or one for each hidden layer",
        ),
        (
            (3, 1),
            ("relu",),
            "sigmoid",
            "hidden expects 0 activations, got 1: give one activation for all, or one for each hidden layer",
        ),
        (
            (3, 1),
            "relu",
            "softmax",
            "softmax output expects at least 2 classes, got 1: for two classes use one 'sigmoid' output",
        ),
    ],
)
def test_sentence_for_a_wrong_network(sizes, hidden, output, text):
    with pytest.raises(InputError) as error:
        Network(sizes, hidden, output)
    assert str(error.value) == text


@pytest.mark.parametrize(("hidden", "output"), [("rellu", "tanh"), (("rellu",), "tanh"), ("tanh", "rellu")])
def test_sentence_for_an_unknown_activation(hidden, output):
    with pytest.raises(InputError, match=r"^activation expects one of .*, got 'rellu': did you mean 'relu'\?$"):
        Network((3, 5, 1), hidden, output)


def test_activation_is_checked_without_hidden_layers_only_where_it_is_used():
    assert Network((3, 1), "relu", "sigmoid").hidden == ()


NET = Network((2, 3, 1), "tanh", "sigmoid")
W1, B1, W2, B2 = np.ones((3, 2)), np.ones((3, 1)), np.ones((1, 3)), np.ones((1, 1))
OF_NET = "a tuple of 2 layers for sizes (2, 3, 1)"
OWN = "use jaxmlp.init, or the network of these parameters"
ORDER = "is the order init(key, net), forward(params, X, net), cost(params, X, Y, net)?"


class Trained(NamedTuple):
    """As what fit returns: a tuple that holds the parameters."""

    params: Any
    history: tuple[Any, ...] = ()


def layers(W_1: Any = W1, b_1: Any = B1, W_2: Any = W2, b_2: Any = B2) -> Any:
    return ({"W": W_1, "b": b_1}, {"W": W_2, "b": b_2})


@pytest.mark.parametrize(
    ("params", "kind", "text"),
    [
        (layers()[:1], InputError, f"params expects {OF_NET}, got 1: {OWN}"),
        ((), InputError, f"params expects {OF_NET}, got 0: {OWN}"),
        (
            {"W": W1, "b": B1},
            InputError,
            f"params expects {OF_NET}, got the dictionary of a layer: put it into a tuple with a comma, as in (layer,)",
        ),
        (W1, InputError, f"params expects {OF_NET}, got an array of shape (3, 2): {ORDER}"),
        (
            (W1, W2),
            InputError,
            "layer 1 expects a dictionary with keys 'W' and 'b', got an array of shape (3, 2): see jaxmlp.init",
        ),
        (None, InputError, f"params expects {OF_NET}, got NoneType: {OWN}"),
        (Trained(layers()), InputError, f"params expects {OF_NET}, got Trained: give its .params"),
        (
            ({"W": W1}, layers()[1]),
            InputError,
            "layer 1 expects a dictionary with keys 'W' and 'b', got ['W']: see jaxmlp.init",
        ),
        (
            (layers()[0], (W2, B2)),
            InputError,
            "layer 2 expects a dictionary with keys 'W' and 'b', got tuple: see jaxmlp.init",
        ),
        (
            layers(W1.T),
            InputError,
            "layer 1 expects W of shape (3, 2), got (2, 3): is W transposed?",
        ),
        (
            layers(W_2=np.ones((2, 3))),
            InputError,
            "layer 2 expects W of shape (1, 3), got (2, 3): a row per unit, a column per input",
        ),
        (
            layers(b_1=np.ones(3)),
            InputError,
            "layer 1 expects b of shape (3, 1), got (3,): reshape it with b.reshape(3, 1)",
        ),
        (layers(b_1=B1.T), InputError, "layer 1 expects b of shape (3, 1), got (1, 3): is b transposed?"),
        (layers(W1.astype(int)), InputTypeError, "layer 1 expects W to be a float array, got int64: cast W to float"),
        (
            layers(b_2=0),
            InputError,
            "layer 2 expects b of shape (1, 1), got a single number: write numpy.full((1, 1), float(b))",
        ),
        (
            layers(b_2=[[1.0]]),
            InputTypeError,
            "layer 2 expects b to be a float array, got list: cast b to float",
        ),
        (
            layers(W1.astype("float32")),
            InputTypeError,
            "params expects one dtype for all leaves, got float32, float64: cast them with jax.tree.map",
        ),
    ],
)
def test_sentence_for_wrong_params(params, kind, text):
    X, Y = np.ones((2, 4)), np.ones((1, 4))
    for f in (jaxmlp.forward, jaxmlp.logits, jaxmlp.trace):
        with pytest.raises(InputError) as error:
            f(params, X, NET)
        assert type(error.value) is kind
        assert str(error.value) == text
    for f in (jaxmlp.cost, jaxmlp.backprop):
        with pytest.raises(InputError) as error:
            f(params, X, Y, NET)
        assert str(error.value) == text


@pytest.mark.parametrize(
    ("X", "kind", "text"),
    [
        (
            np.ones((4, 2)),
            InputError,
            "layer 1 expects A_prev of shape (2, m), got (4, 2): is X one example per column?",
        ),
        (
            np.ones(2),
            InputError,
            "layer 1 expects A_prev of shape (2, m), got (2,): reshape one example with X.reshape(2, 1)",
        ),
        (
            np.ones(6),
            InputError,
            "layer 1 expects A_prev of shape (2, m), got (6,): reshape X to two dimensions",
        ),
        (
            np.ones((2, 4, 4)),
            InputError,
            "layer 1 expects A_prev of shape (2, m), got (2, 4, 4): is X one example per column?",
        ),
        (
            np.ones((4, 2, 1), "uint8"),
            InputError,
            "layer 1 expects A_prev of shape (2, m), got (4, 2, 1): flatten images with X.reshape(4, 2).T, and "
            "divide bytes by 255",
        ),
        (np.float64(1), InputError, "layer 1 expects A_prev of shape (2, m), got (): is X one example per column?"),
        (
            [[1.0], [2.0]],
            InputTypeError,
            "X expects an array of shape (2, m), got list: convert it with numpy.asarray",
        ),
        (None, InputTypeError, "X expects an array of shape (2, m), got NoneType: convert it with numpy.asarray"),
        (
            np.full((2, 4), "1"),
            InputTypeError,
            "X expects real numbers, got an array of dtype <U1: convert it with X.astype(float)",
        ),
        (np.ones((2, 4)) * 1j, InputTypeError, "X expects real numbers, got complex128: take X.real or X.imag"),
    ],
)
def test_sentence_for_wrong_inputs(X, kind, text):
    Y = np.ones((1, 4))
    for f in (jaxmlp.forward, jaxmlp.logits, jaxmlp.trace):
        with pytest.raises(InputError) as error:
            f(layers(), X, NET)
        assert type(error.value) is kind
        assert str(error.value) == text
    for f in (jaxmlp.cost, jaxmlp.backprop):
        with pytest.raises(InputError) as error:
            f(layers(), X, Y, NET)
        assert str(error.value) == text


@pytest.mark.parametrize("net", [None, (2, 3, 1)])
def test_sentence_for_what_is_not_a_network(net):
    with pytest.raises(InputTypeError) as error:
        jaxmlp.forward(layers(), np.ones((2, 4)), net)
    assert (
        str(error.value) == f"net expects a jaxmlp.Network, got {type(net).__name__}: write jaxmlp.Network(sizes=...)"
    )


def test_arguments_in_another_order_are_told_the_order():
    order = re.escape(ORDER)
    with pytest.raises(InputTypeError, match=rf"net expects a jaxmlp.Network, got an array of shape \(\): {order}"):
        jaxmlp.init(NET, jax.random.key(0))  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputTypeError, match=order):
        jaxmlp.forward(NET, layers(), np.ones((2, 4)))  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputTypeError, match=rf"net expects a jaxmlp.Network, got an array of shape \(1, 4\): {order}"):
        jaxmlp.trace(layers(), np.ones((2, 4)), np.ones((1, 4)), NET)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match=rf"params expects {re.escape(OF_NET)}, got an array of shape .*: {order}"):
        jaxmlp.forward(np.ones((2, 4)), layers(), NET)  # pyright: ignore[reportArgumentType]


# --- the objective ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ({"l2": -1}, "l2 expects a finite number ≥ 0, got -1: leave it out for none"),
        ({"l2": float("nan")}, "l2 expects a finite number ≥ 0, got nan: leave it out for none"),
        ({"l2": np.float32("inf")}, "l2 expects a finite number ≥ 0, got inf: leave it out for none"),
        ({"l2": 1, "examples": 0}, "examples expects a finite number ≥ 1e-30, got 0: leave it out for none"),
    ],
)
def test_sentence_for_a_wrong_number(numbers, text):
    with pytest.raises(InputError) as error:
        Objective(**numbers)
    assert str(error.value) == text


@pytest.mark.parametrize(("objective", "got"), [((), "tuple"), (0.5, "a number or an array")])
def test_sentence_for_what_is_not_an_objective(objective, got):
    with pytest.raises(InputTypeError) as error:
        jaxmlp.cost(layers(), np.ones((2, 4)), np.ones((1, 4)), NET, objective)
    assert str(error.value) == (f"objective expects a jaxmlp.Objective, got {got}: write jaxmlp.Objective(cost=...)")


def test_sentence_for_a_name_in_place_of_an_objective():
    with pytest.raises(InputTypeError) as error:
        jaxmlp.cost(layers(), np.ones((2, 4)), np.ones((1, 4)), NET, "quadratic")
    assert str(error.value) == "objective expects a jaxmlp.Objective, got 'quadratic': write jaxmlp.Objective(cost=...)"


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: jaxmlp.forward(layers(), "X", NET), "X expects an array of shape (2, m), got str: convert it with"),
        (lambda: jaxmlp.forward(layers(), np.ones((2, 4)), "net"), "net expects a jaxmlp.Network, got str: write"),
        (
            lambda: jaxmlp.forward("params", np.ones((2, 4)), NET),
            "params expects a tuple of 2 layers for sizes (2, 3, 1), got str: use",
        ),
        (lambda: jaxmlp.init(cast(Any, "key"), NET), "key expects a typed key, got str: write jax.random.key(0)"),
        (lambda: jaxmlp.init(jax.random.key(0), NET, dtype=int), "init expects a float dtype, got int64: leave it out"),
        (
            lambda: Network((2, 3, 1), cast(Any, None), "sigmoid"),
            "hidden expects a name, or one for each hidden layer, got None",
        ),
        (
            lambda: Network((2, 3, 1), cast(Any, 3), "sigmoid"),
            "hidden expects a name, or one for each hidden layer, got 3",
        ),
        (
            lambda: Network((2, 3, 1), cast(Any, np.tanh), "sigmoid"),
            "hidden expects a name, or one for each hidden layer, got <ufunc 'tanh'>: write a name as 'relu', or make "
            "a record of your function with jaxmlp.activation",
        ),
        (lambda: Objective(l2=cast(Any, "0.5")), "l2 expects a number, got '0.5': leave it out for none"),
        (
            lambda: jaxmlp.cost(layers(), np.ones((2, 4)), np.ones((1, 4)), NET, Objective(l2=np.ones(2))),
            "l2 expects a single number, got shape (2,): use jax.vmap to go over several",
        ),
        (
            lambda: jaxmlp.cost(layers(), np.ones((2, 4)), np.array([["cat", "dog", "cat", "dog"]]), NET),
            "Y expects real numbers, got an array of dtype <U3: number the classes from 0 on",
        ),
        (
            lambda: jaxmlp.cost(layers(), np.ones((2, 4)), np.ones((1, 4)), NET, None, np.ones((1, 4)) * 1j),
            "weights expects real numbers, got complex128: take weights.real",
        ),
        (
            lambda: Network((2, 3, 1), jaxmlp.Activation("relu", jnp.tanh, lambda Z, A, dA: dA), "sigmoid"),
            "the network expects the built-in activation of that name, got a different one named 'relu': make it with "
            "jaxmlp.activation, under a new name",
        ),
    ],
)
def test_what_jit_would_refuse_gets_our_sentence(call, text):
    with pytest.raises(InputError) as error:
        call()
    assert str(error.value).startswith(text)


@pytest.mark.parametrize("label", [-1.0, 1.5, np.nan])
def test_what_is_no_label_cannot_go_unseen(label):
    J, dparams = jaxmlp.backprop(layers(), np.ones((2, 2)), np.array([[1.0, label]]), NET)
    assert np.isnan(J)
    assert np.isnan(dparams[0]["b"]).all()


def test_small_dtypes_hold_the_m_of_the_penalty():
    params = jax.tree.map(lambda leaf: jnp.ones(leaf.shape, jnp.float16), layers())
    X, Y = np.ones((2, 2)), np.ones((1, 2))
    with_penalty = Objective(l2=1e5, examples=1e5)
    penalty = jaxmlp.cost(params, X, Y, NET, with_penalty) - jaxmlp.cost(params, X, Y, NET)
    assert float(penalty) == pytest.approx(4.5, abs=1e-2)  # 1/2 (6 + 3)
    gained = jaxmlp.backprop(params, X, Y, NET, with_penalty)[1][0]["W"] - jaxmlp.backprop(params, X, Y, NET)[1][0]["W"]
    np.testing.assert_allclose(gained, 1.0, atol=2e-3)


def test_cost_that_the_output_does_not_allow_is_refused_by_cost_and_backprop():
    for f in (jaxmlp.cost, jaxmlp.backprop):
        with pytest.raises(InputError) as error:
            f(layers(), np.ones((2, 4)), np.ones((1, 4)), NET, Objective("categorical_cross_entropy"))
        assert str(error.value) == (
            "cost 'categorical_cross_entropy' is defined for output 'softmax'; the network has output 'sigmoid': "
            "take cost 'binary_cross_entropy' or 'quadratic', or output 'softmax'"
        )


def test_objective_can_hold_a_gradient():
    # a gradient by an objective has its structure, and by `examples` it is negative
    params, X, Y, _ = zoo.example(NET, "binary_cross_entropy")
    slope = jax.grad(jaxmlp.cost, argnums=4)(params, X, Y, NET, Objective(l2=0.5, examples=10))
    squares = sum((layer["W"] ** 2).sum() for layer in params)

    assert float(slope.l2) == pytest.approx(squares / 20)
    assert float(slope.examples) == pytest.approx(-0.5 * squares / 200)
