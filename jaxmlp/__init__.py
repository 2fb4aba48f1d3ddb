"""jaxmlp: the textbook neural network in JAX, proven and fast."""

from importlib import import_module as _import_module
from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxmlp.data import Dataset as Dataset
    from jaxmlp.data import StreamedDataset as StreamedDataset
    from jaxmlp.data import load as load
    from jaxmlp.data import stream as stream
    from jaxmlp.ensemble import Ensemble as Ensemble
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
    from jaxmlp.training import lr_find as lr_find
    from jaxmlp.training import make_batches as make_batches
    from jaxmlp.training import make_step as make_step
    from jaxmlp.training import network_for as network_for
    from jaxmlp.training import start as start

__version__ = _version("jaxmlp")

# Every name is imported when it is first asked for: `jaxmlp --help` does not wait for JAX, nor a script for evidence.
_PLACES = {
    "data": "Dataset StreamedDataset load stream",
    "ensemble": "Ensemble",
    "evidence.curvature": "hessian hvp largest_eigenvalue",
    "evidence.health.diagnose": "diagnose",
    "evidence.linear": "collapse example_gradient_norms example_gradients",
    "evidence.proof.verify": "verify",
    "evidence.student.verify_numpy": "verify_numpy",
    "evidence.vjp.check_vjp": "assert_vjp check_vjp",
    "model": "Model load_model",
    "nn.activations": "Activation activation",
    "nn.backprop": "backprop cost",
    "nn.network": "Network init",
    "nn.objective": "Objective",
    "nn.propagation": "forward logits trace",
    "training": "Report TrainState epochs fit fit_many lr_find make_batches make_step network_for start",
}
_HOMES = {name: place for place, names in _PLACES.items() for name in names.split()}
_FLOORS = ("data", "ensemble", "errors", "evidence", "model", "nn", "training")

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
    "lr_find",
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
    if name in _HOMES:
        found = getattr(_import_module(f"jaxmlp.{_HOMES[name]}"), name)
        globals()[name] = found  # the next time it is there
        return found
    if name in _FLOORS:
        return _import_module(f"jaxmlp.{name}")
    raise AttributeError(f"module 'jaxmlp' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES} - {"TYPE_CHECKING", "Any"})
