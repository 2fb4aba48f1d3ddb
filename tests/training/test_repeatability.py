"""The same seed gives the same bits: in two processes, with every option of `fit`, and in the file of the model."""

import dataclasses
import hashlib
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import zoo

import jaxmlp
from jaxmlp import Network, Objective

NET = Network((3, 5, 3), "tanh", "softmax")
WEIGHTS = np.linspace(0.5, 1.5, 25)
RUNS: dict[str, tuple[Network, dict[str, Any]]] = {
    "steps": (NET, {"optimizer": "adamw", "schedule": "cosine", "warmup": 0.1, "weight_decay": 0.1, "clip_norm": 0.5}),
    "noise": (
        NET,
        {
            "objective": Objective(
                dropout=0.2, input_dropout=0.1, input_noise=0.1, mixup=0.2, l1=1e-3, l2=1e-3, max_norm=2.0
            ),
            "ema_decay": 0.9,
        },
    ),
    "fade": (NET, {"objective": Objective(label_smoothing=0.1, dropout=0.1, examples=25), "fade": True}),
    "weights": (NET, {"sample_weight": WEIGHTS, "class_weight": "balanced", "validation_weight": WEIGHTS[:15]}),
    "start": (NET, {"initializer": "he_uniform", "freeze": (1,), "shuffle": False, "key": jax.random.key(3)}),
    "stopping": (NET, {"early_stopping": jaxmlp.EarlyStopping(2, "f1"), "metrics": ("f1", "auc")}),
    "bfloat16": (NET, {"precision": "bfloat16", "learning_rate": 0.01, "row_space": False}),
    "batch norm": (Network((3, 5, 3), "relu", "softmax", norm="batch"), {"batch_size": 7}),
    "members": (Network((3, 5, 3), "elu", "softmax", members=2), {}),
    "parametric": (Network((3, 5, 3), "gelu", "softmax", parametric=True), {}),
    "other cost": (Network((3, 5, 3), "tanh", "identity"), {"objective": Objective("quadratic"), "batch_size": "full"}),
}


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of the model file of each run, with its history."""
    data, found = zoo.three_classes(25), {}
    for name, (net, options) in RUNS.items():
        settings: dict[str, Any] = {"epochs": 3, "batch_size": 8} | options
        result = jaxmlp.fit(net, data, **settings)
        jaxmlp.Model.of(result.net, result.params, data).save(folder / "model.h5")
        history = repr([report._replace(seconds=None) for report in result.history])
        found[name] = hashlib.sha256((folder / "model.h5").read_bytes() + history.encode()).hexdigest()
    return found


def test_every_option_is_in_a_run():
    options = {name for _, given in RUNS.values() for name in given}
    assert options == {field.name for field in dataclasses.fields(jaxmlp.TrainConfig)} - {"epochs"}
    objectives = [given["objective"] for _, given in RUNS.values() if "objective" in given]
    defaults = inspect.signature(Objective).parameters
    changed = {name for name in defaults if any(getattr(o, name) != defaults[name].default for o in objectives)}
    assert changed == {*defaults}


@pytest.mark.slow
def test_two_processes_train_to_the_same_bits(tmp_path):
    found = []
    for seed in ("1", "2"):  # of the hashes of texts: no order of a set decides on anything
        path = os.pathsep.join([*sys.path, str(Path(__file__).parent.parent)])
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": path, "JAX_ENABLE_COMPILATION_CACHE": "false"}
        command = [sys.executable, __file__, str(tmp_path)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout))
    assert found[0] == found[1]
    assert len({*found[0].values()}) == len(RUNS)


if __name__ == "__main__":
    print(json.dumps(digests(Path(sys.argv[1]))))
