"""A derivative rule under test: its pullback, points near its arguments, and how two results are compared.

    G(x; u) = (∂f/∂x)ᵀ u        the pullback of a fixed random cotangent u, with one entry per entry of y = f(x, k)
    difference of a leaf        max|got - expected| / max(max|expected|, floor · largest entry of all leaves)

The floor matters for a leaf whose true gradient is 0: without it, rounding would be reported as an error. Where the
true gradient of every leaf is 0, two entries count as equal when they differ by no more than the rounding error of
the function itself (`noise`).
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxmlp.evidence.certificate import Row, Verdict, judge
from jaxmlp.evidence.vjp_check.arguments import Arguments, Function, Leaves, SplitFunction
from jaxmlp.evidence.vjp_check.jaxpr import primitives
from jaxmlp.evidence.vjp_check.quick_jit import quick_jit

T = TypeVar("T")
CheckId = tuple[str, str, str]  # the first three columns of a row: check, where, witness
PlannedCheck = tuple[CheckId, Callable[[], Iterable[Row]]]  # what `run_check` takes

ITSELF = "the rule by itself"  # the witness of a transformation

# bytes of the dtype -> the largest difference that passes, and the floor; both leave room for the rounding error of
# sums over a few hundred entries, and a rule that is wrong by 0.1 % still fails in float64
TOLERANCES = {8: (1e-9, 1e-4), 4: (1e-3, 1e-2), 2: (1e-1, 1e-1)}
MIXED_TOLERANCES = {4: (1e-5, 1e-4), 2: (3e-2, 1e-1), 1: (3e-1, 1e-1)}  # float64 with a part in less


class RuleUnderTest(NamedTuple):
    """A derivative rule with everything that the checks need.

    Attributes:
      user_function: f as the user gave it.
      f: f as a function of the split arguments.
      witness: the function whose autodiff gives the expected values; None where JAX cannot differentiate it.
      has_reference: whether the witness is the user's `reference`.
      arguments: the split arguments of the call.
      cotangent: u.
      rng: the generator of every random number of this check.
      gradient: (x, k, u) -> outputs and G(x; u), compiled.
      noise: the rounding error of every output and of every gradient; see `noise_floor`.
      itemsize: the bytes of the narrowest real dtype in which f computes.
      has_wrong_gradient: whether a row of the first order has failed.
      is_x64_process: whether JAX's x64 flag was set before the check.
      user_arguments: the arguments of the call as the user gave them.
    """

    user_function: Function
    f: SplitFunction
    witness: SplitFunction | None
    has_reference: bool
    arguments: Arguments
    cotangent: Leaves
    rng: np.random.Generator
    gradient: Callable[[Leaves, Leaves, Leaves], tuple[Leaves, Leaves]]
    noise: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())
    itemsize: int = 8
    has_wrong_gradient: bool = False
    is_x64_process: bool = False
    user_arguments: tuple[Any, ...] = ()

    @property
    def point(self) -> tuple[Leaves, Leaves]:
        """Return (x, k), the arguments of the call."""
        return self.arguments.real, self.arguments.discrete

    @property
    def tolerance(self) -> tuple[float, float]:
        """Return bound and floor for the narrowest dtype among the real arrays, or of the constants of f."""
        itemsize = min(leaf.dtype.itemsize for leaf in self.arguments.real)
        if itemsize == 8 and self.itemsize < 8:
            # a part of f computes in float32, as closed-over data do: two correct programs differ in its last digits
            return MIXED_TOLERANCES[self.itemsize]
        return TOLERANCES[itemsize]

    @property
    def is_float64(self) -> bool:
        """Whether every real array has float64; central differences are useless in less."""
        return all(leaf.dtype.itemsize == 8 for leaf in self.arguments.real)

    @property
    def autodiff_name(self) -> str:
        """Return how rows name the witness."""
        return "autodiff of reference" if self.has_reference else "autodiff"

    def draw(self, like: Iterable[Any]) -> Leaves:
        """Draw standard normal numbers in the shapes of these arrays."""
        return standard_normal(self.rng, like)

    def nearby_points(self, count: int) -> list[tuple[Leaves, Leaves]]:
        """Draw points near the arguments: real entries move by about 5 % without a change of sign, integers permute."""
        real, discrete = jax.tree.map(np.asarray, self.point)
        return [
            (
                tuple(_nearby(x, noise) for x, noise in zip(real, self.draw(real), strict=True)),
                tuple(_permuted(k, i) for k in discrete),
            )
            for i in range(count)
        ]


def _nearby(x: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Move every entry by about 5 %, zeros upwards by 5 % of the largest entry."""
    largest = np.max(np.abs(x), initial=0.0) or 1.0  # zeros alone move by about 0.05
    # the sign must stay: a weight or a probability that becomes negative could leave the domain of f
    return np.where(x == 0, 0.05 * largest * np.abs(noise), x * (1 + 0.05 * noise)).astype(x.dtype)


def _permuted(k: np.ndarray, step: int) -> np.ndarray:
    """Roll integers along the last axis; where that changes nothing, count up within 0 … max.

    >>> [_permuted(np.array([0, 2]), i).tolist() for i in range(2)]
    [[0, 2], [2, 0]]
    >>> [int(_permuted(np.array(1), i)) for i in range(3)]
    [1, 0, 1]
    """
    # a permutation has the same values: an index stays in range, and a one-hot row stays one
    rolled = np.roll(k, step, axis=-1) if k.ndim else k
    if step == 0 or not np.array_equal(rolled, k):
        return rolled
    if k.dtype == bool:
        return k ^ bool(step % 2)
    # no value above the largest: an integer may be an index, and JAX would clamp an index that is out of range
    return (k + step) % (max(int(np.max(k, initial=0)), 1) + 1)


def standard_normal(rng: np.random.Generator, like: Iterable[Any]) -> Leaves:
    """Draw standard normal numbers in the shapes and dtypes of these arrays."""
    # from NumPy: jax.random would compile a program for every shape
    return tuple(jnp.asarray(np.asarray(rng.standard_normal(a.shape)).astype(a.dtype)) for a in like)


def pullback(f: SplitFunction, real: Leaves, discrete: Leaves, cotangent: Leaves) -> tuple[Leaves, Leaves]:
    """Return f(x, k) and G(x; u) = (∂f/∂x)ᵀ u."""
    # as under jax.grad: a rule never sees an array of NumPy there
    real, discrete, cotangent = (tuple(map(jnp.asarray, leaves)) for leaves in (real, discrete, cotangent))
    outputs, back = jax.vjp(lambda *x: f(x, discrete), *real)
    return outputs, back(cotangent)


compiled_pullback = quick_jit(pullback, static_argnums=0)


def rule_primitives(rule: RuleUnderTest) -> set[str]:
    """Return the names of the primitives in the forward and backward pass of the rule."""
    return primitives(jax.make_jaxpr(pullback, static_argnums=0)(rule.f, *rule.point, rule.cotangent))


# --- compare two results ----------------------------------------------------------------------------------------------


def relative_differences(
    got: Sequence[ArrayLike], expected: Sequence[ArrayLike], floor: float, noise: Sequence[float] = ()
) -> list[float]:
    """Return max|got - expected| / max(max|expected|, floor · largest entry of all) for every leaf.

    Args:
      got: arrays.
      expected: the arrays that they should equal; NaN equals NaN.
      floor: the smallest scale of a leaf, as a fraction of the largest.
      noise: for every leaf its rounding error: entries that differ by no more are equal.

    >>> relative_differences([np.array([1.0, 2.5])], [np.array([1.0, 2.0])], 1e-4)
    [0.25]
    >>> relative_differences([np.array([2e-17])], [np.array([1e-17])], 1e-4, [1e-16])
    [0.0]
    """
    pairs = [(np.asarray(g, np.float64), np.asarray(e, np.float64)) for g, e in zip(got, expected, strict=True)]
    sizes = [float(np.max(np.abs(e), initial=0.0, where=np.isfinite(e))) for _, e in pairs]
    smallest_scale = floor * (max(sizes, default=0.0) or 1.0)
    differences = []
    for (g, e), size, rounding in zip(pairs, sizes, noise or [0.0] * len(pairs), strict=True):
        with np.errstate(invalid="ignore"):  # inf - inf is NaN, but the next line knows that inf equals inf
            absolute = np.abs(g - e)
        equal = (g == e) | (np.isnan(g) & np.isnan(e)) | (absolute <= rounding)
        differences.append(float(np.where(equal, 0.0, absolute).max(initial=0.0)) / max(size, smallest_scale))
    return differences


def index_of_largest(differences: Sequence[float]) -> int:
    """Return the index of the largest number; NaN counts as larger than every number.

    >>> index_of_largest([1.0, float("nan"), 3.0])
    1
    """
    # every comparison with NaN is False: max alone would find a NaN in the first place only
    return max(range(len(differences)), key=lambda i: np.inf if np.isnan(differences[i]) else differences[i])


def compare(
    check: CheckId, got: Sequence[Leaves], expected: Sequence[Leaves], rule: RuleUnderTest, *, scale: float = 1.0
) -> Row:
    """Judge (outputs, gradients) against (outputs, gradients); the note of a failure names the worst leaf.

    `scale`: how much larger than G(x; u) the compared numbers are, and their rounding error with them.
    """
    bound, floor = rule.tolerance
    names = [f"output {i}" for i in range(len(expected[0]))] + list(rule.arguments.names)
    differences: list[float] = []
    for g, e, noise in zip(got, expected, rule.noise, strict=False):  # outputs only, or outputs and gradients
        differences += relative_differences(g, e, floor, [scale * n for n in noise] if len(noise) == len(e) else ())
    worst = index_of_largest(differences)
    row = judge(*check, differences[worst], bound)
    if row.verdict == "PASS":
        return row
    if np.isnan(row.difference or 0.0):
        return row._replace(note=f"{names[worst]} is not finite")
    return row._replace(note=f"worst in {names[worst]}")


def row_without_number(check: CheckId, verdict: Verdict, note: str = "") -> Row:
    """Return a row whose verdict does not rest on a difference."""
    return Row(*check, None, None, verdict, note)


# --- run a check that may raise ---------------------------------------------------------------------------------------

# A pattern of JAX's own message -> the limit of JAX that it reports, for the note of an UNSUPPORTED row.
NO_JVP = r"forward-mode autodiff \(jvp\) to a custom_vjp"
JAX_LIMITS = {
    NO_JVP: "JAX has no jvp of a custom_vjp: jax-ml/jax#3996",
    r"Reverse-mode differentiation does not work for lax.while_loop": "JAX has no reverse mode through lax.while_loop",
    r"Linearization failed to produce known values": "JAX has no reverse mode through custom_vmap, or through a rule "
    "with optimize_remat (jax-ml/jax#22735)",
    r"(?:Differentiation|Transpose|JVP) rule for '?(\w+)'? not implemented": "JAX has no derivative of {0}",
    r"(\w+) JVP not implemented|JVP (?:rule )?(?:is )?not implemented for (\w+)": "JAX has no derivative of {0}",
    r"callbacks? do(?:es)? not support (?:JVP|differentiation|transpose)": "JAX has no derivative of a callback",
    r"Unsupported dtype (\w+)": "JAX has no linear algebra in {0}",  # of LAPACK, before JAX 0.12
    r"(\w+) does not accept dtype (bfloat16|float16)": "JAX has no {0} in {1}",
}
MAX_ERROR_TEXT = 400  # of an error's message in a note: JAX says in its later lines which values differ


def jax_limit(error: Exception) -> str | None:
    """Return the limit of JAX that an error reports; None for any other error.

    >>> jax_limit(ValueError("Reverse-mode differentiation does not work for lax.while_loop or lax.fori_loop"))
    'JAX has no reverse mode through lax.while_loop'
    """
    for pattern, text in JAX_LIMITS.items():
        if match := re.search(pattern, str(error)):
            # of the alternatives in a pattern one has matched: the groups of the others are None
            return text.format(*(group for group in match.groups() if group))
    return None


def error_summary(error: Exception) -> str:
    """Return the type of an error and its message in one line.

    >>> error_summary(TypeError("the types must be equal, but they differ:\\n\\n  * float32 and float64"))
    'TypeError: the types must be equal, but they differ: * float32 and float64'
    """
    text = " ".join(str(error).split())
    # JAX's advice on how to filter tracebacks is no reason
    text = text.split("--------------------")[0].strip()
    return f"{type(error).__name__}: {text if len(text) <= MAX_ERROR_TEXT else text[: MAX_ERROR_TEXT - 1] + '…'}"


class Failure(NamedTuple):
    """The error that a call raised."""

    error: Exception


def attempt(call: Callable[[], T]) -> T | Failure:
    """Return the result of the call, or the error that it raised.

    >>> attempt(lambda: 1 / 0)
    Failure(error=ZeroDivisionError('division by zero'))
    """
    try:
        return call()
    # the function under test and its rule are the user's code: they may raise anything, an AssertionError included;
    # the error is a result of this check, and the remaining checks still run
    except Exception as error:
        return Failure(error)


def run_check(check: CheckId, rows: Callable[[], Iterable[Row]]) -> tuple[Row, ...]:
    """Return the rows of a check; if it raises, one row that says why."""
    result = attempt(lambda: tuple(rows()))
    if not isinstance(result, Failure):
        return result
    limit = jax_limit(result.error)
    return (row_without_number(check, "UNSUPPORTED" if limit else "FAIL", limit or error_summary(result.error)),)
