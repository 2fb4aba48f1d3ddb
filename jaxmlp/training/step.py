"""One step of training: noise, J and its gradient on a batch, then the update.

    gradient descent     θ ← θ - α dθ                                optax.sgd(α)
    clipping             dθ ← dθ min(1, c/‖dθ‖)                      over all leaves together
    frozen layers        dθ ← 0, and no decay either; batch normalisation by their running moments, which stay
    max-norm             ‖w_j‖ ≤ c after the update
    running moments      μ ← μ + 0.1 s (μ_batch - μ), σ² likewise,  s = (examples of weight > 0) / B
    moving average       θ̄ ← d θ̄ + (1 - d) θ,  d = min(decay, (1 + t)/(10 + t)): early steps are not averaged with θ₀

What a step draws follows from the key of the run and the number of the step alone, so a resumed run draws the same.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from jaxmlp.data.tasks import TASKS
from jaxmlp.errors import InputError, InputTypeError, sentence, unknown
from jaxmlp.nn.backprop import draw_noise, evaluate
from jaxmlp.nn.network import Network, Params, check_network
from jaxmlp.nn.normalization import Moments, wide
from jaxmlp.nn.objective import Batch, Objective, check_batch
from jaxmlp.nn.penalties import within
from jaxmlp.nn.stacks import runs_of
from jaxmlp.training.metrics import default_task, n_correct
from jaxmlp.training.optimizers import positive
from jaxmlp.training.state import Report, TrainState

NEWS = 0.1  # of a whole batch in the moments of batch normalisation: they remember the last twenty or so


class Control(NamedTuple):
    """The numbers of an update. All are traced: another number compiles nothing. None leaves that part out.

    Attributes:
      rate: α, which multiplies the update; None for an optimizer that brings its own.
      clip: c, the longest gradient.
      decay: of the moving average.
      live: 0 or 1 for every entry of the parameters; an entry of 0 gets no gradient. For a population whose narrow
        networks are filled up to the widest.
    """

    rate: Any = None
    clip: Any = None
    decay: Any = None
    live: Any = None


PLAIN = Control()


def update(
    state: TrainState,
    batch: Batch,
    net: Network,
    objective: Objective,
    optimizer: optax.GradientTransformation,
    control: Control = PLAIN,
    *,
    frozen: tuple[int, ...] = (),
    compute: Any = None,
) -> tuple[TrainState, Array, Array]:
    """The next state, and J and Z_L as they were before the update; for a checked batch.

    Args:
      state, batch, net, objective, optimizer: of the step. Equal layers of the state may be stacked, where nothing is
        frozen and the optimizer works on each number by itself.
      control: the numbers of the update.
      frozen: layers, counted from 1, that stay as they are, and their running moments with them.
      compute: the dtype of the matrix products, where it is not that of the parameters.
    """
    key = jax.random.fold_in(state.key, state.step) if objective.noisy else None
    noise = draw_noise(key, net, objective, batch.X, runs_of(state.params))
    fixed = {l: moments for l, moments in enumerate(state.moments, start=1) if l in frozen}

    def J_of(params):
        J, Z, moments = evaluate(params, batch, net, objective, noise=noise, compute=compute, fixed=fixed)
        return J, (Z, moments)

    (J, (Z, moments)), dparams = jax.value_and_grad(J_of, has_aux=True)(state.params)
    dparams = _without(dparams, frozen)
    if control.live is not None:
        dparams = jax.tree.map(jnp.multiply, dparams, control.live)
    if control.clip is not None:
        length = jnp.sqrt(jnp.stack([jnp.square(leaf).sum() for leaf in jax.tree.leaves(dparams)]).sum())
        shorter = jnp.minimum(jnp.ones_like(length), jnp.asarray(control.clip, length.dtype) / length)
        dparams = _scaled(dparams, jnp.where(length > 0, shorter, jnp.ones_like(length)))
    # line searches (L-BFGS) and plateau schedules read these; every other optimizer ignores them
    more = {"value": J, "grad": dparams, "value_fn": lambda params: J_of(params)[0]}
    optimizer = optax.with_extra_args_support(optimizer)
    updates, opt_state = optimizer.update(dparams, state.opt_state, state.params, **more)
    if control.rate is not None:
        updates = _scaled(updates, control.rate)
    params = cast(Params, optax.apply_updates(state.params, _without(updates, frozen)))
    if objective.max_norm is not None:
        pairs = enumerate(zip(params, within(params, objective.max_norm), strict=True), start=1)
        params = tuple(layer if l in frozen else shorter for l, (layer, shorter) in pairs)
    moments = _followed(state.moments, moments, batch.weights)
    average = state.average
    if control.decay is not None:
        average = _average(average, params, control.decay, state.step)
    return TrainState(params, opt_state, state.step + 1, state.epoch, state.key, moments, average), J, Z


def _without(tree: Any, frozen: tuple[int, ...]) -> Any:
    """The tree with zeros for the frozen layers."""
    if not frozen:
        return tree
    return type(tree)(
        jax.tree.map(jnp.zeros_like, layer) if l in frozen else layer for l, layer in enumerate(tree, start=1)
    )


def _followed(running: tuple[Moments, ...], seen: Any, weights: Array | None) -> Any:
    """The running moments after a batch; where a frozen layer's have been used, they are what was seen.

    A batch of few examples has little to say: those of one are σ² = 0.
    """
    news = NEWS if weights is None else NEWS * (weights > 0).mean(dtype=wide(weights.dtype))
    return jax.tree.map(lambda old, new: old + jnp.asarray(news, old.dtype) * (new - old), running, tuple(seen))


def _scaled(tree: Any, factor: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf * jnp.asarray(factor, leaf.dtype), tree)


def _average(average: Any, params: Params, decay: Any, step: Array) -> Any:
    t = step.astype(jnp.float32)
    d = jnp.minimum(jnp.asarray(decay, jnp.float32), (1 + t) / (10 + t))
    return jax.tree.map(lambda old, new: old + (1 - d).astype(old.dtype) * (new - old), average, params)


def check_optimizer(optimizer: object) -> None:
    """Raise unless `optimizer` is an Optax transformation that jit can hold on to."""
    if not isinstance(optimizer, optax.GradientTransformation):
        got = type(optimizer).__name__
        raise InputTypeError(sentence("optimizer", "an optax transformation", got, "write optax.adam(1e-3), say"))


def check_frozen(freeze: Iterable[int], net: Network) -> tuple[int, ...]:
    """The frozen layers in order, or an error unless each is a layer of the network, and one is left to train."""
    layers = layers_of(freeze)
    if not all(1 <= l <= net.depth for l in layers) or len(layers) == net.depth:
        expects = f"layers from 1 to {net.depth}, not all of them"
        raise InputError(sentence("freeze", expects, list(layers), "leave it out to train them all"))
    return layers


def layers_of(freeze: Any) -> tuple[int, ...]:
    """Numbers of layers in order, each once.

    Raises:
      InputTypeError: when they are no whole numbers.
    """
    layers: list[Any] = list(freeze) if isinstance(freeze, Iterable) else [freeze]
    whole = all(isinstance(l, int | np.integer) and not isinstance(l, bool) for l in layers)
    if not whole or not isinstance(freeze, Iterable):
        remedy = "write freeze=[1], or leave it out to train them all"
        raise InputTypeError(sentence("freeze", "a list of numbers of layers", repr(freeze), remedy))
    return tuple(sorted({int(l) for l in layers}))


def make_step(
    net: Network,
    optimizer: optax.GradientTransformation,
    objective: Objective | None = None,
    *,
    task: str | None = None,
    clip: float | None = None,
    average: float | None = None,
    freeze: Iterable[int] = (),
):
    """A compiled step for a training loop of your own.

    The step is `state, report = step(state, X, Y, weights=None)`. It deletes the state that it is given (its buffers
    are donated to the new one) and compiles once for each shape of batch; make one step and keep it.

    Args:
      net: the network.
      optimizer: any optax transformation.
      objective: cost and penalties; by default the cost that follows from the output.
      task: what counts as right in `report.accuracy`; by default it follows from the output.
      clip: the longest gradient, over all leaves together.
      average: decay of a moving average of the parameters, kept in `state.average`; `start` with average=True.
      freeze: layers, counted from 1, that stay as they are; a batch-normalised one takes its running moments.

    Returns:
      The step. X (n0, m), Y and weights are as for `jaxmlp.cost`; `report` holds cost, accuracy and step as arrays.

    Raises:
      InputTypeError: when `optimizer` is not an optax transformation.
      InputError: for an unknown task.

    >>> import jax.numpy as jnp
    >>> from jaxmlp.training.state import start
    >>> net = Network((2, 1), "relu", "sigmoid")
    >>> optimizer = optax.sgd(0.5)
    >>> state, step = start(jax.random.key(0), net, optimizer), make_step(net, optimizer)
    >>> for _ in range(100):
    ...     state, report = step(state, jnp.array([[0.0, 1.0], [1.0, 0.0]]), jnp.array([[0.0, 1.0]]))
    >>> int(report.step), float(report.accuracy), bool(report.cost < 0.1)
    (100, 1.0, True)
    """
    check_network(net)
    check_optimizer(optimizer)
    if task not in (None, *TASKS):
        raise unknown("task", task, TASKS)
    task, frozen = task or default_task(net), check_frozen(freeze, net)
    clip = None if clip is None else positive("clip", clip, "leave it out for none")

    def step(state: TrainState, X: Array, Y: Array, weights: Array | None = None) -> tuple[TrainState, Report]:
        batch, checked = check_batch(state.params, X, Y, net, objective, weights)
        state, J, Z = update(state, batch, net, checked, optimizer, Control(clip=clip, decay=average), frozen=frozen)
        right = n_correct(Z, batch.Y, batch.weights, net, task)
        total = X.shape[1] if batch.weights is None else batch.weights.sum()
        accuracy = None if right is None else right / total
        return state, Report(J, accuracy, step=state.step)

    return jax.jit(step, donate_argnums=0)
