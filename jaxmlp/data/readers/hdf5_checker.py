"""The process that opens an HDF5 file before this one does: what crashes or hangs HDF5's library ends it, not us.

It imports h5py once and then waits for requests on its standard input, one line of JSON each:

    {"path", "limit", "budget", "attributes"}  ->  {} or {"error": text}

Each file is opened in a fork of this small process, which has neither threads nor JAX, within limits of time and of
memory.
The fork does what the reader will do: it visits every object, and reads the arrays, of large ones a sample of the rows
and the index of their chunks. A fork takes 5 ms, the start of the process 0.2 s, once. Where there is no fork (Windows)
the process itself opens the file, and is started again if that ends it.

It is run as a script, without the package: importing JAX would take longer than all of its work.
"""

import importlib
import json
import os
import signal
import sys

CPU_SECONDS = 3  # and a second for each 50 MB of the file
WALL_SECONDS = 60
BASE_MEMORY = 3 * 2**30  # address space of Python, NumPy and HDF5, without what the file holds
# What h5py and NumPy raise over a damaged file: h5py has a kind for most errors of HDF5's library
HDF5_ERRORS = (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError, MemoryError, ArithmeticError)


def main() -> None:
    """Answer requests until the input ends."""
    respond = check_in_fork if hasattr(os, "fork") else check
    try:
        importlib.import_module("h5py")  # once, before the forks: each of them would take 0.2 s to import it
    except ImportError:  # the reader says what is missing

        def respond(request: dict) -> dict:
            return {}

    for line in sys.stdin:
        print(json.dumps(respond(json.loads(line))), flush=True)


def check_in_fork(request: dict) -> dict:
    """Return the answer of a fork of this process, or how it ended."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        # the answer where `check` raises what it does not expect: without one the reader would see a crash
        answer = {"error": "an error while it was checked"}
        try:
            limit_resources(request)
            answer = check(request)
        finally:
            os.write(writing, json.dumps(answer).encode())
            # not sys.exit: what the parent has registered and buffered is not for the fork
            os._exit(0)
    # else the pipe would have a writer for ever, and the read below no end
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    if number is None:
        return json.loads(text)
    # Linux sends SIGKILL where the hard limit of CPU time equals the soft one
    slow = number in (signal.SIGXCPU, signal.SIGALRM, signal.SIGKILL)
    return {"error": "one that HDF5 does not come to an end with" if slow else "one that crashes HDF5's library"}


def limit_resources(request: dict) -> None:
    """Bound the time and the memory of this process."""
    import resource

    seconds = CPU_SECONDS + os.path.getsize(request["path"]) // 50_000_000
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (BASE_MEMORY + 2 * request["budget"],) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # no core file in the user's folder
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # the default ends the process
    # a process that waits, as for a slow disk, uses no CPU time
    signal.alarm(max(WALL_SECONDS, 4 * seconds))


def check(request: dict) -> dict:
    """Return {} for a file that can be read within the limit, else {"error": why}."""
    import h5py

    try:
        with h5py.File(request["path"], "r") as file:
            visit(file, request)
    except Refusal as refusal:
        return {"error": str(refusal)}
    except MemoryError:
        return {"error": "one that takes more memory than it may"}
    except HDF5_ERRORS:
        return {"error": "one that cannot be read"}
    return {}


class Refusal(Exception):
    """Why a file is refused."""


def visit(file, request: dict) -> None:
    """Open every object of a file once, and read what a reader may read."""
    from h5py import h5l, h5o  # pyright: ignore[reportAttributeAccessIssue]

    names = []

    def note(name: bytes, link: h5l.LinkInfo) -> None:
        if link.type == h5l.TYPE_HARD:
            names.append(name)

    file.id.links.visit(note, info=True)
    budget = request["budget"]
    if request["attributes"]:
        read_attributes(file, request)
    for name in names:
        try:
            h5o.open(file.id, name)
        except HDF5_ERRORS:
            # in a model every object is read; a data file may have broken ones beside those that are asked for
            if request["attributes"]:
                raise
            continue
        # of data files only the arrays at the root are read
        if request["attributes"] or b"/" not in name:
            budget -= read_object(file, name, request, budget)


def read_object(file, name: bytes, request: dict, budget: int) -> int:
    """Read an array as far as the budget of bytes goes, and return how many bytes were read."""
    import h5py
    import numpy as np

    part = file[name]
    if request["attributes"]:
        read_attributes(part, request)
    if not isinstance(part, h5py.Dataset):
        return 0
    creation = part.id.get_create_plist()
    if creation.get_layout() == h5py.h5d.VIRTUAL or creation.get_external_count():
        return 0  # it would read other files: the reader refuses it by its own sentence
    shape, dtype, chunks = part.shape, part.dtype, part.chunks
    if shape is None:
        return 0
    # floats: the sizes in a damaged header may overflow int64
    size = int(np.prod([float(n) for n in shape])) * max(dtype.itemsize, 1)
    if size > request["limit"] and not request.get("streamed"):
        raise Refusal(f"{size:,} bytes for {name.decode(errors='replace')!r}, of at most {request['limit']:,}")
    if chunks is not None and int(np.prod([float(n) for n in chunks])) * max(dtype.itemsize, 1) > request["limit"]:
        raise Refusal(f"chunks of {name.decode(errors='replace')!r} that are larger than what a file may become")
    if size <= budget:
        part[()]
        return size
    # this reads the whole index of the chunks, of which three rows need a part only
    part.id.get_num_chunks() if chunks is not None else None
    for row in (0, len(part) // 2, len(part) - 1) if len(part) else ():
        part[row : row + 1]
    return 0


def read_attributes(part, request: dict) -> None:
    """Read all attributes of an object, within the limit."""
    for name in part.attrs:
        attribute = part.attrs.get_id(name)
        size = attribute.get_storage_size()
        if size > min(request["limit"], 2**24):
            raise Refusal(f"an attribute of {size:,} bytes")
        part.attrs[name]


if __name__ == "__main__":
    main()
