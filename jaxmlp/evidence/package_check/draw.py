"""Draw the arguments of a rule that says nothing about them: from its signature, its hints, and a table of shapes.

Arrays are tried in the shapes and values of `PLANS` in turn, other arguments in the values that their name, hint,
default or position suggests. The first call is taken that runs, gives finite real numbers and has a gradient that is
finite and not 0; where there is none, the first that runs with finite numbers.
"""

import inspect
import itertools
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.evidence.package_check.discover import rule_within
from jaxmlp.evidence.package_check.recording import RecordedCall
from jaxmlp.evidence.vjp_check.arguments import has_dtype
from jaxmlp.evidence.vjp_check.quick_jit import quick_jit
from jaxmlp.evidence.vjp_check.rule_under_test import Failure, attempt

CallArguments = tuple[Any, ...]
Choices = tuple[Any, ...]  # what one argument may be
MAX_SECONDS = 30.0  # of one search
MAX_CHOICES = 24  # combinations of arguments that are no arrays, for each plan


class Plan(NamedTuple):
    """How the arrays of a call look: their shapes in turn, the last one for all further ones, and their values."""

    values: str  # "unit", "above 1", "normal", "positive definite", "complex", …
    shapes: tuple[tuple[int, ...], ...]


PLANS = (
    Plan("unit", ((3,),)),
    Plan("normal", ((4,),)),
    Plan("unit", ((),)),
    Plan("above 1", ((3,),)),
    Plan("negative", ((3,),)),
    Plan("normal", ((3, 3),)),
    Plan("unit", ((2, 3),)),
    # A and b of a linear system
    Plan("positive definite", ((3, 3), (3,))),
    Plan("positive definite", ((3, 3),)),
    Plan("normal", ((2, 3), (3, 4))),
    Plan("normal", ((3,), (3, 3))),
    Plan("unit", ((), (3,))),
    Plan("unit", ((3,), ())),
    Plan("logits and ids", ((4, 3), (4,))),
    Plan("integers and numbers", ((3,),)),
    Plan("normal", ((2, 4, 3),)),
    # the layout of q, k and v in jax.nn.dot_product_attention: batch, length, heads, features
    Plan("normal", ((1, 8, 2, 4),)),
    # an image (N, H, W, C) and the kernel of a convolution (H, W, in, out)
    Plan("normal", ((1, 5, 5, 2), (3, 3, 2, 2))),
    Plan("above 1", ((),)),
    Plan("complex", ((3,),)),
)
NAMED_VALUES: dict[str, tuple[Any, ...]] = {
    "axis": (0, -1, None),
    "dim": (0,),
    "n": (2,),
    "k": (2,),
    "m": (2,),
    "num": (2,),
    "size": (3,),
    "order": (1, 2),
    "shape": ((3,),),
    "dtype": (jnp.float32, jnp.float8_e4m3fn),
    "eps": (1e-6,),
    "epsilon": (1e-6,),
    "precision": (None,),
    "name": ("name",),
}
KEY_NAMES = {"key", "rng", "rng_key", "prng_key", "seed_key"}
FUNCTION_NAMES = {"f", "fn", "fun", "func", "function", "cost_fn", "apply_fn", "g"}
FUNCTIONS = (jnp.sin, lambda *args: sum(jnp.sum(jnp.sin(a)) for a in jax.tree.leaves(args)), lambda *args: args[0])
STATIC_VALUES = (None, 0, 1, True, 0.5, -1, 2, (0,), "i", *FUNCTIONS)
MASK_NAMES = {"mask", "where", "pred", "condition"}
INTEGER_NAMES = {"labels", "targets", "idx", "index", "indices", "ids", "segment_ids", "lengths", "int_labels"}


def draw_arguments(function: object, recorded: RecordedCall | None = None) -> CallArguments | None:
    """Return the arguments of a call that runs; None where none of the table does.

    >>> [a.shape for a in draw_arguments(jax.scipy.special.xlogy)]
    [(3,), (3,)]
    """
    fallback, deadline = None, time.monotonic() + MAX_SECONDS
    for args in itertools.chain(_recorded_arguments(recorded), _candidates(function)):
        quality = _quality(function, args)
        if quality == 2:
            return args
        if quality == 1 and fallback is None:
            fallback = args
        if time.monotonic() > deadline:
            break
    return fallback


def describe_arguments(args: CallArguments) -> str:
    """Return shapes and dtypes in a few words.

    >>> describe_arguments((np.ones((2, 3), np.float32), None, 0))
    'float32[2,3], None, 0'
    """
    texts = []
    for arg in args:
        leaves = jax.tree.leaves(arg)
        if has_dtype(arg):
            texts.append(f"{arg.dtype}[{','.join(map(str, arg.shape))}]")
        elif len(leaves) > 1 and any(map(has_dtype, leaves)):
            texts.append(f"{type(arg).__name__} of {len(leaves)}")
        else:
            texts.append(getattr(arg, "__name__", None) or f"{arg!r:.20}")
    return ", ".join(texts)


def _quality(function: Any, args: CallArguments) -> int:
    """Return 2 for a call with a gradient that is finite and not 0, 1 for one that is only finite, else 0."""
    # the call is a guess: whatever it raises, it was a wrong one
    shapes = attempt(lambda: jax.eval_shape(lambda: function(*args)))
    if isinstance(shapes, Failure) or not any(map(_is_inexact, jax.tree.leaves(shapes))):
        return 0
    answer = attempt(lambda: _outputs_and_gradient(function, args))
    if isinstance(answer, Failure):  # check_vjp will explain it, if the function itself runs
        return int(attempt(lambda: _all_finite(function(*args))) is True)
    outputs, gradient = answer
    if not _all_finite(outputs):
        return 0
    return 2 if _all_finite(gradient) and any(np.any(np.asarray(leaf) != 0) for leaf in gradient) else 1


def _outputs_and_gradient(function: Any, args: CallArguments) -> tuple[Any, list[Any]]:
    """Return f(*args) and the gradient of the sum of its real parts, by one program: one by one, its operations would
    each be compiled.

    The outputs are returned twice, from f itself and from the forward pass of its rule: outside of the domain one may
    be NaN where the other is a number, as `jax.scipy.special.zeta` below 1.
    """
    leaves, tree = jax.tree.flatten(args)
    real = [i for i, leaf in enumerate(leaves) if _is_real(leaf)]
    if not real:
        raise TypeError("no real array")

    def value(arrays: Sequence[Any]) -> Any:
        replaced = dict(zip(real, arrays, strict=True))
        return function(*jax.tree.unflatten(tree, [replaced.get(i, leaf) for i, leaf in enumerate(leaves)]))

    def total(arrays: Sequence[Any]) -> tuple[Any, Any]:
        outputs = value(arrays)
        return sum(jnp.sum(jnp.real(y)) for y in jax.tree.leaves(outputs) if _is_inexact(y)), outputs

    def both(arrays: Sequence[Any]) -> tuple[Any, list[Any]]:
        gradient, outputs = jax.grad(total, has_aux=True)(arrays)
        return (value(arrays), outputs), gradient

    return quick_jit(both)([jnp.asarray(leaves[i]) for i in real])


def _is_inexact(leaf: Any) -> bool:
    return has_dtype(leaf) and jnp.issubdtype(leaf.dtype, jnp.inexact)


def _is_real(leaf: Any) -> bool:
    return has_dtype(leaf) and jnp.issubdtype(leaf.dtype, jnp.floating)


def _all_finite(tree: object) -> bool:
    arrays = [leaf for leaf in jax.tree.leaves(tree) if _is_inexact(leaf)]
    # complex128 holds every real and complex dtype, also bfloat16, which NumPy itself does not know
    return all(bool(np.all(np.isfinite(np.asarray(leaf, np.complex128)))) for leaf in arrays)


# --- candidates -------------------------------------------------------------------------------------------------------


def _recorded_arguments(recorded: RecordedCall | None) -> Iterator[CallArguments]:
    if recorded is None:
        return
    if recorded.has_values:
        yield recorded.args
        return
    # a boolean may be a condition under which the rule raises: where a random one does not run, all or none are true
    for values, flag in (("normal", None), ("unit", None), ("above 1", None), ("normal", False), ("normal", True)):
        yield jax.tree.map(partial(_fill_shape, np.random.default_rng(0), values, flag), recorded.args)


def _fill_shape(rng: np.random.Generator, values: str, flag: bool | None, leaf: object) -> Any:
    if not isinstance(leaf, jax.ShapeDtypeStruct):
        return leaf
    if flag is not None and leaf.dtype == np.bool_:
        return jnp.full(leaf.shape, flag)
    return _fill(rng, values, leaf.shape, leaf.dtype)


def _candidates(function: object) -> Iterator[CallArguments]:
    required, complete = (_slots(function, optional) for optional in (False, True))
    yield from _candidates_of(required)
    if complete != required:  # some need an argument whose default is None
        yield from _candidates_of(complete)


def _candidates_of(slots: list[Choices | None] | None) -> Iterator[CallArguments]:
    plans: Sequence[Plan] = PLANS
    if slots and any(choice is not None and _IDS in choice for choice in slots):  # ids have fewer axes than logits
        plans = sorted(PLANS, key=lambda plan: plan.values != "logits and ids")
    for plan in plans:
        # without a signature the number of arguments is a guess, too
        for count in (len(slots),) if slots is not None else (1, 2, 3):
            choices = [None] * count if slots is None else slots
            values = [(_ARRAY,) if choice is None else choice for choice in choices]
            for combination in itertools.islice(itertools.product(*values), MAX_CHOICES):
                yield _fill_plan(plan, combination)


_ARRAY, _NUMBER, _IDS, _KEY, _MASK = "<array>", "<number>", "<ids>", "<key>", "<mask>"


def _slots(function: Any, optional: bool) -> list[Choices | None] | None:
    """Return what each argument may be: None for an array; None for all where the signature says nothing.

    `optional`: also those whose default is None.
    """
    rule = rule_within(function)
    static = set(getattr(rule[1], "nondiff_argnums", ())) if rule else set()
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return None
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return None
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    # an argument with a default must still be given where one after it has none, or where JAX wants it by position
    needed = [p.default is p.empty or i in static or (optional and p.default is None) for i, p in enumerate(positional)]
    last = max((i for i, is_needed in enumerate(needed) if is_needed), default=-1)
    return [_choices(p, i in static, optional) for i, p in enumerate(positional[: last + 1])]


def _choices(parameter: inspect.Parameter, is_static: bool, optional: bool) -> Choices | None:
    name, hint = _usual_name(parameter.name.lower().strip("_")), str(parameter.annotation).lower()
    if name in KEY_NAMES:
        return (_KEY,)
    is_array = not is_static and (_is_plain_number(parameter.default) or (optional and parameter.default is None))
    if parameter.default is not parameter.empty and not is_array:
        return (parameter.default,)
    if name in NAMED_VALUES and (is_static or "array" not in hint):
        # a name may mislead: n and k can be arrays where JAX differentiates by them
        return NAMED_VALUES[name] if is_static else (*NAMED_VALUES[name], _ARRAY)
    if "callable" in hint or (name in FUNCTION_NAMES and is_static):
        return FUNCTIONS
    if "float" in hint and not any(word in hint for word in ("array", "sequence", "tuple")):
        return (0.5, 2.0) if is_static else (_NUMBER,)
    for word, values in (("bool", (False, True)), ("str", ("name",)), ("int", (1, 0, 2))):
        if word in hint and "array" not in hint:
            return values if is_static else (*values, _ARRAY)
    if name in INTEGER_NAMES:
        return (_IDS, _ARRAY)
    if name in MASK_NAMES:
        return (_MASK, None, _ARRAY)
    return STATIC_VALUES if is_static else None


def _usual_name(name: str) -> str:
    """Return the part of a name that the tables know: "dtype" of compute_dtype, "num" of num_segments.

    >>> [_usual_name(name) for name in ("compute_dtype", "num_segments", "segment_ids", "x")]
    ['dtype', 'num', 'segment_ids', 'x']
    """
    first, *_, last = words = name.split("_") if "_" in name else [name, name]
    tables = (KEY_NAMES, FUNCTION_NAMES, INTEGER_NAMES, MASK_NAMES, NAMED_VALUES.keys())
    # a name of one letter says something only if it is the whole name: the k of top_k, not the f of f_prime
    candidates = (name, *(word for word in (last, first) if len(words) > 1 and len(word) > 1))
    return next((word for word in candidates if any(word in table for table in tables)), name)


def _is_plain_number(value: object) -> bool:
    return isinstance(value, float) or has_dtype(value)


def _fill_plan(plan: Plan, combination: Choices) -> CallArguments:
    rng, index, args = np.random.default_rng(0), 0, []
    for choice in combination:
        if choice is _KEY:
            args.append(jax.random.key(0))
        elif choice is _NUMBER:
            args.append(_fill(rng, plan.values, (), jnp.float32))
        elif choice is _MASK:  # of the array before it
            shape = plan.shapes[min(max(index - 1, 0), len(plan.shapes) - 1)]
            args.append(_fill(rng, plan.values, shape, jnp.bool_))
        elif choice is _ARRAY or choice is _IDS:
            shape = plan.shapes[min(index, len(plan.shapes) - 1)]
            has_ids = choice is _IDS or (plan.values == "logits and ids" and index == 1)
            has_ids |= plan.values == "integers and numbers" and index == 0
            args.append(_fill(rng, plan.values, shape, jnp.int32 if has_ids else jnp.float32))
            index += 1
        else:
            args.append(choice)
    return tuple(args)


def _fill(rng: np.random.Generator, values: str, shape: tuple[int, ...], dtype: Any) -> Any:
    if jnp.issubdtype(dtype, jnp.bool_):
        return jnp.asarray(rng.random(shape) < 0.5)
    if jnp.issubdtype(dtype, jnp.integer):
        # 0, 1 or 2: within range for the three classes of the logits (4, 3), and for the axes of length 3
        return jnp.asarray(rng.integers(0, 3, shape), dtype)
    if not jnp.issubdtype(dtype, jnp.inexact):  # a typed key
        return jax.random.key(0)
    if values == "complex" and not jnp.issubdtype(dtype, jnp.complexfloating):
        return jnp.asarray(rng.normal(size=shape) + 1j * rng.normal(size=shape), jnp.complex64)
    if values in ("unit", "negative"):
        # away from 0 and 1, where log, arcsin and their like have infinite derivatives
        array = rng.uniform(0.2, 0.8, shape) * (-1 if values == "negative" else 1)
    elif values == "above 1":
        array = rng.uniform(1.2, 3.0, shape)  # the domain of acosh and zeta
    elif values == "positive definite" and len(shape) == 2 and shape[0] == shape[1]:
        root = rng.normal(size=shape)
        array = root @ root.T + np.eye(shape[0])  # every eigenvalue is at least 1
    else:
        array = rng.normal(size=shape)
    return jnp.asarray(array, dtype)
