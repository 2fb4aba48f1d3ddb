"""Environment variables that would end a command with a page of text, or with a crash."""

import functools
import logging
import os
import re
import subprocess
import sys
from importlib import import_module

from jaxmlp.errors import InputError, sentence

# flags that every supported XLA knows, so no process is needed to try them
_KNOWN_FLAGS = re.compile(
    r"--xla_(force_host_platform_device_count=\d+|backend_optimization_level=[0-3]|cpu_multi_thread_eigen=(true|false)"
    r"|gpu_deterministic_ops=(true|false)|dump_to=\S+)"
)


def import_jax() -> None:
    """Import JAX, which reads its environment variables on import.

    Raises:
      InputError: that names the variable whose value JAX does not accept.
    """
    try:
        import_module("jax")
    except ValueError as error:
        named = [name for name in os.environ if name.startswith("JAX_") and name.lower() in str(error).lower()]
        where, remedy = (named or ["the environment"])[0], "correct or unset it"
        got = repr(os.environ.get(where, str(error)))
        raise InputError(sentence(where, "a value that JAX accepts", got, remedy)) from None


def prepare() -> None:
    """Raise for unknown XLA flags, and keep Matplotlib from a backend that cannot be loaded.

    Raises:
      InputError: that names the variable.
    """
    # figures are drawn without a window, so no backend is needed, and that of a notebook cannot be loaded here
    os.environ.pop("MPLBACKEND", None)
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # hide Matplotlib's message about its font cache
    flags = os.environ.get("XLA_FLAGS", "").split()
    unknown = [flag for flag in flags if not _KNOWN_FLAGS.fullmatch(flag)]
    # XLA ends the whole process for a flag that it does not know
    if unknown and not _accepts(" ".join(unknown)):
        raise InputError(sentence("XLA_FLAGS", "flags that XLA knows", repr(" ".join(unknown)), "correct or unset it"))


@functools.cache
def _accepts(flags: str) -> bool:
    code = "from jaxlib import xla_client; xla_client.make_cpu_client()"
    environment = {**os.environ, "XLA_FLAGS": flags}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True).returncode == 0
