"""Many devices and several processes from the command line: one run, and nothing lost with a lost process."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import chex
import jax
import numpy as np
import pytest

import jaxmlp
from jaxmlp.cli import company
from jaxmlp.cli.main import run

# 320 rows: a last batch of 20, and 150 columns that four devices cannot share evenly
ARGUMENTS = [
    *("train", "planar", "--hidden", "8,6", "--norm", "batch", "--dropout", "0.2", "--batch-size", "150"),
    *("--precision", "float64", "--checkpoint-every", "0.3"),
]


def free_port():
    """One that nobody listens at."""
    with socket.socket() as found:
        found.bind(("localhost", 0))
        return found.getsockname()[1]


def begun(*arguments):
    """Two processes of one device each that train together."""
    place = ["--coordinator", f"localhost:{free_port()}", "--num-processes", "2", "--process-id"]
    return [
        subprocess.Popen(
            [sys.executable, "-m", "jaxmlp", *arguments, *place, str(i)],
            env=os.environ | {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(2)
    ]


def ended(processes):
    """Exit code, stdout and stderr of each."""
    try:
        texts = [process.communicate(timeout=240) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, *text) for process, text in zip(processes, texts, strict=True)]


def wait_for(folder, lines, processes):
    """Until so many lines are in the history."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and all(process.poll() is None for process in processes):
        file = folder / "history.csv"
        if file.exists() and file.read_text().count("\n") > lines and any((folder / "checkpoints").glob("[0-9]*")):
            return
        time.sleep(0.05)
    raise AssertionError(f"the run did not get on: {ended(processes)}")


def same_parameters(folder, other):
    """Whether two runs found the same network, to rounding."""
    with jax.enable_x64(True):
        ours, theirs = (jaxmlp.load_model(path).params for path in (folder, other))
        chex.assert_trees_all_close(ours, theirs, rtol=1e-6)


@pytest.fixture(autouse=True, scope="module")
def as_a_user():
    """The promotion of dtypes that users have; the options ask for float64."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def test_devices_of_one_process_and_of_two_find_the_same_network(tmp_path):
    arguments = [*ARGUMENTS, "--epochs", "4"]
    processes = begun(*arguments, "--json", "--out", str(tmp_path / "two"))
    for name, devices in {"one": [], "4x2": ["--devices", "4x2"]}.items():
        assert run([*arguments, *devices, "--out", str(tmp_path / name)]) == 0
        same_parameters(tmp_path / "one", tmp_path / name)
    (code, out, err), other = ended(processes)
    assert (code, other[0]) == (0, 0), (err, other)
    assert json.loads(out)["run"] == str(tmp_path / "two")
    assert other[1] == ""
    assert "network" in err
    assert "network" not in other[2]
    same_parameters(tmp_path / "one", tmp_path / "two")


def test_a_stop_and_a_lost_process_lose_nothing(tmp_path):
    folder, whole = tmp_path / "run", tmp_path / "whole"
    processes = begun(*ARGUMENTS, "--epochs", "1000000", "--out", str(folder))  # over only when somebody ends them
    wait_for(folder, 5, processes)
    processes[1].send_signal(signal.SIGTERM)  # one hears of it, both stop after the same epoch
    (code, _, err), other = ended(processes)
    assert (code, other[0]) == (128 + signal.SIGTERM,) * 2, (err, other)
    stopped = int(re.findall(r"stopped after epoch (\d+); go on with", err)[0])
    assert jaxmlp.load_model(folder).net.sizes == (2, 8, 6, 1)

    processes = begun("train", "--resume", str(folder))
    wait_for(folder, stopped + 5, processes)
    processes[1].kill()
    (code, _, err), _ = ended(processes)
    data, network, *lines = [line for line in err.splitlines() if not line.startswith("[Gloo]")]
    assert data.startswith("Dataset planar: ")
    assert network.startswith("network 2-8-6-1, ")
    assert (code, lines) == (1, [f"error: process 1 of 2 was lost; go on with: jaxmlp train --resume {folder}"])

    epochs = (folder / "history.csv").read_text().count("\n") + 2
    settings = json.loads((folder / "run.json").read_text())
    settings["options"]["epochs"] = epochs
    (folder / "run.json").write_text(json.dumps(settings))
    assert run(["train", "--resume", str(folder), "--devices", "4x2"]) == 0
    assert run([*ARGUMENTS, "--epochs", str(epochs), "--out", str(whole)]) == 0
    same_parameters(folder, whole)
    history = np.genfromtxt(folder / "history.csv", delimiter=",", names=True)
    np.testing.assert_array_equal(history["epoch"], np.arange(1, epochs + 1))


def test_strangers_at_the_port_are_not_of_the_company():
    port = free_port()
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(company._called, port, 3, time.monotonic() + 60)

        def call(words):
            until = time.monotonic() + 30
            while True:
                try:
                    connection = socket.create_connection(("localhost", port), timeout=30)
                except OSError:
                    assert time.monotonic() < until
                    time.sleep(0.05)
                    continue
                connection.sendall(words)
                return connection

        callers = {number: call(number.to_bytes(4)) for number in (0, 2, 3, 7)}
        again = call((2).to_bytes(4))
        short = call(b"GE")
        short.close()
        callers[1] = call((1).to_bytes(4))
        members = found.result()
        assert sorted(members) == [1, 2]
        members[1].sendall(b"yes!")
        assert callers[1].recv(4) == b"yes!"
        for stranger in (callers[0], callers[3], callers[7], again):
            assert company._number(stranger) is None  # closed without a word
        for connection in (*members.values(), *callers.values(), again):
            connection.close()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["--coordinator", "localhost:9000"],
            "train expects --coordinator, --num-processes and --process-id together, got 1 of them: "
            "give all three, or none",
        ),
        (
            ["--coordinator", "localhost", "--num-processes", "2", "--process-id", "0"],
            "--coordinator expects HOST:PORT, got 'localhost': write 10.0.0.1:9000, say",
        ),
        (
            ["--coordinator", "localhost:9000", "--num-processes", "2", "--process-id", "2"],
            "--process-id expects a number below 2, got 2: count from 0",
        ),
        (
            ["--ensemble", "2", "--devices", "2"],
            "--ensemble expects neither --devices nor --coordinator, got --devices 2: leave it out",
        ),
        (["--devices", "3x"], "mesh expects 'all', a number of devices, or two as in '4x2', got '3x': write 'all'"),
    ],
)
def test_mistakes_get_one_sentence(arguments, sentence, tmp_path, capsys):
    assert run(["train", "xor", *arguments, "--out", str(tmp_path / "run")]) == 2
    assert capsys.readouterr().err.strip() == f"error: {sentence}"
    assert not (tmp_path / "run").exists()


def test_somebody_who_does_not_come_is_named(monkeypatch, capsys):
    monkeypatch.setattr("jaxmlp.cli.company.PATIENCE", 0.3)
    port = free_port()
    arguments = ["train", "xor", "--coordinator", f"localhost:{port}", "--num-processes", "2", "--process-id"]
    assert run([*arguments, "0"]) == 2
    assert capsys.readouterr().err.strip() == (
        "error: --num-processes expects 2 processes within 0.3 s, got 1: start the same command with every --process-id"
    )
    assert run([*arguments, "1"]) == 2
    assert f"--coordinator expects process 0 at localhost:{port} within 0.3 s, got " in capsys.readouterr().err
    with socket.create_server(("", port)):
        assert run([*arguments, "0"]) == 2
    assert f"--coordinator expects a port that is free here, got {port} (" in capsys.readouterr().err
