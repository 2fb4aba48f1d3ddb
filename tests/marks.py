"""Markers: `slow` for what `pytest` leaves out and `pytest -m ""` runs as well, `on_cpu` for what other devices skip."""

from collections.abc import Iterable
from typing import Any

import jax
import pytest

on_cpu = pytest.mark.skipif(jax.default_backend() != "cpu", reason="it describes a CPU, or needs several devices")


def slow_except(values: Iterable[Any], *quick: Any) -> list[Any]:
    """Return the values as parameters of a test, all of them marked as slow but for the quick ones."""
    return [value if value in quick else pytest.param(value, marks=pytest.mark.slow) for value in values]
