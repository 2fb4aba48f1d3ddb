"""Initializers: distributions, what "auto" picks, reproducibility, symmetry, and the sentences for mistakes."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
import zoo
from marks import slow_except

import jaxmlp
from jaxmlp import Network, init
from jaxmlp.errors import InputError, InputTypeError
from jaxmlp.nn.initializers import find

N_IN, N_OUT = 800, 400
draw = inspect.unwrap(init)  # not compiled as a whole: random draws of one shape share their program
KEY = jax.random.key(7)
VARIANCES = {  # of an entry of W
    "zeros": 0,
    "constant(0.3)": 0,
    "normal": 0.01**2,
    "normal(0.5)": 0.5**2,
    "lecun_normal": 1 / N_IN,
    "xavier_normal": 2 / (N_IN + N_OUT),
    "xavier_uniform": 2 / (N_IN + N_OUT),
    "he_normal": 2 / N_IN,
    "he_uniform": 2 / N_IN,
}


def weights(initializer: str, hidden: str = "tanh") -> np.ndarray:
    return np.asarray(draw(KEY, Network((N_IN, N_OUT, 1), hidden, "identity"), initializer)[0]["W"])


@pytest.mark.parametrize("initializer", slow_except(zoo.INITIALIZERS, "he_normal", "xavier_uniform"))
def test_variance_is_that_of_theory(initializer):
    W, variance = weights(initializer), VARIANCES[initializer]

    assert find(initializer).variance(N_IN, N_OUT) == pytest.approx(variance, rel=1e-12)
    assert W.var() == pytest.approx(variance, rel=0.02, abs=1e-30)  # 320,000 draws: about 0.25 % is chance
    assert W.mean() == pytest.approx(
        0.3 if initializer == "constant(0.3)" else 0, abs=5 * np.sqrt(variance / W.size) + 1e-12
    )


@pytest.mark.parametrize("initializer", ["normal", "lecun_normal", "xavier_normal", "he_normal"])
def test_normal_has_the_shares_of_a_bell(initializer):
    deviations = np.abs(weights(initializer)) / np.sqrt(VARIANCES[initializer])

    assert [(deviations < k).mean() for k in (1, 2, 3)] == pytest.approx([0.6827, 0.9545, 0.9973], abs=0.005)


@pytest.mark.parametrize("initializer", ["xavier_uniform", "he_uniform"])
def test_uniform_fills_its_range_evenly(initializer):
    W, r = weights(initializer), np.sqrt(3 * VARIANCES[initializer])

    assert -r <= W.min() < -0.999 * r
    assert 0.999 * r < W.max() <= r
    assert np.histogram(W, bins=4, range=(-r, r))[0] / W.size == pytest.approx([0.25] * 4, abs=0.005)


@pytest.mark.parametrize(("initializer", "value"), [("zeros", 0), ("constant", 0), ("constant(-2.5)", -2.5)])
def test_constants(initializer, value):
    assert (weights(initializer) == value).all()


def test_maxout_counts_units_not_rows():
    # Xavier: n_out is 400, though W has 3 · 400 rows
    W = weights("xavier_normal", "maxout(3)")

    assert W.shape == (3 * N_OUT, N_IN)
    assert W.var() == pytest.approx(2 / (N_IN + N_OUT), rel=0.02)


@pytest.mark.quick("sigmoid")
@pytest.mark.parametrize("g", slow_except(zoo.ACTIVATIONS, *zoo.ACTIVATIONS[:4]), ids=lambda g: g.name)
def test_auto_picks_he_for_the_relu_family_and_xavier_for_the_rest(g):
    initializer = "he_normal" if g.name.partition("(")[0] in oracle.HE_FAMILY else "xavier_normal"
    net = Network((3, 5, 4), g, g)

    for picked, expected in zip(draw(KEY, net), draw(KEY, net, initializer), strict=True):
        np.testing.assert_array_equal(picked["W"], expected["W"])


def test_auto_picks_for_each_layer():
    params = draw(KEY, Network((800, 400, 401), "relu", "sigmoid"))

    assert np.var(params[0]["W"]) == pytest.approx(2 / 800, rel=0.02)
    assert np.var(params[1]["W"]) == pytest.approx(2 / 801, rel=0.02)


def test_auto_takes_what_ones_own_activation_asks_for():
    mine = jaxmlp.activation("mine", jnp.sin, init="constant(2)")

    assert init(KEY, Network((2, 1), "relu", mine))[0]["W"].tolist() == [[2, 2]]


def test_an_initializer_of_ones_own():
    twos = find("constant(2)")._replace(name="twos")

    assert find(twos) is twos
    assert init(KEY, Network((2, 1), "relu", "sigmoid"), twos)[0]["W"].tolist() == [[2, 2]]


@pytest.mark.parametrize("initializer", zoo.INITIALIZERS)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_dtype_and_zero_biases(initializer, dtype):
    params = draw(KEY, Network((3, 4, 1), "tanh", "sigmoid"), initializer, dtype)

    assert [leaf.dtype for leaf in jax.tree.leaves(params)] == [dtype] * 4
    assert all((layer["b"] == 0).all() for layer in params)


def test_compiled_draws_are_the_same():
    net = Network((3, 4, 1), "tanh", "sigmoid")

    for compiled, eager in zip(init(KEY, net), draw(KEY, net), strict=True):
        np.testing.assert_allclose(compiled["W"], eager["W"], rtol=1e-15)


def test_dtype_is_jaxs_float_by_default():
    assert init(KEY, Network((2, 1), "relu", "sigmoid"))[0]["W"].dtype == jnp.float64


def test_same_key_same_weights_other_key_other_weights():
    net = Network((3, 3, 3, 3), "tanh", "identity")
    first, again, other = init(KEY, net), init(KEY, net), init(jax.random.key(8), net)

    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a["W"], b["W"])
        assert (a["W"] != c["W"]).all()
    assert (first[0]["W"] != first[1]["W"]).all()  # every layer draws anew
    assert (first[1]["W"] != first[2]["W"]).all()


def train(initializer: str, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """W of both layers after some steps of gradient descent."""
    net = Network((2, 4, 1), "tanh", "sigmoid")
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(2, 20)), rng.integers(0, 2, (1, 20))

    def update(params, _):
        gradient = jaxmlp.backprop(params, X, Y, net)[1]
        return jax.tree.map(lambda p, d: p - 0.5 * d, params, gradient), None

    params = jax.lax.scan(update, init(KEY, net, initializer), length=steps)[0]
    return np.asarray(params[0]["W"]), np.asarray(params[1]["W"])


def test_zeros_never_leave_zero():
    W1, W2 = train("zeros", 500)

    assert (W1 == 0).all()
    assert (W2 == 0).all()


def test_units_that_start_equal_stay_equal():
    W1, W2 = train("constant(0.3)", 500)

    assert np.abs(W1 - W1[0]).max() < 1e-12
    assert np.abs(W2 - W2[0, 0]).max() < 1e-12
    assert np.abs(W1 - 0.3).max() > 0.1  # they did move
    assert np.linalg.matrix_rank(W1, tol=1e-9) == 1


def test_random_weights_break_the_symmetry():
    assert np.linalg.matrix_rank(train("xavier_normal", 500)[0], tol=1e-3) == 2


# --- mistakes ---------------------------------------------------------------------------------------------------------

NAMES = "zeros, constant, normal, lecun_normal, xavier_normal, xavier_uniform, he_normal, he_uniform"


@pytest.mark.parametrize(
    ("initializer", "text"),
    [
        ("he_norml", f"initializer expects one of {NAMES}, got 'he_norml': did you mean 'he_normal'?"),
        ("He", f"initializer expects one of {NAMES}, got 'He': did you mean 'he_normal'?"),
        ("Xavier", f"initializer expects one of {NAMES}, got 'Xavier': did you mean 'xavier_normal'?"),
        ("zeros(1)", "initializer zeros expects no argument, got 'zeros(1)': write 'zeros'"),
        ("normal(-1)", "normal expects a standard deviation ≥ 0, got -1.0: write 'normal(0.01)', say"),
        ("normal(inf)", "normal expects a finite number, got inf: write 'normal(0.01)', say"),
        ("constant(nan)", "constant expects a finite number, got nan: write 'constant(0.01)', say"),
        (
            "normal(a)",
            "initializer 'normal(a)' expects numbers in its parentheses, got 'a': write it as in 'normal(0.01)'",
        ),
    ],
)
def test_sentence_for_a_wrong_initializer(initializer, text):
    with pytest.raises(InputError) as error:
        init(KEY, Network((2, 1), "relu", "sigmoid"), initializer)
    assert str(error.value) == text


@pytest.mark.parametrize(
    ("key", "got"),
    [
        (0, "int"),
        (jax.random.PRNGKey(0), "uint32 of shape (2,)"),
        (jax.random.split(KEY), "key<fry> of shape (2,)"),
        (None, "NoneType"),
    ],
    ids=["number", "raw", "two", "None"],
)
def test_sentence_for_what_is_not_one_typed_key(key, got):
    with pytest.raises(InputTypeError) as error:
        init(key, Network((2, 1), "relu", "sigmoid"))
    assert str(error.value) == f"key expects a typed key, got {got}: write jax.random.key(0)"


def test_sentence_for_what_is_not_a_network():
    with pytest.raises(InputTypeError) as error:
        init(KEY, (2, 1))  # pyright: ignore[reportArgumentType]
    assert str(error.value) == "net expects a jaxmlp.Network, got tuple: write jaxmlp.Network(sizes=...)"
