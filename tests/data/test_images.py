"""One picture, one row."""

import sys

import jax
import numpy as np
import pytest

import jaxmlp
from jaxmlp.cli.predict import read_rows
from jaxmlp.data.dataset import Dataset
from jaxmlp.data.load import load_rows
from jaxmlp.data.rows import Columns
from jaxmlp.errors import InputError
from jaxmlp.inference.model import Model
from jaxmlp.tabular.options import TableOptions

Image = pytest.importorskip("PIL.Image")

COLOURS = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)


@pytest.fixture
def picture(tmp_path):
    """Save a picture and return its path."""

    def save(image, name="cat.png", **options):
        image = image if isinstance(image, Image.Image) else Image.fromarray(image)
        image.save(tmp_path / name, **options)
        return tmp_path / name

    return save


@pytest.mark.parametrize("name", ["cat.png", "cat.BMP"])
def test_lossless_pictures_of_the_right_size_are_their_bytes(picture, name):
    rows = load_rows(picture(COLOURS, name), 72, Columns(image_shape=(4, 6, 3)))
    assert (rows.shape, rows.dtype) == ((1, 72), np.uint8)
    np.testing.assert_array_equal(rows[0], COLOURS.ravel())


@pytest.mark.parametrize("name", ["cat.jpg", "cat.jpeg", "cat.gif", "cat.webp"])
def test_other_formats_come_close(picture, name):
    smooth = np.full((8, 8, 3), [200, 120, 40], np.uint8)
    rows = load_rows(picture(smooth, name), 192, Columns(image_shape=(8, 8, 3)))
    np.testing.assert_allclose(rows[0], smooth.ravel(), atol=3)


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 1)])
def test_grey_models_get_grey(picture, shape):
    rows = load_rows(picture(COLOURS), 24, Columns(image_shape=shape))
    luma = COLOURS @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(rows[0], luma.ravel(), atol=1)


def test_grey_pictures_become_colour(picture):
    grey = COLOURS[:, :, 0]
    np.testing.assert_array_equal(load_rows(picture(grey), 72, Columns(image_shape=(4, 6, 3)))[0], np.repeat(grey, 3))


def test_resizing_to_height_and_width(picture):
    image = np.zeros((40, 20), np.uint8)
    image[:20] = 255  # the upper half is white
    rows = load_rows(picture(image), 32, Columns(image_shape=(8, 4))).reshape(8, 4)
    np.testing.assert_array_equal(rows[:3], 255)
    np.testing.assert_array_equal(rows[5:], 0)


def test_a_folder_of_pictures_is_a_row_for_each_in_the_order_of_their_names(picture, tmp_path):
    for name, image in (("b.png", COLOURS[::-1]), ("a.png", COLOURS), ("c.bmp", COLOURS[:, ::-1])):
        picture(image, name)
    (tmp_path / "notes.txt").touch()
    (tmp_path / "._a.png").write_bytes(b"what macOS writes beside a picture")
    rows = load_rows(tmp_path, 72, Columns(image_shape=(4, 6, 3)))
    np.testing.assert_array_equal(rows.reshape(3, 4, 6, 3), [COLOURS, COLOURS[::-1], COLOURS[:, ::-1]])


def test_the_command_names_each_picture_of_a_folder(picture, tmp_path):
    data = Dataset.from_arrays(np.stack([COLOURS, COLOURS[::-1]]), [0, 1])
    net = jaxmlp.network_for(data, ())
    model = Model.of(net, jaxmlp.init(jax.random.key(0), net), data)
    for name in ("b.png", "a.png"):
        picture(COLOURS, name)
    rows, identifiers = read_rows(model, str(tmp_path), None, TableOptions())
    assert (rows.shape, identifiers) == ((2, 72), ("file", ["a.png", "b.png"]))
    assert read_rows(model, str(tmp_path / "a.png"), None, TableOptions())[1] is None


def test_rows_to_predict_are_the_pictures_of_one_folder(picture, tmp_path):
    for name in ("train/cats", "train/dogs"):
        (tmp_path / name).mkdir(parents=True)
        picture(COLOURS, f"{name}/1.png")
    for folder, name in ((tmp_path / "train", "cats"), (tmp_path, "train/cats")):
        with pytest.raises(InputError, match=f"give one folder of pictures, such as {name}"):
            load_rows(folder, 72, Columns(image_shape=(4, 6, 3)))


def test_transparency_becomes_white_unless_it_is_an_input(picture):
    clear = np.zeros((2, 2, 4), np.uint8)
    clear[0, 0] = [10, 20, 30, 255]
    path = picture(clear)
    rows = load_rows(path, 12, Columns(image_shape=(2, 2, 3))).reshape(4, 3)
    assert rows.tolist() == [[10, 20, 30], [255] * 3, [255] * 3, [255] * 3]
    np.testing.assert_array_equal(load_rows(path, 16, Columns(image_shape=(2, 2, 4)))[0], clear.ravel())


def test_the_camera_s_orientation_is_obeyed(picture):
    upright = np.zeros((16, 8, 3), np.uint8)
    upright[:8] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # stored turned left: turn a quarter right to view
    path = picture(np.rot90(upright).copy(), "cat.png", exif=exif)
    np.testing.assert_array_equal(load_rows(path, 384, Columns(image_shape=(16, 8, 3)))[0], upright.ravel())


def test_what_it_refuses(picture, refused, monkeypatch):
    path = picture(COLOURS)
    with refused(
        InputError,
        "this model expects rows of numbers, got the picture cat.png: "
        "only a model trained on images, or with an image_shape, takes pictures",
    ):
        load_rows(path, 72)
    with refused(
        InputError, "a picture expects a model of 1, 3 or 4 channels, got 2: give the rows as .npz, .h5 or .csv"
    ):
        load_rows(path, 48, Columns(image_shape=(4, 6, 2)))
    with refused(
        InputError,
        "cat.png expects rows with 10 columns, got 72: give rows like those that the model was trained on",
    ):
        load_rows(path, 10, Columns(image_shape=(4, 6, 3)))
    deep = picture(Image.fromarray(np.zeros((4, 6), np.uint16)), "deep.png")
    with refused(
        InputError, "deep.png expects a picture of 8 bits a channel, got mode I;16: save it with 8 bits a channel"
    ):
        load_rows(deep, 24, Columns(image_shape=(4, 6)))
    unreadable = "cat.png expects a picture, got one that cannot be read: is it whole?"
    other = (
        "cat.png expects a picture in PNG, JPEG, BMP, GIF, WEBP, got a damaged file, or another format: "
        "save it in one of these"
    )
    for broken, text in ((path.read_bytes()[:60], unreadable), (b"hello", other)):
        path.write_bytes(broken)
        with refused(InputError, text):
            load_rows(path, 72, Columns(image_shape=(4, 6, 3)))
    monkeypatch.setitem(sys.modules, "PIL", None)
    with refused(
        InputError,
        'reading a picture expects Pillow, got an installation without it: pip install "jaxmlp[all]"',
    ):
        load_rows(path, 72, Columns(image_shape=(4, 6, 3)))


def test_a_large_file_may_have_many_pixels(picture, monkeypatch):
    monkeypatch.setattr("jaxmlp.data.readers.images.SMALL_PIXELS", 1)
    assert load_rows(picture(COLOURS), 72, Columns(image_shape=(4, 6, 3))).shape == (1, 72)


def test_a_small_file_may_not_have_many_pixels(picture, monkeypatch, refused):
    monkeypatch.setattr("jaxmlp.data.readers.images.SMALL_PIXELS", 20)
    monkeypatch.setattr("jaxmlp.data.readers.images.RATIO", 0)
    with refused(InputError, "cat.png expects at most 20 pixels, got 24: make the picture smaller"):
        load_rows(picture(COLOURS), 72, Columns(image_shape=(4, 6, 3)))


def test_the_limit_of_pillow_may_be_off(picture, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert load_rows(picture(COLOURS), 72, Columns(image_shape=(4, 6, 3))).shape == (1, 72)


def test_a_decompression_bomb(picture, refused, monkeypatch):
    path = picture(COLOURS)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    with refused(InputError, "cat.png expects no more pixels than Pillow decodes, got more: make the picture smaller"):
        load_rows(path, 72, Columns(image_shape=(4, 6, 3)))
