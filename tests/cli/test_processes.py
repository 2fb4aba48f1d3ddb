"""Many devices and several processes from the command line: one run, and nothing lost with a lost process."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from typing import Any

import chex
import jax
import numpy as np
import pytest
from marks import slow_except

import jaxmlp
from jaxmlp.cli.main import run
from jaxmlp.cli.processes import Place, resolve_place
from jaxmlp.cli.signals import Stop
from jaxmlp.errors import InputError
from jaxmlp.training import Checkpointer, checkpoints

# 320 rows: a last batch of 20, and 150 columns that four devices cannot share evenly
ARGUMENTS = [
    *("train", "planar", "--hidden", "8,6", "--norm", "batch", "--dropout", "0.2", "--batch-size", "150"),
    *("--precision", "float64", "--checkpoint-every", "0.3"),
]


ENVIRONMENT = os.environ | {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "1"}


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
            env=ENVIRONMENT,
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
            process.wait()
            for stream in (process.stdout, process.stderr):
                stream.close()
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


@pytest.mark.slow
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


@pytest.mark.slow
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
    data, *description, network, last = err.splitlines()
    assert data.startswith("Dataset planar: ")
    assert description[0] == "  rows: 400 training, 400 test"
    assert network.startswith("network 2-8-6-1, ")
    sentence = f"error: one of the 2 processes of this run was lost; go on with: jaxmlp train --resume {folder}"
    assert (code, last) == (1, sentence)

    epochs = (folder / "history.csv").read_text().count("\n") + 2
    settings = json.loads((folder / "run.json").read_text())
    settings["options"]["epochs"] = epochs
    (folder / "run.json").write_text(json.dumps(settings))
    assert run(["train", "--resume", str(folder), "--devices", "4x2"]) == 0
    assert run([*ARGUMENTS, "--epochs", str(epochs), "--out", str(whole)]) == 0
    same_parameters(folder, whole)
    history = np.genfromtxt(folder / "history.csv", delimiter=",", names=True)
    np.testing.assert_array_equal(history["epoch"], np.arange(1, epochs + 1))


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
            "--coordinator expects HOST:PORT, got 'localhost': write 10.0.0.1:9000, for example",
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


def test_a_signal_that_comes_while_the_processes_exchange_is_for_the_next_exchange(monkeypatch):
    stop = Stop()

    def exchange(number):
        stop.received = signal.SIGTERM  # as the handler sets it, after this process has sent its number
        return number

    monkeypatch.setattr("jaxmlp.cli.signals.all_reduce_max", exchange)
    assert [stop.on_epoch_end(), stop.on_epoch_end()] == [False, True]
    assert stop.exit_code == 128 + signal.SIGTERM


def test_a_process_opens_the_checkpoints_when_another_process_sees_their_folder(tmp_path, monkeypatch):
    """Orbax waits until all processes have opened them: one that did not would train while another one waits."""
    state: Any = None  # which only a checkpoint is compared with
    assert Checkpointer(tmp_path / "checkpoints").latest(state) is None
    assert not (tmp_path / "checkpoints").exists()
    monkeypatch.setattr(checkpoints, "all_reduce_max", lambda number: max(number, 1))
    assert Checkpointer(tmp_path / "checkpoints").latest(state) is None
    assert (tmp_path / "checkpoints").is_dir()


@pytest.mark.slow
@pytest.mark.parametrize("index", slow_except([0, 1], 0))
def test_a_process_that_does_not_come_is_one_sentence(index):
    code = (
        "import sys; from jaxmlp.cli import main, processes; processes.START_SECONDS = 3; "
        f"sys.exit(main.run(['train', 'xor', '--coordinator', 'localhost:{free_port()}', "
        f"'--num-processes', '2', '--process-id', '{index}']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240, env=ENVIRONMENT)
    assert done.returncode != 0
    assert done.stdout == ""
    text = "error: --num-processes expects 2 processes within 3 s, got fewer: start the same command with every"
    lines = done.stderr.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith((text, "error: --coordinator expects a connection to process 0, got "))


@pytest.mark.parametrize(
    ("environment", "options", "place"),
    [
        ({}, (None, None, None), None),
        ({"SLURM_NTASKS": "1", "SLURM_PROCID": "0"}, (None, None, None), None),
        ({"SLURM_NTASKS": "4", "SLURM_PROCID": "2"}, (None, None, None), Place()),
        ({"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "0"}, ("auto", None, None), Place()),
        ({"SLURM_NTASKS": "4", "SLURM_PROCID": "2"}, ("none", None, None), None),
        ({"SLURM_NTASKS": "4"}, ("localhost:9000", 2, 1), Place("localhost:9000", 2, 1)),
    ],
)
def test_the_place_of_a_process_follows_from_options_and_cluster(environment, options, place, monkeypatch):
    monkeypatch.setattr(os, "environ", environment)
    assert resolve_place(*options) == place


def test_a_cluster_that_says_half_is_one_sentence(monkeypatch):
    monkeypatch.setattr(os, "environ", {"SLURM_NTASKS": "4"})
    text = "Slurm with SLURM_NTASKS=4 expects SLURM_PROCID, got none: start the command with srun, or add --coordinator"
    with pytest.raises(InputError, match=text):
        resolve_place(None, None, None)
    monkeypatch.setattr(os, "environ", {})
    with pytest.raises(InputError, match="--coordinator auto expects a cluster that JAX knows, got none"):
        resolve_place("auto", None, None)
