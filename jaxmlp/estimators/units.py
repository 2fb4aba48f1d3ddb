"""Conversion of parameters between the units of a table and the units of its network.

    u = (x - μ) / σ        the input of the network; μ and σ are the weighted mean and deviation of a column
    y = τ a + ν            the prediction of a regression, from the network's output a

    W_1 = C_1ᵀ σ           b_1 = c_1 + C_1ᵀ μ           first layer; C (n_in, n_out) and c (n_out,) are in raw units
    W_L = C_Lᵀ / τ         b_L = (c_L - ν) / τ          last layer

Both sets of parameters describe the same function of the rows. So μ and σ can change between two calls of `partial_fit`
when new rows arrive, and the predictions stay the same.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from jaxmlp.data.preprocessing import Preprocessing
from jaxmlp.errors import InputError, sentence
from jaxmlp.nn.network import Network
from jaxmlp.tabular.deviation import TINY
from jaxmlp.training.state import TrainState

ROWS_PER_BLOCK = 8192  # rows become float64 block by block, because a float64 copy of the whole table may be too large

Arrays = list[np.ndarray]


class ColumnMoments(NamedTuple):
    """The mean, the squared deviations and the range of each column, (n,) in float64, over all rows so far.

    Attributes:
      weight: the total weight of the rows, Σ w.
      mean, squares: Σ w x / Σ w, and Σ w (x - mean)².
      low, high: the minimum and the maximum.
    """

    weight: float
    mean: np.ndarray
    squares: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray, weights: np.ndarray | None = None) -> Self:
        """Return the moments of rows (m, n) with weights (m,) above 0; equal weights if None.

        Raises:
          InputError: for numbers whose squares leave the range of float64.

        >>> ColumnMoments.of(np.array([[1.0], [4.0]]), np.array([2.0, 1.0])).mean.tolist()     # the mean of 1, 1, 4
        [2.0]
        """
        weights = np.ones(len(rows)) if weights is None else weights.astype(np.float64)
        total = None
        try:
            with np.errstate(over="raise", invalid="raise"):
                for i in range(0, len(rows), ROWS_PER_BLOCK):
                    block = cls._of_block(rows[i : i + ROWS_PER_BLOCK], weights[i : i + ROWS_PER_BLOCK])
                    total = block if total is None else total.merge(block)
        except FloatingPointError:
            got = f"a number as large as {np.abs(rows).max():.3g}"
            raise InputError(
                sentence("fit", "columns with a finite standard deviation", got, "rescale that column")
            ) from None
        assert total is not None, "there are rows"
        # the squares of tiny numbers are 0: the column would look constant
        vanishes = (total.squares < TINY**2 * total.weight) & (total.low < total.high)
        if vanishes.any():
            i = int(vanishes.argmax())
            got = f"numbers as small as {max(abs(total.low[i]), abs(total.high[i])):.3g} in column {i}"
            remedy = "rescale that column"
            raise InputError(sentence("fit", "columns whose variance is above 0 in float64", got, remedy))
        return total

    @classmethod
    def _of_block(cls, rows: np.ndarray, weights: np.ndarray) -> Self:
        # first the mean, then the squares around it: that loses no digits if the mean is large
        rows = rows.astype(np.float64)
        total = weights.sum()
        mean = weights @ rows / total
        return cls(total, mean, weights @ (rows - mean) ** 2, rows.min(axis=0), rows.max(axis=0))

    def merge(self, other: Self) -> Self:
        """Return the moments of both sets of rows together (Chan, Golub and LeVeque, 1979)."""
        total, shift = self.weight + other.weight, other.mean - self.mean
        return self._replace(
            weight=total,
            mean=self.mean + shift * (other.weight / total),
            # Σ w x² - Σ w mean² would lose most digits in columns whose mean is far larger than their deviation
            squares=self.squares + other.squares + shift**2 * (self.weight * other.weight / total),
            low=np.minimum(self.low, other.low),
            high=np.maximum(self.high, other.high),
        )

    def preprocessing(self) -> Preprocessing:
        """Return (x - μ) / σ; a constant column is shifted to 0 and not scaled."""
        return Preprocessing.of_moments(self.low, self.high, self.mean, np.sqrt(self.squares / self.weight))


class Units(NamedTuple):
    """The preprocessing of the rows, and that of the targets of a regression; the identity by default."""

    inputs: Preprocessing = Preprocessing()
    targets: Preprocessing = Preprocessing()


def bounded(targets: Preprocessing, rows: np.ndarray, earlier: Preprocessing | None) -> Preprocessing:
    """Return the record whose `inverse` stays within the range of these rows and of the earlier ones.

    >>> bounded(Preprocessing(), np.array([[1.0], [2.0]]), Preprocessing(low=[0.0], high=[1.5]))
    Preprocessing(low=array([0.]), high=array([2.]))
    """
    record = targets.bounded(rows)
    if earlier is None or not earlier.is_bounded:
        return record
    low, high = np.minimum(record.low, earlier.low), np.maximum(record.high, earlier.high)
    return dataclasses.replace(record, low=low, high=high)


def to_raw(params: Sequence[Any], units: Units) -> tuple[Arrays, Arrays]:
    """Return coefficients (n_in, n_out) and intercepts (n_out,) in raw units, in float64.

    >>> layer = {"W": np.array([[2.0]]), "b": np.array([[1.0]])}               # a = 2u + 1, u = (x - 3)/4, y = 10a
    >>> to_raw([layer], Units(Preprocessing(3.0, 4.0), Preprocessing(scale=10.0)))       # y = 5x - 5
    ([array([[5.]])], [array([-5.])])
    """
    coefs = [np.asarray(layer["W"], np.float64).T for layer in params]
    intercepts = [np.asarray(layer["b"], np.float64)[:, 0] for layer in params]
    shift, scale = units.inputs.shift, units.inputs.scale
    if scale is not None:
        # row i of C_1, (n_in, n_out), belongs to column i
        coefs[0] = coefs[0] / np.reshape(scale, (-1, 1))
    # after the scale: c_1 = b_1 - C_1ᵀ μ needs C_1 in raw units
    if shift is not None:
        intercepts[0] = intercepts[0] - np.broadcast_to(shift, len(coefs[0])) @ coefs[0]
    shift, scale = _of_outputs(units.targets, len(intercepts[-1]))
    if scale is not None:
        coefs[-1], intercepts[-1] = coefs[-1] * scale, intercepts[-1] * scale
    if shift is not None:
        intercepts[-1] = intercepts[-1] + shift
    # copies, because float64 parameters may still share their memory with these arrays
    return [np.array(C, order="C") for C in coefs], [np.array(c) for c in intercepts]


def to_network(coefs: Sequence[np.ndarray], intercepts: Sequence[np.ndarray], units: Units, dtype: Any) -> list[Any]:
    """Return {"W", "b"} of each layer in the units of the network: the inverse of `to_raw`.

    >>> units = Units(Preprocessing(3.0, 4.0), Preprocessing(scale=10.0))
    >>> to_network([np.array([[5.0]])], [np.array([-5.0])], units, np.float32)[0]["b"]
    array([[1.]], dtype=float32)
    """
    coefs, intercepts = [np.asarray(C, np.float64) for C in coefs], [np.asarray(c, np.float64) for c in intercepts]
    shift, scale = _of_outputs(units.targets, len(intercepts[-1]))
    if shift is not None:
        intercepts[-1] = intercepts[-1] - shift
    if scale is not None:
        coefs[-1], intercepts[-1] = coefs[-1] / scale, intercepts[-1] / scale
    shift, scale = units.inputs.shift, units.inputs.scale
    if shift is not None:
        intercepts[0] = intercepts[0] + np.broadcast_to(shift, len(coefs[0])) @ coefs[0]
    if scale is not None:
        coefs[0] = coefs[0] * np.reshape(scale, (-1, 1))
    return [
        {"W": np.ascontiguousarray(C.T, dtype), "b": c.reshape(-1, 1).astype(dtype)}
        for C, c in zip(coefs, intercepts, strict=True)
    ]


def _of_outputs(targets: Preprocessing, n: int) -> list[np.ndarray | None]:
    """Return shift and scale for the n rows of the last layer: they repeat, because each member has its own outputs."""
    return [None if array is None else np.tile(array, n // array.size) for array in (targets.shift, targets.scale)]


def convert(state: TrainState, net: Network, old: Units, new: Units) -> TrainState:
    """Return the training state in new units; the network computes the same function as before.

    In a first layer with batch normalisation b does not change, because the normalisation subtracts the mean of every
    unit: there the running means change instead.

    Args:
      state: the state, with NumPy arrays.
      net: the network.
      old, new: the units before and after, as `coefficient_units` returns them.
    """
    if old == new:
        return state  # a conversion there and back would round the weights
    is_normalised = net.norms[0] == "batch"

    def param_units(units: Units) -> Units:
        return units._replace(inputs=Preprocessing(scale=units.inputs.scale)) if is_normalised else units

    def convert_params(params: Any) -> Any:
        layers = to_network(*to_raw(params, param_units(old)), param_units(new), np.asarray(params[0]["W"]).dtype)
        # γ of a normalised layer and R of members do not depend on the units
        return tuple({**layer, **arrays} for layer, arrays in zip(params, layers, strict=True))

    average = None if state.average is None else convert_params(state.average)
    moments = state.moments
    if is_normalised and old.inputs.shift is not None:
        # Z of the new units is larger by C_1ᵀ (μ_old - μ_new), and so is its running mean
        coefs, _ = to_raw(state.params[:1], param_units(old)._replace(targets=Preprocessing()))
        mean = moments[0].mean + (coefs[0].T @ (old.inputs.shift - new.inputs.shift)[:, None]).astype(
            moments[0].mean.dtype
        )
        moments = (moments[0]._replace(mean=mean), *moments[1:])
    return state._replace(params=convert_params(state.params), average=average, moments=moments)
