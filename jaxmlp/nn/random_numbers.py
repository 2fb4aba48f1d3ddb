"""Random numbers of any shape, drawn by a few compiled programs.

Keys of threefry2x32, JAX's default, count the numbers of a draw: the i-th depends on the key and on i alone, and the
i-th of the keys that a key is split into likewise. So

    normal(key, (2, 3)) = normal(key, (1024,))[:6] in rows of 3

and one program, compiled once, draws for every shape of up to 1,024 numbers. A program for each shape would take longer
to compile than the training step of a small network. Other keys (rbg) have no such order and draw each shape by itself.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.core
from jax import Array
from jax.typing import DTypeLike

Sampler = Callable[[Array, tuple[int, ...], DTypeLike], Array]  # (key, shape, dtype) -> numbers

SIZES = tuple(4**k for k in range(5, 11))  # 1,024 to a million numbers; larger draws are not rounded up
KEY_COUNTS = (8, 64)  # the same for the keys of the layers


def is_ordered(key: Any) -> bool:
    """Whether shorter draws from the key are the beginning of longer ones, and the key is known now.

    >>> is_ordered(jax.random.key(0)), is_ordered(jax.random.key(0, impl="rbg"))
    (True, False)
    """
    if isinstance(key, jax.core.Tracer) or not jax.config.values["jax_threefry_partitionable"]:
        return False
    return str(jax.random.key_impl(key)) == "threefry2x32"


def split_key(key: Array, n: int) -> tuple[Array, ...]:
    """Return `jax.random.split(key, n)` of an ordered key as a tuple.

    >>> [bool(k == w) for k, w in zip(split_key(jax.random.key(0), 3), jax.random.split(jax.random.key(0), 3))]
    [True, True, True]
    """
    return _split(key, _round_up(n, KEY_COUNTS))[:n]


def draw_at_least(sample: Sampler, key: Array, n: int, dtype: DTypeLike) -> Array:
    """Return numbers of an ordered key, of which the first n are those of `sample(key, shape, dtype)` for n numbers.

    >>> numbers = draw_at_least(jax.random.normal, jax.random.key(0), 6, "float32")
    >>> numbers.shape, bool((numbers[:6].reshape(2, 3) == jax.random.normal(jax.random.key(0), (2, 3))).all())
    ((1024,), True)
    """
    return _draw(key, sample, _round_up(n, SIZES), dtype)


def _round_up(n: int, sizes: tuple[int, ...]) -> int:
    return next((size for size in sizes if size >= n), n)


@partial(jax.jit, static_argnames="n")
def _split(key: Array, n: int) -> tuple[Array, ...]:
    return tuple(jax.random.split(key, n))


@partial(jax.jit, static_argnames=("sample", "n", "dtype"))
def _draw(key: Array, sample: Sampler, n: int, dtype: DTypeLike) -> Array:
    return sample(key, (n,), dtype)
