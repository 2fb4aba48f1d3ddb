"""The plan of a run: how much of it goes into one call of the device.

    short epochs     several in a call: to start a program and read its report takes longer than their work
    usual epochs     one in a call
    long epochs      cut into segments, so that the host can save a checkpoint or stop between two of them; rows that
                     stay in their file come a buffer at a time in the same way

The plan follows from network, data and the kind of device: a resumed run is cut in the same places, runs the same
programs, and computes the same bits.
"""

from typing import NamedTuple

import jax

from jaxmlp.nn.layer_stacks import Runs
from jaxmlp.nn.network import Network
from jaxmlp.parallel.processors import on_cpu
from jaxmlp.training.batches import Batches
from jaxmlp.training.optimizers import is_elementwise
from jaxmlp.training.state import TrainState
from jaxmlp.training.step import StaticConfig
from jaxmlp.training.streamed_batches import StreamedBatches

# Multiplications and additions of the epochs in a call: about 40 ms of a CPU. On an accelerator a small step takes its
# 30 µs whatever it computes, so there the steps are counted too.
FLOPS_PER_CALL = {"cpu": 4e9, "accelerator": 1e12}
MAX_STEPS_PER_CALL = {"cpu": 1 << 16, "accelerator": 1 << 12}
MAX_EPOCHS_PER_CALL = 256
MAX_OUTPUT_BYTES = 4 * 2**20  # of the reports, outputs and states that a call leaves on the device
MAX_STATE_BYTES = 2**18  # of a state that is kept after each epoch: copying a larger one costs more than it saves
SINGLE_THREAD_LIMIT = 2**15  # numbers in the largest array of a step that one core processes before a second wakes up
# XLA's CPU backend decides by the size of what an operation may read, so it would split the gather of 64 rows from a
# large data set over two threads, which costs 7 µs a step
SINGLE_THREAD = {"xla_disable_hlo_passes": "cpu-parallel-task-assigner"}


class ExecutionPlan(NamedTuple):
    """How a run is divided into calls of the device. Hashable.

    Attributes:
      capacity: the most epochs in a call.
      keep_states: whether the state after each epoch of a call is kept; else a call is repeated up to the epoch whose
        state is needed, which happens only where a run stops or diverges in the middle of a call.
      runs: of equal layers, which the state has stacked; () for none.
      single_thread: whether the steps are too small for a second thread.
    """

    capacity: int = 1
    keep_states: bool = True
    runs: Runs = ()
    single_thread: bool = False

    @property
    def compiler_options(self) -> dict[str, str] | None:
        """Options for XLA."""
        return SINGLE_THREAD if self.single_thread else None


def plan_execution(static: StaticConfig, state: TrainState, batches: Batches | StreamedBatches) -> ExecutionPlan:
    """Return the plan of a run that begins with this state."""
    net, validation = static.net, batches.validation
    n_validation = 0 if validation is None else validation.X.shape[0]
    capacity = 1
    if not batches.is_segmented and static.sharding is None:
        capacity = epochs_per_call(
            net, batches.n_rows, batches.steps, state, n_validation=n_validation, with_outputs=static.with_outputs
        )
    # a stack is one array: an optimizer that looks at whole matrices would see another shape, and both frozen layers
    # and the splits of a mesh are stated by the number of the layer
    stackable = is_elementwise(static.optimizer) and not static.frozen and static.sharding is None
    single_thread = static.sharding is None and is_small(
        net, batches.n_rows, batches.batch_size, n_validation=n_validation
    )
    return ExecutionPlan(capacity, state_bytes(state) <= MAX_STATE_BYTES, net.runs if stackable else (), single_thread)


def epochs_per_call(
    net: Network, n_rows: int, steps: int, state: TrainState, *, n_validation: int = 0, with_outputs: bool = False
) -> int:
    """Return how many epochs go into a call: as many as have little work, and leave little on the device.

    Args:
      net, state: what is trained.
      n_rows, steps: of an epoch.
      n_validation: rows of the validation part.
      with_outputs: whether each epoch returns the outputs A of these rows.

    >>> import optax
    >>> from jaxmlp.training.state import init_state
    >>> net = Network((64, 100, 10), "relu", "softmax")
    >>> state = init_state(jax.random.key(0), net, optax.adam(1.0))
    >>> epochs_per_call(net, 1438, 45, state), epochs_per_call(net, 60_000, 1875, state)
    (46, 1)
    >>> epochs_per_call(net, 1438, 45, state, n_validation=10**4)
    18
    """
    flops = net.n_products * (6 * n_rows + 2 * n_validation)  # one product forward, two backward: multiply and add
    # a step reports three numbers of 4 bytes: J, the number classified correctly, the weight
    output_bytes = 12 * steps + (state_bytes(state) if state_bytes(state) <= MAX_STATE_BYTES else 0)
    if with_outputs:
        output_bytes += n_validation * net.sizes[-1] * state.params[0]["W"].dtype.itemsize
    device = "cpu" if on_cpu() else "accelerator"
    by_work = min(int(FLOPS_PER_CALL[device] / flops), MAX_STEPS_PER_CALL[device] // steps)
    # by hand, 64-100-10 of 7,510 parameters with adam: an epoch of 1,438 rows has 6·7510·1438 = 65e6 operations, so 61
    # epochs by work; but its state (3·7510 numbers) and report take 90.7 kB, of which 4 MiB hold 46
    return max(1, min(MAX_EPOCHS_PER_CALL, by_work, MAX_OUTPUT_BYTES // output_bytes))


def state_bytes(state: TrainState) -> int:
    """Return the size of a state without its key."""
    return sum(leaf.nbytes for leaf in jax.tree.leaves(state._replace(key=None)))


def is_small(net: Network, m: int, B: int, *, n_validation: int = 0, members: int = 1) -> bool:
    """Whether an epoch is too small for a second thread of a CPU, in steps of B of m rows.

    Args:
      net: what is trained.
      m, B: rows of an epoch and of a step.
      n_validation: rows of the validation part, which must be small likewise, or few beside m.
      members: how many networks are trained at once.

    >>> net, wide = Network((20, 32, 2), "relu", "softmax"), Network((20, 32, 2), "maxout(64)", "softmax")
    >>> is_small(net, 10_000, 64), is_small(wide, 10_000, 64), is_small(net, 10_000, 64, n_validation=10_000)
    (True, False, False)
    >>> is_small(net, 10_000, 64, members=16), is_small(net, 10_000, 64, members=17)
    (True, False)
    """
    weights = [row.W for row in net.shapes]  # shapes (n, n_prev)
    # the largest array of a step is a matrix of its examples or one of weights
    width = max(net.sizes[0], *(rows for rows, _ in weights))

    def small(examples: int) -> bool:
        largest = max(examples * width, *(rows * columns for rows, columns in weights))
        return members * largest <= SINGLE_THREAD_LIMIT

    # the validation part is one batch in the same program: one thread may take it if it is a small part of the epoch
    return on_cpu() and small(B) and (4 * n_validation <= m or small(n_validation))
