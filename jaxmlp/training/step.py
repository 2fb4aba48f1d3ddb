"""One step of training: noise, J and its gradient on a batch, then the update.

    gradient descent     θ ← θ - α dθ                                optax.sgd(α)
    clipping             dθ ← dθ min(1, c/‖dθ‖)                      over all leaves together
    frozen layers        dθ ← 0, and no decay either; batch normalisation uses their running moments, which stay
    max-norm             ‖w_j‖ ≤ c after the update
    fading               p ← f p,  η ← f η of dropout and weight decay,  f = 1 up to T/2, then (1 + cos π(2t/T - 1))/2
    running moments      μ ← μ + 0.1 s (μ_batch - μ), σ² likewise,  s = (examples of weight > 0) / B
    moving average       θ̄ ← d θ̄ + (1 - d) θ,  d = min(decay, (1 + t)/(10 + t)): early steps are not averaged with θ₀

The noise of a step follows from the key of the run and the number of the step, so a resumed run draws the same.
"""

import dataclasses
from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol, TypeVar, cast

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.typing import ArrayLike, DTypeLike

from jaxmlp.data.tasks import TASKS
from jaxmlp.errors import InputError, InputTypeError, sentence, unknown
from jaxmlp.fork import refuse_after_fork
from jaxmlp.metrics.decisions import default_task, n_correct
from jaxmlp.nn.augmentation import draw_noise
from jaxmlp.nn.backprop import evaluate
from jaxmlp.nn.checks import check_network
from jaxmlp.nn.dense import LayerParams
from jaxmlp.nn.layer_stacks import runs_of
from jaxmlp.nn.network import Network, Params
from jaxmlp.nn.normalization import Moments, wide
from jaxmlp.nn.objective import Batch, Objective, check_batch
from jaxmlp.nn.penalties import clip_row_norms
from jaxmlp.parallel.mesh import Sharding
from jaxmlp.training.optimizer_identity import canonical_optimizer
from jaxmlp.training.optimizers import check_optimizer
from jaxmlp.training.options import check_number, layer_numbers
from jaxmlp.training.state import Report, TrainState

BATCH_NORM_MOMENTUM = 0.1  # of the newest full batch: the moments remember about twenty batches

T = TypeVar("T")


class StaticConfig(NamedTuple):
    """What a training program is compiled for, besides shapes. Hashable.

    Attributes:
      net, optimizer: what is trained, and how.
      task: what labels mean.
      frozen: layers, counted from 1, that are not trained.
      compute_dtype: of the matrix products, where it is not that of the parameters.
      with_outputs: whether validation returns the outputs A, for metrics computed on the host.
      sharding: of the arrays on a mesh of devices; None for one device.
      padded: whether orders hold padding even where the batch size divides the number of rows.
      skip_empty_steps: whether a step may hold no row at all, which then changes nothing.
      penalized_validation: whether the validation cost includes penalties and label smoothing.
    """

    net: Network
    optimizer: optax.GradientTransformation
    task: str
    frozen: tuple[int, ...] = ()
    compute_dtype: DTypeLike | None = None
    with_outputs: bool = False
    sharding: Sharding | None = None
    padded: bool = False
    skip_empty_steps: bool = False
    penalized_validation: bool = True


class StepOptions(NamedTuple):
    """The numbers of an update. All are traced: another number compiles nothing. None leaves that part out.

    Attributes:
      rate: α, which multiplies the update; None for an optimizer that brings its own.
      clip_norm: c, the largest norm of a gradient.
      ema_decay: of the moving average.
      mask: 0 or 1 for every entry of the parameters; an entry of 0 gets no gradient. A population pads its narrow
        networks to the width of the widest with such entries.
      fade_steps: T, the number of steps of a run that fades; None for a run that does not.
      weight_decay: η of a run that fades; of any other run the optimizer has it.
    """

    rate: ArrayLike | None = None
    clip_norm: ArrayLike | None = None
    ema_decay: ArrayLike | None = None
    mask: Params | None = None
    fade_steps: ArrayLike | None = None
    weight_decay: ArrayLike | None = None


def update(
    static: StaticConfig, state: TrainState, batch: Batch, objective: Objective, options: StepOptions = StepOptions()
) -> tuple[TrainState, Array, Array]:
    """Return the next state, and J and Z_L as they were before the update; for a batch that is checked.

    Equal layers of the state may be stacked, where nothing is frozen and the optimizer is elementwise.
    """
    net, frozen = static.net, static.frozen
    weight_decay = options.weight_decay
    if options.fade_steps is not None:
        factor = fading_factor(state.step, options.fade_steps)
        rates = objective.dropout, objective.input_dropout, weight_decay
        dropout, input_dropout, weight_decay = (None if rate is None else rate * factor for rate in rates)
        objective = dataclasses.replace(objective, dropout=dropout, input_dropout=input_dropout)
    key = jax.random.fold_in(state.key, state.step) if objective.noisy else None
    noise = draw_noise(key, net, objective, batch.X, runs_of(state.params))  # from (key of the run, step) alone
    # a frozen layer computes what it will compute in evaluation: its own moments, whatever the batch is
    fixed = {l: moments for l, moments in enumerate(state.moments, start=1) if l in frozen}

    def J_of(params: Params) -> tuple[Array, tuple[Array, tuple[Moments, ...]]]:
        J, Z, moments = evaluate(
            params, batch, net, objective, noise=noise, compute=static.compute_dtype, fixed_moments=fixed
        )
        return J, (Z, moments)

    # autodiff only composes the rules of `nn`: each derivative in it is one of the textbook's equations
    (J, (Z, moments)), dparams = jax.value_and_grad(J_of, has_aux=True)(state.params)
    # zeros first, then clipping: the norm is that of the entries that are trained
    dparams = _zero_frozen(dparams, frozen)
    if options.mask is not None:
        dparams = jax.tree.map(jnp.multiply, dparams, options.mask)
    if options.clip_norm is not None:
        # made in every step, because its bound is traced; its state is empty
        clip = optax.clip_by_global_norm(jnp.asarray(options.clip_norm, J.dtype))
        dparams, _ = clip.update(dparams, clip.init(dparams))
    # line searches (L-BFGS) and plateau schedules read these; every other optimizer ignores them
    # J_of has the noise of this step built in, so a line search compares values of one function
    extra = {"value": J, "grad": dparams, "value_fn": lambda params: J_of(params)[0]}
    optimizer = optax.with_extra_args_support(static.optimizer)
    # optax computes decay**count of a float and an integer, which strict promotion would refuse
    with jax.numpy_dtype_promotion("standard"):
        updates, opt_state = optimizer.update(dparams, state.opt_state, state.params, **extra)
    if weight_decay is not None:
        # after the transformation, as in adamw: the momentum does not contain it, and √s does not divide it
        updates = _add_decay(cast(Params, updates), state.params, weight_decay)
    if options.rate is not None:
        # not optax.inject_hyperparams: it carries the rate in the state, and recomputes it in every step
        updates = jax.tree.map(lambda leaf: leaf * jnp.asarray(options.rate, leaf.dtype), updates)
    # weight decay moves a layer without a gradient, too, so updates are zeroed and not only gradients
    params = cast(Params, optax.apply_updates(state.params, _zero_frozen(updates, frozen)))
    if objective.max_norm is not None:
        bounded = clip_row_norms(params, objective.max_norm)
        layers = enumerate(zip(params, bounded, strict=True), start=1)
        # a frozen layer keeps rows that are longer than the bound, as it keeps everything else
        params = tuple(layer if l in frozen else shorter for l, (layer, shorter) in layers)
    average = state.average
    if options.ema_decay is not None:
        average = _update_average(average, params, options.ema_decay, state.step)
    moments = _update_moments(state.moments, moments, batch.weights)
    return TrainState(params, opt_state, state.step + 1, state.epoch, state.key, moments, average), J, Z


def fading_factor(step: ArrayLike, total: ArrayLike) -> Array:
    """Return the factor of dropout and weight decay in a step, counted from 0, of a run that fades.

    >>> [round(float(fading_factor(step, 100)), 3) for step in (0, 50, 75, 100)]
    [1.0, 1.0, 0.5, 0.0]
    """
    second_half = jnp.maximum(2 * jnp.asarray(step, jnp.float32) / jnp.asarray(total, jnp.float32) - 1, 0)
    # at most 1: a run that began with smaller batches may have taken more than T steps, and the cosine would rise again
    return 0.5 + 0.5 * jnp.cos(jnp.pi * jnp.minimum(second_half, 1))


def _add_decay(updates: Params, params: Params, weight_decay: ArrayLike) -> Params:
    """Return the updates for α = 1 with the decoupled decay of W: -η W."""

    def of_layer(update: LayerParams, layer: LayerParams) -> LayerParams:
        return {**update, "W": update["W"] - jnp.asarray(weight_decay, layer["W"].dtype) * layer["W"]}

    return tuple(map(of_layer, updates, params))


def _zero_frozen(tree: T, frozen: tuple[int, ...]) -> T:
    """Return gradients or updates with zeros for the frozen layers."""
    if not frozen:
        return tree
    # zeros and not a smaller tree: the optimizer's state keeps its shape, and XLA leaves out the products behind them
    layers = enumerate(cast(Any, tree), start=1)
    return type(tree)(jax.tree.map(jnp.zeros_like, layer) if l in frozen else layer for l, layer in layers)  # pyright: ignore[reportCallIssue]


def _update_moments(
    running: tuple[Moments, ...], observed: tuple[Moments, ...], weights: Array | None
) -> tuple[Moments, ...]:
    """Return the running moments after a batch; a frozen layer was normalised by its own, which therefore stay.

    A batch of few examples counts little: the variance of a single one is 0.
    """
    momentum = BATCH_NORM_MOMENTUM
    if weights is not None:
        # 25 rows in steps of 8: the fourth step has one real row, and a momentum of 0.1/8
        momentum *= (weights > 0).mean(dtype=wide(weights.dtype))
    return jax.tree.map(lambda old, new: old + jnp.asarray(momentum, old.dtype) * (new - old), running, tuple(observed))


def _update_average(average: Any, params: Params, decay: ArrayLike, step: Array) -> Params:
    t = step.astype(jnp.float32)
    # 1 - d in float32, then rounded: in bfloat16 a decay of 0.999 is 1, and the average would never move
    d = jnp.minimum(jnp.asarray(decay, jnp.float32), (1 + t) / (10 + t))  # t = 0: 0.1, t = 90: 0.91
    step_size = (1 - d).astype(jax.tree.leaves(params)[0].dtype)
    return cast(Params, optax.incremental_update(params, average, step_size))


def check_frozen(layers: Iterable[int], net: Network) -> tuple[int, ...]:
    """Return the frozen layers in order.

    Raises:
      InputError: unless each is a layer of the network, and at least one layer is left to train.
    """
    numbers = layer_numbers(layers)
    if not all(1 <= l <= net.depth for l in numbers) or len(numbers) == net.depth:
        expects = f"layers from 1 to {net.depth}, not all of them"
        raise InputError(sentence("freeze", expects, list(numbers), "leave it out to train all layers"))
    return numbers


class Step(Protocol):
    """A compiled training step."""

    def __call__(
        self, state: TrainState, X: Array, Y: Array, weights: Array | None = None
    ) -> tuple[TrainState, Report]: ...


def make_step(
    net: Network,
    optimizer: optax.GradientTransformation,
    objective: Objective | None = None,
    *,
    task: str | None = None,
    clip_norm: float | None = None,
    ema_decay: float | None = None,
    freeze: Iterable[int] = (),
) -> Step:
    """Return a compiled step for a training loop of your own.

    The step is `state, report = step(state, X, Y, weights=None)`. Its state is donated: the one that it was given is
    deleted, and its memory holds the new one. It compiles once for each shape of batch; make one step and keep it.

    Args:
      net: the network.
      optimizer: any optax transformation.
      objective: cost and penalties; by default the cost that follows from the output.
      task: what counts as correct in `report.accuracy`; by default it follows from the output.
      clip_norm: the largest norm of a gradient, over all leaves together.
      ema_decay: decay of a moving average of the parameters, kept in `state.average`; `init_state` with average=True.
      freeze: layers, counted from 1, that are not trained; a batch-normalised one uses its running moments.

    Returns:
      The step. X (n0, m), Y and weights are as for `jaxmlp.cost`; `report` holds cost, accuracy and step as arrays.

    Raises:
      InputTypeError: when `optimizer` is not an optax transformation.
      InputError: for an unknown task; by the step, for a state that an earlier step was given.

    >>> import jax.numpy as jnp
    >>> from jaxmlp.training.state import init_state
    >>> net = Network((2, 1), "relu", "sigmoid")
    >>> optimizer = optax.sgd(0.5)
    >>> state, step = init_state(jax.random.key(0), net, optimizer), make_step(net, optimizer)
    >>> for _ in range(100):
    ...     state, report = step(state, jnp.array([[0.0, 1.0], [1.0, 0.0]]), jnp.array([[0.0, 1.0]]))
    >>> int(report.step), float(report.accuracy), bool(report.cost < 0.1)
    (100, 1.0, True)
    """
    check_network(net)
    check_optimizer(optimizer)
    if task not in (None, *TASKS):
        raise unknown("task", task, TASKS)
    task = task or default_task(net)
    static = StaticConfig(net, canonical_optimizer(optimizer), task, check_frozen(freeze, net))
    options = StepOptions(
        clip_norm=check_number("clip_norm", clip_norm), ema_decay=check_number("ema_decay", ema_decay)
    )

    # the checks of the batch run while this is traced: compiled, they cost nothing
    def one_step(state: TrainState, X: Array, Y: Array, weights: Array | None = None) -> tuple[TrainState, Report]:
        batch, checked = check_batch(state.params, X, Y, net, objective, weights)
        state, J, Z = update(static, state, batch, checked, options)
        correct = n_correct(Z, batch.Y, batch.weights, net, task)
        total = X.shape[1] if batch.weights is None else batch.weights.sum()  # m, or Σ w
        accuracy = None if correct is None else correct / total
        return state, Report(J, accuracy, step=state.step)

    compiled = jax.jit(one_step, donate_argnums=0)

    def step(state: TrainState, X: Array, Y: Array, weights: Array | None = None) -> tuple[TrainState, Report]:
        refuse_after_fork("step")
        if not isinstance(state, TrainState):
            remedy = "make one with jaxmlp.init_state(key, net, optimizer)"
            raise InputTypeError(sentence("step", "a TrainState", type(state).__name__, remedy))
        try:
            return compiled(state, X, Y, weights)
        # JAX's own message is about a deleted buffer, and does not say that the old state was passed again
        except (RuntimeError, ValueError):
            if isinstance(state.step, Array) and state.step.is_deleted():
                remedy = "keep what the step returns: state, report = step(state, X, Y)"
                expects = "the state that the last step returned"
                raise InputError(sentence("step", expects, "one that an earlier step deleted", remedy)) from None
            raise

    return step
