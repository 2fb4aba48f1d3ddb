"""jaxmlp: the textbook neural network in JAX, proven and fast."""

from importlib import import_module as _import_module
from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

from jaxmlp.data import Dataset as Dataset
from jaxmlp.data import StreamedDataset as StreamedDataset
from jaxmlp.data import load as load
from jaxmlp.data import stream as stream
from jaxmlp.ensemble import Ensemble as Ensemble
from jaxmlp.model import Model as Model
from jaxmlp.model import load_model as load_model
from jaxmlp.nn.activations import Activation as Activation
from jaxmlp.nn.activations import activation as activation
from jaxmlp.nn.backprop import backprop as backprop
from jaxmlp.nn.backprop import cost as cost
from jaxmlp.nn.network import Network as Network
from jaxmlp.nn.network import init as init
from jaxmlp.nn.objective import Objective as Objective
from jaxmlp.nn.propagation import forward as forward
from jaxmlp.nn.propagation import logits as logits
from jaxmlp.nn.propagation import trace as trace
from jaxmlp.training import Report as Report
from jaxmlp.training import TrainState as TrainState
from jaxmlp.training import epochs as epochs
from jaxmlp.training import fit as fit
from jaxmlp.training import fit_many as fit_many
from jaxmlp.training import make_batches as make_batches
from jaxmlp.training import make_step as make_step
from jaxmlp.training import network_for as network_for
from jaxmlp.training import start as start

if TYPE_CHECKING:
    from jaxmlp.evidence.curvature import hessian as hessian
    from jaxmlp.evidence.curvature import hvp as hvp
    from jaxmlp.evidence.curvature import largest_eigenvalue as largest_eigenvalue
    from jaxmlp.evidence.health.diagnose import diagnose as diagnose
    from jaxmlp.evidence.linear import collapse as collapse
    from jaxmlp.evidence.linear import example_gradient_norms as example_gradient_norms
    from jaxmlp.evidence.linear import example_gradients as example_gradients
    from jaxmlp.evidence.proof.verify import verify as verify
    from jaxmlp.evidence.student.verify_numpy import verify_numpy as verify_numpy
    from jaxmlp.evidence.vjp.check_vjp import assert_vjp as assert_vjp
    from jaxmlp.evidence.vjp.check_vjp import check_vjp as check_vjp

__version__ = _version("jaxmlp")

# The evidence is imported when it is first asked for: a training script need not wait for it.
_EVIDENCE = {
    "assert_vjp": "jaxmlp.evidence.vjp.check_vjp",
    "check_vjp": "jaxmlp.evidence.vjp.check_vjp",
    "hessian": "jaxmlp.evidence.curvature",
    "hvp": "jaxmlp.evidence.curvature",
    "largest_eigenvalue": "jaxmlp.evidence.curvature",
    "diagnose": "jaxmlp.evidence.health.diagnose",
    "collapse": "jaxmlp.evidence.linear",
    "example_gradient_norms": "jaxmlp.evidence.linear",
    "example_gradients": "jaxmlp.evidence.linear",
    "verify_numpy": "jaxmlp.evidence.student.verify_numpy",
    "verify": "jaxmlp.evidence.proof.verify",
}

__all__ = [
    "Activation",
    "Dataset",
    "Ensemble",
    "Model",
    "Network",
    "Objective",
    "Report",
    "StreamedDataset",
    "TrainState",
    "activation",
    "assert_vjp",
    "backprop",
    "check_vjp",
    "collapse",
    "cost",
    "diagnose",
    "epochs",
    "example_gradient_norms",
    "example_gradients",
    "fit",
    "fit_many",
    "forward",
    "hessian",
    "hvp",
    "init",
    "largest_eigenvalue",
    "load",
    "load_model",
    "logits",
    "make_batches",
    "make_step",
    "network_for",
    "start",
    "stream",
    "trace",
    "verify",
    "verify_numpy",
]


def __getattr__(name: str) -> Any:
    if name in _EVIDENCE:
        return getattr(_import_module(_EVIDENCE[name]), name)
    raise AttributeError(f"module 'jaxmlp' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_EVIDENCE} - {"TYPE_CHECKING", "Any"})
