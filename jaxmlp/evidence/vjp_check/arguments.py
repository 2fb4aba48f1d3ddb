"""Split the arguments of a call into what is differentiated, what is not, and what stays fixed.

    y = f(x, k)          x: every real array among the arguments, k: every array of integers or booleans

Everything else (names, functions, None, the positions in `nondiff_argnums`, Python numbers that f needs as constants)
is static.
"""

import functools
import inspect
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxmlp.errors import InputError, sentence
from jaxmlp.evidence.vjp_check.spaces import SPACES, Space, coordinates, space_of_argument

Leaves = tuple[Any, ...]  # arrays of JAX or NumPy
Function = Callable[..., Any]  # the user's: it may take and return any pytree
SplitFunction = Callable[[Leaves, Leaves], Leaves]  # (x, k) -> the real arrays of y


class Arguments(NamedTuple):
    """The arguments of a call, split.

    Attributes:
      real: x, the arrays to differentiate with respect to.
      discrete: k, the arrays of integers and booleans.
      names: the path of every real array, as "layer['W']".
      owners, discrete_owners: the position of the argument that contains each array.
      join: (real, discrete) -> the arguments in their original form.
      titles: the name of every argument.
    """

    real: Leaves
    discrete: Leaves
    names: tuple[str, ...]
    owners: tuple[int, ...]
    discrete_owners: tuple[int, ...]
    join: Callable[[Leaves, Leaves], tuple[Any, ...]]
    titles: tuple[str, ...]


def split_arguments(
    f: Function,
    args: Sequence[Any],
    dtype: DTypeLike | None,
    fixed: Collection[int] = (),
    space: Space | None = None,
) -> Arguments:
    """Split the arguments of f(*args); cast real arrays to `dtype` unless it is None; leaves in `fixed` are static.

    A complex array counts as two real ones; an array of a `space` is represented by free numbers.

    Raises:
      InputError: when no argument contains a real array, and when one does not lie in its space.
    """
    # leaves are numbered once, over all arguments; real, discrete and static ones keep their number, by which `join`
    # puts them back
    titles = argument_names(f, len(args))
    static = static_positions(f)
    # None is no leaf to JAX: it stays in the treedef, with which `join` puts it back
    paths, treedef = jax.tree_util.tree_flatten_with_path(tuple(args))
    values = [value for _, value in paths]
    owners = [path[0].idx for path, _ in paths]  # the first key is the position in the tuple of arguments
    names = [titles[owner] + jax.tree_util.keystr(path[1:]) for owner, (path, _) in zip(owners, paths, strict=True)]
    categories = [
        "static" if owner in static or i in fixed else _category(value)
        for i, (owner, value) in enumerate(zip(owners, values, strict=True))
    ]
    real, discrete = ([i for i, c in enumerate(categories) if c in kinds] for kinds in (_REAL, ("discrete",)))
    spaces = space_of_argument(space, titles)
    if not real:
        got = ", ".join(type(arg).__name__ for arg in args) or "no argument"
        remedy = "give the arguments of a call"
        raise InputError(sentence("check_vjp", "a real array among the arguments", got, remedy))

    parts: list[_Part] = []
    for i in real:
        array, name = _cast(values[i], dtype), names[i]
        if categories[i] == "complex":
            parts += [_Part(i, array.real, f"{name}.real"), _Part(i, array.imag, f"{name}.imag")]
        elif owners[i] in spaces:
            parts.append(_Part(i, coordinates(name, spaces[owners[i]], array), name))
        else:
            parts.append(_Part(i, array, name))

    def join(real_leaves: Leaves, discrete_leaves: Leaves) -> tuple[Any, ...]:
        # static leaves stay those of the call, so JAX sees them as constants
        replaced: dict[int, Any] = dict(zip(discrete, discrete_leaves, strict=True))
        for part, leaf in zip(parts, real_leaves, strict=True):
            if part.leaf in replaced:  # the second part of a complex leaf, which is the imaginary one
                replaced[part.leaf] = jax.lax.complex(replaced[part.leaf], leaf)
            elif categories[part.leaf] == "real" and owners[part.leaf] in spaces:
                replaced[part.leaf] = SPACES[spaces[owners[part.leaf]]].to_space(leaf)
            else:
                replaced[part.leaf] = leaf
        return jax.tree_util.tree_unflatten(treedef, [replaced.get(i, value) for i, value in enumerate(values)])

    return Arguments(
        real=tuple(part.array for part in parts),
        discrete=tuple(jnp.asarray(values[i]) for i in discrete),
        names=tuple(part.name for part in parts),
        owners=tuple(owners[part.leaf] for part in parts),
        discrete_owners=tuple(owners[i] for i in discrete),
        join=join,
        titles=titles,
    )


_REAL = ("real", "complex")


class _Part(NamedTuple):
    """A real array that is differentiated: a leaf of the arguments, its coordinates, or one half of a complex leaf."""

    leaf: int
    array: Any
    name: str


def _cast(value: object, dtype: DTypeLike | None) -> jax.Array:
    array = jnp.asarray(value)
    if dtype is None:
        return array
    if not jnp.iscomplexobj(array):
        return array.astype(dtype)
    return array.astype(jnp.complex128 if jnp.dtype(dtype).itemsize == 8 else jnp.complex64)  # nothing is narrower


def _category(value: object) -> str:
    """Return "real", "complex", "discrete" or "static" for one leaf of the arguments."""
    if isinstance(value, complex):
        return "complex"
    # a Python integer is an axis or a size more often than a number to compute with, and f may need it as a constant
    if isinstance(value, bool | int | str) or (not has_dtype(value) and not isinstance(value, float)):
        return "static"
    dtype = getattr(value, "dtype", np.dtype(float))
    if jnp.issubdtype(dtype, jnp.complexfloating):
        return "complex"
    if jnp.issubdtype(dtype, jnp.floating):
        return "real"
    # anything else with a dtype is a typed random key: it has no derivative and cannot be moved to a nearby value
    return "discrete" if jnp.issubdtype(dtype, jnp.integer) or jnp.issubdtype(dtype, jnp.bool_) else "static"


def has_dtype(value: object) -> bool:
    """Return whether a value is an array or a number of NumPy's; `jnp.float32` itself has an attribute "dtype", too.

    >>> has_dtype(np.float32(1)), has_dtype(np.float32), has_dtype(jnp.float32), has_dtype(1.0)
    (True, False, False, False)
    """
    return hasattr(value, "dtype") and hasattr(value, "shape") and not isinstance(value, type)


def python_float_positions(args: Sequence[Any]) -> tuple[int, ...]:
    """Return which leaves are Python floats: numbers to differentiate, or settings that f needs as constants.

    >>> python_float_positions((np.ones(2), {"rate": 0.1, "axis": 0}))
    (2,)
    """
    leaves = jax.tree.leaves(tuple(args))
    # numpy.float64 is a subclass of float, but it is an array scalar with a dtype
    return tuple(i for i, leaf in enumerate(leaves) if isinstance(leaf, float) and not has_dtype(leaf))


def static_positions(f: Function) -> set[int]:
    """Return the positions that `nondiff_argnums` of a rule lists."""
    rule, bound = (f.func, len(f.args)) if isinstance(f, functools.partial) else (f, 0)
    # JAX 0.10 with JAX_CUSTOM_VJP3=1 creates rules of another type, in which the attribute has another name
    positions = getattr(rule, "nondiff_argnums", None) or getattr(rule, "static_argnums", ())
    # partial(f, a) takes position 0 away: nondiff_argnums=(2,) of f is position 1 of the partial
    return {position - bound for position in positions}


def argument_names(f: Function, count: int) -> tuple[str, ...]:
    """Return the names that f gives to its first `count` arguments."""
    try:
        # bound to their own positions: each name with its number, and *args as a tuple of numbers
        bound = inspect.signature(f).bind(*range(count)).arguments
    except (TypeError, ValueError):  # functions written in C and ufuncs have no signature
        return tuple(f"argument {i}" for i in range(count))
    names: list[str] = []
    for name, value in bound.items():
        names += [f"{name}[{i}]" for i in range(len(value))] if isinstance(value, tuple) else [name]
    return tuple(names)


def split_function(f: Function, join: Callable[[Leaves, Leaves], tuple[Any, ...]]) -> SplitFunction:
    """Return f as a function of the real and the discrete arrays that returns the real arrays of its output.

    A complex output counts as two real ones, as a complex argument does.
    """

    def function(real: Leaves, discrete: Leaves) -> Leaves:
        outputs: list[Any] = []
        for y in jax.tree.leaves(f(*join(real, discrete))):
            if jnp.iscomplexobj(y):
                outputs += [jnp.real(y), jnp.imag(y)]
            elif jnp.issubdtype(jnp.result_type(y), jnp.floating):
                outputs.append(y)
        return tuple(outputs)

    return function
