"""Scale raw rows for the network, and its outputs back.

    p(rows) = (rows - shift) / scale            p.inverse(p(rows)) = p(rows) * scale + shift = rows
    with bounds                                 p.inverse(z) = min(high, max(low, z * scale + shift))

`rows` is (m, n), one example per row; `shift` and `scale` are None (0 and 1), scalars, or of shape (n,). The record is
fitted on the training part only and saved with the model, so that a prediction takes the rows of a file as they are. A
divisor is stored, not its reciprocal: pixel/255 is then the correctly rounded quotient, which pixel * (1/255) is not.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from jaxmlp.data.aligned import by_blocks, empty_aligned
from jaxmlp.errors import InputError, InputTypeError, sentence
from jaxmlp.tabular.deviation import TINY, deviation_of

PREPROCESSING = "preprocessing"
_FIELDS = ("shift", "scale", "low", "high")
ALIGNED_SIZE = 2**14  # numbers: below it, a second copy by JAX is faster than aligned memory


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Preprocessing:
    """(rows - shift) / scale, by column; the identity by default.

    Args:
        shift: None, a number, or one number per column, shape (n,).
        scale: likewise; the divisor, never 0.
        low, high: the bounds of the numbers that `inverse` returns, likewise; both or none.

    >>> p = Preprocessing.standardize([[1.0, 5.0], [3.0, 5.0]])     # means 2 and 5, deviations 1 and (constant) 1
    >>> p([[1.0, 5.0], [4.0, 6.0]]).tolist()
    [[-1.0, 0.0], [2.0, 1.0]]
    >>> p.inverse(p([[1.0, 5.0]])).tolist()
    [[1.0, 5.0]]
    """

    shift: Any = None
    scale: Any = None
    low: Any = None
    high: Any = None

    def __post_init__(self) -> None:
        for name in _FIELDS:
            object.__setattr__(self, name, _coefficients(name, getattr(self, name)))
        low, high = self.low, self.high
        if (low is None) != (high is None) or (low is not None and (low.shape != high.shape or np.any(low > high))):
            got, remedy = f"low {low} and high {high}", "call bounded(rows), which sets both"
            raise InputError(sentence(PREPROCESSING, "two bounds, low ≤ high, or none", got, remedy))
        if self.scale is not None and not np.all(self.scale):
            raise InputError(sentence(PREPROCESSING, "a scale without zeros", "0", "give constant columns the scale 1"))
        widths = {name: array.shape for name, array in self.to_dict().items() if array.ndim == 1}
        if len({*widths.values()}) > 1:
            got = " and ".join(f"{name} {shape}" for name, shape in widths.items())
            raise InputError(sentence(PREPROCESSING, "coefficients of one shape (n,)", got, "fit all on the same rows"))

    def __repr__(self) -> str:
        return f"Preprocessing({', '.join(f'{name}={array!r}' for name, array in self.to_dict().items())})"

    @classmethod
    def images(cls) -> Self:
        """Return the record that maps intensities 0..255 to 0..1: pixel / 255.

        >>> Preprocessing.images()([[0, 51, 255]], dtype="float64").tolist()
        [[0.0, 0.2, 1.0]]
        """
        return cls(scale=255.0)

    @classmethod
    def standardize(cls, rows: ArrayLike, constant: float = 1.0) -> Self:
        """Return (x - μ) / σ with the mean μ and standard deviation σ (divisor m) of each column, computed in float64.

        Args:
            rows: (m, n) training rows.
            constant: the σ of a column whose values are all equal, because the true one, 0, cannot be a divisor.

        Raises:
            InputError: rows of another rank, or numbers whose squares leave the range of float64.
        """
        array = _as_matrix(rows)
        low, high = array.min(axis=0).astype(np.float64), array.max(axis=0).astype(np.float64)  # (n,)
        try:
            with np.errstate(over="raise", invalid="raise"):
                mean = array.mean(axis=0, dtype=np.float64)
                deviation = array.std(axis=0, dtype=np.float64)
                for i in np.flatnonzero((deviation < TINY) & (low < high)):  # else the squares of tiny numbers are 0
                    deviation[i] = deviation_of(array[:, i])
        except FloatingPointError:
            got = f"a number as large as {max(abs(low).max(), abs(high).max()):.3g}"
            raise InputError(
                sentence(PREPROCESSING, "columns with a finite standard deviation", got, "rescale that column")
            ) from None
        return cls.of_moments(low, high, mean, deviation, constant)

    @classmethod
    def of_moments(
        cls, low: np.ndarray, high: np.ndarray, mean: np.ndarray, deviation: np.ndarray, constant: float = 1.0
    ) -> Self:
        """Return (x - μ) / σ for columns whose extremes, mean and deviation are known, each (n,).

        Args:
            low, high, mean, deviation: of the training rows.
            constant: the σ of a column whose values are all equal.

        >>> Preprocessing.of_moments(np.array([1.0]), np.array([3.0]), np.array([2.0]), np.array([0.5]))
        Preprocessing(shift=array([2.]), scale=array([0.5]))
        """
        # rounding can give a constant column a tiny deviation, so its extremes decide, and not σ = 0 alone
        is_constant = (low == high) | (deviation == 0)
        return cls(shift=np.where(low == high, low, mean), scale=np.where(is_constant, constant, deviation))

    @classmethod
    def from_dict(cls, arrays: Mapping[str, ArrayLike]) -> Self:
        """Return the record from what `to_dict` returned; an absent key means the identity."""
        unexpected = sorted(set(arrays) - {*_FIELDS})
        if unexpected:
            raise InputError(
                sentence(
                    PREPROCESSING, "the keys shift, scale, low and high", unexpected, "was the file saved by jaxmlp?"
                )
            )
        return cls(**arrays)

    def to_dict(self) -> dict[str, np.ndarray]:
        """Return a small dict of float64 arrays, empty for the identity.

        >>> Preprocessing.images().to_dict()
        {'scale': array(255.)}
        """
        return {name: array for name in _FIELDS if (array := getattr(self, name)) is not None}

    @property
    def n_columns(self) -> int | None:
        """The number of columns it was fitted on; None if any number is possible."""
        sizes = [array.size for array in self.to_dict().values() if array.ndim == 1]
        return sizes[0] if sizes else None

    @property
    def is_fitted(self) -> bool:
        """Whether its numbers come from training rows, so that other rows need another fit."""
        # images have a scale too, but 255 does not depend on the rows
        return self.shift is not None

    def fit_to(self, rows: ArrayLike, constant: float = 1.0) -> Self:
        """Return `standardize` of these rows, which replaces this record when the training rows change."""
        return type(self).standardize(rows, constant)

    def bounded(self, rows: ArrayLike) -> Self:
        """Return the record whose `inverse` stays within the range of these rows (m, n), column by column.

        >>> p = Preprocessing(scale=10.0).bounded([[20.0], [50.0]])
        >>> p.inverse([[1.0], [3.0], [7.0]]).ravel().tolist()
        [20.0, 30.0, 50.0]
        """
        array = _as_matrix(rows, self.n_columns)
        return dataclasses.replace(self, low=array.min(axis=0), high=array.max(axis=0))

    @property
    def is_bounded(self) -> bool:
        """Whether `inverse` stays within bounds."""
        return self.low is not None

    column_widths = None  # every column is one input, unlike those of a `TableEncoder`

    def n_inputs(self, n_columns: int) -> int:
        """Return the width of the network's input for rows of n columns: n."""
        return n_columns

    def select(self, columns: Sequence[int]) -> Self:
        """Return the record for rows that have only these columns, in this order.

        >>> Preprocessing(shift=[1.0, 2.0, 3.0], scale=255.0).select([2, 0])
        Preprocessing(shift=array([3., 1.]), scale=array(255.))
        """
        arrays = self.to_dict().items()
        return type(self)(**{name: array[list(columns)] if array.ndim else array for name, array in arrays})

    def __call__(self, rows: ArrayLike, dtype: DTypeLike = np.float32, *, copy: bool = True) -> np.ndarray:
        """Return (rows - shift) / scale, (m, n), as `dtype`.

        Args:
            rows: (m, n) raw rows.
            dtype: of the result. Rows of float64 are shifted in float64 even if it is float32, for the difference of
                large and nearly equal numbers would lose its digits there.
            copy: False returns rows that need no change as they are; else the result is a new array.

        Raises:
            InputError: not (m, n) with the fitted n, or a result outside the range of `dtype`.
            InputTypeError: rows that are not numbers.
        """
        array = self._check_width(rows)
        # float32 holds the integers of bytes and of 16-bit images exactly; wider types keep their own precision
        working = np.dtype(dtype)
        if self.shift is not None or self.scale is not None:
            working = np.result_type(array.dtype, np.float32, *([np.float64] if dtype == np.float64 else []))
        elif not copy and array.dtype == dtype:
            return array
        shift = None if self.shift is None else self.shift.astype(working)
        scale = None if self.scale is None else self.scale.astype(working)
        compute = partial(_shift_and_divide, shift=shift, scale=scale, working=working)
        try:
            if array.size < ALIGNED_SIZE:
                result = np.empty(array.shape, dtype) if working != dtype else None
                return compute(array, result)
            # aligned, so that JAX on a CPU uses it in place
            return by_blocks(compute, array, empty_aligned(array.shape, dtype))
        except FloatingPointError:
            raise self._out_of_range(array, dtype) from None

    def _out_of_range(self, array: np.ndarray, dtype: DTypeLike) -> InputError:
        """Return the error for rows of which a number is too large, before or after the division by the scale."""
        with np.errstate(over="ignore", invalid="ignore"):
            sizes = np.abs(array.astype(np.float64) - (0 if self.shift is None else self.shift))
            sizes /= 1 if self.scale is None else self.scale
        sizes[~np.isfinite(array)] = -1  # NaN and inf stay as they are
        row, column = np.unravel_index(np.argmax(sizes), sizes.shape)
        expects = f"numbers within the range of {np.dtype(dtype)}"
        # without the number of the row: the caller may have cut or shuffled the rows
        got = f"{array[row, column]:.3g} in column {column} (counted from 0)"
        remedy = "standardize the columns" if self.scale is None else "correct that number"
        return InputError(sentence(PREPROCESSING, expects, got, f"{remedy}, or rescale the column"))

    def inverse(self, rows: ArrayLike, dtype: DTypeLike = np.float64) -> np.ndarray:
        """Return rows * scale + shift, (m, n), computed in float64: outputs of the network in the units of the file.

        With bounds the result stays within them.
        """
        # a small deviation about a large mean, as of years or prices, would lose its digits in float32
        result = self._check_width(rows).astype(np.float64)
        if self.scale is not None:
            result *= self.scale
        if self.shift is not None:
            result += self.shift
        if self.low is not None:
            np.clip(result, self.low, self.high, out=result)  # NaN stays NaN
        return result.astype(dtype, copy=False)

    def _check_width(self, rows: ArrayLike) -> np.ndarray:
        n = self.n_columns
        array = _as_matrix(rows, n)
        if n is not None and array.shape[1] != n:
            remedy = "one example per row here: pass rows.T" if len(array) == n else "give the columns of training"
            raise InputError(sentence(PREPROCESSING, f"rows with {n} columns", array.shape, remedy))
        return array


def _shift_and_divide(
    rows: np.ndarray, result: np.ndarray | None, shift: np.ndarray | None, scale: np.ndarray | None, working: np.dtype
) -> np.ndarray:
    """Return (rows - shift) / scale, computed in the dtype `working`, in `result` or in a new array of that dtype."""
    with np.errstate(over="raise"):
        # in place where the dtypes are equal: one array of this size, not two
        if result is not None and result.dtype == working:
            np.copyto(result, rows, casting="unsafe")  # float64 may become float32, as with astype
            block = result
        else:
            block = rows.astype(working)
        if shift is not None:
            block -= shift
        if scale is not None:
            block /= scale
        if result is None or block is result:
            return block
        np.copyto(result, block, casting="unsafe")
        return result


def _coefficients(name: str, value: ArrayLike | None) -> np.ndarray | None:
    if value is None:
        return None
    # a copy: the caller may change his array later
    array = np.array(value, dtype=np.float64)
    if array.ndim > 1:
        raise InputError(
            sentence(PREPROCESSING, f"a {name} of shape () or (n,)", array.shape, "give one number per column")
        )
    if not np.isfinite(array).all():
        got = array[~np.isfinite(array)][0]
        raise InputError(sentence(PREPROCESSING, f"a finite {name}", got, "fit it on finite rows"))
    return array


def _as_matrix(rows: ArrayLike, n: int | None = None) -> np.ndarray:
    array = np.asarray(rows)
    if array.dtype.kind not in "biuf":
        raise InputTypeError(
            sentence(PREPROCESSING, "rows of real numbers", f"dtype {array.dtype}", "convert them first")
        )
    if array.ndim != 2:
        expects = f"rows with {'n' if n is None else n} columns"
        remedy = "pass rows.reshape(1, -1) for one example" if array.ndim == 1 else "pass rows.reshape(len(rows), -1)"
        raise InputError(sentence(PREPROCESSING, expects, array.shape, remedy))
    return array
