"""Forked processes, in which JAX cannot compute: its threads exist in the parent only, and a call would never return.

The default start method of `multiprocessing` on Linux was fork before Python 3.14. JAX starts its threads with its
first array or its first look at the devices: a fork of a process that has only imported it can compute.
"""

import os
import sys

from jaxmlp.errors import InputError, sentence

_is_forked = False


def is_forked() -> bool:
    """Whether this process is the fork of one that has used JAX."""
    return _is_forked


def refuse_after_fork(where: str) -> None:
    """Raise in a forked process; everything public that computes with JAX begins with this call, which takes 70 ns.

    Raises:
      InputError: with what to use instead of fork.

    >>> refuse_after_fork("fit")
    """
    if _is_forked:
        remedy = "use multiprocessing.get_context('spawn'), joblib or threads"
        expects = "a process that was not forked from one that has used JAX"
        raise InputError(sentence(where, expects, "a forked one", remedy))


def watch_forks() -> None:
    """Let every later fork of this process note whether JAX was in use; `import jaxmlp` calls this once."""
    if hasattr(os, "register_at_fork"):  # Windows has no fork
        os.register_at_fork(after_in_child=_after_fork)


def _after_fork() -> None:
    """Note in the child whether the threads of JAX were running in its parent."""
    global _is_forked
    # JAX has no public function for this that does not start the threads; without the private one no fork is refused
    bridge = sys.modules.get("jax._src.xla_bridge")
    # not backends_are_initialized(), because a thread of the parent may have held its lock at the fork
    _is_forked = _is_forked or bool(getattr(bridge, "_backends", None))
