"""What the lessons share: their options, their pictures, and the record of what they claim.

    python examples/lessons/NN_name.py [--fast] [--pictures]

A lesson ends with its claims. Each belongs to an item of the ledger (examples/README.md), has a verdict, a sentence,
the number that was measured just now, and a condition; a false condition ends the lesson with an AssertionError.
Everything is computed in float64, one example per column.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import jaxmlp
import jaxmlp.plots  # as an attribute of jaxmlp, for every lesson
from jaxmlp.nn import activations

jax.config.update("jax_enable_x64", True)

QUICK_XLA_FLAGS = ("--xla_backend_optimization_level=0", "--xla_cpu_use_fusion_emitters=false")
PICTURES = Path(__file__).parent.parent / "pictures"
TRUE = "TRUE"


class Claim(NamedTuple):
    """One row of the ledger: the item, TRUE or "TRUE IF …" or "WRONG → …", the sentence, the number as text."""

    item: str
    verdict: str
    statement: str
    number: str


CLAIMS: list[Claim] = []
_options = argparse.Namespace(fast=False, pictures=False)


def _compile_quickly() -> None:
    """Let XLA compile quickly instead of well: compilation is most of the time of a fast lesson.

    JAX reads the flags at its first computation, which is later. A process with a flag that its XLA does not know ends
    at once, so another process tries them first.
    """

    def are_known(flags: str) -> bool:
        trial = [sys.executable, "-c", "from jaxlib import xla_client; xla_client.make_cpu_client()"]
        return not subprocess.run(trial, env=os.environ | {"XLA_FLAGS": flags}, capture_output=True).returncode

    together = " ".join(QUICK_XLA_FLAGS)
    os.environ["XLA_FLAGS"] = together if are_known(together) else " ".join(filter(are_known, QUICK_XLA_FLAGS))


if "--fast" in sys.argv and "XLA_FLAGS" not in os.environ:
    _compile_quickly()


def start(description: str | None) -> bool:
    """Read the options of a lesson; return whether it is to be fast."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fast", action="store_true", help="less data and fewer steps: seconds")
    parser.add_argument("--pictures", action="store_true", help="write the pictures of the lesson to examples/pictures")
    parser.parse_args(namespace=_options)
    return _options.fast


def claim(item: str, verdict: str, statement: str, number: object, holds: Any) -> None:
    """Assert a claim, print it and record it for the ledger.

    Args:
      item: the number of the ledger's row: "2.7", "E12"; "" for a claim of the lesson's own.
      verdict: TRUE, "TRUE IF condition" or "WRONG → what is right".
      statement: what is claimed, in words of our own.
      number: what was measured.
      holds: whether the measurement bears the verdict out.
    """
    assert bool(holds), f"{item}: {statement}: measured {number}"
    measured = str(number).replace("0e+00", "0")  # an exact 0 has no digits
    if item:
        CLAIMS.append(Claim(item, verdict, statement, measured))
    print(f"{item:5} {verdict}: {statement} [{measured}]")


def listed(values: Mapping[Any, Any] | Iterable[Any]) -> str:
    """Return names with their numbers, or numbers alone, in words.

    >>> listed({"moons": {"tanh": 73.0, "relu": 57.25}}), listed([0.25, 0.0])
    ('moons: tanh 73, relu 57.25', '0.25, 0')
    """
    if not isinstance(values, Mapping):
        return ", ".join(f"{value:.4g}" if isinstance(value, float) else str(value) for value in values)
    parts = []
    for name, value in values.items():
        colon = ":" if isinstance(value, Mapping) or not isinstance(name, str) else ""  # "50: 0.3" for 50 examples
        parts.append(f"{name}{colon} {listed(value if isinstance(value, Mapping) else [value])}")
    return ("; " if any(isinstance(v, Mapping) for v in values.values()) else ", ").join(parts)


@contextmanager
def picture(name: str, columns: int = 1, rows: int = 1, size: tuple[float, ...] = (3.4, 2.9)) -> Iterator[list[Axes]]:
    """Give the axes of a picture, row by row; with --pictures write it afterwards."""
    figure = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    yield list(figure.subplots(rows, columns, squeeze=False).ravel())
    if _options.pictures:
        PICTURES.mkdir(exist_ok=True)
        figure.savefig(PICTURES / name, dpi=72)
    else:
        figure.draw_without_rendering()


@partial(jax.jit, static_argnames="steps")
def descend(params, X, Y, net, rate, steps, objective=None):
    """Take steps of gradient descent on the whole batch: the parameters after them, and the cost before each."""

    def step(params, _):
        J, dparams = jaxmlp.backprop(params, X, Y, net, objective)
        return jax.tree.map(lambda p, dp: p - rate * dp, params, dparams), J

    return jax.lax.scan(step, tuple(params), length=steps)


def value_and_slope(name: str, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return g(z) and g'(z) of a named activation at the points z (n,), by the package's formulas."""
    g, Z = activations.find(name), jnp.asarray(z)[None, :]
    A = g.apply(Z)
    return np.asarray(A)[0], np.asarray(g.pullback(Z, A, jnp.ones_like(A)))[0]


def accuracy(params, X, Y, net) -> float:
    """Return the fraction of columns whose class is predicted; Y holds class ids (1, m)."""
    A = np.asarray(jaxmlp.forward(params, X, net))
    ids = (A > 0.5).astype(int) if len(A) == 1 else A.argmax(axis=0)[None, :]
    return float(np.mean(ids == Y))


def columns(name: str, part: str = "train") -> tuple[np.ndarray, np.ndarray]:
    """Return X (n, m) and the class ids (1, m) of a packaged data set, as float64 and whole numbers."""
    data = jaxmlp.load(name)
    rows, targets = getattr(data, part)
    return data.preprocessing(rows, np.float64).T, np.asarray(targets)[None, :]


def data_folder(name: str) -> Path | None:
    """Return the folder of a data set that is not part of the project, or None: $JAXMLP_DATA or ../shared/data."""
    repository = Path(__file__).resolve().parents[2]
    for place in (os.environ.get("JAXMLP_DATA"), repository.parent / "shared" / "data"):
        if place and (Path(place) / name).is_dir():
            return Path(place) / name
    return None
