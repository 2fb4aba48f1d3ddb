"""Run jaxmlp long and wide: a million steps, thousands of networks, threads and processes; memory must not grow.

    python examples/soak.py [--parts steps,loop,predictions,threads,processes,fits] [--fits 10000] [--fast]

    steps          10^6 steps of one `fit`
    loop           10^5 steps of a loop of your own, with `make_step`
    predictions    10^5 calls of a model for 1 to 1,797 rows, each compared with the outputs of all rows at once
    threads        8 threads that fit and predict at the same time, with the results of one thread, bit for bit
    processes      `spawn` gives the same results; after `fork` a model predicts, and `fit` refuses in a sentence
    fits           300 networks of mixed shapes in one process, then 10,000 more: 3 of 10 are new, the others
                   repeat one of the last 100, and must give the same parameters, bit for bit

Each part ends with a line: what was done, resident memory and number of memory maps after the warm-up and at the end
(Linux only), time, and PASS or FAIL. Memory may differ by 2 % from that after the warm-up, and no more programs are
kept than `jaxmlp.nn.program_store` promises. The part `fits` never has more than 1.5 GB and 6,000 maps: JAX keeps half
a megabyte for each new network, until jaxmlp clears its caches after 500 of them. The exit status is 1 if a part fails.
"""

import argparse
import ctypes
import gc
import multiprocessing
import os
import random
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxmlp
from jaxmlp.nn import program_store

PARTS = ("steps", "loop", "predictions", "threads", "processes", "fits")
MAX_GROWTH = 0.02  # of resident memory, after the warm-up
MAX_MAP_GROWTH = 0.1
MOST_OF_FITS = 1.5e9, 6_000  # bytes and memory maps of the part `fits`, at any time
FORK_TIMEOUT = 60  # seconds; a forked process that used JAX would never answer


class Amounts(NamedTuple):
    """How much each part does."""

    steps: int = 1_000_000
    loop: int = 100_000
    predictions: int = 100_000
    threads: int = 8
    rounds: int = 8
    widths: range = range(3, 11)  # eight networks have more programs than are kept loaded
    fits: int = 10_000
    new_networks: int = 300  # before the others: JAX keeps the traces of 2,048 calls of its own small functions


FAST = Amounts(4_000, 1_000, 200, threads=2, rounds=1, widths=range(3, 5), fits=10, new_networks=2)


class Memory(NamedTuple):
    """What this process holds: resident bytes and memory maps; None where the system does not say."""

    bytes: int | None
    maps: int | None

    @classmethod
    def now(cls) -> "Memory":
        """Measure it, once all garbage is collected, and the C library has returned what it keeps for later."""
        gc.collect()
        try:
            ctypes.CDLL("libc.so.6").malloc_trim(0)
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            return cls(pages * os.sysconf("SC_PAGE_SIZE"), Path("/proc/self/maps").read_bytes().count(b"\n"))
        except (OSError, AttributeError):  # no Linux, or another C library
            return cls(None, None)

    def __str__(self) -> str:
        return "" if self.bytes is None else f"{self.bytes / 1e6:.0f} MB, {self.maps:,} maps"

    def problems(self, begin: "Memory") -> list[str]:
        """Return what has grown too much since the warm-up."""
        pairs = {"memory": (begin.bytes, self.bytes, MAX_GROWTH), "maps": (begin.maps, self.maps, MAX_MAP_GROWTH)}
        return [
            f"{name} grew by {now / then - 1:.1%}"
            for name, (then, now, limit) in pairs.items()
            if then is not None and now is not None and now > then * (1 + limit)
        ]


class Outcome(NamedTuple):
    """What a part has done, what is wrong, and its memory after the warm-up; None where memory is not checked."""

    done: str
    problems: list[str]
    begin: Memory | None = None


# --- long -------------------------------------------------------------------------------------------------------------


def long_data() -> jaxmlp.Dataset:
    """Return 6,400 rows, so that an epoch has 200 steps and the history stays short."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(6_400, 8)).astype(np.float32)
    return jaxmlp.Dataset.from_arrays(rows, (rows[:, 0] * rows[:, 1] > 0).astype(int))


def soak_steps(amounts: Amounts) -> Outcome:
    """Train one network for a million steps."""
    data = long_data()
    n_epochs, begin = amounts.steps // 200, []

    def warm_up(report: jaxmlp.Report) -> None:
        if report.epoch == n_epochs // 10:
            begin.append(Memory.now())

    net = jaxmlp.network_for(data, hidden=(16,))
    callback = jaxmlp.ReportCallback(warm_up)
    result = jaxmlp.fit(net, data, epochs=n_epochs, batch_size=32, learning_rate=1e-4, callbacks=callback)
    n_steps = int(result.state.step)
    problems = [] if n_steps == amounts.steps else [f"{n_steps} steps in place of {amounts.steps}"]
    if not np.isfinite(result.history[-1].cost):
        problems.append("the cost is not finite")
    return Outcome(f"{n_steps:,} steps of a fit", problems, begin[0])


def soak_loop(amounts: Amounts) -> Outcome:
    """Make 10^5 steps one by one, as a loop of your own does."""
    data = long_data()
    net, optimizer = jaxmlp.network_for(data, hidden=(16,)), optax.adam(1e-4)
    step, state = jaxmlp.make_step(net, optimizer), jaxmlp.init_state(jax.random.key(0), net, optimizer)
    X, Y = jnp.asarray(data.train.rows[:32].T), jnp.asarray(data.train.targets[:32], jnp.float32)[None]
    begin, cost = None, float("nan")
    for i in range(amounts.loop):
        state, report = step(state, X, Y)
        if i == amounts.loop // 10:
            begin = Memory.now()
        cost = report.cost
    problems = [] if int(state.step) == amounts.loop and np.isfinite(float(cost)) else ["wrong steps or cost"]
    return Outcome(f"{amounts.loop:,} steps of a loop", problems, begin)


def soak_predictions(amounts: Amounts) -> Outcome:
    """Predict for any number of rows: few are computed by NumPy, many by a compiled program."""
    data = jaxmlp.load("digits")
    net = jaxmlp.network_for(data, hidden=(64,))
    model = jaxmlp.Model.of(net, jaxmlp.fit(net, data, epochs=2).params, data)
    rows, rng = data.train.rows, np.random.default_rng(0)
    expected, begin, worst = model.outputs(rows), None, 0.0
    for i in range(amounts.predictions):
        m = int(len(rows) ** rng.random())
        first = int(rng.integers(len(rows) - m + 1))
        outputs = model.outputs(rows[first : first + m])
        worst = max(worst, float(np.abs(outputs - expected[first : first + m]).max()))
        if i == amounts.predictions // 10:
            begin = Memory.now()
    problems = [] if worst < 1e-5 else [f"outputs differ by {worst:.0e}"]
    return Outcome(f"{amounts.predictions:,} predictions, equal to {worst:.0e}", problems, begin)


# --- at once ----------------------------------------------------------------------------------------------------------


def fit_and_predict(width: int) -> list[bytes]:
    """Train one of several small networks; return the bytes of its parameters and outputs."""
    rng = np.random.default_rng(width)
    rows = rng.normal(size=(60, 5)).astype(np.float32)
    data = jaxmlp.Dataset.from_arrays(rows, rng.integers(3, size=60))
    net = jaxmlp.network_for(data, hidden=(width,), activation="tanh")
    result = jaxmlp.fit(net, data, epochs=5, batch_size=20, key=jax.random.key(width))
    outputs = jaxmlp.Model.of(net, result.params, data).outputs(rows)
    return [np.asarray(leaf).tobytes() for leaf in (*jax.tree.leaves(result.params), outputs)]


def soak_threads(amounts: Amounts) -> Outcome:
    """Fit and predict in several threads at once."""
    expected = {width: fit_and_predict(width) for width in amounts.widths}
    problems: list[str] = []

    def work(seed: int) -> None:
        widths = list(amounts.widths) * amounts.rounds
        random.Random(seed).shuffle(widths)
        for width in widths:
            try:
                if fit_and_predict(width) != expected[width]:
                    problems.append(f"another result of width {width}")
            except Exception as error:  # whatever a race may raise
                problems.append(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(amounts.threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    n_fits = amounts.threads * len(amounts.widths) * amounts.rounds
    return Outcome(f"{n_fits:,} fits and predictions in {amounts.threads} threads", [*problems[:3], *store_problems()])


def answer_in_fork(connection: Any, model: jaxmlp.Model, rows: np.ndarray) -> None:
    """Predict and fit in a forked process, and send what comes of it."""
    connection.send(model.outputs(rows).tobytes())
    try:
        fit_and_predict(3)
        connection.send("fit ran")
    except jaxmlp.errors.InputError as error:
        connection.send(str(error))


def soak_processes(amounts: Amounts) -> Outcome:
    """Fit in spawned processes, and try it in a forked one."""
    widths, expected = amounts.widths, [fit_and_predict(width) for width in amounts.widths]
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        problems = [] if list(pool.map(fit_and_predict, widths)) == expected else ["spawn gives another result"]
    done = f"{len(widths)} fits in 2 spawned processes"
    if not hasattr(os, "fork"):
        return Outcome(f"{done}, no fork here", problems)
    data = jaxmlp.load("planar")
    net, rows = jaxmlp.network_for(data, hidden=(4,)), data.train.rows[:5]
    model = jaxmlp.Model.of(net, jaxmlp.init(jax.random.key(0), net), data)
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    child = context.Process(target=answer_in_fork, args=(there, model, rows))
    expected_bytes = model.outputs(rows).tobytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # JAX and Python warn about the fork, which is what is tested
        child.start()
    answers = [here.recv() if here.poll(FORK_TIMEOUT) else "no answer" for _ in range(2)]
    child.kill()
    if answers[0] != expected_bytes:
        problems.append("a forked process predicts otherwise")
    if not str(answers[1]).startswith("fit expects a process that was not forked"):
        problems.append(f"fit in a forked process: {answers[1]}")
    return Outcome(f"{done}, 1 forked", problems)


# --- wide -------------------------------------------------------------------------------------------------------------


def draw_fit(seed: int) -> Callable[[], list[bytes]]:
    """Return a fit of random shapes; it returns the bytes of the parameters."""
    rng = np.random.default_rng(seed)
    n_classes, m = int(rng.integers(2, 5)), int(rng.integers(20, 60))
    rows = rng.normal(size=(m, rng.integers(1, 20))).astype(np.float32)
    data = jaxmlp.Dataset.from_arrays(rows, np.arange(m) % n_classes)
    hidden = tuple(map(int, rng.integers(1, 40, size=rng.integers(0, 4))))
    activation = str(rng.choice(["relu", "tanh", "sigmoid", "elu", "softplus", "maxout"]))
    norm = "batch" if hidden and rng.random() < 0.2 else None
    net = jaxmlp.network_for(data, hidden, activation, norm)
    options: dict[str, Any] = {"batch_size": int(rng.integers(4, m)), "optimizer": str(rng.choice(["adam", "sgd"]))}

    def run() -> list[bytes]:
        params = jaxmlp.fit(net, data, epochs=2, key=jax.random.key(seed), **options).params
        return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(params)]

    return run


def store_problems() -> list[str]:
    """Return where more programs are kept than is promised."""
    store, problems = program_store._store, []
    limit = program_store.MAX_LOADED if jax.default_backend() == "cpu" else program_store.MAX_LOADED_ON_ACCELERATOR
    if len(store.loaded) > limit:
        problems.append(f"{len(store.loaded)} programs loaded, more than {limit}")
    if store.serialized_bytes > program_store.MAX_SERIALIZED_BYTES:
        problems.append(f"{store.serialized_bytes:,} bytes of programs, more than {program_store.MAX_SERIALIZED_BYTES}")
    return problems


def soak_fits(amounts: Amounts) -> Outcome:
    """Fit networks of mixed shapes; some of them again, when their programs were dropped or are loaded from bytes."""
    chance, results, problems, largest = random.Random(0), {}, [], Memory(0, 0)
    n_fits = amounts.new_networks + amounts.fits
    for i in range(n_fits):
        if i >= amounts.new_networks and i % 10 > 2:
            seed = chance.choice(list(results))
            if draw_fit(seed)() != results[seed]:
                problems.append(f"fit {seed} gives other parameters at the second time")
        else:
            results[i] = draw_fit(i)()
            if len(results) > 100:
                del results[next(iter(results))]
        if i % 50 == 49 or i == n_fits - 1:
            now = Memory.now()
            if now.bytes is None or now.maps is None:
                continue
            problems += store_problems()
            largest = Memory(max(largest.bytes or 0, now.bytes), max(largest.maps or 0, now.maps))
            if now.bytes > MOST_OF_FITS[0] or now.maps > MOST_OF_FITS[1]:
                problems.append(f"{now} after {i + 1:,} fits")
            print(f"  {i + 1:,} fits  {now}", file=sys.stderr, flush=True)
    return Outcome(f"{n_fits:,} fits of mixed shapes, at most {largest}", problems[:3])


# --- the table --------------------------------------------------------------------------------------------------------


def lines(names: list[str], amounts: Amounts, fast: bool) -> Iterator[tuple[str, bool]]:
    """Run the parts; yield the line of each, and whether it passes."""
    for name in names:
        started = time.perf_counter()
        outcome: Outcome = globals()[f"soak_{name}"](amounts)
        seconds, problems, begin = time.perf_counter() - started, outcome.problems, outcome.begin
        sizes = ""
        if begin is not None and begin.bytes is not None:
            end = Memory.now()
            sizes = f"{begin} → {end}; "
            if not fast:  # so short a run is all warm-up
                problems = problems + end.problems(begin)
        verdict = f"FAIL: {'; '.join(problems)}" if problems else "PASS"
        yield f"{name:12} {outcome.done}; {sizes}{seconds:.0f} s; {verdict}", not problems


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(PARTS), help="only these, with commas between them")
    parser.add_argument("--fits", type=int, help=f"how many after the warm-up, {Amounts().fits:,} if not given")
    parser.add_argument("--fast", action="store_true", help="a few of each, without the limits of memory")
    arguments = parser.parse_args()
    names = arguments.parts.split(",")
    if not {*names} <= {*PARTS}:
        parser.error(f"--parts expects some of {', '.join(PARTS)}")
    amounts = FAST if arguments.fast else Amounts()
    if arguments.fits is not None:
        amounts = amounts._replace(fits=arguments.fits)
    passed = []
    for line, is_passed in lines(names, amounts, arguments.fast):
        print(line, flush=True)
        passed.append(is_passed)
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
