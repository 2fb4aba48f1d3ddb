"""The arguments of a call, split up: what is differentiated by, what is not, and what stays as it is.

    y = f(x, k)          x: every real array among the arguments, k: every whole-number array

Everything else (names, functions, None, what `nondiff_argnums` lists, Python numbers that f wants fixed) is static.
"""

import functools
import inspect
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.errors import InputError, InputTypeError, sentence

Leaves = tuple[Any, ...]  # arrays, of JAX or NumPy
Split = Callable[[Leaves, Leaves], Leaves]  # (x, k) -> the real arrays of y

APART = "check the real and the imaginary part as two"


class Arguments(NamedTuple):
    """The arguments of a call, split up.

    Attributes:
      leaves: x, the real arrays.
      others: k, the arrays of whole numbers and truth values.
      names, other_names: "layer['W']" for each.
      owners, other_owners: the position of the argument that each belongs to.
      join: (leaves, others) -> the arguments again.
      titles: the name of every argument.
    """

    leaves: Leaves
    others: Leaves
    names: tuple[str, ...]
    other_names: tuple[str, ...]
    owners: tuple[int, ...]
    other_owners: tuple[int, ...]
    join: Callable[[Leaves, Leaves], tuple[Any, ...]]
    titles: tuple[str, ...]


def split_arguments(f: Callable[..., Any], args: Sequence[Any], dtype: Any, fixed: Collection[int] = ()) -> Arguments:
    """The arguments of f(*args), its real arrays cast to `dtype` unless that is None; leaves in `fixed` are static.

    Raises:
      InputTypeError: for complex numbers.
      InputError: when there is no real array to differentiate by.
    """
    titles = titles_of(f, len(args))
    static = static_positions(f)
    paths, treedef = jax.tree_util.tree_flatten_with_path(tuple(args))
    values = [value for _, value in paths]
    owners = [path[0].idx for path, _ in paths]
    names = [titles[owner] + jax.tree_util.keystr(path[1:]) for owner, (path, _) in zip(owners, paths, strict=True)]
    kinds = [
        "static" if owner in static or i in fixed else _kind(name, value)
        for i, (owner, name, value) in enumerate(zip(owners, names, values, strict=True))
    ]
    real, whole = ([i for i, found in enumerate(kinds) if found == kind] for kind in ("real", "whole"))
    if not real:
        got = ", ".join(type(arg).__name__ for arg in args) or "no argument"
        remedy = "give the arguments of a call"
        raise InputError(sentence("check_vjp", "a real array among the arguments", got, remedy))

    def join(leaves: Leaves, others: Leaves) -> tuple[Any, ...]:
        given = dict(zip(real, leaves, strict=True)) | dict(zip(whole, others, strict=True))
        return jax.tree_util.tree_unflatten(treedef, [given.get(i, value) for i, value in enumerate(values)])

    return Arguments(
        leaves=tuple(jnp.asarray(values[i], dtype) for i in real),
        others=tuple(jnp.asarray(values[i]) for i in whole),
        names=tuple(names[i] for i in real),
        other_names=tuple(names[i] for i in whole),
        owners=tuple(owners[i] for i in real),
        other_owners=tuple(owners[i] for i in whole),
        join=join,
        titles=titles,
    )


def _kind(name: str, value: Any) -> str:
    if isinstance(value, complex):
        raise InputTypeError(sentence(name, "real numbers", type(value).__name__, APART))
    if isinstance(value, bool | int | str) or (not hasattr(value, "dtype") and not isinstance(value, float)):
        return "static"  # an axis, a name, a function
    dtype = getattr(value, "dtype", np.dtype(float))
    if jnp.issubdtype(dtype, jnp.complexfloating):
        raise InputTypeError(sentence(name, "real numbers", dtype, APART))
    if jnp.issubdtype(dtype, jnp.floating):
        return "real"
    return "whole" if jnp.issubdtype(dtype, jnp.integer) or jnp.issubdtype(dtype, jnp.bool_) else "static"


def python_numbers(args: Sequence[Any]) -> tuple[int, ...]:
    """The places of Python floats among the leaves: numbers to differentiate by, or settings that f wants fixed.

    >>> python_numbers((np.ones(2), {"rate": 0.1, "axis": 0}))
    (2,)
    """
    leaves = jax.tree.leaves(tuple(args))
    return tuple(i for i, leaf in enumerate(leaves) if isinstance(leaf, float) and not hasattr(leaf, "dtype"))


def static_positions(f: Callable[..., Any]) -> set[int]:
    """The positions that a rule's `nondiff_argnums` lists."""
    rule, bound = (f.func, len(f.args)) if isinstance(f, functools.partial) else (f, 0)
    # JAX 0.10 with JAX_CUSTOM_VJP3=1 makes a rule of another type, with another name for them
    listed = getattr(rule, "nondiff_argnums", None) or getattr(rule, "static_argnums", ())
    return {position - bound for position in listed}


def titles_of(f: Callable[..., Any], count: int) -> tuple[str, ...]:
    """The names that f gives to its first `count` arguments."""
    try:
        bound = inspect.signature(f).bind(*range(count)).arguments
    except (TypeError, ValueError):  # a callable without a signature
        return tuple(f"argument {i}" for i in range(count))
    names: list[str] = []
    for name, value in bound.items():
        names += [f"{name}[{i}]" for i in range(len(value))] if isinstance(value, tuple) else [name]
    return tuple(names)


def splitted(f: Callable[..., Any], join: Callable[[Leaves, Leaves], tuple[Any, ...]]) -> Split:
    """f as a function of the real and the whole arrays alone, giving the real arrays of its output."""

    def function(leaves: Leaves, others: Leaves) -> Leaves:
        outputs = jax.tree.leaves(f(*join(leaves, others)))
        for i, y in enumerate(outputs):
            if jnp.iscomplexobj(y):
                raise InputTypeError(sentence(f"output {i}", "real numbers", jnp.result_type(y), APART))
        return tuple(y for y in outputs if jnp.issubdtype(jnp.result_type(y), jnp.floating))

    return function
