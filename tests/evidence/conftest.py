"""Checks of derivative rules without their limit of time, so that a busy machine leaves no question out."""

import pytest

import jaxmlp


@pytest.fixture(autouse=True)
def no_time_limit(monkeypatch: pytest.MonkeyPatch):
    """Set the default of check_vjp's time_limit to None; a test that is about the limit gives its own."""
    defaults = jaxmlp.check_vjp.__kwdefaults__
    assert defaults is not None
    assert defaults["time_limit"] == 20
    monkeypatch.setitem(defaults, "time_limit", None)
