"""How raw rows become what the network reads, and back.

    p(rows) = (rows - shift) / scale            p.inverse(p(rows)) = p(rows) * scale + shift = rows

`rows` is (m, n), one example per row; `shift` and `scale` are absent (0 and 1), scalars, or of shape (n,). The record
is fitted on the training part only and travels with the model, so that a prediction takes the rows a file holds. A
divisor is kept, not its reciprocal: pixel/255 is then the correctly rounded quotient, which pixel * (1/255) is not.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from jaxmlp.data.aligned import aligned
from jaxmlp.errors import InputError, InputTypeError, sentence

WHERE = "preprocessing"
LARGE = 2**14  # numbers: to copy fewer once more takes less time than to find them a place


@dataclasses.dataclass(frozen=True, eq=False)
class Preprocessing:
    """(rows - shift) / scale, by column; the identity unless told otherwise.

    Args:
        shift: None, a number, or one number per column, shape (n,).
        scale: likewise; what is divided by, never 0.

    >>> p = Preprocessing.standardize([[1.0, 5.0], [3.0, 5.0]])     # means 2 and 5, deviations 1 and (constant) 1
    >>> p([[1.0, 5.0], [4.0, 6.0]]).tolist()
    [[-1.0, 0.0], [2.0, 1.0]]
    >>> p.inverse(p([[1.0, 5.0]])).tolist()
    [[1.0, 5.0]]
    """

    shift: Any = None
    scale: Any = None

    def __post_init__(self) -> None:
        for name in ("shift", "scale"):
            object.__setattr__(self, name, _coefficients(name, getattr(self, name)))
        if self.scale is not None and not np.all(self.scale):
            raise InputError(sentence(WHERE, "a scale without zeros", "0", "give constant columns the scale 1"))
        widths = [array.shape for array in (self.shift, self.scale) if array is not None and array.ndim == 1]
        if len(set(widths)) > 1:
            got = f"shift {widths[0]} and scale {widths[1]}"
            raise InputError(sentence(WHERE, "shift and scale of one shape (n,)", got, "fit both on the same rows"))

    @classmethod
    def images(cls) -> Self:
        """Intensities 0..255 to 0..1: pixel / 255.

        >>> Preprocessing.images()([[0, 51, 255]], dtype="float64").tolist()
        [[0.0, 0.2, 1.0]]
        """
        return cls(scale=255.0)

    @classmethod
    def standardize(cls, rows: ArrayLike, constant: float = 1.0) -> Self:
        """(x - μ) / σ with the column's mean μ and standard deviation σ (divisor m), computed in float64.

        Args:
            rows: (m, n) training rows.
            constant: the σ of a column whose values are all equal, where the true one, 0, cannot be divided by.

        Raises:
            InputError: rows of another rank, or numbers whose squares leave the range of float64.
        """
        array = _matrix(rows)
        low, high = array.min(axis=0).astype(np.float64), array.max(axis=0).astype(np.float64)
        try:
            with np.errstate(over="raise", invalid="raise"):
                mean = array.mean(axis=0, dtype=np.float64)
                deviation = array.std(axis=0, dtype=np.float64)
        except FloatingPointError:
            got = f"a number as large as {max(abs(low).max(), abs(high).max()):.3g}"
            raise InputError(sentence(WHERE, "columns with a finite deviation", got, "rescale that column")) from None
        return cls.of_moments(low, high, mean, deviation, constant)

    @classmethod
    def of_moments(
        cls, low: np.ndarray, high: np.ndarray, mean: np.ndarray, deviation: np.ndarray, constant: float = 1.0
    ) -> Self:
        """(x - μ) / σ for columns whose extremes, mean and deviation are known, each (n,).

        Args:
            low, high, mean, deviation: of the training rows.
            constant: the σ of a column whose values are all equal.

        >>> Preprocessing.of_moments(np.array([1.0]), np.array([3.0]), np.array([2.0]), np.array([0.5]))
        Preprocessing(shift=array([2.]), scale=array([0.5]))
        """
        # Rounding can give a constant column a tiny deviation, so equality of its extremes decides, not σ == 0.
        flat = (low == high) | (deviation == 0)
        return cls(shift=np.where(low == high, low, mean), scale=np.where(flat, constant, deviation))

    @classmethod
    def from_dict(cls, arrays: Mapping[str, ArrayLike]) -> Self:
        """The record that `to_dict` described; an absent key means the identity."""
        unexpected = sorted(set(arrays) - {"shift", "scale"})
        if unexpected:
            raise InputError(sentence(WHERE, "the keys shift and scale", unexpected, "was the file saved by jaxmlp?"))
        return cls(**arrays)

    def to_dict(self) -> dict[str, np.ndarray]:
        """A small dict of float64 arrays, empty for the identity.

        >>> Preprocessing.images().to_dict()
        {'scale': array(255.)}
        """
        return {name: array for name in ("shift", "scale") if (array := getattr(self, name)) is not None}

    @property
    def n_columns(self) -> int | None:
        """The number of columns it was fitted on; None where any number will do."""
        sizes = [array.size for array in (self.shift, self.scale) if array is not None and array.ndim == 1]
        return sizes[0] if sizes else None

    def select(self, columns: Sequence[int]) -> Self:
        """The same for rows that have only these columns, in this order.

        >>> Preprocessing(shift=[1.0, 2.0, 3.0], scale=255.0).select([2, 0])
        Preprocessing(shift=array([3., 1.]), scale=array(255.))
        """
        arrays = self.to_dict().items()
        return type(self)(**{name: array[list(columns)] if array.ndim else array for name, array in arrays})

    def __call__(self, rows: ArrayLike, dtype: DTypeLike = np.float32, *, copy: bool = True) -> np.ndarray:
        """(rows - shift) / scale, (m, n), as `dtype`; a new array, or with copy=False the rows that need no change.

        float64 rows are shifted in float64 even when float32 is asked for: large nearly equal numbers cancel there.

        Raises:
            InputError: not (m, n) with the fitted n, or a result outside the range of `dtype`.
            InputTypeError: rows that hold no numbers.
        """
        array = self._checked(rows)
        working = np.dtype(dtype)
        if self.shift is not None or self.scale is not None:
            working = np.result_type(array.dtype, np.float32, *([np.float64] if dtype == np.float64 else []))
        elif not copy and array.dtype == dtype:
            return array
        try:
            with np.errstate(over="raise"):
                result = _copied(array, working)
                if self.shift is not None:
                    result -= self.shift.astype(working)
                if self.scale is not None:
                    result /= self.scale.astype(working)
                return result if working == dtype else _copied(result, dtype)
        except FloatingPointError:
            expects, got = f"numbers within the range of {np.dtype(dtype)}", f"{_largest(array):.3g}"
            raise InputError(sentence(WHERE, expects, got, "standardize the columns or rescale them")) from None

    def inverse(self, rows: ArrayLike, dtype: DTypeLike = np.float64) -> np.ndarray:
        """rows * scale + shift, (m, n), computed in float64: what the network says, in the units of the file."""
        result = self._checked(rows).astype(np.float64)
        if self.scale is not None:
            result *= self.scale
        if self.shift is not None:
            result += self.shift
        return result.astype(dtype, copy=False)

    def _checked(self, rows: ArrayLike) -> np.ndarray:
        array, n = _matrix(rows, self.n_columns), self.n_columns
        if n is not None and array.shape[1] != n:
            remedy = "one example per row here: pass rows.T" if len(array) == n else "give the columns of training"
            raise InputError(sentence(WHERE, f"rows with {n} columns", array.shape, remedy))
        return array


def _copied(array: np.ndarray, dtype: DTypeLike) -> np.ndarray:
    """A copy, row by row; a large one where JAX on a CPU takes it over as it lies."""
    if array.size < LARGE:
        return array.astype(dtype)
    result = aligned(array.shape, dtype)
    np.copyto(result, array, casting="unsafe")
    return result


def _coefficients(name: str, value: Any) -> np.ndarray | None:
    if value is None:
        return None
    array = np.array(value, dtype=np.float64)
    if array.ndim > 1:
        raise InputError(sentence(WHERE, f"a {name} of shape () or (n,)", array.shape, "give one number per column"))
    if not np.isfinite(array).all():
        got = array[~np.isfinite(array)][0]
        raise InputError(sentence(WHERE, f"a finite {name}", got, "fit it on finite rows"))
    return array


def _matrix(rows: ArrayLike, n: int | None = None) -> np.ndarray:
    array = np.asarray(rows)
    if array.dtype.kind not in "biuf":
        raise InputTypeError(sentence(WHERE, "rows of real numbers", f"dtype {array.dtype}", "convert them first"))
    if array.ndim != 2:
        expects = f"rows with {'n' if n is None else n} columns"
        remedy = "pass rows.reshape(1, -1) for one example" if array.ndim == 1 else "pass rows.reshape(len(rows), -1)"
        raise InputError(sentence(WHERE, expects, array.shape, remedy))
    return array


def _largest(array: np.ndarray) -> float:
    return float(np.abs(array.astype(np.float64)).max())
