"""The compiled programs of training: so many epochs, or a piece of one, at a call.

    small      several epochs at a call: what starts a program and reads its report takes longer than their work
    usual      an epoch at a call
    long       a piece of an epoch at a call, so that the host is never away for long; then the epoch's end. Also where
               the rows stay in their file, a buffer of rows at a time.

Each scans over steps; per step it gathers a batch, takes the gradient and updates. The host gives it orders of rows and
rates of steps, and reads back one small report; between the two nothing leaves the device. Which of the three it is
follows from network and data alone, and so does where an epoch is cut: whoever goes on with a run meets the same
programs, and the same bits.
"""

from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jaxmlp.nn.backprop import evaluate
from jaxmlp.nn.network import Network, Params
from jaxmlp.nn.normalization import Moments
from jaxmlp.nn.objective import Objective
from jaxmlp.nn.propagation import fold
from jaxmlp.nn.stacks import Runs
from jaxmlp.training.batches import Batches, Rows, gather
from jaxmlp.training.mesh import Layout, everywhere, settled, split
from jaxmlp.training.metrics import n_correct
from jaxmlp.training.optimizers import is_elementwise
from jaxmlp.training.state import TrainState
from jaxmlp.training.step import Control, update
from jaxmlp.training.streamed import StreamedBatches

TOGETHER = 4e9  # multiplications and additions of the epochs of a call, some 40 ms
MOST = 256  # epochs of a call
LEFT = 4 * 2**20  # bytes of what they leave behind until somebody asks: reports, outputs, states
KEPT = 2**18  # bytes of a state that is kept after each of them: to copy more takes longer than it may save
SMALL = 2**15  # numbers of the largest array of a step that one thread is through with before another has woken up
# XLA's CPU backend deals the work of an operation out by the size of what it may read: a gather by that of all rows
ONE_THREAD = {"xla_disable_hlo_passes": "cpu-parallel-task-assigner"}


class Fixed(NamedTuple):
    """What the programs are compiled for, besides network, optimizer and shapes.

    Attributes:
      task: what labels mean.
      frozen: layers that stay as they are.
      compute: the dtype of the matrix products, where it is not that of the parameters.
      outputs: whether the outputs A of the validation part are wanted, for metrics.
      layout: of the arrays on a mesh of devices; None for one device.
      epochs: the most of a call.
      kept: whether the states after each epoch of a call are kept; else the call is made again up to the one asked for.
      runs: of equal layers, which the state has stacked; () for none.
      small: whether steps are too small for a second thread.
    """

    task: str
    frozen: tuple[int, ...] = ()
    compute: Any = None
    outputs: bool = False
    layout: Layout | None = None
    epochs: int = 1
    kept: bool = True
    runs: Runs = ()
    small: bool = False

    @property
    def options(self) -> dict[str, str] | None:
        """What XLA is told."""
        return ONE_THREAD if self.small else None


class Steps(NamedTuple):
    """What steps report: J, the number right and the total weight of each."""

    J: Array
    right: Array | None
    weight: Array


class Epoch(NamedTuple):
    """What an epoch reports: of its steps, and of the validation part after them."""

    steps: Steps
    validation: Any


def epochs_at_once(
    net: Network, n_rows: int, steps: int, state: TrainState, *, n_checked: int = 0, outputs: bool = False
) -> int:
    """How many epochs go into a call: as many as have little work, and leave little behind.

    Args:
      net, state: what is trained.
      n_rows, steps: of an epoch.
      n_checked: rows of the validation part.
      outputs: whether each epoch leaves the outputs A of these behind.

    >>> from jaxmlp.training.state import start
    >>> net = Network((64, 100, 10), "relu", "softmax")
    >>> state = start(jax.random.key(0), net, optax.adam(1.0))
    >>> epochs_at_once(net, 1438, 45, state), epochs_at_once(net, 60_000, 1875, state)
    (46, 1)
    >>> epochs_at_once(net, 1438, 45, state, n_checked=10**4), epochs_at_once(net, 1438, 45, state, n_checked=10**6)
    (18, 1)
    """
    work = net.n_parameters * (6 * n_rows + 2 * n_checked)  # a product forward, two backward; of multiply and add each
    left = 12 * steps + (state_bytes(state) if state_bytes(state) <= KEPT else 0)
    if outputs:
        left += n_checked * net.sizes[-1] * state.params[0]["W"].dtype.itemsize
    return max(1, min(MOST, int(TOGETHER / work), LEFT // left))


def state_bytes(state: TrainState) -> int:
    """The size of a state without its key."""
    return sum(leaf.nbytes for leaf in jax.tree.leaves(state._replace(key=None)))


def fixed_for(
    net: Network,
    optimizer: optax.GradientTransformation,
    state: TrainState,
    batches: Batches | StreamedBatches,
    *,
    frozen: tuple[int, ...] = (),
    compute: Any = None,
    outputs: bool = False,
    layout: Layout | None = None,
) -> Fixed:
    """What the programs of a run are compiled for; state as it begins, the rest as for `Fixed` and `epochs`."""
    at_once, n_checked = 1, 0 if batches.validation is None else batches.validation.X.shape[0]
    if not batches.cut and layout is None:
        at_once = epochs_at_once(net, batches.n_rows, batches.steps, state, n_checked=n_checked, outputs=outputs)
    apart = frozen or layout is not None or not is_elementwise(optimizer)
    kept, runs = state_bytes(state) <= KEPT, () if apart else net.runs
    small = layout is None and is_small(net, batches.n_rows, batches.batch_size, n_checked=n_checked)
    return Fixed(batches.task, frozen, compute, outputs, layout, at_once, kept, runs, small)


def is_small(net: Network, m: int, B: int, *, n_checked: int = 0, members: int = 1) -> bool:
    """Whether an epoch is too small for a second thread of a CPU, in steps on B of m rows.

    Args:
      net: what is trained.
      m, B: rows of an epoch and of a step.
      n_checked: rows of the validation part, which must be small likewise, or few beside m.
      members: how many networks are trained at once.

    >>> net, wide = Network((20, 32, 2), "relu", "softmax"), Network((20, 32, 2), "maxout(64)", "softmax")
    >>> is_small(net, 10_000, 64), is_small(wide, 10_000, 64), is_small(net, 10_000, 64, n_checked=10_000)
    (True, False, False)
    >>> is_small(net, 10_000, 64, members=16), is_small(net, 10_000, 64, members=17)
    (True, False)
    """
    weights = [row.W for row in net.shapes]
    width = max(net.sizes[0], *(rows for rows, _ in weights))

    def small(examples: int) -> bool:
        return members * max(examples * width, *(rows * columns for rows, columns in weights)) <= SMALL

    return jax.default_backend() == "cpu" and small(B) and (4 * n_checked <= m or small(n_checked))


def packed(state: TrainState) -> dict[str, Array]:
    """The state in one vector for each dtype, without its key: a small state costs more in pieces than in bytes."""
    vectors: dict[str, list[Array]] = {}
    for leaf in jax.tree.leaves(state._replace(key=None)):
        vectors.setdefault(str(leaf.dtype), []).append(leaf.reshape(-1))
    return {dtype: jnp.concatenate(leaves) for dtype, leaves in vectors.items()}


def unpacked(vectors: dict[str, Any], like: TrainState) -> TrainState:
    """The state of such vectors, of JAX or of NumPy, with the key of the state that it is like.

    >>> from jaxmlp.training.state import start
    >>> state = start(jax.random.key(0), Network((2, 1), "relu", "sigmoid"), optax.adam(0.1))
    >>> again = unpacked(packed(state), state)
    >>> bool((again.params[0]["W"] == state.params[0]["W"]).all()), again.opt_state[0].count.dtype
    (True, dtype('int32'))
    """
    leaves, tree = jax.tree.flatten(like._replace(key=None))
    done = dict.fromkeys(vectors, 0)
    found = []
    for leaf in leaves:
        dtype = str(leaf.dtype)
        found.append(vectors[dtype][done[dtype] : done[dtype] + leaf.size].reshape(leaf.shape))
        done[dtype] += leaf.size
    return jax.tree.unflatten(tree, found)._replace(key=like.key)


def evaluated(net: Network, params: Params, moments: tuple[Moments, ...], average: Params | None):
    """The network and the parameters to answer with: averaged if there is an average, batch normalisation folded."""
    return fold(params if average is None else average, moments, net)


def all_finite(net: Network, state: TrainState) -> Array:
    """Whether the parameters to answer with are finite. Once they are not, no later step makes them so again."""
    _, params = evaluated(net, state.params, state.moments, state.average)
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(params)]).all()


@lru_cache(maxsize=64)  # a second fit of the same network with the same optimizer object compiles nothing
def epochs_program(net: Network, optimizer: optax.GradientTransformation, fixed: Fixed):
    """(state, train, validation, orders, rates, n, objective, control) -> state, finite, Epoch of each, state of each.

    Orders, rates and reports have a leading axis of the epochs; n says how many there are to be, up to that many. The
    states after each are `packed`, where they are kept and several epochs go into a call; else None.
    """
    steps, end = _steps(net, optimizer, fixed), _end(net, fixed)

    @partial(jax.jit, inline=True)  # so that it is traced once, for its shapes and for the loop
    def epoch(i, state, train, validation, orders, rates, objective, control):
        order, alphas = jax.tree.map(lambda array: array[i], (orders, rates))
        state, seen = steps(state, train, order, alphas, objective, control)
        state, checked = end(state, validation, objective)
        return settled(state, fixed.layout), everywhere(Epoch(seen, checked), fixed.layout)

    # the state is not donated: the one before is the last good one, should the first of these epochs diverge
    @partial(jax.jit, compiler_options=fixed.options)
    def epochs(
        state: TrainState,
        train: Rows,
        validation: Rows | None,
        orders: Array | None,
        rates: Array | None,
        n: Array,
        objective: Objective,
        control: Control,
    ):
        given = train, validation, orders, rates, objective, control
        if fixed.epochs == 1:
            state, seen = epoch(jnp.int32(0), state, *given)
            return state, finite(state), jax.tree.map(lambda value: value[None], seen), None

        def into(i, carry):
            state, kept = carry
            state, seen = epoch(i, state, *given)
            found = seen, packed(state) if fixed.kept else None
            return state, jax.tree.map(lambda array, value: array.at[i].set(value), kept, found)

        after, seen = jax.eval_shape(epoch, jnp.int32(0), state, *given)
        shapes = seen, jax.eval_shape(packed, after) if fixed.kept else None
        room = jax.tree.map(lambda leaf: jnp.zeros((fixed.epochs, *leaf.shape), leaf.dtype), shapes)
        state, (seen, states) = jax.lax.fori_loop(jnp.int32(0), n, into, (state, room))
        return state, finite(state), seen, states

    def finite(state):
        return everywhere(all_finite(net, state), fixed.layout)

    return epochs


@lru_cache(maxsize=64)
def piece_programs(net: Network, optimizer: optax.GradientTransformation, fixed: Fixed):
    """An epoch in two: steps on a piece of it, with whether they end in finite parameters; and the epoch's end."""
    steps, end = _steps(net, optimizer, fixed), _end(net, fixed)

    def piece(state, train, order, rates, objective, control):
        state, seen = steps(state, train, order, rates, objective, control)
        return state, everywhere((seen, all_finite(net, state)), fixed.layout)

    def over(state, validation, objective):
        state, checked = end(state, validation, objective)
        return settled(state, fixed.layout), everywhere(checked, fixed.layout)

    return jax.jit(piece, compiler_options=fixed.options), jax.jit(over)


def _steps(net: Network, optimizer: optax.GradientTransformation, fixed: Fixed):
    """(state, train, order, rates, objective, control) -> state, Steps. Without an order each step takes all rows."""

    def step(objective: Objective, control: Control, train: Rows, state: TrainState, drawn: Any):
        index, rate = drawn
        batch = split(gather(train, index), fixed.layout)
        control = control._replace(rate=rate)
        state, J, Z = update(
            state, batch, net, objective, optimizer, control, frozen=fixed.frozen, compute=fixed.compute
        )
        state = settled(state, fixed.layout)
        weight = jnp.float32(batch.X.shape[1]) if batch.weights is None else batch.weights.sum(dtype=jnp.float32)
        return state, Steps(J, n_correct(Z, batch.Y, batch.weights, net, fixed.task), weight)

    def steps(state: TrainState, train: Rows, order: Any, rates: Any, objective: Objective, control: Control):
        run = partial(step, objective, control, train)
        if order is None and (rates is None or len(rates) == 1):
            state, seen = run(state, (None, None if rates is None else rates[0]))
            return state, jax.tree.map(lambda value: value[None], seen)
        return jax.lax.scan(run, state, (order, rates))

    return steps


def _end(net: Network, fixed: Fixed):
    """(state, validation, objective) -> state with the epoch counted, figures of the validation part."""

    def end(state: TrainState, validation: Rows | None, objective: Objective):
        plain, params = evaluated(net, state.params, state.moments, state.average)
        checked = None if validation is None else _check(plain, params, validation, objective, fixed)
        return state._replace(epoch=state.epoch + 1), checked

    return end


def _check(net: Network, params: Params, validation: Rows, objective: Objective, fixed: Fixed) -> Any:
    """J, the number right, and A if it is wanted, of the validation part."""
    batch = split(gather(validation, None), fixed.layout)
    J, Z, _ = evaluate(params, batch, net, objective, compute=fixed.compute)
    outputs = net.activations[-1].apply(Z) if fixed.outputs else None
    return J, n_correct(Z, batch.Y, None, net, fixed.task), outputs
