"""The state that one call of `fit` or `partial_fit` stores for the next call, and how that call continues from it.

The next call starts with the weights and the optimizer state of the last one. It counts epochs from 0 again, so that
schedules restart. It folds the number of the call into the random key, so that the order of the rows and the noise
differ from those of the last call.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxmlp.data.preprocessing import Preprocessing
from jaxmlp.errors import InputError, sentence
from jaxmlp.estimators import settings
from jaxmlp.estimators.units import ColumnMoments, Units, convert, to_network
from jaxmlp.nn.network import Network
from jaxmlp.training.config import TrainConfig, resolve_optimizer
from jaxmlp.training.state import Best, Snapshot, TrainState

# If the standard deviation of a column grows by more, the few rows of the last call said nothing about its scale.
MAX_GROWTH = 10


class Memory(NamedTuple):
    """The state that a call stores for the next call. All its arrays are NumPy arrays, so it can be pickled.

    Attributes:
      state: the training state; its key as an array of integers.
      net: the network in training, with its normalisation.
      units: the units of rows and targets.
      columns, targets: the moments of columns and of targets so far, for `partial_fit`; None if not standardised.
      digest: a digest of the coefficients at the end of the call. If it no longer matches, the user has changed them.
      optimizer: the name of the optimizer without its numbers; None for an optax transformation.
      calls: the number of calls so far.
      rate_factor: the factor by which learning_rate="adaptive" has reduced the learning rate.
      waited: the number of epochs without improvement at the end of the call, for `partial_fit`.
    """

    state: TrainState
    net: Network
    units: Units
    columns: ColumnMoments | None
    targets: ColumnMoments | None
    digest: str
    optimizer: str | None
    calls: int = 1
    rate_factor: float = 1.0
    waited: int = 0


def digest_of(coefs: Sequence[np.ndarray], intercepts: Sequence[np.ndarray]) -> str:
    """Return a digest of coefficients, which shows whether the user has changed them since the last call."""
    digest = hashlib.blake2b(digest_size=16)
    for array in (*coefs, *intercepts):
        # arrays of different shapes may have equal bytes
        digest.update(f"{np.shape(array)}".encode())
        digest.update(np.ascontiguousarray(array, np.float64).data)
    return digest.hexdigest()


def keeps_units(net: Network) -> bool:
    """Whether `coefs_` of the first layer stay in standardised units: they cannot be converted to raw columns.

    A shift of the columns changes the result of layer normalisation, and every member would need another intercept.
    """
    return net.norm == "layer" or net.members is not None


def coefficient_units(net: Network, units: Units) -> Units:
    """Return the units between which the coefficients of this network are converted."""
    return units._replace(inputs=Units().inputs) if keeps_units(net) else units


def network_params(estimator: Any, units: Units, dtype: Any) -> tuple[Any, ...]:
    """Return the parameters of the network that predicts, from the coefficients of a fitted estimator.

    Args:
      estimator: a fitted estimator; its current coefs_, intercepts_, scales_, activation_shares_ and member_scales_
        are used.
      units: the units to which coefficients are converted.
      dtype: the dtype of the parameters.
    """
    layers = to_network(estimator.coefs_, estimator.intercepts_, units, dtype)
    for name, vectors in (("gamma", estimator.scales_), ("s", estimator.activation_shares_)):
        for layer, vector in zip(layers, vectors, strict=False):  # the last layer has none
            layer[name] = np.reshape(vector, (-1, 1)).astype(dtype)
    if estimator.member_scales_ is not None:
        layers[0]["R"] = np.asarray(estimator.member_scales_, dtype)
    return tuple(layers)


def optimizer_name(estimator: object) -> str | None:
    """Return the name of the optimizer without its numbers; None for an optax transformation."""
    optimizer = settings.optimizer_of(estimator)
    return optimizer.partition("(")[0] if isinstance(optimizer, str) else None


def previous_units(memory: Memory, units: Units) -> Units:
    """Return the units from which the weights of the last call are converted to the new units.

    They are those of the last call, except for columns that were constant or whose standard deviation has grown more
    than tenfold. For these columns the old units had no meaning: the new units are returned, so their weights stay.
    """

    def previous(moments: ColumnMoments | None, old: Preprocessing, new: Preprocessing) -> Preprocessing:
        if moments is None or new.scale is None:
            return old
        is_new = (moments.low == moments.high) | (new.scale > MAX_GROWTH * old.scale)
        return Preprocessing(np.where(is_new, new.shift, old.shift), np.where(is_new, new.scale, old.scale))

    inputs = previous(memory.columns, memory.units.inputs, units.inputs)
    return Units(inputs, previous(memory.targets, memory.units.targets, units.targets))


def continuation_snapshot(
    estimator: Any, memory: Memory, units: Units, config: TrainConfig, dtype: np.dtype
) -> Snapshot:
    """Return the snapshot to continue from: the state of the last call in the units and the dtype of this one.

    Coefficients that the user has changed replace those of the state. An optimizer whose state has other arrays starts
    with a new state.
    """
    net, state = memory.net, memory.state
    old_units, units = coefficient_units(net, previous_units(memory, units)), coefficient_units(net, units)
    if digest_of(estimator.coefs_, estimator.intercepts_) == memory.digest:
        state = convert(state, net, old_units, units)
    else:
        if net.norm == "batch":
            # coefs_ have the batch normalisation folded in: its γ and moments cannot be computed from them
            remedy = "clone the estimator for a new start"
            raise InputError(
                sentence("norm='batch'", "the coefs_ and intercepts_ of the last fit", "changed ones", remedy)
            )
        params = network_params(estimator, units, dtype)
        # the average as well, which would predict with the old coefficients
        state = state._replace(params=params, average=None if state.average is None else params)
    state = jax.tree.map(lambda leaf: leaf.astype(dtype if leaf.dtype.kind == "f" else leaf.dtype, copy=False), state)
    # the state for another optimizer is kept if its arrays fit. Two optax transformations have no names to compare:
    # there, too, the arrays decide.
    if memory.optimizer is None or memory.optimizer != optimizer_name(estimator):
        optimizer, _ = resolve_optimizer(config)
        # eval_shape computes shapes, and allocates no array
        if _shapes(jax.eval_shape(optimizer.init, state.params)) != _shapes(state.opt_state):
            state = state._replace(opt_state=optimizer.init(state.params))
    if (config.ema_decay is None) != (state.average is None):
        # a moving average that starts now starts at the current parameters
        state = state._replace(average=None if config.ema_decay is None else state.params)
    key = jax.random.fold_in(jax.random.wrap_key_data(state.key), memory.calls)
    state = state._replace(key=key, epoch=np.zeros((), np.int32))
    best_score = getattr(estimator, "best_validation_score_", None)
    if config.early_stopping is None or best_score is None:
        return Snapshot(state)
    # this call must improve on the best score of the last calls. Early stopping minimises, so the score is negated.
    return Snapshot(state, best=Best(0, -best_score, network_params(estimator, units, dtype)))


def _shapes(tree: object) -> Any:
    return jax.tree.structure(tree), [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(tree)]
