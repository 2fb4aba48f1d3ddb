"""Read a folder: the parts of one data set to train on, or pictures to predict."""

from pathlib import Path

from jaxmlp.data import readers
from jaxmlp.data.readers.arrays import Arrays
from jaxmlp.errors import InputError, sentence

_PICTURES_REMEDY = (
    "write the pictures in one size as arrays, np.savez('pictures.npz', X=X, y=y), with X (m, height, width[, 3]) "
    "and y a label for each (jaxmlp predict reads a folder of pictures)"
)


def read_folder(folder: Path) -> Arrays:
    """Return the arrays of the files in a folder.

    Raises:
        InputError: no files of a format that is read from a folder; for pictures it says what to do.
    """
    paths = _files(folder)
    for reader in readers.READERS:
        if reader.read_folder and (members := [path for path in paths if reader.matches(path)]):
            return reader.read_folder(folder, members)
    names = [reader.name for reader in readers.READERS if reader.read_folder]
    got, remedy = f"{len(paths)} other files" if paths else "no files", "for any other format give the path of the file"
    if classes := picture_folders(folder):
        got, remedy = f"folders of pictures, such as {classes[0].name}", _PICTURES_REMEDY
    if pictures := one_row_files(folder):
        got, remedy = f"{len(pictures)} pictures", _PICTURES_REMEDY
    raise InputError(sentence(folder.name, f"{' or '.join(names)} files in the folder", got, remedy))


def one_row_files(folder: Path) -> list[Path]:
    """Return the picture files of a folder, each of which is one row, in the order of their names."""
    return [path for path in _files(folder) if (reader := readers.find_reader(path)) and reader.is_one_row]


def picture_folders(folder: Path) -> list[Path]:
    """Return the folders in a folder that contain pictures."""
    return [inner for inner in sorted(folder.iterdir()) if inner.is_dir() and one_row_files(inner)]


def rows_remedy(folder: Path) -> str:
    """Return what to do with a folder that has no pictures to predict."""
    if classes := picture_folders(folder):
        return f"give one folder of pictures, such as {classes[0].name}"
    names = [path.name for path in _files(folder) if (reader := readers.find_reader(path)) and reader.has_rows]
    # in a folder of idx files the rows are in those of images
    names = [name for name in names if "labels" not in name] or names
    return f"give a file in it, such as {names[0]}" if names else "convert it to one of these"


def _files(folder: Path) -> list[Path]:
    # iterdir has no fixed order; a name such as ._0.png is hidden, and no picture
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
