"""Flags of XLA in the environment: an unknown one would end the process without a word of ours."""

import os
import subprocess
import sys

import pytest

from jaxmlp.cli import environment
from jaxmlp.errors import InputError

FLAGS = (
    "--xla_force_host_platform_device_count=2",
    "--xla_backend_optimization_level=0",
    "--xla_cpu_multi_thread_eigen=true",
    "--xla_gpu_deterministic_ops=true",
    "--xla_dump_to=dump",
)


def test_flags_that_need_no_trial_are_known_to_this_xla(tmp_path):
    assert all(environment._KNOWN_FLAGS.fullmatch(flag) for flag in FLAGS)
    assert environment._KNOWN_FLAGS.pattern.count("|") == len(FLAGS) - 1 + 2  # and two of (true|false)
    code = "from jaxlib import xla_client; xla_client.make_cpu_client()"
    variables = os.environ | {"XLA_FLAGS": " ".join(FLAGS)}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=variables, check=True, capture_output=True)


def test_a_flag_that_xla_does_not_know_is_refused(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", f"{FLAGS[1]} --xla_no_such_flag=1")
    with pytest.raises(InputError, match="XLA_FLAGS expects flags that XLA knows, got '--xla_no_such_flag=1'"):
        environment.prepare()


def test_a_value_that_jax_does_not_accept_is_one_line(tmp_path):
    for variable, value in {"JAX_DEBUG_NANS": "q", "JAX_DEFAULT_MATMUL_PRECISION": "zz"}.items():
        command = [sys.executable, "-m", "jaxmlp", "info", "2-2-1"]
        done = subprocess.run(command, cwd=tmp_path, env=os.environ | {variable: value}, capture_output=True, text=True)
        expected = f"error: {variable} expects a value that JAX accepts, got {value!r}: correct or unset it\n"
        assert (done.returncode, done.stderr) == (2, expected)
