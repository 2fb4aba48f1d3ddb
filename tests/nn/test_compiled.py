"""Compiled functions: their own error sentences come before those of jit, and no function is called a second time."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxmlp.errors import InputError
from jaxmlp.nn.compiled import compiled

calls = []


@compiled
def twice(x):
    """Return 2 x, and note the call."""
    calls.append(x)
    if isinstance(x, str):
        raise InputError("x expects a number, got a text: convert it")
    return x + x


def test_our_sentence_comes_before_that_of_jit():
    calls.clear()
    with pytest.raises(InputError, match="x expects a number"):
        twice("a")
    assert calls == ["a"]


@pytest.mark.parametrize("x", [2.0, 2, np.float64(2), np.full(3, 2.0), jnp.full(3, 2.0)], ids=lambda x: str(type(x)))
def test_arrays_and_numbers_are_traced_once(x):
    calls.clear()
    assert (np.asarray(twice(x)) == 4).all()
    assert (np.asarray(twice(x)) == 4).all()
    assert len(calls) <= 1


def test_an_error_while_tracing_is_raised_as_it_is():
    calls.clear()
    with pytest.raises(TypeError, match="unsupported operand"):
        twice(x={"a": 1.0})
    assert len(calls) == 1


def test_it_can_be_lowered():
    assert vars(twice)["lower"](1.0) is not None
