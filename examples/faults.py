"""Make each write of a command fail in turn: the last good files stay whole, and one sentence says what happened.

    python examples/faults.py [--command train|resume|ensemble|sweep|predict] [--every 1] [--fast]

A small library between the command and the system (Linux, compiled with cc) lets one call fail: an open for writing, a
write, a flush to the disk, a rename or a new folder; with ENOSPC, EIO, EROFS and EACCES in turn. After each fault: no
crash and no traceback, no temporary file, at most one line that begins with "error:", a model that is absent or that of
the run without a fault, and a stopped run that is resumed to the same model. Prints the number of faults of each
command.
"""

import argparse
import errno
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import jaxmlp

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>
static int count, inside;
/* one line for each call below the folder: the parent counts them; the chosen one fails */
static int fails(const char *path) {
    const char *place = getenv("FAULT_PLACE"), *log = getenv("FAULT_LOG");
    static int (*real_open)(const char *, int, ...);
    static ssize_t (*real_write)(int, const void *, size_t);
    if (inside || !place || !path || !strstr(path, place)) return 0;
    inside = 1;
    if (!real_open) real_open = dlsym(RTLD_NEXT, "open");
    if (!real_write) real_write = dlsym(RTLD_NEXT, "write");
    int number = __sync_add_and_fetch(&count, 1), hit = number == atoi(getenv("FAULT_NUMBER"));
    int fd = real_open(log, O_WRONLY | O_APPEND | O_CREAT, 0644);
    if (fd >= 0) { real_write(fd, "x", 1); close(fd); }
    inside = 0;
    if (hit) errno = atoi(getenv("FAULT_ERROR"));
    return hit;
}
static const char *path_of(int fd, char *buffer) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, buffer, 4095);
    if (n < 0) return 0;
    buffer[n] = 0;
    return buffer;
}
#define REAL(name) static __typeof__(&name) real; if (!real) real = dlsym(RTLD_NEXT, #name);
#define ON_FD(fd) char path[4096]; if (!inside && fails(path_of(fd, path))) return -1;
ssize_t write(int fd, const void *data, size_t n) { REAL(write) ON_FD(fd) return real(fd, data, n); }
ssize_t pwrite(int fd, const void *data, size_t n, off_t at) { REAL(pwrite) ON_FD(fd) return real(fd, data, n, at); }
ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at) {
    REAL(pwrite64) ON_FD(fd) return real(fd, data, n, at); }
int fsync(int fd) { REAL(fsync) ON_FD(fd) return real(fd); }
int ftruncate(int fd, off_t n) { REAL(ftruncate) ON_FD(fd) return real(fd, n); }
int rename(const char *a, const char *b) { REAL(rename) if (fails(b)) return -1; return real(a, b); }
int renameat(int x, const char *a, int y, const char *b) {
    REAL(renameat) if (fails(b)) return -1; return real(x, a, y, b); }
int mkdir(const char *a, mode_t mode) { REAL(mkdir) if (fails(a)) return -1; return real(a, mode); }
#define OPEN(name) int name(const char *a, int flags, ...) { REAL(name) mode_t mode = 0; \
    if (flags & O_CREAT) { va_list list; va_start(list, flags); mode = va_arg(list, mode_t); va_end(list); } \
    if ((flags & (O_WRONLY | O_RDWR)) && fails(a)) return -1; return real(a, flags, mode); }
OPEN(open)
OPEN(open64)
"""
ERRORS = (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES)
SMALL = ["train", "t.csv", "--hidden", "4", "--epochs", "3", "--out", "run"]
TRAIN = [*SMALL, "--checkpoint-every", "0"]
RESUME = ["train", "--resume", "run"]
COMMANDS = {
    "train": TRAIN,
    "resume": RESUME,
    "ensemble": [*SMALL, "--ensemble", "2"],
    "sweep": ["sweep", "t.csv", "--hidden", "4", "--epochs", "2", "--out", "run/board.csv"],
    "predict": ["predict", "m.h5", "t.csv", "--out", "run/predictions.csv"],
}
MODELS = {"train": ["model.h5"], "resume": ["model.h5"], "ensemble": ["member-1.h5", "member-2.h5"]}


def prepare(folder: Path, command: str) -> None:
    """Put the files of a command into an empty folder."""
    rows = "".join(f"{i},{i * i % 7},{'xy'[i % 2]}\n" for i in range(24))
    (folder / "t.csv").write_text(f"a,b,t\n{rows}")
    if command in ("sweep", "predict"):
        (folder / "run").mkdir()
    if command == "predict":
        data = jaxmlp.load(folder / "t.csv")
        net = jaxmlp.network_for(data, hidden=())
        layer = {"W": np.ones((1, net.sizes[0]), np.float32), "b": np.zeros((1, 1), np.float32)}
        jaxmlp.Model.of(net, (layer,), data).save(folder / "m.h5")  # pyright: ignore[reportArgumentType]
    if command == "resume":
        stop = "import os, signal, jaxmlp.cli.signals as s\n"
        stop += "s.Stop.on_epoch_end = lambda self, p=None: setattr(self, 'signal', signal.SIGINT) or True\n"
        stop += f"from jaxmlp.cli.main import run; run({TRAIN!r})"
        subprocess.run([sys.executable, "-c", stop], cwd=folder, capture_output=True, check=True)


def execute(folder: Path, arguments: list[str], **faults: object) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder, with a fault or without."""
    environment = {**os.environ, **{name: str(value) for name, value in faults.items()}}
    command = [sys.executable, "-m", "jaxmlp", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def weights(path: Path) -> list[np.ndarray]:
    """Return all parameters of a model."""
    return [np.asarray(leaf) for layer in jaxmlp.load_model(path).params for leaf in layer.values()]


def inspect(
    folder: Path, command: str, done: subprocess.CompletedProcess[str], reference: dict[str, list]
) -> list[str]:
    """Return what is wrong after a fault."""
    problems = []
    if done.returncode not in (0, 1, 2):
        problems.append(f"exit status {done.returncode}")
    if "Traceback" in done.stderr:
        problems.append(f"a traceback: {done.stderr.strip().splitlines()[-1]}")
    lines = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    if len(lines) != (done.returncode != 0):
        problems.append(f"{len(lines)} lines of an error with exit status {done.returncode}")
    remains = [path.name for path in folder.rglob(".*") if path.name != ".lock" and path.is_file()]
    if remains:
        problems.append(f"temporary files {', '.join(remains)}")
    if (folder / "run" / "run.json").exists() and done.returncode and command in MODELS:
        again = execute(folder, RESUME)
        if again.returncode and "finished run" not in again.stderr:
            problems.append(f"resuming ends with {again.returncode}: {again.stderr.strip()[-200:]}")
    for name in MODELS.get(command, ()):
        path = folder / "run" / name
        if not path.exists():
            if (folder / "run" / "run.json").exists():
                problems.append(f"no {name} after resuming")
        elif not all(np.array_equal(a, b) for a, b in zip(weights(path), reference[name], strict=True)):
            problems.append(f"another {name}")
    return problems


def attack(command: str, library: Path, every: int, limit: int | None) -> tuple[int, int]:
    """Let the writes of a command fail, one in each run; return the number of faults, and of those with a problem."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name) / "whole"
        place.mkdir()
        prepare(place, command)
        shutil.copytree(place, Path(name) / "begun")
        log = Path(name) / "log"
        faults = {"LD_PRELOAD": library, "FAULT_PLACE": "run/", "FAULT_LOG": log, "FAULT_NUMBER": 0, "FAULT_ERROR": 0}
        whole = execute(place, COMMANDS[command], **faults)
        assert whole.returncode == 0, whole.stderr
        reference = {model: weights(place / "run" / model) for model in MODELS.get(command, ())}
        n_calls, n_problems = len(log.read_bytes()), 0
        numbers = list(range(1, n_calls + 1, every))[:limit]
        for i, number in enumerate(numbers):
            folder = Path(name) / f"fault-{number}"
            shutil.copytree(Path(name) / "begun", folder)
            code = ERRORS[i % len(ERRORS)]
            done = execute(folder, COMMANDS[command], **{**faults, "FAULT_NUMBER": number, "FAULT_ERROR": code})
            if problems := inspect(folder, command, done, reference):
                n_problems += 1
                print(
                    f"{command}, call {number} of {n_calls}, {errno.errorcode[code]}: {'; '.join(problems)}", flush=True
                )
            shutil.rmtree(folder)
        return len(numbers), n_problems


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--command", choices=list(COMMANDS), help="only this one")
    parser.add_argument("--every", type=int, default=1, help="let every N-th call fail")
    parser.add_argument("--fast", action="store_true", help="two faults of one command")
    arguments = parser.parse_args()
    if not sys.platform.startswith("linux") or not shutil.which("cc"):
        print("no faults: this needs Linux and a C compiler")
        return 0
    n_bad = 0
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder) / "faults.c", Path(folder) / "faults.so"
        source.write_text(SHIM)
        subprocess.run(["cc", "-O1", "-w", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
        for command in ["predict"] if arguments.fast else [arguments.command] if arguments.command else COMMANDS:
            n, bad = attack(command, library, arguments.every, 2 if arguments.fast else None)
            n_bad += bad
            print(f"{command}: {n} faults, {bad} with a problem", flush=True)
    return 1 if n_bad else 0


if __name__ == "__main__":
    sys.exit(main())
