"""Compiled functions that keep their own sentences, and hide nobody else's."""

import pytest

from jaxmlp.errors import InputError
from jaxmlp.nn.compiled import compiled


@compiled(static=("kind",))
def twice(x, kind="plain"):
    """What jit refuses is seen once more without it."""
    if isinstance(x, str) and kind == "plain":
        raise InputError("x expects a number, got a text: convert it")
    return x + x


def test_our_sentence_comes_before_jits():
    with pytest.raises(InputError, match="x expects a number"):
        twice("a")
    assert float(twice(2.0)) == 4.0


def test_what_only_jit_refuses_is_jits_to_say():
    with pytest.raises(TypeError, match=r"abstract array|valid JAX type"):
        twice("a", kind="text")


def test_it_can_be_lowered():
    assert vars(twice)["lower"](1.0) is not None
