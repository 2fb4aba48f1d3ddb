"""A folder of pictures: its folders are the classes, its pictures the rows."""

import os
import re
import warnings

import jax
import numpy as np
import pytest

import jaxmlp
import jaxmlp.data.image_folders as module
from jaxmlp.data.dataset import Dataset
from jaxmlp.data.image_folders import as_image_size
from jaxmlp.data.known_columns import KnownColumns
from jaxmlp.data.load import load, load_rows
from jaxmlp.data.readers.images import IMAGE_SUFFIXES, PictureShape
from jaxmlp.data.rows import Columns
from jaxmlp.errors import InputError, InputTypeError
from jaxmlp.inference.model import Model

Image = pytest.importorskip("PIL.Image")

RNG = np.random.default_rng(0)
REMEDY = "image_size=(64, 64), or --image-size 64x64"


def colours(height=4, width=6):
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def save(tmp_path):
    """Save a picture under a path in the folder `pets`, and return the pixels."""

    def save(path, pixels=None, mode=None, **options):
        pixels = colours() if pixels is None else pixels
        image = Image.fromarray(pixels)
        path = tmp_path / "pets" / path
        path.parent.mkdir(parents=True, exist_ok=True)
        (image if mode is None else image.convert(mode)).save(path, **options)
        return pixels

    return save


@pytest.fixture
def pets(tmp_path):
    return tmp_path / "pets"


@pytest.fixture
def four(save):
    """Two cats and two dogs, by their names."""
    return {name: save(name) for name in ("dog/b.png", "dog/a.bmp", "cat/2.PNG", "cat/10.png")}


def same(data, expected):
    """Assert that two data sets are one, but for their names."""
    for part in ("train", "validation", "test"):
        one, other = getattr(data, part), getattr(expected, part)
        assert (one is None) == (other is None)
        if one is not None:
            assert one.rows.dtype == other.rows.dtype
            np.testing.assert_array_equal(one.rows, other.rows)
            np.testing.assert_array_equal(one.targets, other.targets)
    for name in ("task", "classes", "image_shape"):
        assert getattr(data, name) == getattr(expected, name)
    assert data.preprocessing.to_dict() == expected.preprocessing.to_dict()


# --- what is read -----------------------------------------------------------------------------------------------------


def test_the_data_set_is_that_of_an_array_sorted_by_class_and_name(four, pets):
    images = np.stack([four[name] for name in ("cat/10.png", "cat/2.PNG", "dog/a.bmp", "dog/b.png")])
    labels = ["cat", "cat", "dog", "dog"]
    data = load(pets, test_fraction=0)
    same(data, Dataset.from_arrays(images, labels))
    assert (data.name, data.notes, data.image_shape) == ("pets", (), (4, 6, 3))
    same(load(pets, test_fraction=0.5, seed=3), Dataset.from_arrays(images, labels).split_test(0.5, 3))


def test_parts_are_known_by_the_names_of_their_folders(save, pets):
    train, test, valid = (
        np.stack([save(f"{part}/{name}/1.png") for name in ("cat", "dog")]) for part in ("Train", "TEST", "valid")
    )
    labels = ["cat", "dog"]
    expected = Dataset.from_arrays(train, labels, test=(test, labels), validation=(valid, labels))
    same(load(pets), expected)
    for name in ("val", "Validation"):
        (pets / "valid").rename(pets / "part")
        (pets / "part").rename(pets / name)
        same(load(pets), expected)
        (pets / name).rename(pets / "valid")


def test_a_class_may_have_the_name_of_a_part(save, pets):
    for name in ("bus/1.png", "train/1.png"):
        save(name)
    assert load(pets, test_fraction=0).classes == ("bus", "train")


def test_grey_pictures_stay_grey_until_one_has_colour(save, pets):
    a, b = save("a/1.png", mode="L"), save("b/1.png", mode="LA")
    data = load(pets, test_fraction=0)
    assert data.image_shape == (4, 6)
    luma = np.stack([image @ [0.299, 0.587, 0.114] for image in (a, b)])
    np.testing.assert_allclose(data.train.rows, luma.reshape(2, -1), atol=1)
    colour = save("b/2.png")
    rgb = load(pets, test_fraction=0)
    assert rgb.image_shape == (4, 6, 3)
    images = rgb.train.rows.reshape(3, 24, 3)
    np.testing.assert_array_equal(images[:2], np.repeat(data.train.rows[..., None], 3, axis=2))
    np.testing.assert_array_equal(images[2], colour.reshape(24, 3))
    save("a/0.png")  # now the first one has colour
    np.testing.assert_array_equal(load(pets, test_fraction=0).train.rows[1], rgb.train.rows[0])


def test_transparency_is_white_and_the_camera_s_orientation_is_obeyed(save, pets):
    clear = np.zeros((6, 4, 4), np.uint8)
    clear[0, 0] = [10, 20, 30, 255]
    save("a/clear.png", clear)
    exif = Image.Exif()
    exif[0x0112] = 6  # stored turned left
    upright = colours(6, 4)
    save("b/turned.png", np.rot90(upright).copy(), exif=exif)
    rows = load(pets, test_fraction=0).train.rows.reshape(2, 24, 3)
    assert rows[0, :2].tolist() == [[10, 20, 30], [255, 255, 255]]
    np.testing.assert_array_equal(rows[1], upright.reshape(24, 3))


@pytest.mark.parametrize("size", [(8, 5), [8, 5], np.array([8, 5]), "8x5"])
def test_every_picture_is_resized_as_for_a_prediction(size, save, pets):
    names = [f"{name}/{i}.png" for name in ("cat", "dog") for i in range(3)]
    for i, name in enumerate(names):
        save(name, colours(4 + i, 9 - i))
    data = load(pets, image_size=size, test_fraction=0)
    assert data.image_shape == (8, 5, 3)
    rows = [load_rows(pets / name, 120, Columns(image_shape=(8, 5, 3))) for name in names]
    np.testing.assert_array_equal(data.train.rows, np.concatenate(rows))


def test_sizes():
    assert as_image_size(np.int64(64)) == as_image_size("64") == (64, 64)
    for size, kind in ((0, InputError), ((1, 2, 3), InputError), (1.5, InputTypeError), ("9" * 5000, InputTypeError)):
        with pytest.raises(kind, match=re.escape(f"pixels in all, got {repr(size)[:50]}")):
            as_image_size(size)
    with pytest.raises(InputError, match=r"at most 16,000,000 pixels in all, got \(10000, 10000\)"):
        as_image_size((10_000, 10_000))


def test_sizes_in_other_forms():
    assert as_image_size(np.array(64)) == as_image_size("64 x 64") == as_image_size(np.array([64, 64])) == (64, 64)
    for size in (True, 10**5000, "64x", [[1, 2]]):
        with pytest.raises(InputError, match="image_size expects height and width"):
            as_image_size(size)


def test_what_systems_hide_is_ignored_and_other_files_are_noted(four, pets):
    for name in (".hidden/1.png", "__MACOSX/cat/1.png", "cat/.1.png", "cat/Thumbs.db", "dog/desktop.ini"):
        (pets / name).parent.mkdir(parents=True, exist_ok=True)
        (pets / name).write_bytes(b"no picture")
    data = load(pets, test_fraction=0)
    assert (len(data.train.rows), data.notes) == (4, ())
    (pets / "read me\x1b.txt").touch()
    (pets / "cat/1.tiff").touch()
    note = r"left out, because they are no pictures in the folder of a class: read me\x1b.txt, cat/1.tiff"
    assert load(pets, test_fraction=0).notes == (note,)


def test_folders_beside_the_parts_are_noted(save, pets):
    for name in ("train/cat/1.png", "train/dog/1.png", "more/cat/1.png", "train/1.png"):
        save(name)
    note = "left out, because they are no pictures in the folder of a class: more, train/1.png"
    assert load(pets, test_fraction=0).notes == (note,)


# --- models -----------------------------------------------------------------------------------------------------------


def model_of(data):
    net = jaxmlp.network_for(data, ())
    return Model.of(net, jaxmlp.init(jax.random.key(0), net), data)


@pytest.mark.parametrize("shape", [(8, 5), (8, 5, 1), (8, 5, 3), (8, 5, 4)])
def test_a_model_gives_its_image_shape_and_its_classes(shape, four, pets):
    images = RNG.integers(0, 256, (4, *shape), dtype=np.uint8)
    model = model_of(Dataset.from_arrays(images, ["dog", "cat", "dog", "cat"]))
    data = load(pets, known_columns=model.known_columns, known_classes=("dog", "cat"), test_fraction=0)
    assert (data.image_shape, data.classes) == (shape, ("dog", "cat"))
    rows = np.concatenate([load_rows(pets / name, model.n_features, model.columns) for name in ("cat", "dog")])
    np.testing.assert_array_equal(data.train.rows, rows)
    assert model.evaluate(data.train)["accuracy"] == np.mean(model.predict(rows) == ["cat", "cat", "dog", "dog"])


def test_a_model_of_another_size_or_of_no_images(four, pets, refused):
    with refused(InputError, "image_size expects (8, 5), that of the model, got (9, 9): leave it out"):
        load(pets, image_size=9, known_columns=KnownColumns(image_shape=(8, 5)))
    with refused(
        InputError,
        "this model expects rows of numbers, got the picture cat/10.png: "
        "only a model trained on images, or with an image_shape, takes pictures",
    ):
        load(pets, known_columns=KnownColumns())


# --- what is refused --------------------------------------------------------------------------------------------------


def test_other_layouts_are_refused(save, pets, refused):
    expects = "HDF5 or idx files in the folder, or a folder of pictures for each class"
    save("1.png")
    with refused(
        InputError, f"pets expects {expects}, got 1 pictures: move the pictures of each class into a folder of its name"
    ):
        load(pets)
    save("cat/1.png")
    with refused(
        InputError,
        "the training part expects at least 2 classes, got only cat: a classifier needs examples of two or more",
    ):
        load(pets)
    (pets / "1.png").unlink()
    with refused(
        InputError,
        f"{pets.parent.name} expects {expects}, got the folder pets with such folders: give the path of that folder",
    ):
        load(pets.parent)
    (pets / "dog").mkdir()
    (pets / "dog" / "1.tiff").touch()
    with refused(
        InputError,
        f"the class dog expects pictures, got none: add pictures ({', '.join(IMAGE_SUFFIXES)}), or remove the folder",
    ):
        load(pets)
    save("dog/old/1.png")
    with refused(
        InputError,
        "the class dog expects pictures, and no folders, got the folder old: "
        "move its files one level up, or give the path of the folder whose folders are the classes",
    ):
        load(pets)


def test_parts_that_do_not_fit_are_refused(save, pets, refused):
    unlabelled = "move them, or give the path of the part that has classes (jaxmlp predict needs no classes)"
    save("test/1.png")
    with refused(InputError, "pets expects a folder train with the training part, got only test: "
                 "add it, or give the path of one part"):  # fmt: skip
        load(pets)
    save("train/1.png")
    with refused(
        InputError, f"test expects a folder of pictures for each class, got 1 pictures without a class: {unlabelled}"
    ):
        load(pets)
    for name in ("train/cat", "train/dog", "test/cat", "test/emu"):
        save(f"{name}/1.png")
    with refused(
        InputError,
        "the test part expects the classes of training (cat, dog), got 'emu' in row 1: "
        "add examples of it to the training part, or drop that row",
    ):
        load(pets)
    (pets / "Training").mkdir()
    with refused(InputError, "pets expects one folder for each part, got Training and train: keep one of them"):
        load(pets)


def test_pictures_of_different_sizes_name_the_remedy(save, pets, refused):
    for name, size in (("cat/1.png", (4, 6)), ("dog/1.png", (4, 6)), ("dog/2.png", (40, 60))):
        save(name, colours(*size))
    with refused(
        InputError,
        "pets expects pictures of one size (height, width), got cat/1.png of (4, 6) and dog/2.png of (40, 60): "
        f"resize all of them: {REMEDY}",
    ):
        load(pets)


def test_a_damaged_picture_is_named(four, pets, refused):
    content = (pets / "dog/b.png").read_bytes()
    deep = Image.fromarray(np.zeros((4, 6), np.uint16))
    for damaged, text in (
        (content[:60], "a picture, got one that cannot be read: is it whole?"),
        (
            b"GIF",
            "a picture in PNG, JPEG, BMP, GIF, WEBP, got a damaged file, or another format: save it in one of these",
        ),
    ):
        (pets / "dog/b.png").write_bytes(damaged)
        with refused(InputError, f"dog/b.png expects {text}"):
            load(pets)
    deep.save(pets / "dog/b.png")
    with refused(
        InputError, "dog/b.png expects a picture of 8 bits a channel, got mode I;16: save it with 8 bits a channel"
    ):
        load(pets)


def test_memory_is_checked_before_it_is_taken(four, pets, refused, monkeypatch):
    size = sum((pets / name).stat().st_size for name in four)
    monkeypatch.setattr("jaxmlp.data.limits.memory_bytes", lambda: 2**20)
    monkeypatch.setattr(np, "empty", None)  # nothing is allocated
    with refused(
        InputError,
        f"pets expects at most 1,048,576 bytes in memory from {size:,} bytes on the disk, got 1,920,000 bytes for "
        f"4 pictures of 400x400x3: resize them: {REMEDY}",
    ):
        load(pets, image_size=400)


def test_too_many_pixels_are_refused_in_every_thread(four, pets, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    with pytest.raises(InputError, match=r"^cat/10\.png expects no more pixels than Pillow decodes"):
        load(pets)


@pytest.mark.skipif(os.name != "posix", reason="links and pipes")
def test_links_lead_to_files_and_never_round(four, pets, tmp_path, refused):
    (pets / "cat" / "3.png").symlink_to(pets / "dog" / "b.png")
    assert len(load(pets, test_fraction=0).train.rows) == 5
    (pets / "more").symlink_to(".")
    with pytest.raises(InputError, match="the class more expects pictures, "):
        load(pets)
    (pets / "more").unlink()
    (pets / "train").symlink_to(".")
    with pytest.raises(InputError, match="the class train/train expects pictures, and no folders, got the folder cat:"):
        load(pets)
    (pets / "train").unlink()
    special = pets / "cat" / "0.png"
    for make, kind in (
        (lambda: os.mkfifo(special), "a regular file, got a pipe"),
        (lambda: special.symlink_to("/dev/zero"), "a regular file, got a device"),
        (lambda: special.symlink_to("nowhere.png"), "a file that can be read, got No such file or directory"),
        (lambda: special.symlink_to("0.png"), "a file that can be read, got Too many levels of symbolic links"),
        (special.mkdir, "a regular file, got a folder"),
    ):
        make()
        with pytest.raises(InputError, match=f"^reading cat/0.png expects {kind}"):
            load(pets)
        special.rmdir() if special.is_dir() else special.unlink()


def test_sources_without_pictures_take_no_size(tmp_path, refused):
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 2)), y=[0, 1])
    (tmp_path / "a.csv").write_text("a,y\n1,0\n2,1\n")
    for source, name in (("moons", "moons"), (tmp_path / "a.npz", "a.npz"), (tmp_path / "a.csv", "a.csv"),
                         ({"a": [1, 2], "y": [0, 1]}, "table")):  # fmt: skip
        with refused(
            InputError,
            f"source {name!r} expects no image_size, which is for a folder of pictures, got 64: leave it out",
        ):
            load(source, image_size=64)


def test_runs_within_the_folder_are_no_classes(four, pets):
    expected = load(pets, test_fraction=0)
    for run in ("runs/pets", "run1"):
        (pets / run).mkdir(parents=True)
        (pets / run / "run.json").touch()
        (pets / run / "curves.png").touch()
    same(load(pets, test_fraction=0), expected)
    assert load(pets).notes == ()


def test_files_of_arrays_beside_the_classes_are_told(four, pets):
    (pets / "model.h5").touch()
    with pytest.raises(InputError, match="got such files beside folders of pictures, such as cat: move the files"):
        load(pets)


def test_two_classes_of_one_name_are_refused(save, pets):
    save("caf\u00e9/1.png")
    save("cafe\u0301/1.png")  # as macOS writes it
    if len(list(pets.iterdir())) == 2:  # some file systems know them as one
        with pytest.raises(InputError, match="class folders of different names, got two called 'café'"):
            load(pets)


def test_a_class_like_a_part_is_noted(save, pets):
    for name in ("cat", "dog", "test"):
        save(f"{name}/1.png")
        save(f"{name}/2.png")
    data = load(pets, test_fraction=0)
    assert data.classes == ("cat", "dog", "test")
    assert data.notes == ("used as classes, although their names are those of parts: test",)


def test_an_empty_part_is_to_be_removed(save, pets):
    save("train/cat/1.png")
    save("train/dog/1.png")
    (pets / "test").mkdir()
    with pytest.raises(InputError, match="got an empty folder: remove it"):
        load(pets)


def test_few_pictures_are_decoded_ahead_of_a_slow_one(monkeypatch):
    submitted = []

    class Pool:
        def submit(self, function, path, name, shape):
            submitted.append(name)
            future = module.Future()
            future.set_result(np.zeros((1, 1), np.uint8))
            return future

    names = [str(i) for i in range(100)]
    images = module._decode(Pool(), names, names, PictureShape(None))  # pyright: ignore[reportArgumentType]
    next(images)
    assert len(submitted) == module.MAX_AHEAD + 1
    assert len(list(images)) == 99


def test_reading_leaves_no_filter_of_warnings(four, pets):
    filters = list(warnings.filters)
    load(pets)
    assert list(warnings.filters) == filters


def test_grey_and_coloured_pictures_together_are_within_the_limit(save, pets, monkeypatch):
    save("a/1.png", np.zeros((4, 6), np.uint8))
    save("b/1.png")
    sizes = []
    monkeypatch.setattr(module, "check_total_bytes", lambda where, size, *rest: sizes.append(size))
    load(pets, test_fraction=0)
    assert sizes == [2 * 24, 2 * 24 + 2 * 72]
