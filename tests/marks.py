"""Markers: `slow` is left out by `pytest` and run by `pytest -m ""`; `cpu_only` is skipped on other devices."""

from collections.abc import Iterable
from typing import Any

import jax
import pytest

cpu_only = pytest.mark.skipif(
    jax.default_backend() != "cpu", reason="it describes a CPU or its precision, or needs several devices"
)


def slow_except(values: Iterable[Any], *quick: Any) -> list[Any]:
    """Return the values as parameters of a test, all of them marked as slow but for the quick ones."""
    return [value if value in quick else pytest.param(value, marks=pytest.mark.slow) for value in values]
