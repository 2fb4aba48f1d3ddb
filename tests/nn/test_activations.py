"""Activations: values, pullbacks by three witnesses, conventions at kinks, limits, and the sentences for mistakes."""

import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
import zoo

from jaxmlp import Activation, activation
from jaxmlp.errors import InputError, InputTypeError
from jaxmlp.nn import activations
from jaxmlp.nn.activations import ACTIVATIONS, find

every_activation = pytest.mark.parametrize("g", zoo.ACTIVATIONS, ids=lambda g: g.name)
every_elementwise = pytest.mark.parametrize("g", zoo.ELEMENTWISE, ids=lambda g: g.name)
every_pieces = pytest.mark.parametrize("pieces", [2, 3])

RNG = np.random.default_rng(1)
Z_WIDE = RNG.uniform(-20, 20, (12, 9))  # 12 rows: 6 units of maxout(2), 4 of maxout(3)
Z_NEAR = RNG.uniform(0.01, 4, (12, 9)) * RNG.choice([-1, 1], (12, 9))


def random_dA(g: Activation) -> np.ndarray:
    return np.random.default_rng(2).normal(size=(12 // g.pieces, 9))


def pullback(g: Activation, Z: jax.Array, dA: jax.Array) -> jax.Array:
    return g.pullback(Z, g.apply(Z), dA)


def autodiff(g: Activation, Z: jax.Array, dA: jax.Array) -> jax.Array:
    return jax.vjp(g.apply, Z)[1](dA)[0]


def slope(g: Activation, *z: float) -> list[float]:
    """g'(z) by the pullback."""
    Z = jnp.array([z])
    return pullback(g, Z, jnp.ones_like(Z))[0].tolist()


# --- values and pullbacks ---------------------------------------------------------------------------------------------


@every_activation
@pytest.mark.parametrize("Z", [Z_WIDE, Z_NEAR], ids=["wide", "near"])
def test_values_are_the_oracles(g, Z):
    A = g.apply(jnp.asarray(Z))

    assert A.dtype == jnp.float64
    assert oracle.relative_difference(A, oracle.activation(g.name).apply(Z)) <= 1e-14


@every_activation
@pytest.mark.parametrize("Z", [Z_WIDE, Z_NEAR], ids=["wide", "near"])
def test_pullback_is_the_oracles_and_autodiffs(g, Z):
    dA = random_dA(g)
    dZ = pullback(g, jnp.asarray(Z), jnp.asarray(dA))

    assert oracle.relative_difference(dZ, oracle.activation(g.name).backward(Z, dA)) <= 1e-13
    assert oracle.relative_difference(dZ, autodiff(g, jnp.asarray(Z), jnp.asarray(dA))) <= 1e-13


@every_activation
def test_pullback_is_the_slope_of_central_differences(g):
    h, dA = 1e-5, random_dA(g)
    slopes = np.empty_like(Z_NEAR)
    for row in range(len(Z_NEAR)):  # columns are independent: one row of all of them at a time
        step = h * (np.arange(12) == row)[:, None]
        rise = np.asarray(g.apply(jnp.asarray(Z_NEAR + step))) - np.asarray(g.apply(jnp.asarray(Z_NEAR - step)))
        slopes[row] = (dA * rise).sum(axis=0) / (2 * h)

    assert oracle.relative_difference(pullback(g, jnp.asarray(Z_NEAR), jnp.asarray(dA)), slopes) <= 1e-8


@every_activation
def test_columns_are_independent(g):
    one_by_one = [g.apply(jnp.asarray(Z_NEAR[:, [i]])) for i in range(9)]

    # not bit for bit: a GPU sums a single column in another order
    np.testing.assert_array_max_ulp(np.asarray(g.apply(jnp.asarray(Z_NEAR))), np.concatenate(one_by_one, axis=1), 2)


@every_elementwise
def test_elementwise_is_said_of_those_that_are(g):
    rows_reversed = g.apply(jnp.asarray(Z_NEAR[::-1]))

    np.testing.assert_array_equal(rows_reversed[::-1], g.apply(jnp.asarray(Z_NEAR)))
    assert g.pieces == 1


def test_only_softmax_and_maxout_couple_their_rows():
    assert {g.name for g in zoo.ACTIVATIONS} - {g.name for g in zoo.ELEMENTWISE} == {
        "softmax",
        "maxout(2)",
        "maxout(3)",
    }


# --- kinks ------------------------------------------------------------------------------------------------------------


@every_elementwise
def test_slope_at_zero_and_autodiff_follows_it(g):
    Z = jnp.array([[0.0, -0.0]])
    ones = jnp.ones_like(Z)

    assert pullback(g, Z, ones).tolist() == [[oracle.SLOPES_AT_0[g.name]] * 2]
    assert autodiff(g, Z, ones).tolist() == [[oracle.SLOPES_AT_0[g.name]] * 2]


@every_elementwise
def test_kinks_are_where_the_slope_jumps(g):
    left, right = slope(g, -1e-9, 1e-9)
    jumps = abs(left - right) > 1e-6 or g.name == "step"  # step itself jumps

    assert g.kinks == ((0.0,) if jumps else ())


@every_pieces
def test_maxout_gives_a_tie_to_the_first_piece(pieces):
    g = activations.maxout(pieces)
    Z = jnp.zeros((2 * pieces, 3)).at[0, 1].set(-1.0)  # unit 0 of column 1: its first piece loses
    dA = jnp.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    expected = np.zeros((2 * pieces, 3))
    expected[:2] = dA
    expected[[0, 2], 1] = 0, 2  # its second piece is the first maximal one

    np.testing.assert_array_equal(pullback(g, Z, dA), expected)
    np.testing.assert_array_equal(autodiff(g, Z, dA), expected)


def test_maxout_of_two_is_relu_and_absolute_value_when_its_pieces_are():
    z = jnp.asarray(Z_WIDE)
    maxout = activations.maxout(2)

    np.testing.assert_array_equal(maxout.apply(jnp.concatenate([z, jnp.zeros_like(z)])), activations.relu.apply(z))
    np.testing.assert_array_equal(maxout.apply(jnp.concatenate([z, -z])), jnp.abs(z))


def test_maxout_takes_piece_j_of_unit_u_from_row_jn_plus_u():
    Z = jnp.array([[1.0], [5.0], [3.0], [4.0], [2.0], [9.0]])  # units (1, 3, 2) and (5, 4, 9)

    assert activations.maxout(3).apply(Z).tolist() == [[3.0], [9.0]]


# --- limits, NaN and range --------------------------------------------------------------------------------------------

INF = float("inf")


@pytest.mark.parametrize("name", oracle.LIMITS)
def test_infinity_gives_the_limit(name):
    g = find(name)

    assert (*g.apply(jnp.array([[-INF, INF]]))[0].tolist(), *slope(g, -INF, INF)) == oracle.LIMITS[name]


def test_every_built_in_elementwise_activation_has_its_limits_tested():
    assert set(oracle.LIMITS) == {g.name for g in zoo.ELEMENTWISE if g not in (zoo.SINE, zoo.SOFTSIGN)}


def test_softmax_of_infinities_is_shared_by_the_largest():
    Z = jnp.array([[INF, INF, -INF, 1.0], [0.0, INF, 0.0, -INF], [-INF, 3.0, 0.0, 1.0]])

    assert activations.softmax.apply(Z).T.tolist() == [[1, 0, 0], [0.5, 0.5, 0], [0, 0.5, 0.5], [0.5, 0, 0.5]]


@every_pieces
def test_maxout_takes_an_infinite_piece(pieces):
    Z = jnp.full((pieces, 2), -INF).at[-1, 0].set(INF)

    assert activations.maxout(pieces).apply(Z).tolist() == [[INF, -INF]]


@every_activation
@pytest.mark.parametrize("row", range(3))
def test_nan_comes_out_as_nan(g, row):
    # row 0, 1 or 2 of the first column: any piece of maxout(3), any class of softmax
    A = g.apply(jnp.ones((3 if g.pieces != 2 else 4, 2)).at[row, 0].set(jnp.nan))

    assert jnp.isnan(A[:, 0]).any()
    assert not jnp.isnan(A[:, 1]).any()


@pytest.mark.parametrize("g", [g for g in zoo.ACTIVATIONS if g.name != "exp"], ids=lambda g: g.name)  # eᶻ is not
def test_finite_up_to_the_range_of_the_dtype(g):
    @jax.jit  # one program for both dtypes
    def everything(Zs):
        return [(g.apply(Z), pullback(g, Z, dA), autodiff(g, Z, dA)) for Z in Zs for dA in (jnp.ones_like(g.apply(Z)),)]

    dtypes = (jnp.float32, jnp.bfloat16)
    for dtype, arrays in zip(dtypes, everything([extremes(dtype) for dtype in dtypes]), strict=True):
        for array in arrays:
            assert array.dtype == dtype
            assert jnp.isfinite(array).all()


def extremes(dtype: Any) -> jax.Array:
    """12 rows: each of twelve z, up to ± the largest number, in every row; and a column of each alone."""
    values = np.array([0, 1e-3, 1, 20, 1e4, 1e38, float(jnp.finfo(dtype).max)])
    values = np.concatenate([values, -values[2:]])
    return jnp.asarray(np.array([np.roll(values, i) for i in range(12)] + [[z] * 12 for z in values]).T, dtype)


# --- the textbook's properties ----------------------------------------------------------------------------------------


def test_slope_of_sigmoid_is_at_most_a_quarter_and_exactly_that_at_zero():
    z = np.linspace(-5, 5, 1001)
    slopes = np.array(slope(activations.sigmoid, *z))

    assert slopes.max() == slope(activations.sigmoid, 0.0)[0] == 0.25
    assert (slopes[np.abs(z) > 1e-9] < 0.25).all()
    assert (slopes > 0).all()


def test_tanh_is_a_scaled_and_shifted_sigmoid():
    z = jnp.asarray(Z_WIDE)

    np.testing.assert_allclose(activations.tanh.apply(z), 2 * activations.sigmoid.apply(2 * z) - 1, rtol=0, atol=1e-15)


def test_saturation():
    # σ'(z) = e⁻ᶻ/(1 + e⁻ᶻ)², tanh' = 4 e⁻²ᶻ/(1 + e⁻²ᶻ)²
    z = np.array([5.0, 10.0])
    e = np.exp(-z)

    np.testing.assert_allclose(slope(activations.sigmoid, *z), e / (1 + e) ** 2, rtol=1e-11)
    np.testing.assert_allclose(slope(activations.tanh, *z), 4 * e**2 / (1 + e**2) ** 2, rtol=1e-6)
    assert slope(activations.tanh, 20.0, -20.0) == [0, 0]


@pytest.mark.parametrize("alpha", [0.0, 0.01, 0.2, 1.0])
def test_leaky_relu_is_the_larger_of_z_and_alpha_z(alpha):
    np.testing.assert_array_equal(
        activations.leaky_relu(alpha).apply(jnp.asarray(Z_WIDE)), np.maximum(alpha * Z_WIDE, Z_WIDE)
    )


def test_leaky_relu_and_elu_of_zero_are_relu_but_for_their_slope_at_zero():
    z = jnp.asarray(Z_WIDE)

    for g in (activations.leaky_relu(0), activations.elu(0)):
        np.testing.assert_array_equal(g.apply(z), activations.relu.apply(z))
        assert slope(g, -1.0, 0.0, 1.0) == [0, 1, 1]


def test_softmax_sums_to_one_and_forgets_a_shift():
    A = activations.softmax.apply(jnp.asarray(Z_NEAR))

    np.testing.assert_allclose(A.sum(axis=0), 1, rtol=1e-15)
    np.testing.assert_allclose(activations.softmax.apply(jnp.asarray(Z_NEAR) + 700.0), A, rtol=1e-12)
    assert (A > 0).all()


def test_jacobian_of_softmax():
    z = jnp.asarray(Z_NEAR[:, :1])
    a = activations.softmax.apply(z)
    by_pullback = [pullback(activations.softmax, z, row[:, None])[:, 0] for row in jnp.eye(12)]

    np.testing.assert_allclose(by_pullback, jnp.diag(a[:, 0]) - a @ a.T, rtol=1e-13)


def test_softmax_of_two_classes_is_the_sigmoid_of_their_difference():
    Z = jnp.asarray(Z_NEAR[:2])

    np.testing.assert_allclose(
        activations.softmax.apply(Z)[0], activations.sigmoid.apply(Z[0] - Z[1]), rtol=1e-14, atol=0
    )


def test_softmax_needs_its_whole_jacobian():
    # cross-entropy, true class 2: da = -y/a. The elementwise a (1 - a) loses the other classes; the truth is a - y.
    a, y = jnp.array([[0.226], [0.175], [0.378], [0.221]]), jnp.array([[0.0], [1.0], [0.0], [0.0]])
    Z = jnp.log(a)
    dZ = pullback(activations.softmax, Z, -y / a)
    elementwise = -y / a * a * (1 - a)

    np.testing.assert_allclose(dZ, [[0.226], [-0.825], [0.378], [0.221]], rtol=1e-12)
    np.testing.assert_allclose(elementwise, [[0], [-0.825], [0], [0]], rtol=1e-12)


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("relu", "relu"),
        (" relu ", "relu"),
        ("leaky_relu", "leaky_relu(0.01)"),
        ("leaky_relu()", "leaky_relu(0.01)"),
        ("leaky_relu( .2 )", "leaky_relu(0.2)"),
        ("leaky_relu(2e-1)", "leaky_relu(0.2)"),
        ("leaky_relu(1)", "leaky_relu(1.0)"),
        ("elu", "elu(1.0)"),
        ("elu(2)", "elu(2.0)"),
        ("maxout", "maxout(2)"),
        ("maxout (3)", "maxout(3)"),
    ],
)
def test_one_spelling_and_one_record_for_every_name(written, name):
    assert find(written).name == name
    assert find(written) == find(name)
    assert hash(find(written)) == hash(find(name))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_name_leads_to_its_function(name):
    assert find(name).name.partition("(")[0] == name
    assert find(name).formula
    assert find(name).derivative


def test_a_record_is_found_as_itself():
    assert find(zoo.SINE) is zoo.SINE


def test_different_numbers_are_different_activations():
    assert find("leaky_relu(0.1)") != find("leaky_relu(0.2)")
    assert find("maxout(2)") != find("maxout(3)")


NAMES = ", ".join(activations.ACTIVATIONS)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rellu", f"activation expects one of {NAMES}, got 'rellu': did you mean 'relu'?"),
        ("ReLU", f"activation expects one of {NAMES}, got 'ReLU': did you mean 'relu'?"),
        ("ELU", f"activation expects one of {NAMES}, got 'ELU': did you mean 'elu'?"),
        ("Leaky-ReLU", f"activation expects one of {NAMES}, got 'Leaky-ReLU': did you mean 'leaky_relu'?"),
        ("LeakyReLU(0.2)", f"activation expects one of {NAMES}, got 'LeakyReLU': did you mean 'leaky_relu'?"),
        ("linear", f"activation expects one of {NAMES}, got 'linear': did you mean 'identity'?"),
        ("xyz", f"activation expects one of {NAMES}, got 'xyz': take one of these names"),
        ("leaky_relu(", f"activation expects one of {NAMES}, got 'leaky_relu(': did you mean 'leaky_relu'?"),
        ("", f"activation expects one of {NAMES}, got '': take one of these names"),
        ("relu(2)", "activation relu expects no argument, got 'relu(2)': write 'relu'"),
        (
            "elu(a)",
            "activation 'elu(a)' expects numbers in its parentheses, got 'a': write it as in 'elu(1.0)'",
        ),
        (
            "maxout(k=5)",
            "activation 'maxout(k=5)' expects numbers in its parentheses, got 'k=5': write it as in 'maxout(2)'",
        ),
        ("elu(1, 2)", "activation 'elu(1, 2)' expects at most 1 number, got 2: remove the last ones"),
        ("leaky_relu(2)", "leaky_relu expects 0 ≤ α ≤ 1, got 2: write 'leaky_relu(0.1)', say"),
        ("leaky_relu(-0.1)", "leaky_relu expects 0 ≤ α ≤ 1, got -0.1: write 'leaky_relu(0.1)', say"),
        ("leaky_relu(nan)", "leaky_relu expects 0 ≤ α ≤ 1, got nan: write 'leaky_relu(0.1)', say"),
        ("elu(-1)", "elu expects a finite α ≥ 0, got -1: write 'elu(0.1)', say"),
        ("elu(inf)", "elu expects a finite α ≥ 0, got inf: write 'elu(0.1)', say"),
        ("maxout(1)", "maxout expects a whole number of pieces, at least 2, got 1: write 'maxout(2)'"),
        ("maxout(2.5)", "maxout expects a whole number of pieces, at least 2, got 2.5: write 'maxout(2)'"),
    ],
)
def test_sentence_for_a_wrong_name(name, text):
    with pytest.raises(InputError) as error:
        find(name)
    assert str(error.value) == text


def test_sentence_for_what_is_not_a_name():
    with pytest.raises(InputTypeError) as error:
        find(3)  # pyright: ignore[reportArgumentType]
    assert str(error.value) == f"activation expects a name, got int: take one of {NAMES}"


# --- one's own --------------------------------------------------------------------------------------------------------


def test_own_activation_keeps_what_it_is_given():
    g = activation("mine", jnp.sin, lambda Z, A, dA: dA, init="lecun_normal", kinks=(1.0,), elementwise=False)

    assert g[0] == "mine"
    assert (g.init, g.pieces, g.kinks, g.elementwise, g.autodiff) == ("lecun_normal", 1, (1.0,), False, False)


def test_own_activation_without_pullback_says_that_autodiff_answers():
    assert zoo.SOFTSIGN.autodiff
    assert slope(zoo.SOFTSIGN, 1.0, -3.0) == [0.25, 0.0625]


@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        (("relu", jnp.sin), InputError, "activation expects a new name, got 'relu': call it 'my_relu', say"),
        (
            ("a b", jnp.sin),
            InputError,
            "activation expects a name such as 'square', got 'a b': use letters, digits and _",
        ),
        ((3, jnp.sin), InputError, "activation expects a name such as 'square', got 3: use letters, digits and _"),
        (("mine", 3), InputTypeError, "activation 'mine' expects functions, got int: give functions of arrays"),
        (
            ("mine", jnp.sin, "cos"),
            InputTypeError,
            "activation 'mine' expects functions, got str: give functions of arrays",
        ),
    ],
)
def test_sentence_for_a_mistake_in_ones_own_activation(arguments, kind, text):
    with pytest.raises(InputError) as error:
        activation(*arguments)
    assert type(error.value) is kind
    assert str(error.value) == text


@pytest.mark.parametrize("g", ["softmax", "silu", "gelu"])
def test_numbers_of_numpy_are_no_overflow_in_float32(g):
    with jax.enable_x64(False), warnings.catch_warnings():
        warnings.simplefilter("error")
        A = find(g).apply(np.array([[5.0], [2.0]]))  # pyright: ignore[reportArgumentType]
    assert A.dtype == np.float32
    assert np.isfinite(np.asarray(A)).all()
