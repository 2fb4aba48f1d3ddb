"""Compiled programs whose number is bounded: a search over a thousand networks in one process must not end it.

`jax.jit` keeps whatever it has compiled for as long as its function lives. A `fit` of a new network leaves 12 MB and
250 memory maps in this way on a CPU, until the kernel's limit of 65,530 maps ends the process. Here

    loaded        the programs that were used last, ready to run
    serialized    those that were used before them, as bytes; loading one again takes 60 ms, compiling it a second
    dropped       those before them

and jaxmlp keeps no trace after the compilation. JAX keeps the traces of its own functions, such as jnp.where, for every
shape that they have met: half a megabyte for each new network, without a limit. After `MAX_COMPILATIONS` programs
`jax.clear_caches()` frees them; functions of your own that JAX has compiled are then compiled once more.
"""

import ctypes
import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple

import jax
import jax.core
from jax import Array
from jax.experimental.serialize_executable import deserialize_and_load, serialize

MAX_LOADED = 12  # programs in the whole process: 1 to 8 MB each on a CPU; a fit has three
MAX_LOADED_ON_ACCELERATOR = 64  # there they take less of the host's memory, and longer to compile
MAX_SERIALIZED_BYTES = 64 * 2**20  # about 250 programs of small networks
MAX_COMPILATIONS = 1_500  # between two calls of jax.clear_caches(): about 500 networks, which take minutes to compile
MAX_FUNCTIONS = 256  # `Programs` that each `lru_cache` of them keeps; without their programs they are small


class Programs:
    """A function that is compiled for each set of shapes, like one of `jax.jit`, but whose programs are bounded.

    Args:
      function: from arrays to arrays; whatever else it depends on is constant.
      compiler_options: for XLA.

    >>> double = Programs(lambda x: 2 * x)
    >>> double(jax.numpy.ones(2)).tolist(), double(jax.numpy.ones(3)).shape, double.n_programs()
    ([2.0, 2.0], (3,), 2)
    """

    def __init__(self, function: Callable[..., Any], compiler_options: dict[str, str] | None = None) -> None:
        self.function, self.compiler_options = function, compiler_options

    def __call__(self, *arguments: Any) -> Any:
        """Run the program of these shapes."""
        leaves, structure = jax.tree.flatten(arguments)
        if jax.config.values["jax_disable_jit"] or any(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
            return self._jit()(*arguments)  # part of another program, which keeps what it needs
        return self._program(structure, leaves, arguments)(*arguments)

    def lower(self, *arguments: Any) -> Any:
        """Return what `jax.jit` lowers for these shapes."""
        return self._jit().lower(*arguments)

    def compile(self, *arguments: Any) -> Any:
        """Return the program of these shapes; arguments may be `jax.ShapeDtypeStruct`."""
        leaves, structure = jax.tree.flatten(arguments)
        return self._program(structure, leaves, arguments)

    def n_programs(self) -> int:
        """Return how many programs of this function are kept."""
        return sum(key[0] is self for key in _store.all_keys())

    def _program(self, structure: object, leaves: list[Any], arguments: tuple[Any, ...]) -> Any:
        # what jit looks at, too: under other settings, or for another mesh, the program is another one
        settings = (*jax.config.values.values(), jax.sharding.get_abstract_mesh())
        key = (self, structure, tuple(map(_signature, leaves)), settings)
        program = _store.get(key)
        if program is None:
            program = self.lower(*arguments).compile(self.compiler_options)
            _store.put(key, program)
            _store.count_compilation()
        return program

    def _jit(self) -> Any:
        @wraps(self.function)
        def traced(*arguments: Any) -> Any:
            return self.function(*arguments)

        return jax.jit(traced)  # JAX keeps a trace as long as its function lives: this one lives for one compilation


def _signature(leaf: Any) -> tuple[Any, ...]:
    """Return what a program depends on in a leaf of its arguments."""
    if isinstance(leaf, Array):
        # the type has shape, dtype and weak type; a committed array ties the program to its device
        return jax.typeof(leaf), leaf.sharding, leaf.committed
    return (leaf.shape, leaf.dtype) if hasattr(leaf, "dtype") else (type(leaf),)  # a Python number is an input


class _Serialized(NamedTuple):
    """A program as bytes, with the structures of its arguments and results, and the device that it runs on."""

    executable: bytes
    arguments: Any
    results: Any
    device: Any


class _ProgramStore:
    """The programs of the process, the least recently used first."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.loaded: OrderedDict[Any, tuple[Any, _Serialized | None]] = OrderedDict()
        self.serialized: OrderedDict[Any, _Serialized] = OrderedDict()
        self.serialized_bytes = 0
        self.n_evicted = 0  # since free memory was returned, which takes 10 ms
        self.n_compiled = 0  # since the caches of JAX were cleared

    def all_keys(self) -> list[Any]:
        """Return the keys of all programs."""
        with self.lock:
            return [*self.loaded, *self.serialized]

    def get(self, key: object) -> Any:
        """Return a program, loaded again if it was serialized; None if there is none."""
        with self.lock:
            if key in self.loaded:
                self.loaded.move_to_end(key)
                return self.loaded[key][0]
            stored = self.serialized.pop(key, None)
            if stored is None:
                return None
            self.serialized_bytes -= len(stored.executable)
        # outside the lock, because it takes long: a thread that asks for the same program meanwhile compiles it a
        # second time, which costs time and nothing else
        program = deserialize_and_load(*stored[:3], execution_devices=[stored.device])  # the default is all devices
        self.put(key, program, stored)
        return program

    def put(self, key: object, program: object, stored: _Serialized | None = None) -> None:
        """Keep a program as the newest, and serialize the oldest of the loaded ones when there are too many.

        Args:
          key, program: what to keep.
          stored: the bytes that it was loaded from; XLA cannot serialize such a program a second time.
        """
        with self.lock:
            # the bytes of a program that was loaded from them are kept: XLA cannot serialize such a program again
            self.loaded[key] = program, stored
            limit = MAX_LOADED if jax.default_backend() == "cpu" else MAX_LOADED_ON_ACCELERATOR
            evicted = [self.loaded.popitem(last=False) for _ in range(len(self.loaded) - limit)]
        for old_key, (old, old_stored) in evicted:
            old_stored = old_stored or _serialized(old)
            if old_stored is not None:
                self._put_serialized(old_key, old_stored)
        self.n_evicted += len(evicted)
        if self.n_evicted >= MAX_LOADED:
            self.n_evicted = 0
            evicted.clear()
            old = None  # the last reference to a program, whose memory is free from here on
            _return_memory()

    def count_compilation(self) -> None:
        """Count a program that was compiled, and clear the caches of JAX when there were many."""
        with self.lock:
            self.n_compiled += 1
            is_full = self.n_compiled >= MAX_COMPILATIONS
            self.n_compiled = 0 if is_full else self.n_compiled
        if is_full:
            jax.clear_caches()  # the programs of this store stay: JAX does not know them
            _return_memory()

    def _put_serialized(self, key: object, stored: _Serialized) -> None:
        with self.lock:
            self.serialized[key] = stored
            self.serialized_bytes += len(stored.executable)
            while self.serialized_bytes > MAX_SERIALIZED_BYTES:
                _, oldest = self.serialized.popitem(last=False)
                self.serialized_bytes -= len(oldest.executable)


def _serialized(program: Any) -> _Serialized | None:
    """Return the bytes of a program of one CPU; None for others, and where JAX keeps programs in a folder anyway."""
    devices = {device for sharding in jax.tree.leaves(program.input_shardings) for device in sharding.device_set}
    if len(devices) != 1 or jax.default_backend() != "cpu" or _has_cache_folder():
        return None
    return _Serialized(*serialize(program), devices.pop())


def _return_memory() -> None:
    """Return free memory to the system: after 16 fits of new networks the C library had kept 56 MB of it."""
    if _trim is not None:
        _trim(0)


def _find_trim() -> Callable[[int], int] | None:
    try:
        return ctypes.CDLL(None).malloc_trim  # of glibc alone
    except (OSError, AttributeError, TypeError):
        return None


def _has_cache_folder() -> bool:
    # a program may then have been loaded from there, and XLA cannot serialize it a second time
    return jax.config.values["jax_compilation_cache_dir"] is not None


_trim = _find_trim()
_store = _ProgramStore()
