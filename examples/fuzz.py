"""Mutate files of a format and read each: only an answer or one sentence of ours may come of it.

    python examples/fuzz.py READER [--runs 1000] [--seed 0] [--keep FOLDER]

READER is one of model, hdf5, stream, npz, idx, csv, parquet, picture, folder (of pictures), settings, or all. The
mutator knows the formats: it flips bits and cuts bytes, and it also changes what is inside of a container and packs it
again with the right checksums: cells of a table, values of JSON, members of an archive, attributes and arrays of HDF5.
The files are read in a process of their own, so that a crash or a hang is a fault of the file, and the next one is
tried. Prints the number of files that were read, refused and at fault; the files at fault are kept. The exit status is
1 if there are any.
"""

import argparse
import gzip
import io
import json
import os
import struct
import subprocess
import sys
import tempfile
import threading
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import numpy as np

from jaxmlp.data.readers.hdf5_checker import HDF5_ERRORS

MAX_SECONDS = 20  # of computing for one file; one that hangs is stopped after 6 times as long
MAX_LETTERS = 1500
ODD_BYTES = (b"\0", b"\xff", b"\x1b[31m", b"\xff" * 8, b"\0" * 8, struct.pack("<Q", 2**40), struct.pack(">I", 2**31))
ODD_CELLS = ("", "nan", "1e999", "-", '"', "\x1b[2J", "9" * 400, "0x10", "1,5", "é", "\0", "x" * 10_000, "1970-01-01")
ODD_VALUES = (None, True, -1, 1e308, "", "x" * 1000, [], {}, [[]], {"a": 1}, "\x1b[31m", 10**30, float("nan"))


# --- whole files ------------------------------------------------------------------------------------------------------


def whole_files(reader: str) -> list[bytes]:
    """Return the contents that are mutated."""
    rng = np.random.default_rng(0)
    if reader in ("hdf5", "stream"):
        return [_hdf5({"X": rng.normal(size=(30, 4)), "y": np.arange(30) % 2}), _hdf5_packed(rng)]
    if reader == "npz":
        arrays: dict[str, Any] = {"X": rng.normal(size=(20, 3)), "y": np.array(["a", "b"] * 10)}
        return [_bytes(np.savez, **arrays), _bytes(np.savez_compressed, **arrays)]
    if reader == "idx":
        content = struct.pack(">HBBIII", 0, 8, 3, 20, 5, 5) + rng.bytes(500)
        return [content, gzip.compress(content)]
    if reader == "csv":
        lines = [f"{i},{i * i % 7 / 3:.3f},{'ab'[i % 2]},2024-01-{i % 28 + 1:02d},{'xy'[i % 2]}" for i in range(40)]
        return ["\n".join(["id,value,kind,date,label", *lines]).encode(), "\n".join(lines).replace(",", ";").encode()]
    if reader == "parquet":
        return [_parquet(rng, compression) for compression in ("snappy", "none")]
    if reader in ("picture", "folder"):
        return [_picture(form) for form in ("PNG", "JPEG", "GIF", "BMP", "WEBP")]
    if reader == "settings":
        loading = {"target": "t", "test_fraction": 0.2, "seed": 1, "drop": ["a"], "roles": {"b": "number"}}
        facts = {"data": "xor", "loading": loading, "options": {"epochs": 2, "hidden": [3]}, "fingerprint": "0"}
        return [json.dumps({**facts, "finished": False, "result": {"cost": 0.1}}).encode()]
    return [_model()]


def _bytes(write: Callable[..., object], *arguments: Any, **options: Any) -> bytes:
    stream = io.BytesIO()
    write(stream, *arguments, **options)
    return stream.getvalue()


def _hdf5(arrays: dict[str, Any]) -> bytes:
    import h5py

    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return stream.getvalue()


def _hdf5_packed(rng: np.random.Generator) -> bytes:
    import h5py

    stream = io.BytesIO()
    with h5py.File(stream, "w", libver="latest") as file:
        pixels = rng.integers(0, 256, (40, 4, 4, 3)).astype("u1")
        file.create_dataset("train_set_x", data=pixels, chunks=(8, 4, 4, 3), compression="gzip", shuffle=True)
        file.create_dataset("train_set_y", data=np.arange(40) % 2, maxshape=(None,), chunks=(10,))
        file["list_classes"] = np.array([b"cat", b"dog"])
    return stream.getvalue()


def _parquet(rng: np.random.Generator, compression: str) -> bytes:
    import pandas

    dates = pandas.date_range("2024-01-30", periods=30)
    frame = pandas.DataFrame({"a": rng.normal(size=30), "kind": list("uvw" * 10), "day": dates, "y": [0, 1] * 15})
    return _bytes(frame.to_parquet, compression=compression)


def _picture(form: str) -> bytes:
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (12, 12, 3)).astype("u1")
    return _bytes(Image.fromarray(pixels).save, format=form)


def _model() -> bytes:
    import jaxmlp

    data = jaxmlp.Dataset.from_arrays(np.random.default_rng(0).normal(size=(24, 3)), np.array(["a", "b", "c"] * 8))
    net = jaxmlp.network_for(data, hidden=(4,))
    layers = tuple(
        {"W": np.ones((n, m), np.float32), "b": np.zeros((n, 1), np.float32)}
        for m, n in zip(net.sizes, net.sizes[1:], strict=False)
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.h5"
        jaxmlp.Model.of(net, layers, data).save(path)  # pyright: ignore[reportArgumentType]
        return path.read_bytes()


# --- mutations --------------------------------------------------------------------------------------------------------


def mutate(reader: str, content: bytes, rng: np.random.Generator) -> bytes:
    """Return a changed file: by its structure, by its bytes, or by both."""
    if reader == "model":
        from jaxmlp.data.checksum import seal, unseal

        body = unseal(content)[0]
        body = _mutate_hdf5(body, rng) if rng.random() < 0.5 else _mutate_bytes(body, rng)
        return [body, seal(body), _mutate_bytes(content, rng)][rng.integers(3)]
    inside = {
        "hdf5": _mutate_hdf5,
        "stream": _mutate_hdf5,
        "npz": _mutate_archive,
        "idx": _mutate_gzip,
        "csv": _mutate_table,
        "settings": _mutate_json,
    }.get(reader)
    if inside is not None and rng.random() < 0.5:
        return inside(content, rng)
    return _mutate_bytes(content, rng)


def _mutate_bytes(content: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        place, length = int(rng.integers(max(1, len(changed)))), int(rng.geometric(0.1))
        match rng.integers(6):
            case 0 if changed:
                changed[place] ^= 1 << int(rng.integers(8))
            case 1:
                odd = ODD_BYTES[rng.integers(len(ODD_BYTES))]
                changed[place : place + len(odd)] = odd
            case 2:
                del changed[place : place + length]
            case 3:
                changed[place:place] = changed[place : place + length]
            case 4 if rng.random() < 0.3:
                del changed[place:]
            case _:
                changed[place : place + length] = rng.bytes(length)
    return bytes(changed)


def _mutate_hdf5(content: bytes, rng: np.random.Generator) -> bytes:
    """Replace arrays and attributes by others, through HDF5 itself."""
    import h5py

    stream = io.BytesIO(content)
    try:
        with h5py.File(stream, "r+") as file:
            names: list[str] = []
            file.visit(names.append)
            for _ in range(rng.integers(1, 4)):
                _change_part(file, names[rng.integers(len(names))], rng)
    except HDF5_ERRORS:  # what h5py cannot do to the file is no mutation
        return _mutate_bytes(content, rng)
    return stream.getvalue()


def _change_part(file: Any, name: str, rng: np.random.Generator) -> None:
    import h5py

    values: tuple[Any, ...] = (7, "text", b"\xff", np.zeros(0), np.arange(5), np.full((3, 2), np.nan), h5py.Empty("f4"))
    values += (np.zeros((2, 2), complex), np.array([b"a", b"b"]), np.float64("inf"), ["\x1b[31m"] * 3, -1)
    value = values[rng.integers(len(values))]
    place = file[name] if rng.random() < 0.7 else file
    match rng.integers(5):
        case 0 | 1 if len(place.attrs):
            place.attrs[list(place.attrs)[rng.integers(len(place.attrs))]] = value
        case 2:
            del file[name]
            file.create_dataset(name, shape=(10**12, 3), dtype="f4", chunks=(100, 3))
        case 3:
            del file[name]
            file[name] = h5py.SoftLink("/" + name)
        case _:
            attributes = dict(file[name].attrs)
            del file[name]
            file[name] = value
            file[name].attrs.update(attributes)


def _mutate_archive(content: bytes, rng: np.random.Generator) -> bytes:
    """Change a member and pack the archive again, with the right checksums."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    stream, chosen = io.BytesIO(), list(members)[rng.integers(len(members))]
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, member in members.items():
            archive.writestr(name, _mutate_bytes(member, rng) if name == chosen else member)
    return stream.getvalue()


def _mutate_gzip(content: bytes, rng: np.random.Generator) -> bytes:
    is_packed = content[:2] == b"\x1f\x8b"
    changed = _mutate_bytes(gzip.decompress(content) if is_packed else content, rng)
    return gzip.compress(changed) if is_packed else changed


def _mutate_table(content: bytes, rng: np.random.Generator) -> bytes:
    separator = ";" if b";" in content else ","
    rows = [line.split(separator) for line in content.decode().split("\n")]
    for _ in range(rng.integers(1, 6)):
        row = rows[rng.integers(len(rows))]
        row[rng.integers(len(row))] = ODD_CELLS[rng.integers(len(ODD_CELLS))]
    return "\n".join(map(separator.join, rows)).encode(["utf-8", "utf-16", "latin-1"][rng.integers(3)], "replace")


def _mutate_json(content: bytes, rng: np.random.Generator) -> bytes:
    facts = json.loads(content)
    place = facts
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = keys[rng.integers(len(keys))]
        if isinstance(place[key], dict | list) and place[key] and rng.random() < 0.7:
            place = place[key]
            continue
        place[key] = ODD_VALUES[rng.integers(len(ODD_VALUES))]
        if isinstance(place, dict) and rng.random() < 0.2:
            del place[key]
        return json.dumps(facts).encode()


# --- reading ----------------------------------------------------------------------------------------------------------


def read(reader: str, folder: Path, content: bytes) -> object:
    """Write the content as a file of the format, and read it as a user would."""
    import jaxmlp
    from jaxmlp.cli.run_settings import read_settings
    from jaxmlp.data.load import load_rows
    from jaxmlp.data.rows import Columns

    is_packed = content[:2] == b"\x1f\x8b"
    names = {"model": "m.h5", "hdf5": "a.h5", "stream": "a.h5", "npz": "a.npz", "csv": "a.csv", "settings": "run.json"}
    names |= {"parquet": "a.parquet", "folder": "cat/1.png"}
    name = names.get(reader, "train-images-idx3-ubyte" + ".gz" * is_packed if reader == "idx" else "a.png")
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    try:
        match reader:
            case "model":
                return jaxmlp.load_model(path).predict(np.zeros((2, 3)))
            case "stream":
                return jaxmlp.stream(path, memory=2**20).rows.read_all()
            case "settings":
                return read_settings(str(folder))
            case "picture":
                return load_rows(path, 48, Columns(image_shape=(4, 4, 3)))
            case "folder":
                (folder / "dog").mkdir(exist_ok=True)
                (folder / "dog" / "2.png").write_bytes(_picture("PNG"))
                return jaxmlp.load(folder, image_size=8, test_fraction=0)
            case "idx":
                labels = folder / "train-labels-idx1-ubyte"
                labels.write_bytes(struct.pack(">HBBI", 0, 8, 1, 20) + bytes(i % 4 for i in range(20)))
                return jaxmlp.load(folder)
            case _:
                return jaxmlp.load(path)
    finally:
        path.unlink()


def verdict(reader: str, folder: Path, content: bytes) -> str:
    """Return "read", "refused", or a description of what failed."""
    from jaxmlp.errors import CONTROL, InputError

    started = time.process_time()
    try:
        read(reader, folder, content)
        answer = "read"
    except InputError as error:
        text = str(error)
        if len(text) > MAX_LETTERS or "\n" in text or not CONTROL.keys().isdisjoint(map(ord, text)):
            return f"a message of {len(text)} characters, too long, in several lines or not printable: {text[:100]!r}"
        answer = "refused"
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:150]!r}"
    seconds = time.process_time() - started
    return answer if seconds < MAX_SECONDS else f"{seconds:.0f} seconds"


def file_of_run(reader: str, seed: int, run: int, whole: list[bytes]) -> bytes:
    """Return the file of a run, the same every time."""
    rng = np.random.default_rng([seed, run])
    return mutate(reader, whole[rng.integers(len(whole))], rng)


def work(reader: str, seed: int, first: int, last: int) -> None:
    """Print the number of each file before it is read, because it may end this process, and the verdict after it."""
    warnings.simplefilter("ignore")
    # a third of the models are forged: changed, and given the right checksum. README recommends this setting for them
    os.environ["JAXMLP_CHECK_HDF5"] = "always"
    whole = whole_files(reader)
    with open(os.devnull, "w") as nowhere, redirect_stderr(nowhere), tempfile.TemporaryDirectory() as folder:
        for run in range(first, last):
            print(run, flush=True)
            print(verdict(reader, Path(folder), file_of_run(reader, seed, run, whole)), flush=True)


def runs(reader: str, seed: int, n: int) -> Iterator[tuple[int, str]]:
    """Yield the number and the verdict of each file; after a crash or a hang a new process continues with the next."""
    run = 0
    while run < n:
        command = [sys.executable, __file__, reader, "--seed", str(seed), "--worker", str(run), str(n)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        while line := process.stdout.readline():
            run = int(line)
            alarm = threading.Timer(6 * MAX_SECONDS, process.kill)
            alarm.start()
            answer = process.stdout.readline().strip()
            alarm.cancel()
            if not answer:
                break
            yield run, answer
            run += 1
        else:
            if process.wait() == 0:
                return
            raise SystemExit(f"the process of reader {reader} ended with {process.returncode} between two files")
        yield run, f"the process ended or hung, with {process.wait()}"
        run += 1


def main() -> int:
    """Run the command line."""
    readers = ("model", "hdf5", "stream", "npz", "idx", "csv", "parquet", "picture", "folder", "settings")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reader", choices=[*readers, "all"])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-faults"), help="folder for the files at fault")
    parser.add_argument("--worker", type=int, nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments.reader, arguments.seed, *arguments.worker)
        return 0
    n_faults = 0
    for reader in readers if arguments.reader == "all" else [arguments.reader]:
        counts: Counter[str] = Counter()
        for run, answer in runs(reader, arguments.seed, arguments.runs):
            kind = answer if answer in ("read", "refused") else "at fault"
            counts[kind] += 1
            if kind == "at fault":
                arguments.keep.mkdir(exist_ok=True)
                path = arguments.keep / f"{reader}-{arguments.seed}-{run}"
                path.write_bytes(file_of_run(reader, arguments.seed, run, whole_files(reader)))
                print(f"{reader} run {run}: {answer}; kept as {path}", flush=True)
        n_faults += counts["at fault"]
        parts = ", ".join(f"{counts[kind]} {kind}" for kind in ("read", "refused", "at fault"))
        print(f"{reader}: {counts.total()} files, {parts}", flush=True)
    return 1 if n_faults else 0


if __name__ == "__main__":
    sys.exit(main())
