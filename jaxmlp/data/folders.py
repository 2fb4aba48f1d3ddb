"""Read a folder: the parts of one data set to train on, or pictures to predict."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from jaxmlp.data import readers
from jaxmlp.data.image_folders import (
    CLASS_FOLDERS,
    class_folders,
    has_classes,
    inner_folders,
    read_image_folder,
    refuse_image_size,
    visible_entries,
)
from jaxmlp.data.known_columns import KnownColumns
from jaxmlp.data.readers.arrays import Arrays
from jaxmlp.errors import InputError, sentence


def read_folder(folder: Path, image_size: object = None, known: KnownColumns | None = None) -> Arrays:
    """Return the arrays of the files in a folder, or the pictures of its classes.

    Args:
        folder: to read.
        image_size, known: for pictures; see `read_image_folder`.

    Raises:
        InputError: neither files of a format that is read from a folder, nor pictures of classes.
    """
    if read := _find_reader(folder):
        if classes := class_folders(folder):
            got = f"such files beside folders of pictures, such as {classes[0].name}"
            expects = f"either {' or '.join(_format_names())} files or {CLASS_FOLDERS}"
            raise InputError(sentence(folder.name, expects, got, "move the files to another place"))
        refuse_image_size(folder.name, image_size)
        return read()
    if has_classes(folder):
        return read_image_folder(folder, image_size, known)
    paths = _files(folder)
    got, remedy = f"{len(paths)} other files" if paths else "no files", "for any other format give the path of the file"
    if inner := next((inner for inner in inner_folders(folder) if has_classes(inner)), None):
        got, remedy = f"the folder {inner.name} with such folders", "give the path of that folder"
    if pictures := one_row_files(folder):
        got, remedy = f"{len(pictures)} pictures", "move the pictures of each class into a folder of its name"
    expects = f"{' or '.join(_format_names())} files in the folder, or {CLASS_FOLDERS}"
    raise InputError(sentence(folder.name, expects, got, remedy))


def _format_names() -> list[str]:
    return [reader.name for reader in readers.READERS if reader.read_folder]


def is_picture_folder(path: Path) -> bool:
    """Whether a path is that of a folder whose pictures `read_folder` reads."""
    return os.path.isdir(path) and not _find_reader(path) and has_classes(path)


def _find_reader(folder: Path) -> Callable[[], Arrays] | None:
    """Return the function that reads those files of a folder that belong to a format, if there are any."""
    paths = _files(folder)
    for reader in readers.READERS:
        if reader.read_folder and (members := [path for path in paths if reader.matches(path)]):
            return partial(reader.read_folder, folder, members)
    return None


def one_row_files(folder: Path) -> list[Path]:
    """Return the picture files of a folder, each of which is one row, in the order of their names."""
    return [path for path in _files(folder) if (reader := readers.find_reader(path)) and reader.is_one_row]


def rows_remedy(folder: Path) -> str:
    """Return what to do with a folder that has no pictures to predict."""
    classes = class_folders(folder) or [path for inner in inner_folders(folder) for path in class_folders(inner)]
    if classes:
        return f"give one folder of pictures, such as {classes[0].relative_to(folder).as_posix()}"
    names = [path.name for path in _files(folder) if (reader := readers.find_reader(path)) and reader.has_rows]
    # in a folder of idx files the rows are in those of images
    names = [name for name in names if "labels" not in name] or names
    return f"give a file in it, such as {names[0]}" if names else "convert it to one of these"


def _files(folder: Path) -> list[Path]:
    return [path for path in visible_entries(folder) if os.path.isfile(path)]  # unlike is_file it never raises
