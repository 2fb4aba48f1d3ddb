"""Shared by the tests of tables."""

import pytest


@pytest.fixture
def written(tmp_path):
    """Write a table in text, and return its path."""

    def write(text, name="t.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write
