"""What the small process looks at in an HDF5 file, asked here without the process."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from jaxmlp.data.limits import RATIO, SMALL_BYTES
from jaxmlp.data.readers import hdf5_safety
from jaxmlp.data.readers.hdf5_checker import CPU_SECONDS, check
from jaxmlp.data.readers.hdf5_safety import CHECKED_BYTES
from jaxmlp.data.readers.text_format import MAX_COLUMNS

README = (Path(__file__).parent.parent.parent / "README.md").read_text(encoding="utf-8")
UNREADABLE = {"error": "one that cannot be read"}


def request(path, **more):
    return {"path": str(path), "limit": 10**6, "budget": 0, "attributes": False, "streamed": False, **more}


def damaged_row(path, row):
    """Write five rows, each a chunk with a checksum, and damage the chunk of a row."""
    with h5py.File(path, "w") as file:
        array = file.create_dataset("X", data=np.arange(20.0).reshape(5, 4), chunks=(1, 4), fletcher32=True)
        file.flush()
        offset = array.id.get_chunk_info_by_coord((row, 0)).byte_offset
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("row", range(5))
def test_of_a_large_array_the_first_the_middle_and_the_last_row_are_read(row, tmp_path):
    path = damaged_row(tmp_path / "a.h5", row)
    assert check(request(path)) == (UNREADABLE if row in (0, 2, 4) else {})
    assert check(request(path, budget=160)) == UNREADABLE  # small enough to be read whole


def test_an_array_that_uses_up_the_budget_leaves_none_for_the_next(tmp_path):
    path = damaged_row(tmp_path / "z.h5", 1)
    with h5py.File(path, "r+") as file:
        file["A"] = np.zeros(20)
    assert check(request(path, budget=319)) == {}
    assert check(request(path, budget=320)) == UNREADABLE


def test_arrays_without_rows_or_numbers_are_read(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["none"], file["zero"], file["one"] = h5py.Empty("f8"), np.zeros((0, 3)), 1.0
    assert check(request(tmp_path / "a.h5", budget=8)) == {}


def test_an_array_is_at_most_as_large_as_the_limit_unless_its_rows_stay_in_the_file(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("X", shape=(5, 4), dtype="f8", chunks=(1, 4))
    assert check(request(tmp_path / "a.h5", limit=160)) == {}
    assert check(request(tmp_path / "a.h5", limit=159)) == {"error": "160 bytes for 'X', of at most 159"}
    assert check(request(tmp_path / "a.h5", limit=32, streamed=True)) == {}
    too_large = {"error": "chunks of 'X' that are larger than what a file may become"}
    assert check(request(tmp_path / "a.h5", limit=31, streamed=True)) == too_large


def test_attributes_and_groups_are_looked_at_in_models_only(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["name"] = "x" * 40
        file.create_dataset("group/X", shape=(50,), dtype="f8")
    assert check(request(tmp_path / "a.h5", limit=39)) == {}
    refused = check(request(tmp_path / "a.h5", limit=8, attributes=True))
    assert refused["error"].startswith("an attribute of ")
    larger = check(request(tmp_path / "a.h5", limit=399, attributes=True))
    assert larger == {"error": "400 bytes for 'group/X', of at most 399"}


def test_a_file_is_asked_about_once_for_each_use(tmp_path, monkeypatch):
    requests = []
    monkeypatch.setattr(hdf5_safety, "_ask", lambda request: requests.append(request) or "a danger")
    path = damaged_row(tmp_path / "a.h5", 0)
    for use in ({}, {"attributes": True}, {"streamed": True}, {}):
        assert hdf5_safety.find_danger(path, **use) == "a danger"
    assert [(request["attributes"], request["streamed"]) for request in requests] == [
        (False, False),
        (True, False),
        (False, True),
    ]
    path.write_bytes(b"another content")
    hdf5_safety.find_danger(path)
    assert len(requests) == 4


@pytest.mark.parametrize(
    "text",
    [
        f"at most {RATIO} times its size (or {SMALL_BYTES >> 20} MB",
        f"within {CPU_SECONDS} s of computing",
        f"arrays up to {CHECKED_BYTES >> 20} MB",
        f"at most {MAX_COLUMNS:,} columns",
    ],
)
def test_the_limits_are_those_that_the_readme_states(text):
    assert text in " ".join(README.split())
