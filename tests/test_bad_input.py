"""A catalogue of bad input: files of every format that are damaged, endless, too large or not what they say.

Each case ends in one sentence of ours, that names the file and is short and printable, leaves no file behind, and takes
less than a few seconds. A fault that was found once gets a row here and stays one.
"""

import gzip
import io
import os
import re
import struct
import time
import zipfile

import h5py
import numpy as np
import pytest

import jaxmlp
from jaxmlp.data.load import load_rows
from jaxmlp.data.rows import Columns
from jaxmlp.errors import InputError
from jaxmlp.inference.model import Model

MAX_LETTERS, MAX_SECONDS = 700, 5
SENTENCE = re.compile(r".+( expects .+, got .+: .+|: did you mean .+)", re.DOTALL)
ESCAPE = "\x1b[31mred\x07"
HUGE = 10**15
TABLE = b"a,b,c\n" + b"".join(b"%d,%d,%d\n" % (i, i * i % 7, i % 2) for i in range(12))


def array_file(write, *arrays, **named):
    stream = io.BytesIO()
    write(stream, *arrays, **named)
    return stream.getvalue()


def hdf5(fill):
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        fill(file)
    return stream.getvalue()


def npy(descr, shape, content=b""):
    head = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    head += b" " * (-(len(head) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(head)) + head + content


def npz(compression=zipfile.ZIP_STORED, **members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("_", "."), content)
    return stream.getvalue()


def picture(form):
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype("u1")
    return array_file(Image.fromarray(pixels).save, format=form)


def rows_and(labels):
    return lambda file: fill(file, X=np.zeros((4, 2)), y=labels)


def fill(file, **arrays):
    for name, array in arrays.items():
        file[name] = array


IDX = struct.pack(">HBBIII", 0, 8, 3, 20, 5, 5) + bytes(500)
WHOLE = {
    "a.h5": hdf5(lambda file: fill(file, X=np.random.default_rng(0).normal(size=(300, 4)), y=np.arange(300) % 2)),
    "a.npz": array_file(np.savez, X=np.zeros((40, 3)), y=np.arange(40) % 2),
    "a.csv.gz": gzip.compress(TABLE * 50),
    "idx/train-images-idx3-ubyte": IDX,
    "idx/train-images-idx3-ubyte.gz": gzip.compress(IDX),
}
DAMAGE = {
    "empty": lambda content: b"",
    "a letter": lambda content: b"x",
    "a text": lambda content: b"hello, world\n" * 30,
    "zeros": lambda content: bytes(1000),
    "its first half": lambda content: content[: len(content) // 2],
    "its last half": lambda content: content[len(content) // 2 :],
    "its head": lambda content: content[:10],
    "noise": lambda content: np.random.default_rng(1).bytes(700),
}
USES = {
    "load": jaxmlp.load,
    "stream": lambda path: jaxmlp.stream(path, memory=2**20),
    "load_rows": lambda path: load_rows(path, 48, Columns(image_shape=(4, 4, 3))),
    "load_model": jaxmlp.load_model,
}
OF_FORMAT = {"a.h5": USES, "a.npz": ("load", "load_rows"), "a.csv.gz": ("load", "load_rows")}


def damaged_files():
    for name, content in WHOLE.items():
        for use in OF_FORMAT.get(name, ("load",)):
            for damage, change in DAMAGE.items():
                yield pytest.param(name, change(content), use, "", id=f"{use}-{name}-{damage}")
    for form, suffix in {"PNG": "png", "JPEG": "jpg", "GIF": "gif", "BMP": "bmp", "WEBP": "webp"}.items():
        for damage in ("empty", "a text", "zeros", "its first half", "its head", "noise"):
            yield pytest.param(
                f"a.{suffix}", (form, DAMAGE[damage]), "load_rows", "picture", id=f"load_rows-{form}-{damage}"
            )


def contents():
    """Whole files of contents that nobody meant."""

    def shape(name, size, dtype="f4", chunks=(1000, 3)):
        return lambda f: (
            f.create_dataset(name, size, dtype=dtype, chunks=chunks),
            fill(f, **{"y" if name == "X" else "X": np.arange(2)}),
        )

    both = "train_set_x and train_set_y"
    of_hdf5 = {
        "no arrays": (lambda f: None, both),
        "a group": (lambda f: f.create_group("X"), both),
        "other names": (lambda f: fill(f, a=np.zeros(3), b=np.zeros(3)), "got a, b"),
        "a name with escapes": (lambda f: fill(f, **{ESCAPE: np.zeros(3)}), r"\x1b[31mred\x07"),
        "labels that are one text": (rows_and("text"), "labels of shape"),
        "labels that are no UTF-8": (rows_and(np.array([b"\xff"] * 4)), "UTF-8"),
        "labels that are absent": (rows_and(h5py.Empty("f8")), "an empty data set"),
        "too few labels": (rows_and(np.arange(3)), ""),
        "complex labels": (rows_and(np.zeros(4, complex)), "dtype complex"),
        "rows that are one number": (lambda f: fill(f, X=3.0, y=np.arange(4)), "one example per row"),
        "rows that are text": (lambda f: fill(f, X=np.array([[b"a"]] * 4), y=np.arange(4)), "real numbers"),
        "rows without an end": (shape("X", (HUGE, 3)), "one that"),
        "labels without an end": (shape("y", (HUGE, 1), "u1", (1024, 1)), "of at most"),
        "3 GB of nothing": (shape("X", (10**9, 3), "u1"), "3,000,000,000 bytes"),
        "one chunk of 8 TB": (shape("X", (10**6, 10**6), "f8", (10**4, 10**4)), "bytes"),
        "a link to itself": (lambda f: fill(f, X=h5py.SoftLink("/X"), y=np.arange(2)), ""),
        "not a number": (lambda f: fill(f, X=np.full((4, 2), np.nan), y=np.arange(4) % 2), "finite"),
    }
    for name, (put, text) in of_hdf5.items():
        if name == "rows without an end":
            text = "of at most"
        yield pytest.param("a.h5", hdf5(put), "load", text, id=f"hdf5-{name}")
    good = npy("'<f8'", (8, 3), bytes(192))
    of_npz = {
        "no arrays": (npz(), both),
        "raw bytes": (npz(X=b"hello", y=b"there"), "np.savez"),
        "a shape without an end": (npz(X_npy=npy("'<f8'", (HUGE, 3)), y_npy=npy("'<i8'", (8,), bytes(64))), "header"),
        "a negative shape": (npz(X_npy=npy("'<f8'", (-8, 3)), y_npy=b""), ""),
        "a header unclosed": (npz(X_npy=npy("'<f8'" + "(" * 50, (8, 3)), y_npy=b""), "np.savez"),
        "a header of code": (npz(X_npy=npy("__import__('os')", (8, 3)), y_npy=b""), "np.savez"),
        "text beyond Unicode": (npz(X_npy=good, y_npy=npy("'<U1'", (8,), b"\xff" * 32)), "no text"),
        **{
            f"half a surrogate pair {code:x}": (
                npz(X_npy=good, y_npy=npy("'<U1'", (8,), struct.pack("<8I", *[97, code] * 4))),
                "no text",
            )
            for code in (0xD800, 0xDFFF, 0x110000)
        },
        "pickled objects": (
            array_file(np.savez, X=np.zeros((4, 2)), y=np.array([None] * 4, object)),
            "pickled objects",
        ),
        "two pairs": (array_file(np.savez, X=np.zeros((4, 2)), y=np.arange(4), labels=np.arange(4)), "keep one pair"),
        "names with escapes": (array_file(np.savez, **{"\x1b[2J": np.zeros(2)}), r"\x1b[2J"),
        "a bomb": (npz(8, X_npy=npy("'|u1'", (3 * 10**8, 1), bytes(3 * 10**8)), y_npy=good), "at most"),
    }
    for name, (content, text) in of_npz.items():
        yield pytest.param("a.npz", content, "load", text, id=f"npz-{name}")
    of_csv = {
        "empty": (b"", "at least one row"),
        "blank lines": (b"\n\n\n", "at least one row"),
        "a header alone": (b"a,b,c\n", "only a header"),
        "NUL": (TABLE.replace(b"a,b", b"a\0,b"), "binary data"),
        "rows of unequal length": (TABLE + b"1,2\n" * 3, "rows of equal length"),
        "a name twice": (TABLE.replace(b"a,b", b"a,a"), "'a' twice"),
        "a cell of 100 kB": (TABLE.replace(b"3,2", b"x" * 100_000 + b",2"), "a number"),
        "a quote that stays open": (TABLE + b'"1,2,3\n' * 3, ""),
        "a number beyond all": (TABLE.replace(b"3,2", b"9" * 400 + b",2"), "finite"),
        "50,001 columns": (b"\n".join([b",".join(b"%d" % i for i in range(50_001))] * 3), "50,000 columns"),
        "escapes": (b"\x1b[31ma,b,c\n1,2,3\n1,2,x\n1,2,y\n", ""),
        "one class": (b"a,b\n" + b"1,0\n2,0\n3,0\n4,0\n", "2 classes"),
    }
    for name, (content, text) in of_csv.items():
        yield pytest.param("a.csv", content, "load", text, id=f"csv-{name}")
    for name, packed in {
        "a bomb": gzip.compress(bytes(10**7)) * 40,
        "a bomb of numbers": gzip.compress(b"1,2\n" * 2**20) * 5,
        "a bomb of words": gzip.compress(b"x,p\nz,q\n" * 2**19) * 5,  # cells take many times their text
    }.items():
        yield pytest.param("a.csv.gz", packed, "load", "at most", id=f"csv-{name}")
    bomb = gzip.compress(struct.pack(">HBBIII", 0, 8, 3, 20, 5, 5)) + gzip.compress(bytes(10**7)) * 40
    for name, content in {
        "another magic number": b"\1" + IDX[1:],
        "a size too large": IDX[:4] + b"\xff" * 12 + IDX[16:],
        "a size of zero": IDX[:4] + bytes(12),
        "another rank": IDX[:3] + b"\7" + IDX[4:],
    }.items():
        yield pytest.param("idx/train-images-idx3-ubyte", content, "load", "", id=f"idx-{name}")
    yield pytest.param("idx/train-images-idx3-ubyte.gz", bomb, "load", "at most", id="idx-a bomb")


def put(folder, name, content):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    if isinstance(content, tuple):
        content = content[1](picture(content[0]))
    path.write_bytes(content)
    if name.startswith("idx/"):
        (path.parent / "train-labels-idx1-ubyte").write_bytes(struct.pack(">HBBI", 0, 8, 1, 20) + bytes(20))
        return path.parent
    return path


def listing(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def check_sentence(text, fragment):
    assert SENTENCE.fullmatch(text), text
    assert fragment in text
    assert len(text) <= MAX_LETTERS
    assert all(letter.isprintable() for letter in text), repr(text)


def refused(call, *arguments, fragment=""):
    started = time.process_time()  # not the wall: other processes may take their share of the machine
    with pytest.raises(InputError) as caught:
        call(*arguments)
    check_sentence(str(caught.value), fragment)
    assert time.process_time() - started < MAX_SECONDS


@pytest.mark.parametrize(("name", "content", "use", "fragment"), [*damaged_files(), *contents()])
def test_a_file_is_refused_in_a_sentence(name, content, use, fragment, tmp_path):
    if isinstance(content, tuple):
        pytest.importorskip("PIL")
    path = put(tmp_path, name, content)
    before = listing(tmp_path)
    refused(USES[use], path, fragment=fragment)
    assert listing(tmp_path) == before


SPECIAL = {
    "a pipe": lambda path: os.mkfifo(path),
    "/dev/zero": lambda path: path.symlink_to("/dev/zero"),
    "a broken link": lambda path: path.symlink_to("nowhere"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a folder": lambda path: path.mkdir(),
    "1 TB of holes": lambda path: (path.touch(), os.truncate(path, 10**12)),
}
NAMES = ("x" * 5000, "~nosuchuser/x", "a\0b", "http://example.org/x")


@pytest.mark.skipif(os.name != "posix", reason="pipes and devices in folders")
@pytest.mark.parametrize("special", SPECIAL)
@pytest.mark.parametrize(
    ("suffix", "use"),
    [(s, u) for s in (".h5", ".npz", ".csv") for u in ("load", "load_rows")]
    + [(".h5", "stream"), (".h5", "load_model"), (".png", "load_rows")],
)
def test_what_is_no_file_of_data_is_refused(special, suffix, use, tmp_path):
    path = tmp_path / f"a{suffix}"
    SPECIAL[special](path)
    refused(USES[use], path)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("use", USES)
def test_names_that_no_file_has(name, use):
    refused(USES[use], name + ".h5")


# --- models -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole_model(tmp_path_factory):
    data = jaxmlp.Dataset.from_arrays(np.random.default_rng(0).normal(size=(24, 3)), np.arange(24) % 3)
    net = jaxmlp.Network((3, 4, 3), "relu", "softmax")
    layer = [{"W": np.ones(shape, np.float32), "b": np.zeros((shape[0], 1), np.float32)} for shape in ((4, 3), (3, 4))]
    path = tmp_path_factory.mktemp("model") / "m.h5"
    Model.of(net, tuple(layer), data).save(path)  # pyright: ignore[reportArgumentType]
    return path.read_bytes()


def replace(name, *arguments, **options):
    def change(file):
        attributes = dict(file[name].attrs) if name in file else {}
        file.pop(name, None)
        file.create_dataset(name, *arguments, **options)
        file[name].attrs.update(attributes)

    return change


def attribute(name, value, place="/"):
    return lambda file: file[place].attrs.__setitem__(name, value)


MODELS = {
    "another format": (attribute("format", "x" * 60_000), "a jaxmlp model"),
    "a format of bytes": (attribute("format", np.array([1, 2])), "a jaxmlp model"),
    "version 99": (attribute("format_version", 99), "upgrade jaxmlp"),
    "version inf": (attribute("format_version", np.inf), "damaged"),
    "a version with escapes": (
        lambda file: file.attrs.update({"format_version": 99, "jaxmlp_version": ESCAPE}),
        r"\x1b[31mred",
    ),
    "no task": (lambda file: file.attrs.__delitem__("task"), "damaged"),
    "a task of two": (attribute("task", np.array([1, 2])), "damaged"),
    "an unknown task": (attribute("task", "guess"), "task expects"),
    "an unknown cost": (attribute("cost", "guess"), "cost"),
    "a dtype of rows": (attribute("row_dtype", np.array([1, 2])), "damaged"),
    "an unknown dtype of rows": (attribute("row_dtype", "guess"), "damaged"),
    "images of -4": (attribute("image_shape", np.array([-4, -4, 3])), "image_shape"),
    "images of another size": (attribute("image_shape", np.array([28, 28])), "image_shape"),
    "a range of text": (attribute("row_range", "ab"), "damaged"),
    "sizes of text": (attribute("sizes", "3-4-3", "network"), "sizes expects"),
    "sizes below one": (attribute("sizes", [3, -4, 3], "network"), ""),
    "other sizes": (attribute("sizes", [3, 5, 3], "network"), "layer 1"),
    "an unknown activation": (attribute("output", ESCAPE, "network"), "an activation"),
    "no network": (lambda file: file.__delitem__("network"), "damaged"),
    "a network that leads to itself": (
        lambda file: (file.__delitem__("network"), file.__setitem__("network", h5py.SoftLink("/network"))),
        "damaged",
    ),
    "no layer": (lambda file: file.__delitem__("params/2"), "damaged"),
    "no bias": (lambda file: file.__delitem__("params/1/b"), "layer 1"),
    "weights without an end": (replace("params/1/W", (HUGE, 2), dtype="c16", chunks=(1024, 2)), "damaged"),
    "weights of text": (replace("params/1/W", data=np.array([[b"a"] * 3] * 4)), "damaged"),
    "weights of whole numbers": (replace("params/1/W", data=np.ones((4, 3), int)), "damaged"),
    "infinite weights": (replace("params/1/W", data=np.full((4, 3), np.inf, "f4")), "its checksum"),
    "weights of another dtype": (attribute("dtype", "object", "params/1/W"), "damaged"),
    "scales without an end": (replace("preprocessing/scale", (HUGE,), dtype="u1", chunks=(1024,)), "damaged"),
    "scales of another width": (replace("preprocessing/scale", data=np.ones(7)), ""),
    "scales of targets": (replace("target_preprocessing/scale", data=np.ones(7)), "damaged"),
    "classes that are one": (replace("classes", data="text"), "damaged"),
    "too few classes": (replace("classes", data=np.arange(2)), "classes"),
    "one feature name": (replace("feature_names", data=np.array(["a"], object), dtype=h5py.string_dtype()), "damaged"),
}


@pytest.mark.parametrize("change", MODELS)
def test_a_model_that_was_changed_is_refused(change, whole_model, tmp_path):
    path = tmp_path / "m.h5"
    path.write_bytes(whole_model)
    with h5py.File(path, "r+") as file:
        MODELS[change][0](file)
    refused(jaxmlp.load_model, path, fragment=MODELS[change][1])


@pytest.mark.parametrize("part", ["weights", "anywhere"])
def test_no_flipped_bit_of_a_model_loads_as_another(part, whole_model, tmp_path):
    path, rng = tmp_path / "m.h5", np.random.default_rng(0)
    first = whole_model.find(np.ones((4, 3), np.float32).tobytes())
    places = range(first, first + 48) if part == "weights" else rng.integers(0, len(whole_model) - 48, 100)
    for place in places:
        content = bytearray(whole_model)
        content[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(content)
        refused(jaxmlp.load_model, path, fragment="its checksum is that of another content")


def test_a_model_without_a_checksum_loads(whole_model, tmp_path):
    path = tmp_path / "m.h5"
    path.write_bytes(whole_model[:-48])  # as earlier releases wrote it
    assert jaxmlp.load_model(path).net.sizes == (3, 4, 3)


def test_the_cells_of_a_bomb_are_not_read(tmp_path, monkeypatch):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"x,p\nz,q\n" * 2**19) * 5)
    monkeypatch.setattr("jaxmlp.data.readers.csv.find_format", None)
    with pytest.raises(InputError, match="bytes for what is unpacked so far"):
        jaxmlp.load(path)
