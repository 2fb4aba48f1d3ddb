"""The bench on which a derivative rule is tested: its pullback, points near by, and how two results compare.

    G(x; u) = (∂f/∂x)ᵀ u        the pullback of a fixed random cotangent u, one entry per entry of y = f(x, k)
    difference of a leaf        max|got - expected| / max(max|expected|, floor · largest of all leaves)

The floor keeps a leaf whose true gradient is 0 from turning rounding into an alarm, when another leaf is not 0. When
all are, only the rounding of the function itself tells: an entry no further apart than that (`noise`) is equal.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np

from jaxmlp.evidence.certificate import Row, judge
from jaxmlp.evidence.vjp.arguments import Arguments, Leaves, Split
from jaxmlp.evidence.vjp.undecorated import primitives

T = TypeVar("T")

# bytes of the dtype -> the largest difference that passes, and the floor
TOLERANCES = {8: (1e-9, 1e-4), 4: (1e-3, 1e-2), 2: (1e-1, 1e-1)}


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
      noise: what rounding alone does to every output and every gradient; see `doubt`.
    """

    rule: Callable[..., Any]
    f: Split
    witness: Split | None
    given: bool
    arguments: Arguments
    cotangent: Leaves
    rng: np.random.Generator
    gradient: Callable[[Leaves, Leaves, Leaves], tuple[Leaves, Leaves]]
    noise: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())

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
        """Points near the arguments: real entries 5 % apart and of the same sign, whole ones other whole ones."""
        leaves, others = jax.tree.map(np.asarray, self.point)
        return [
            (
                tuple(_moved(x, noise) for x, noise in zip(leaves, self.draw(leaves), strict=True)),
                tuple(_exchanged(k, i) for k in others),
            )
            for i in range(count)
        ]


def _moved(x: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """5 % of every entry; of the largest where the entry is 0, and upwards: a weight, a probability stays one."""
    largest = np.max(np.abs(x), initial=0.0) or 1.0
    return np.where(x == 0, 0.05 * largest * np.abs(noise), x * (1 + 0.05 * noise)).astype(x.dtype)


def _exchanged(k: np.ndarray, step: int) -> np.ndarray:
    """Whole numbers in other places; where that changes nothing, others from 0 to the largest: an index stays valid.

    >>> [_exchanged(np.array([0, 2]), i).tolist() for i in range(2)]
    [[0, 2], [2, 0]]
    >>> [int(_exchanged(np.array(1), i)) for i in range(3)]
    [1, 0, 1]
    """
    rolled = np.roll(k, step, axis=-1) if k.ndim else k
    if step == 0 or not np.array_equal(rolled, k):
        return rolled
    if k.dtype == bool:
        return k ^ bool(step % 2)
    return (k + step) % (max(int(np.max(k, initial=0)), 1) + 1)


def normal(rng: np.random.Generator, like: Iterable[Any]) -> Leaves:
    """Normal numbers shaped like the arrays given, made by NumPy: JAX would compile for every shape."""
    return tuple(np.asarray(rng.standard_normal(a.shape)).astype(a.dtype) for a in like)


def pullback(f: Split, leaves: Leaves, others: Leaves, cotangent: Leaves) -> tuple[Leaves, Leaves]:
    """f(x) and G(x; u) = (∂f/∂x)ᵀ u."""
    outputs, back = jax.vjp(lambda *leaves: f(leaves, others), *leaves)
    return outputs, back(cotangent)


compiled_pullback = jax.jit(pullback, static_argnums=0)


def held(bench: Bench) -> set[str]:
    """The names of the primitives in the rule's forward and backward pass."""
    return primitives(jax.make_jaxpr(pullback, static_argnums=0)(bench.f, *bench.point, bench.cotangent))


# --- answers ----------------------------------------------------------------------------------------------------------


def relative_differences(
    got: Sequence[Any], expected: Sequence[Any], floor: float, noise: Sequence[float] = ()
) -> list[float]:
    """max|got - expected| / max(max|expected|, floor · largest entry of all) for every leaf; equal NaN are equal.

    Args:
      got: arrays.
      expected: what they should be.
      floor: the least size of a leaf, as a part of the largest.
      noise: for every leaf what rounding does to it: no further apart is equal.

    >>> relative_differences([np.array([1.0, 2.5])], [np.array([1.0, 2.0])], 1e-4)
    [0.25]
    >>> relative_differences([np.array([2e-17])], [np.array([1e-17])], 1e-4, [1e-16])
    [0.0]
    """
    pairs = [(np.asarray(g, np.float64), np.asarray(e, np.float64)) for g, e in zip(got, expected, strict=True)]
    sizes = [float(np.max(np.abs(e), initial=0.0, where=np.isfinite(e))) for _, e in pairs]
    least = floor * (max(sizes, default=0.0) or 1.0)
    found = []
    for (g, e), size, rounding in zip(pairs, sizes, noise or [0.0] * len(pairs), strict=True):
        with np.errstate(invalid="ignore"):  # inf - inf, which is equal
            apart = np.abs(g - e)
        same = (g == e) | (np.isnan(g) & np.isnan(e)) | (apart <= rounding)
        found.append(float(np.where(same, 0.0, apart).max(initial=0.0)) / max(size, least))
    return found


def worst_of(differences: Sequence[float]) -> int:
    """The place of the largest, NaN before all.

    >>> worst_of([1.0, float("nan"), 3.0])
    1
    """
    return max(range(len(differences)), key=lambda i: np.inf if np.isnan(differences[i]) else differences[i])


def compare(check: str, where: str, witness: str, got: Any, expected: Any, bench: Bench, *, times: float = 1.0) -> Row:
    """One row for (outputs, gradients) against (outputs, gradients), with the name of the worst leaf if it fails.

    `times`: how much larger than G(x; u) what is compared is, and its rounding with it.
    """
    bound, floor = bench.tolerance
    names = [f"output {i}" for i in range(len(expected[0]))] + list(bench.arguments.names)
    found: list[float] = []
    for g, e, noise in zip(got, expected, bench.noise, strict=False):  # outputs alone, or gradients too
        found += relative_differences(g, e, floor, [times * n for n in noise] if len(noise) == len(e) else ())
    worst = worst_of(found)
    row = judge(check, where, witness, found[worst], bound)
    return row if row.verdict == "PASS" else row._replace(note=f"worst in {names[worst]}")


# What JAX says when it is JAX that cannot: a piece of its message, and what to know about it.
LIMITS = {
    "forward-mode autodiff (jvp) to a custom_vjp": "no jvp of a custom_vjp: jax-ml/jax#3996",
    "Reverse-mode differentiation does not work for lax.while_loop": "no reverse mode through lax.while_loop",
    "Linearization failed to produce known values": "no reverse mode through custom_vmap, or through a rule with "
    "optimize_remat (jax-ml/jax#22735)",
}


def first_line(error: Exception) -> str:
    """The type and the first line of an error, short enough for a table."""
    line = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {line[:160]}"


class Raised(NamedTuple):
    """The error that a call has raised."""

    error: Exception


def attempt(call: Callable[[], T]) -> T | Raised:
    """What the call gives, or what it raises.

    The function under test is somebody else's, and so is its rule: either may raise anything, an assertion of its own
    included. That it does, and what, is an answer of the bench, which goes on with its other questions.

    >>> attempt(lambda: 1 / 0)
    Raised(error=ZeroDivisionError('division by zero'))
    """
    try:
        return call()
    except Exception as error:
        return Raised(error)


def ask(check: str, where: str, witness: str, question: Callable[[], Iterable[Row]]) -> tuple[Row, ...]:
    """The rows that a question gives; if it raises, one row that says why."""
    answer = attempt(lambda: tuple(question()))
    if not isinstance(answer, Raised):
        return answer
    limit = next((text for piece, text in LIMITS.items() if piece in str(answer.error)), None)
    verdict = "UNSUPPORTED" if limit else "FAIL"
    return (Row(check, where, witness, None, None, verdict, limit or first_line(answer.error)),)
