"""What the tests of the data floor share: the exact match of an error's class and sentence."""

import contextlib
from collections.abc import Callable, Iterator

import pytest


@contextlib.contextmanager
def _refused(kind: type[Exception], text: str) -> Iterator[None]:
    with pytest.raises(kind) as error:
        yield
    assert (type(error.value), str(error.value)) == (kind, text)
    assert error.value.__context__ is None or error.value.__suppress_context__


@pytest.fixture
def refused() -> Callable[[type[Exception], str], contextlib.AbstractContextManager[None]]:
    """`with refused(InputError, "the whole sentence"): ...`"""
    return _refused
