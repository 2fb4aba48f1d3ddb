"""Read a folder of pictures to train on: the folders in it are the classes, and the pictures in these are the rows.

    animals/cat/1.jpg, animals/dog/2.png                        a folder for each class
    animals/train/cat/1.jpg, animals/test/cat/2.jpg             the same in each part; val, valid or validation is the
                                                                validation part, and the case of letters does not matter

Rows are in the order of the names of their classes, and then of their own names. All pictures become bytes of one
shape: that of a known model; without one grey if each of them is stored without colour, else RGB. Hidden files are
ignored; other files that are no pictures are left out, and a note names the first ones. Links are followed. A folder
inside the folder of a class is an error.
"""

import itertools
import math
import operator
import os
import unicodedata
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from jaxmlp.data.known_columns import KnownColumns
from jaxmlp.data.labels import preview
from jaxmlp.data.limits import as_name, bytes_on_disk, check_regular, check_total_bytes, unreadable
from jaxmlp.data.locks import LOCK, SETTINGS
from jaxmlp.data.readers.arrays import PART_OF_NAME, Arrays
from jaxmlp.data.readers.images import (
    IMAGE_SUFFIXES,
    SMALL_PIXELS,
    PictureShape,
    read_picture,
    shape_for_model,
)
from jaxmlp.errors import MAX_NAME_LETTERS, InputError, InputTypeError, quoted, sentence

HIDDEN_NAMES = ("__macosx", "thumbs.db", "desktop.ini")  # macOS and Windows add them to the files of a user
MAX_THREADS = 4  # threads that decode: each may hold several copies of a large picture
MAX_AHEAD = 4 * MAX_THREADS  # pictures that are decoded before their turn
MAX_NAMES = 3  # a note names so many of the files that are left out
CLASS_FOLDERS = "a folder of pictures for each class"
_PART_OF_FOLDER = PART_OF_NAME | {"valid": "val"}
_EXAMPLE = "image_size=(64, 64), or --image-size 64x64"


class LabelledFiles(NamedTuple):
    """The pictures of one part with their labels, and the files beside them that are left out."""

    pictures: list[Path]
    labels: list[str]
    left_out: list[Path]


def read_image_folder(folder: Path, image_size: object = None, known: KnownColumns | None = None) -> Arrays:
    """Return the pictures of a folder as images (m, h, w) or (m, h, w, 3) of bytes, with the names of their folders.

    Args:
        folder: the folder that holds the folders of the classes, or of the parts.
        image_size: (height, width) or one number for both, to which every picture is resized; None if all of them have
            one size.
        known: the columns of a trained model, whose image shape the pictures get; None without a model.

    Raises:
        InputError: a folder without pictures, a picture that cannot be read, pictures of different sizes.
    """
    parts = find_parts(folder)
    files = {part: _label_pictures(inner, folder) for part, inner in parts.items()}
    first = files["train"].pictures[0]
    shape = _picture_shape(image_size, known, _name(first, folder))
    pictures = [path for part in files.values() for path in part.pictures]
    images = _read_pictures(pictures, folder, shape)
    if known is not None and known.image_shape is not None:
        images = images.reshape(-1, *known.image_shape)  # with its axis of one grey channel, if it has one
    ends = list(itertools.accumulate(len(part.pictures) for part in files.values()))
    arrays = {
        part: (rows, np.array(labelled.labels))
        for (part, labelled), rows in zip(files.items(), np.split(images, ends[:-1]), strict=True)
    }
    left_out = [path for part in files.values() for path in part.left_out]
    if folder not in parts.values():
        left_out = [path for path in visible_entries(folder) if path not in parts.values()] + left_out
    notes = _notes(left_out, folder)
    if folder in parts.values() and (named := _part_folders(folder)):
        names = " and ".join(inner.name for inner in named)
        notes += (f"used as classes, although their names are those of parts: {names}",)
    return Arrays(*arrays["train"], test=arrays.get("test"), validation=arrays.get("val"), notes=notes)


def visible_entries(folder: Path) -> list[Path]:
    """Return the files and folders in a folder in the order of their names, without hidden ones and runs of ours.

    Raises:
        InputError: a folder that the user may not read.
    """
    try:
        entries = sorted(folder.iterdir(), key=lambda path: path.name)  # iterdir has no fixed order
        if entries:
            os.lstat(entries[0])  # the names alone can be read where the user may not enter the folder
    except OSError as error:
        raise unreadable(folder.name, error) from None
    visible = (path for path in entries if not path.name.startswith(".") and path.name.lower() not in HIDDEN_NAMES)
    return [path for path in visible if not _is_run_folder(path) and not _holds_runs(path)]


def _is_run_folder(path: Path) -> bool:
    """Whether a folder is a run folder, which a command that was started in the data folder has written there."""
    return os.path.isfile(path / SETTINGS) or os.path.isfile(path / LOCK)


def _holds_runs(path: Path) -> bool:
    """Whether a folder is called runs and has folders of runs in it."""
    if path.name != "runs" or not os.path.isdir(path):
        return False
    try:
        return any(_is_run_folder(inner) for inner in path.iterdir())
    except OSError as error:  # it may be a class, whose pictures would be missing without a word
        raise unreadable(path.name, error) from None


def is_picture(path: Path) -> bool:
    """Whether the suffix of a path is that of a picture."""
    return path.suffix.lower() in IMAGE_SUFFIXES


def inner_folders(folder: Path) -> list[Path]:
    """Return the folders in a folder."""
    return [path for path in visible_entries(folder) if os.path.isdir(path)]  # unlike is_dir it never raises


def class_folders(folder: Path) -> list[Path]:
    """Return the folders in a folder that contain pictures."""
    return [inner for inner in inner_folders(folder) if any(map(is_picture, visible_entries(inner)))]


def has_classes(folder: Path) -> bool:
    """Whether there are pictures in the folders of a folder, or in those of its parts."""
    return bool(class_folders(folder) or any(map(class_folders, _part_folders(folder))))


def _part_folders(folder: Path) -> list[Path]:
    return [inner for inner in inner_folders(folder) if inner.name.lower() in _PART_OF_FOLDER]


def find_parts(folder: Path) -> dict[str, Path]:
    """Return the folders of the parts "train", "test" and "val"; the folder itself as "train" if it has no parts.

    The folders with such names are parts if one of them contains folders of pictures. Otherwise they are classes, as a
    class may be called train, provided that there is also a folder of another name.

    Raises:
        InputError: no training part, two folders for one part, or parts without classes.
    """
    folders = _part_folders(folder)
    if not any(map(class_folders, folders)) and set(folders) != set(inner_folders(folder)):
        return {"train": folder}
    parts: dict[str, Path] = {}
    for inner in folders:
        part = _PART_OF_FOLDER[inner.name.lower()]
        if part in parts:
            got = f"{parts[part].name} and {inner.name}"
            raise InputError(sentence(folder.name, "one folder for each part", got, "keep one of them"))
        parts[part] = inner
    if "train" not in parts:
        got, remedy = " and ".join(inner.name for inner in folders), "add it, or give the path of one part"
        raise InputError(sentence(folder.name, "a folder train with the training part", f"only {got}", remedy))
    return parts


def _label_pictures(part: Path, folder: Path) -> LabelledFiles:
    """Return the pictures in the class folders of a part.

    Raises:
        InputError: a part without classes, and as `_find_pictures`.
    """
    entries = visible_entries(part)
    classes = [path for path in entries if os.path.isdir(path)]
    if not classes:
        n_pictures = sum(map(is_picture, entries))
        if n_pictures:
            got = f"{n_pictures} pictures without a class"
            remedy = "move them, or give the path of the part that has classes (jaxmlp predict needs no classes)"
        elif entries:
            got, remedy = "no such folder", "add one for each class, or give the path of the folder that has them"
        else:
            got, remedy = "an empty folder", "remove it"
        raise InputError(sentence(_name(part, folder), CLASS_FOLDERS, got, remedy))
    files = LabelledFiles([], [], [path for path in entries if not os.path.isdir(path)])
    for inner in classes:
        pictures, left_out = _find_pictures(inner, folder)
        files.pictures.extend(pictures)
        label = unicodedata.normalize("NFC", as_name(inner.name))  # macOS splits é into e and an accent
        if label in files.labels:
            got, remedy = f"two called {label!r}", "rename one of them"
            raise InputError(sentence(_name(part, folder), "class folders of different names", got, remedy))
        files.labels.extend([label] * len(pictures))
        files.left_out.extend(left_out)
    return files


def _find_pictures(inner: Path, folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the pictures in the folder of a class, and the other files in it.

    Raises:
        InputError: no pictures, or a folder among them.
    """
    entries = visible_entries(inner)
    pictures = [path for path in entries if is_picture(path)]
    left_out = [path for path in entries if not is_picture(path)]
    where = f"the class {_name(inner, folder)}"
    if deeper := next((path for path in left_out if os.path.isdir(path)), None):
        remedy = "move its files one level up, or give the path of the folder whose folders are the classes"
        raise InputError(sentence(where, "pictures, and no folders", f"the folder {deeper.name}", remedy))
    if not pictures:
        remedy = f"add pictures ({', '.join(IMAGE_SUFFIXES)}), or remove the folder"
        raise InputError(sentence(where, "pictures", "none", remedy))
    return pictures, left_out


def _picture_shape(image_size: object, known: KnownColumns | None, first: str) -> PictureShape:
    size = None if image_size is None else as_image_size(image_size)
    if known is None:
        return PictureShape(size)
    shape = shape_for_model(known.image_shape, first)
    if size not in (None, shape.size):
        raise InputError(sentence("image_size", f"{shape.size}, that of the model", size, "leave it out"))
    return shape


def as_image_size(size: object) -> tuple[int, int]:
    """Return the option image_size as (height, width); the command line has it as text.

    Raises:
        InputError, InputTypeError: anything but one or two whole numbers above 0, or too many pixels.

    >>> as_image_size(64), as_image_size([48, 64]), as_image_size("48x64")
    ((64, 64), (48, 64), (48, 64))
    """
    expects = f"height and width, or one number for both, with at most {SMALL_PIXELS:,} pixels in all"
    sizes: Sequence[object] = np.atleast_1d(size).tolist() if isinstance(size, list | tuple | np.ndarray) else [size]
    try:
        if isinstance(size, str):
            parts = map(str.strip, size.lower().split("x"))
            sizes = [int(part) if part.isdecimal() else part for part in parts]
        if any(isinstance(number, bool) for number in sizes):
            raise TypeError
        numbers = [operator.index(cast(Any, number)) for number in sizes]
    except (TypeError, ValueError):  # a ValueError for a text of thousands of digits
        raise InputTypeError(sentence("image_size", expects, _repr_of(size), f"write {_EXAMPLE}")) from None
    if len(numbers) not in (1, 2) or min(numbers) < 1 or numbers[0] * numbers[-1] > SMALL_PIXELS:
        raise InputError(sentence("image_size", expects, _repr_of(size), f"write {_EXAMPLE}"))
    return numbers[0], numbers[-1]


def _repr_of(size: object) -> str:
    try:
        return repr(size)
    except ValueError:  # Python writes no numbers of thousands of digits
        return "a huge number"


def refuse_image_size(name: str, image_size: object) -> None:
    """Raise for the option image_size of a source that has no pictures.

    Raises:
        InputError: the option is there.
    """
    if image_size is not None:
        expects = "no image_size, which is for a folder of pictures"
        raise InputError(sentence(f"source {name!r}", expects, repr(image_size), "leave it out"))


def _read_pictures(paths: Sequence[Path], folder: Path, shape: PictureShape) -> np.ndarray:
    """Return all pictures as one array (m, h, w[, c]).

    Raises:
        InputError: a picture that cannot be read, and as `_stack_pictures`.
    """
    names = [_name(path, folder) for path in paths]
    size_on_disk = sum(bytes_on_disk(check_regular(path, name)) for path, name in zip(paths, names, strict=True))
    pool = ThreadPoolExecutor(MAX_THREADS)  # Pillow decodes without the lock of Python
    try:
        return _stack_pictures(_decode(pool, paths, names, shape), names, folder.name, size_on_disk)
    finally:
        pool.shutdown(cancel_futures=True)  # after an error no further picture is decoded


def _decode(
    pool: ThreadPoolExecutor, paths: Sequence[Path], names: Sequence[str], shape: PictureShape
) -> Iterator[np.ndarray]:
    """Yield the pictures in the order of their paths.

    Only a few are decoded ahead, because they stay in memory until a slow one before them is ready.
    """
    waiting: deque[Future[np.ndarray]] = deque()
    for path, name in zip(paths, names, strict=True):
        waiting.append(pool.submit(read_picture, path, name, shape))
        if len(waiting) > MAX_AHEAD:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _stack_pictures(images: Iterator[np.ndarray], names: Sequence[str], where: str, size_on_disk: int) -> np.ndarray:
    """Return images (h, w) or (h, w, c) as one array, in which grey ones are RGB if there is a colour.

    Raises:
        InputError: images of different sizes, or more memory than files of this size may take.
    """

    def allocate(shape: tuple[int, ...], other_bytes: int = 0) -> np.ndarray:
        content = f"{len(names)} pictures of {'x'.join(map(str, shape))}"
        size = other_bytes + len(names) * math.prod(shape)
        check_total_bytes(where, size, size_on_disk, content, f"resize them: {_EXAMPLE}")
        return np.empty((len(names), *shape), np.uint8)

    first = next(images)
    stack = allocate(first.shape)
    for i, image in enumerate(itertools.chain([first], images)):
        if image.shape[:2] != first.shape[:2]:
            got = f"{names[0]} of {first.shape[:2]} and {names[i]} of {image.shape[:2]}"
            expects = "pictures of one size (height, width)"
            raise InputError(sentence(where, expects, got, f"resize all of them: {_EXAMPLE}"))
        if image.ndim == stack.ndim:  # the first one with colour: those before it were grey, and become RGB
            grey, stack = stack, allocate(image.shape, stack.nbytes)
            stack[:i] = grey[:i, ..., None]
        stack[i] = image if image.ndim + 1 == stack.ndim else image[..., None]
    return stack


def _notes(left_out: Sequence[Path], folder: Path) -> tuple[str, ...]:
    if not left_out:
        return ()
    names = preview([quoted(_name(path, folder), MAX_NAME_LETTERS) for path in left_out], MAX_NAMES)
    return (f"left out, because they are no pictures in the folder of a class: {names}",)


def _name(path: Path, folder: Path) -> str:
    """Return the path within the folder of the data set, which names a picture in errors and notes."""
    return folder.name if path == folder else path.relative_to(folder).as_posix()
