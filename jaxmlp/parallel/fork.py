"""Forked processes, in which JAX cannot compute: its threads exist in the parent only, and a call would never return.

The default start method of `multiprocessing` on Linux was fork before Python 3.14. A child of a process that has
computed with jaxmlp is known by its process id.
"""

import os

from jaxmlp.errors import InputError, sentence

_computing: set[int] = set()  # the process that has computed first


def is_forked() -> bool:
    """Whether this process is the fork of one that has computed with JAX."""
    return bool(_computing) and os.getpid() not in _computing


def refuse_after_fork(where: str) -> None:
    """Raise in a forked process; elsewhere take note that this process computes.

    Raises:
      InputError: with what to use instead of fork.

    >>> refuse_after_fork("fit")
    """
    if is_forked():
        remedy = "use multiprocessing.get_context('spawn'), joblib or threads"
        expects = "a process that was not forked from one that has used JAX"
        raise InputError(sentence(where, expects, "a forked one", remedy))
    _computing.add(os.getpid())
