"""Equal optimizers: two transformations that compute the same share one compiled program.

`optax.adam(1e-3)` makes new functions in every call, so JAX takes each for another program and compiles it again. Two
functions compute the same when their code is the same and what they enclose is equal: numbers, texts, dtypes, arrays,
and again such functions. Whatever else a function encloses may change without a trace, so a transformation with
anything else in it equals only itself.
"""

import functools
import types
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.core import Tracer

MAX_OPTIMIZERS = 128  # that are remembered, the least recently used is dropped first
MAX_ARRAY_BYTES = 2**20  # of an enclosed array that is compared
_LIBRARIES = ("optax", "jax", "jaxlib", "numpy", "chex", "jaxmlp", "functools", "math", "operator")

_canonical: OrderedDict[Hashable, optax.GradientTransformation] = OrderedDict()


class _NotComparable(Exception):
    """Something is enclosed whose changes cannot be seen."""


def canonical_optimizer(optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
    """Return the transformation seen first that computes the same as this one; this one where there is none.

    >>> canonical_optimizer(optax.adam(0.125)) is canonical_optimizer(optax.adam(0.125))
    True
    >>> canonical_optimizer(optax.adam(0.125)) is canonical_optimizer(optax.adam(0.25))
    False
    """
    try:
        key = _key(tuple(optimizer), ())
    except (_NotComparable, RecursionError):
        return optimizer
    first = _canonical.setdefault(key, optimizer)
    _canonical.move_to_end(key)
    if len(_canonical) > MAX_OPTIMIZERS:
        _canonical.popitem(last=False)
    return first


def _key(value: object, enclosing: tuple[int, ...]) -> Hashable:
    """Return a key that is equal for values which compute the same.

    Raises:
      _NotComparable: for a value that may change.
    """
    if id(value) in enclosing:  # a function that encloses itself
        return "enclosing", enclosing.index(id(value))
    if value is None or isinstance(value, bool | int | str | bytes | np.dtype | type | types.BuiltinFunctionType):
        # with the type, because True == 1
        return type(value), value
    if isinstance(value, float | complex):
        return type(value), repr(value)  # 0.0 == -0.0, and nan != nan
    enclosing = (*enclosing, id(value))
    if isinstance(value, types.FunctionType):
        return _function_key(value, enclosing)
    if isinstance(value, types.MethodType):
        return "method", _key(value.__func__, enclosing), _key(value.__self__, enclosing)
    if isinstance(value, functools.partial):
        parts = value.func, value.args, tuple(sorted(value.keywords.items()))
        return "partial", _key(parts, enclosing)
    if isinstance(value, tuple):
        return type(value), *(_key(part, enclosing) for part in value)
    if _is_small_array(value):
        array = np.asarray(value)
        return "array", array.shape, str(array.dtype), array.tobytes()
    is_module = isinstance(value, types.ModuleType)
    home = getattr(value, "__name__" if is_module else "__module__", None) or ""
    # jitted functions have a __wrapped__ one, and may enclose what changes
    if (is_module or (callable(value) and not hasattr(value, "__wrapped__"))) and _is_library(home):
        # an id is safe here: the remembered optimizer encloses the object, so no other one gets its id
        return "library", id(value)
    raise _NotComparable


def _is_small_array(value: Any) -> bool:
    is_array = isinstance(value, np.ndarray | np.generic | jax.Array) and not isinstance(value, Tracer)
    return is_array and value.nbytes <= MAX_ARRAY_BYTES and not jnp.issubdtype(value.dtype, jax.dtypes.extended)


def _is_library(module: str) -> bool:
    return module.partition(".")[0] in _LIBRARIES


def _function_key(function: types.FunctionType, enclosing: tuple[int, ...]) -> Hashable:
    try:
        cells = tuple(cell.cell_contents for cell in function.__closure__ or ())
    except ValueError:  # a variable that is not set yet
        raise _NotComparable from None
    parts = cells, function.__defaults__, tuple(sorted((function.__kwdefaults__ or {}).items()))
    # with the globals: equal code in two modules may read different variables of one name
    key = "function", function.__code__, id(function.__globals__), _key(parts, enclosing)
    if _is_library(function.__module__ or ""):
        return key
    # a function of the user's also depends on the global variables that it reads: a notebook changes them
    read = {name for name in _names(function.__code__) if name in function.__globals__}
    variables = tuple((name, function.__globals__[name]) for name in sorted(read))
    return *key, _key(variables, enclosing)


def _names(code: types.CodeType) -> Iterator[str]:
    """Return the names that a function and those defined in it read."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)
