"""Refuse JAX in forked processes: its threads exist in the parent only, and a call would never return.

The default start method of `multiprocessing` on Linux was fork before Python 3.14. JAX starts its threads with its
first array or its first list of devices: a fork of a process that has only imported it can compute.
"""

import os
import sys

from jaxmlp.errors import InputError, sentence

_is_forked = False


def is_forked() -> bool:
    """Whether this process is the fork of one that has used JAX."""
    return _is_forked


def refuse_after_fork(where: str) -> None:
    """Raise in the fork of a process that has used JAX. Public functions call this before JAX; it takes 70 ns.

    Raises:
      InputError: in such a fork; it says what to use instead.

    >>> refuse_after_fork("fit")
    """
    if _is_forked:
        remedy = "use multiprocessing.get_context('spawn'), joblib or threads"
        expects = "a process that was not forked from one that has used JAX"
        raise InputError(sentence(where, expects, "a forked one", remedy))


def register_fork_hook() -> None:
    """Make each later fork record whether JAX was in use; `import jaxmlp` calls this once."""
    if hasattr(os, "register_at_fork"):  # Windows has no fork
        os.register_at_fork(after_in_child=_after_fork)


def _after_fork() -> None:
    """Record in the child whether the threads of JAX were running in its parent."""
    global _is_forked
    # JAX has no public function for this that does not start the threads; without the private one no fork is refused
    bridge = sys.modules.get("jax._src.xla_bridge")
    # not backends_are_initialized(), because a thread of the parent may have held its lock at the fork
    _is_forked = _is_forked or bool(getattr(bridge, "_backends", None))
