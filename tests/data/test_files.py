"""A file is there whole or not at all."""

import os
import stat

import pytest

from jaxmlp.data.files import atomic_path
from jaxmlp.errors import InputError, MissingFileError


def test_success_puts_the_new_content_in_place(tmp_path):
    path = tmp_path / "model.h5"
    path.write_text("old")
    with atomic_path(path) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".h5"
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["model.h5"]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_failure_leaves_the_old_content_and_no_litter(tmp_path, failure):
    path = tmp_path / "model.h5"
    path.write_text("old")

    def write_half():
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise failure

    with pytest.raises(failure):
        write_half()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["model.h5"]


def test_a_failure_before_anything_was_written_is_not_hidden(tmp_path):
    with pytest.raises(ZeroDivisionError), atomic_path(tmp_path / "model.h5"):
        _ = 1 / 0


def test_a_path_in_text_and_the_usual_permissions(tmp_path):
    (tmp_path / "plain").touch()
    with atomic_path(str(tmp_path / "written")) as temporary:
        temporary.touch()
    assert stat.S_IMODE((tmp_path / "written").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_the_folder_must_exist(tmp_path, refused):
    folder = str(tmp_path / "runs")
    text = f"writing model.h5 expects an existing folder, got the missing folder {folder!r}: create the folder first"
    with refused(MissingFileError, text), atomic_path(tmp_path / "runs" / "model.h5"):
        pass


def test_a_folder_is_no_file(tmp_path, refused):
    text = f"writing a file expects a path to a file, got the folder {str(tmp_path)!r}: add a file name"
    with refused(InputError, text), atomic_path(tmp_path):
        pass


def test_a_read_only_folder_is_named_before_the_work(tmp_path, monkeypatch, refused):
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere, so permissions would not do
    text = (
        f"writing model.h5 expects a folder it may write to, got the read-only folder {str(tmp_path)!r}: "
        "choose another folder"
    )
    with refused(InputError, text), atomic_path(tmp_path / "model.h5"):
        pass


@pytest.mark.parametrize("name", [f"{'数' * 80}.txt", f"a.{'b' * 250}"])
def test_a_name_of_nearly_255_bytes(tmp_path, name):
    path = tmp_path / name
    with atomic_path(path) as temporary:
        temporary.write_text("whole")
    assert path.read_text() == "whole"
