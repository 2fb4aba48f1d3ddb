"""Many devices: the same program, its arrays laid out on a mesh of devices.

    axis "data"     device d computes the columns of its share of the batch; dW, db and J are sums over all devices
    axis "model"    a pair of wide layers is split: W_l by rows, W_{l+1} by columns, A_l with them

        A_l     = g(W_l A_{l-1} + b_l)          each device: n_l / k units, from the whole of A_{l-1}
        Z_{l+1} = W_{l+1} A_l + b_{l+1}         each device: the share of its units; one sum over the devices

Nothing is computed differently: the program of one device is given arrays that are laid out and two constraints (the
columns of a batch, the state after a step), and XLA's partitioner cuts it up and inserts the sums. A mean over the
batch is therefore one over the whole of it, also in batch normalisation, and what a step draws is what one device
would have drawn. Where the devices do not divide B, XLA fills the last device's share up and leaves that out of every
sum: the mean is exactly that of the B columns.

The rows are on every device. An epoch visits them in a random order, so a batch's rows would otherwise have to be
fetched from wherever they lie, n0 B numbers at every step; as it is each device reads its own columns, and what travels
is the gradient. A data set must then fit the memory of one device.

Sources: Xu et al. 2021 (GSPMD); Shoeybi et al. 2019 (the split of a pair of layers).
"""

import math
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxmlp.errors import InputError, sentence
from jaxmlp.nn.network import Network
from jaxmlp.nn.objective import Batch

ALL = "all"
AXES = ("data", "model")

T = TypeVar("T")


class Sharding(NamedTuple):
    """How the arrays of a run are split over devices. Hashable: a part of what an epoch's program is compiled for.

    Attributes:
      mesh: the devices, with the axis "data" and perhaps the axis "model".
      layers: of each layer, how W, b and γ are split.
    """

    mesh: Mesh
    layers: tuple[tuple[tuple[str, P], ...], ...]

    def of_leaf(self, path: tuple[Any, ...], leaf: Any) -> NamedSharding:
        """Return how a leaf of a state is split: a parameter, or an optimizer's array of its shape, as its layer."""
        # the path of W ends in (number of the layer, "W"), in the parameters and in every copy that an optimizer keeps
        # of their tree, at whatever depth
        spec = P()
        if len(path) > 1 and isinstance(path[-2], jax.tree_util.SequenceKey) and path[-2].idx < len(self.layers):
            # the count of an optimizer lies in a tuple too, but is an attribute, with a name and no key: it stays whole
            spec = dict(self.layers[path[-2].idx]).get(getattr(path[-1], "key", ""), P())
        # an array in the place of a layer's, but of another rank or of a size that k does not divide, stays whole
        divides = len(spec) in (0, np.ndim(leaf)) and all(
            axis is None or n % self.mesh.shape[axis] == 0 for axis, n in zip(spec, np.shape(leaf), strict=False)
        )
        return NamedSharding(self.mesh, spec if divides else P())


def make_mesh(mesh: Mesh | int | str | tuple[int, int]) -> Mesh:
    """A mesh of JAX's devices, those of all processes.

    Args:
      mesh: "all" or a number of devices, for data parallelism; a pair (data, model), or "4x2", to split wide layers
        over the second; or a `jax.sharding.Mesh` with the axis "data" and perhaps "model".

    Raises:
      InputError: for something else, and for more devices than there are.

    >>> make_mesh(1).shape["data"]
    1
    """
    if isinstance(mesh, Mesh):
        if mesh.axis_names not in (AXES[:1], AXES):
            remedy = "name them with Mesh(devices, ('data', 'model'))"
            raise InputError(sentence("mesh", "the axes 'data' and perhaps 'model'", mesh.axis_names, remedy))
        return Mesh(mesh.devices, mesh.axis_names)  # whose axes XLA may use as it sees fit
    devices = jax.devices()
    shape = _shape(mesh, len(devices))
    n = math.prod(shape)
    if n > len(devices):
        remedy = "take fewer; on a CPU the environment variable JAX_NUM_CPU_DEVICES makes more"
        raise InputError(sentence("mesh", f"at most {len(devices)} of JAX's devices", n, remedy))
    # every process runs the same program, and one without a device in the mesh could not
    if n < len(devices) and jax.process_count() > 1:
        expects = f"all {len(devices)} devices of the {jax.process_count()} processes"
        raise InputError(sentence("mesh", expects, n, "take 'all'"))
    return Mesh(np.array(devices[:n]).reshape(shape), AXES[: len(shape)])


def _shape(mesh: object, there: int) -> tuple[int, ...]:
    """The sizes of the axes: of "all", 8, "8", (4, 2), "4x2"."""
    if isinstance(mesh, str):
        parts: Any = (there,) if mesh == ALL else mesh.split("x")
    else:
        parts = mesh if isinstance(mesh, tuple) else (mesh,)
    try:
        shape = tuple(int(part) for part in parts)
    except (TypeError, ValueError):
        shape = ()
    if not 1 <= len(shape) <= 2 or min(shape) < 1 or isinstance(mesh, bool | float):
        raise InputError(sentence("mesh", "'all', a number of devices, or two as in '4x2'", repr(mesh), "write 'all'"))
    return shape


def make_sharding(mesh: Mesh | int | str | tuple[int, int], net: Network) -> Sharding:
    """The layout of a network's run on a mesh.

    A hidden layer whose width the axis "model" divides is split by rows, and the layer after it by columns; every other
    one is whole on every device.

    Args:
      mesh: as for `make_mesh`.
      net: the network.

    Raises:
      InputError: as `make_mesh`; and when there is an axis "model", and no layer that it divides.

    >>> [tuple(dict(layer)["W"]) for layer in make_sharding(1, Network((2, 4, 1), "relu", "sigmoid")).layers]
    [(None, None), (None, None)]
    """
    mesh = make_mesh(mesh)
    k = mesh.shape.get("model", 1)
    layers, split = [], False
    for l, n in enumerate(net.sizes[1:], start=1):
        # layers are split in pairs: after one that is split by rows comes one by columns, which sums the parts up
        columns, split = ("model" if split else None), not split and k > 1 and l < net.depth and n % k == 0
        rows = "model" if split else None  # widths 8, 8, 1 and k = 2: W_1 by rows, W_2 by columns, W_3 whole
        of_units = ((name, P(rows, None)) for name in ("b", "gamma", "s"))
        layers.append((("W", P(rows, columns)), *of_units, ("R", P(None, None))))
    if k > 1 and not any("model" in dict(layer)["W"] for layer in layers):
        widths = ", ".join(map(str, net.sizes[1:-1])) or "none"
        expects = f"a hidden layer whose width {k} divides"
        raise InputError(sentence("mesh", expects, widths, "leave the axis 'model' out"))
    return Sharding(mesh, tuple(layers))


# --- within a compiled program ----------------------------------------------------------------------------------------


def shard_batch(batch: Batch, sharding: Sharding | None) -> Batch:
    """Return the batch with its columns split over the axis "data"."""
    if sharding is None:
        return batch
    return jax.lax.with_sharding_constraint(batch, NamedSharding(sharding.mesh, P(None, "data")))  # axis 1: examples


def constrain(state: T, sharding: Sharding | None) -> T:
    """Return the state split as at the beginning of the run."""
    if sharding is None:
        return state
    # without it XLA may lay the result out otherwise, and for such a state the next call would need another program
    return jax.lax.with_sharding_constraint(state, jax.tree_util.tree_map_with_path(sharding.of_leaf, state))


def replicate(tree: T, sharding: Sharding | None) -> T:
    """Return the tree with every array whole on every device."""
    if sharding is None:
        return tree
    return jax.lax.with_sharding_constraint(tree, NamedSharding(sharding.mesh, P()))


# --- outside ----------------------------------------------------------------------------------------------------------


def shard(tree: T, sharding: Sharding | None) -> T:
    """Return the tree on the mesh; each process gives its devices their parts of its own copy."""
    if sharding is None:
        return tree

    def put(path: Any, leaf: Any) -> Any:
        target = sharding.of_leaf(path, leaf)
        if isinstance(leaf, Array) and leaf.sharding == target:
            return leaf
        if isinstance(leaf, Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            # a typed key has no NumPy form, its words have
            words = put((), jax.random.key_data(leaf))
            return jax.random.wrap_key_data(words, impl=jax.random.key_impl(leaf))
        whole = np.asarray(_addressable(leaf))
        return jax.make_array_from_callback(whole.shape, target, lambda part: whole[part])

    return jax.tree_util.tree_map_with_path(put, tree)


def gather(tree: T, sharding: Sharding | None) -> T:
    """Return the tree whole on one device of this process, as a run without a mesh leaves it."""
    if sharding is None:
        return tree

    def get(leaf: object) -> Any:
        if not isinstance(leaf, Array):
            return leaf
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(get(jax.random.key_data(leaf)), impl=jax.random.key_impl(leaf))
        return jnp.asarray(np.asarray(_addressable(leaf)))

    return jax.tree.map(get, tree)


def _addressable(leaf: object) -> Any:
    """Return an array that this process can read: one split over several processes is made whole on each."""
    if not isinstance(leaf, Array) or leaf.is_fully_addressable or leaf.is_fully_replicated:
        return leaf
    sharding = leaf.sharding
    assert isinstance(sharding, NamedSharding)
    # the devices exchange their parts, so every process must come here
    return jax.jit(lambda whole: whole, out_shardings=NamedSharding(sharding.mesh, P()))(leaf)
