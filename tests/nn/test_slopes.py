"""g' in the tails: its digits, its limits, and that near 0 it is the derivative that training uses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import zoo

from jaxmlp import activation
from jaxmlp.nn import slopes
from jaxmlp.nn.activations import find
from jaxmlp.nn.costs import binary_cross_entropy

every_elementwise = pytest.mark.parametrize("g", zoo.ELEMENTWISE, ids=lambda g: g.name)


@every_elementwise
def test_slope_is_the_pullback_of_ones_near_0(g):
    Z = jnp.linspace(-4.0, 4.0, 81)[None]
    assert g.slope is not None
    np.testing.assert_allclose(g.slope(Z), g.pullback(Z, g.apply(Z), jnp.ones_like(Z)), rtol=2e-12)


def test_only_activations_that_couple_rows_have_no_slope():
    assert [g.name for g in zoo.ACTIVATIONS if g.slope is None] == [
        g.name for g in zoo.ACTIVATIONS if not g.elementwise
    ]
    assert activation("rows", lambda Z: Z - Z.mean(axis=0), elementwise=False).slope is None


def test_an_activation_of_the_users_has_a_slope():
    cube = activation("cube", lambda Z: Z**3)
    assert cube.slope is not None
    assert cube.slope(jnp.array([[2.0]])).tolist() == [[12.0]]


@pytest.mark.parametrize(
    ("name", "z", "expected"),
    [
        ("sigmoid", 17.0, 4.13993737600350e-08),
        ("sigmoid", -80.0, 1.80485138784542e-35),
        ("tanh", 19.5, 4.61928966920632e-17),
        ("tanh", 43.0, 1.78951172247245e-37),
        ("gelu", -13.3, -2.04708914056923e-38),
        ("gelu", -12.9, -3.74478920100506e-36),
        ("gelu", -12.0, -2.55789566167489e-31),
    ],
)
def test_float32_keeps_its_digits_in_the_tails(name, z, expected):
    """The values are g'(float32(z)) in 30 digits."""
    slope = find(name).slope
    assert slope is not None
    np.testing.assert_allclose(slope(jnp.float32(z)), expected, rtol=1e-6)  # approx would allow 1e-12 for any number


def test_float64_keeps_its_digits_in_the_tail_of_gelu():
    np.testing.assert_allclose(slopes.gelu_slope(jnp.float64(-37.5)), -6.47627114305581e-305, rtol=1e-14)


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
@pytest.mark.parametrize(
    ("name", "above"), [("sigmoid", 0), ("tanh", 0), ("gelu", 1), ("silu", 1), ("softplus", 1), ("elu", 1)]
)
def test_limits_are_numbers_and_keep_the_dtype(name, above, dtype):
    largest = float(jnp.finfo(dtype).max)
    slope = find(name).slope
    assert slope is not None
    dZ = slope(jnp.array([[-jnp.inf, -largest, largest, jnp.inf]], dtype))
    assert dZ.dtype == dtype
    assert dZ.tolist() == [[0, 0, above, above]]


@pytest.mark.quick("silu")
@pytest.mark.parametrize("name", ["sigmoid", "tanh", "gelu", "silu", "softplus"])
def test_the_slope_of_a_slope_is_a_number_and_nan_stays_nan(name):
    slope = find(name).slope
    assert slope is not None
    second = jax.vmap(jax.grad(slope))(jnp.array([-1e30, -300.0, 0.0, 300.0, 1e30]))
    assert np.isfinite(second).all()
    assert bool(jnp.isnan(slope(jnp.array([jnp.nan]))).all())


@pytest.mark.slow
def test_second_derivatives_at_0():
    """tanh'' = -2 a (1 - a²), σ'' = a (1 - a)(1 - 2a), both 0 at 0; gelu'' = 2 φ(0), silu'' = 1/2."""
    seconds = [float(jax.grad(find(name).slope)(0.0)) for name in ("tanh", "sigmoid", "gelu", "silu")]  # pyright: ignore
    np.testing.assert_allclose(seconds, [0.0, 0.0, 2 / np.sqrt(2 * np.pi), 0.5], atol=1e-15)


def test_narrow_dtypes_compute_gelu_in_float32():
    Z = jnp.array([-3.0, -1.0, 2.0], jnp.bfloat16)
    expected = slopes.gelu_slope(Z.astype(jnp.float32)).astype(jnp.bfloat16)
    assert slopes.gelu_slope(Z).tolist() == expected.tolist()


def test_the_loss_of_a_confident_right_answer_is_not_0():
    """-ln σ(40) = e⁻⁴⁰; ln(1 + eᶻ) - z would be 0."""
    c = binary_cross_entropy.losses(find("sigmoid"), jnp.array([[40.0, -40.0]]), jnp.array([[1.0, 0.0]]))
    np.testing.assert_allclose(c, np.exp([[-40.0, -40.0]]).sum(axis=0)[None], rtol=1e-14)
