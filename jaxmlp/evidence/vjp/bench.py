"""The bench on which a derivative rule is tested: its arguments split up, its pullback, and how two results compare.

    y = f(x, k)                              x: every real array among the arguments, k: every whole-number array
    G(x; u) = (∂f/∂x)ᵀ u                     the pullback of a fixed random cotangent u, one entry per entry of y
    difference of a leaf                     max|got - expected| / max(max|expected|, floor · largest of all leaves)

Everything else among the arguments (names, functions, None, what `nondiff_argnums` lists) stays as it is. The floor
keeps a leaf whose true gradient is 0 from turning rounding into an alarm.
"""

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.errors import InputError, InputTypeError, sentence
from jaxmlp.evidence.certificate import Row, judge
from jaxmlp.evidence.vjp.undecorated import primitives

Leaves = tuple[Any, ...]  # arrays, of JAX or NumPy
Split = Callable[[Leaves, Leaves], Leaves]  # (x, k) -> the real arrays of y

# bytes of the dtype -> the largest difference that passes, and the floor
TOLERANCES = {8: (1e-9, 1e-4), 4: (1e-3, 1e-2), 2: (1e-1, 1e-1)}


# --- arguments --------------------------------------------------------------------------------------------------------


class Arguments(NamedTuple):
    """The arguments of a call, split up.

    Attributes:
      leaves: x, the real arrays.
      others: k, the arrays of whole numbers and truth values.
      names, other_names: "layer['W']" for each.
      owners, other_owners: the position of the argument that each belongs to.
      join: (leaves, others) -> the arguments again.
      titles: the name of every argument.
      empty: the arguments that are None.
    """

    leaves: Leaves
    others: Leaves
    names: tuple[str, ...]
    other_names: tuple[str, ...]
    owners: tuple[int, ...]
    other_owners: tuple[int, ...]
    join: Callable[[Leaves, Leaves], tuple[Any, ...]]
    titles: tuple[str, ...]
    empty: tuple[str, ...]


def split_arguments(f: Callable[..., Any], args: Sequence[Any], dtype: Any) -> Arguments:
    """The arguments of f(*args), its real arrays cast to `dtype` unless that is None.

    Raises:
      InputTypeError: for complex numbers.
      InputError: when there is no real array to differentiate by.
    """
    titles = _titles(f, len(args))
    static = _static_positions(f)
    paths, treedef = jax.tree_util.tree_flatten_with_path(tuple(args))
    values = [value for _, value in paths]
    owners = [path[0].idx for path, _ in paths]
    names = [titles[owner] + jax.tree_util.keystr(path[1:]) for owner, (path, _) in zip(owners, paths, strict=True)]
    kinds = ["static" if o in static else _kind(n, v) for o, n, v in zip(owners, names, values, strict=True)]
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
        empty=tuple(title for title, arg in zip(titles, args, strict=True) if arg is None),
    )


def _kind(name: str, value: Any) -> str:
    if isinstance(value, bool | int | str) or (not hasattr(value, "dtype") and not isinstance(value, float)):
        return "static"  # an axis, a name, a function
    dtype = getattr(value, "dtype", np.dtype(float))
    if jnp.issubdtype(dtype, jnp.complexfloating):
        raise InputTypeError(sentence(name, "real numbers", dtype, "check the real and the imaginary part as two"))
    if jnp.issubdtype(dtype, jnp.floating):
        return "real"
    return "whole" if jnp.issubdtype(dtype, jnp.integer) or jnp.issubdtype(dtype, jnp.bool_) else "static"


def _static_positions(f: Callable[..., Any]) -> set[int]:
    rule, bound = (f.func, len(f.args)) if isinstance(f, functools.partial) else (f, 0)
    return {position - bound for position in getattr(rule, "nondiff_argnums", ())}


def _titles(f: Callable[..., Any], count: int) -> tuple[str, ...]:
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
        return tuple(y for y in outputs if jnp.issubdtype(jnp.result_type(y), jnp.floating))

    return function


# --- the bench --------------------------------------------------------------------------------------------------------


class Bench(NamedTuple):
    """A rule with everything that is asked of it.

    Attributes:
      rule: f as the user gave it.
      f: f as a function of the split arguments.
      witness: the function whose autodiff is the truth; None where JAX cannot differentiate it.
      given: whether the witness is the user's `reference`.
      arguments: see above.
      cotangent: u.
      rng: what draws every random number of this check.
      gradient: G at (leaves, others, u) with its outputs, compiled.
    """

    rule: Callable[..., Any]
    f: Split
    witness: Split | None
    given: bool
    arguments: Arguments
    cotangent: Leaves
    rng: np.random.Generator
    gradient: Callable[[Leaves, Leaves, Leaves], tuple[Leaves, Leaves]]

    @property
    def point(self) -> tuple[Leaves, Leaves]:
        """Where the rule is asked: (leaves, others)."""
        return self.arguments.leaves, self.arguments.others

    @property
    def tolerance(self) -> tuple[float, float]:
        """Bound and floor of the coarsest dtype among the leaves."""
        return TOLERANCES[min(leaf.dtype.itemsize for leaf in self.arguments.leaves)]

    def draw(self, like: Iterable[Any]) -> Leaves:
        """Normal numbers shaped like the arrays given."""
        return normal(self.rng, like)

    def neighbours(self, count: int) -> list[tuple[Leaves, Leaves]]:
        """Points near the arguments: real entries 5 % apart and of the same sign, whole ones moved by one place."""
        leaves, others = jax.tree.map(np.asarray, self.point)
        return [
            (
                tuple(x * (1 + 0.05 * noise) for x, noise in zip(leaves, self.draw(leaves), strict=True)),
                tuple(np.roll(k, i, axis=-1) if k.ndim else k for k in others),
            )
            for i in range(count)
        ]


def normal(rng: np.random.Generator, like: Iterable[Any]) -> Leaves:
    """Normal numbers shaped like the arrays given, made by NumPy: JAX would compile for every shape."""
    return tuple(np.asarray(rng.standard_normal(a.shape)).astype(a.dtype) for a in like)


def pullback(f: Split, leaves: Leaves, others: Leaves, cotangent: Leaves) -> tuple[Leaves, Leaves]:
    """f(x) and G(x; u) = (∂f/∂x)ᵀ u."""
    outputs, back = jax.vjp(lambda *leaves: f(leaves, others), *leaves)
    return outputs, back(cotangent)


def held(bench: Bench) -> set[str]:
    """The names of the primitives in the rule's forward and backward pass."""
    return primitives(jax.make_jaxpr(pullback, static_argnums=0)(bench.f, *bench.point, bench.cotangent))


# --- answers ----------------------------------------------------------------------------------------------------------


def relative_differences(got: Sequence[Any], expected: Sequence[Any], floor: float) -> list[float]:
    """max|got - expected| / max(max|expected|, floor · largest entry of all) for every leaf; equal NaN are equal.

    >>> relative_differences([np.array([1.0, 2.5])], [np.array([1.0, 2.0])], 1e-4)
    [0.25]
    """
    pairs = [(np.asarray(g, np.float64), np.asarray(e, np.float64)) for g, e in zip(got, expected, strict=True)]
    sizes = [float(np.max(np.abs(e), initial=0.0, where=~np.isnan(e))) for _, e in pairs]
    least = floor * (max(sizes, default=0.0) or 1.0)
    found = []
    for (g, e), size in zip(pairs, sizes, strict=True):
        same = (g == e) | (np.isnan(g) & np.isnan(e))
        apart = np.where(same, 0.0, np.abs(g - e))
        found.append(float(apart.max(initial=0.0)) / max(size, least))
    return found


def compare(check: str, where: str, witness: str, got: Any, expected: Any, bench: Bench) -> Row:
    """One row for (outputs, gradients) against (outputs, gradients), with the name of the worst leaf if it fails."""
    bound, floor = bench.tolerance
    names = [f"output {i}" for i in range(len(expected[0]))] + list(bench.arguments.names)
    found = [d for g, e in zip(got, expected, strict=True) for d in relative_differences(g, e, floor)]
    worst = max(range(len(found)), key=lambda i: np.inf if np.isnan(found[i]) else found[i])
    row = judge(check, where, witness, found[worst], bound)
    return row if row.verdict == "PASS" else row._replace(note=f"worst in {names[worst]}")


# What JAX says when it is JAX that cannot: a piece of its message, and what to know about it.
LIMITS = {
    "forward-mode autodiff (jvp) to a custom_vjp": "no jvp of a custom_vjp: jax-ml/jax#3996",
    "Reverse-mode differentiation does not work for lax.while_loop": "no reverse mode through lax.while_loop",
}


def first_line(error: Exception) -> str:
    """The type and the first line of an error, short enough for a table."""
    line = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {line[:160]}"


def ask(check: str, where: str, witness: str, question: Callable[[], Iterable[Row]]) -> tuple[Row, ...]:
    """The rows that a question gives; if it raises, one row that says why."""
    try:
        return tuple(question())
    except Exception as error:  # whatever a rule raises is an answer
        limit = next((text for piece, text in LIMITS.items() if piece in str(error)), None)
        verdict = "UNSUPPORTED" if limit else "FAIL"
        return (Row(check, where, witness, None, None, verdict, limit or first_line(error)),)
