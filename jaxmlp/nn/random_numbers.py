"""Random numbers of any shape, drawn by a few compiled programs.

With a key of threefry2x32 and `jax_threefry_partitionable`, JAX's defaults, number i depends on the key and on i alone,
not on how many are drawn. The same holds for the keys that `split` returns. So

    normal(key, (2, 3)) = normal(key, (1024,))[:6] in rows of 3

and one program for each distribution and dtype draws for every shape of up to 1,024 numbers. A program for each shape
would take longer to compile than the training step of a small network. Other keys (rbg) draw each shape by itself.

The keys of a split are computed in Python: 0.1 s less in the first `fit` of a process, because nothing is compiled.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

Sampler = Callable[[Array, tuple[int, ...], DTypeLike], Array]  # (key, shape, dtype) -> numbers of this shape

# the number of draws is rounded up to one of these
SIZES = (*(4**k for k in range(5, 11)), *(2**k for k in range(21, 32)))

# threefry2x32 (Salmon et al., 2011): by how many bits a word is rotated in each round, and the constant of the key
_ROTATIONS = (13, 15, 26, 6), (17, 29, 16, 24)
_PARITY = 0x1BD11BDA
_WORD = 2**32


def has_prefix_draws(key: Any) -> bool:
    """Whether shorter draws from the key are the beginning of longer ones, and the key is not traced by jit or vmap.

    >>> has_prefix_draws(jax.random.key(0)), has_prefix_draws(jax.random.key(0, impl="rbg"))
    (True, False)
    """
    if isinstance(key, jax.core.Tracer) or not getattr(jax.config, "jax_threefry_partitionable", True):
        return False
    return str(jax.random.key_impl(key)) == "threefry2x32"


def split_key(key: Array, n: int) -> tuple[Array, ...]:
    """Return `jax.random.split(key, n)`, of one typed key, as a tuple.

    >>> [bool(k == w) for k, w in zip(split_key(jax.random.key(0), 3), jax.random.split(jax.random.key(0), 3))]
    [True, True, True]
    """
    if not has_prefix_draws(key) or key.committed:  # then the new keys stay on the same device
        return tuple(jax.random.split(key, n))
    first, second = jax.random.key_data(key).tolist()
    pairs = (jnp.array(_threefry(first, second, i), jnp.uint32) for i in range(n))
    return tuple(jax.random.wrap_key_data(pair, impl="threefry2x32") for pair in pairs)


def draw_at_least(sample: Sampler, key: Array, n: int, dtype: DTypeLike) -> Array:
    """Return at least n numbers of a key with `has_prefix_draws`.

    The first n equal `sample(key, shape, dtype)` for a shape of n numbers.

    >>> numbers = draw_at_least(jax.random.normal, jax.random.key(0), 6, "float32")
    >>> numbers.shape, bool((numbers[:6].reshape(2, 3) == jax.random.normal(jax.random.key(0), (2, 3))).all())
    ((1024,), True)
    """
    return _draw(key, sample, _round_up(n, SIZES), dtype)


def _round_up(n: int, sizes: tuple[int, ...]) -> int:
    return next((size for size in sizes if size >= n), n)


def _threefry(first: int, second: int, count: int) -> tuple[int, int]:
    """Return the two words that threefry2x32 makes of a key and a count: those of key number `count` of a split."""
    key = first, second, first ^ second ^ _PARITY
    x, y = first, (count + second) % _WORD
    for i in range(5):
        for rotation in _ROTATIONS[i % 2]:
            x = (x + y) % _WORD
            y = (y << rotation | y >> (32 - rotation)) % _WORD ^ x
        x, y = (x + key[(i + 1) % 3]) % _WORD, (y + key[(i + 2) % 3] + i + 1) % _WORD
    return x, y


@partial(jax.jit, static_argnames=("sample", "n", "dtype"))
def _draw(key: Array, sample: Sampler, n: int, dtype: DTypeLike) -> Array:
    return sample(key, (n,), dtype)
