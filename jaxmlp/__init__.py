"""jaxmlp: the textbook neural network in JAX, proven and fast."""

import sys as _sys

if _sys.argv and (_sys.argv[0] == "-m" or _sys.argv[0].endswith(("jaxmlp", "jaxmlp.exe"))):
    from jaxmlp import interrupts as _interrupts

    if _interrupts.is_command():
        _interrupts.install()  # before everything that takes its time

from importlib import import_module as _import_module
from importlib.util import find_spec as _find_spec
from typing import TYPE_CHECKING, Any

from jaxmlp.fork import register_fork_hook as _register_fork_hook
from jaxmlp.lazy_modules import lazy_modules as _lazy_modules

if TYPE_CHECKING:
    from jaxmlp.analysis.curvature import hessian as hessian
    from jaxmlp.analysis.curvature import hvp as hvp
    from jaxmlp.analysis.curvature import largest_eigenvalue as largest_eigenvalue
    from jaxmlp.analysis.linear import collapse as collapse
    from jaxmlp.analysis.linear import example_gradient_norms as example_gradient_norms
    from jaxmlp.analysis.linear import example_gradients as example_gradients
    from jaxmlp.data import Dataset as Dataset
    from jaxmlp.data import StreamedDataset as StreamedDataset
    from jaxmlp.data import load as load
    from jaxmlp.data import stream as stream
    from jaxmlp.estimators import MLPClassifier as MLPClassifier
    from jaxmlp.estimators import MLPRegressor as MLPRegressor
    from jaxmlp.evidence.diagnostics.diagnose import diagnose as diagnose
    from jaxmlp.evidence.network_check.verify import verify as verify
    from jaxmlp.evidence.numpy_check.verify_numpy import verify_numpy as verify_numpy
    from jaxmlp.evidence.vjp_check.check_vjp import assert_vjp as assert_vjp
    from jaxmlp.evidence.vjp_check.check_vjp import check_vjp as check_vjp
    from jaxmlp.inference.model import Model as Model
    from jaxmlp.inference.model import load_model as load_model
    from jaxmlp.nn.activations import Activation as Activation
    from jaxmlp.nn.activations import activation as activation
    from jaxmlp.nn.backprop import backprop as backprop
    from jaxmlp.nn.backprop import cost as cost
    from jaxmlp.nn.forward import forward as forward
    from jaxmlp.nn.forward import logits as logits
    from jaxmlp.nn.network import Network as Network
    from jaxmlp.nn.objective import Objective as Objective
    from jaxmlp.nn.parameters import init as init
    from jaxmlp.nn.parameters import params_from_dict as params_from_dict
    from jaxmlp.nn.parameters import params_to_dict as params_to_dict
    from jaxmlp.nn.passes import trace as trace
    from jaxmlp.population.ensemble import Ensemble as Ensemble
    from jaxmlp.population.fit_many import fit_many as fit_many
    from jaxmlp.training import Callback as Callback
    from jaxmlp.training import Checkpointer as Checkpointer
    from jaxmlp.training import EarlyStopping as EarlyStopping
    from jaxmlp.training import Report as Report
    from jaxmlp.training import ReportCallback as ReportCallback
    from jaxmlp.training import TrainConfig as TrainConfig
    from jaxmlp.training import TrainState as TrainState
    from jaxmlp.training import epochs as epochs
    from jaxmlp.training import fit as fit
    from jaxmlp.training import init_numpy as init_numpy
    from jaxmlp.training import init_state as init_state
    from jaxmlp.training import lr_find as lr_find
    from jaxmlp.training import make_batches as make_batches
    from jaxmlp.training import make_step as make_step
    from jaxmlp.training import network_for as network_for

__version__: str

_register_fork_hook()  # at import, because a program may use JAX and fork before it calls jaxmlp

# Names and rooms are imported when they are first used: `jaxmlp --help` then starts without waiting for JAX, and a
# script that trains does not load the checks of `evidence`.
_HOMES = {
    "analysis.curvature": "hessian hvp largest_eigenvalue",
    "analysis.linear": "collapse example_gradient_norms example_gradients",
    "data": "Dataset StreamedDataset load stream",
    "estimators": "MLPClassifier MLPRegressor",
    "evidence.diagnostics.diagnose": "diagnose",
    "evidence.network_check.verify": "verify",
    "evidence.numpy_check.verify_numpy": "verify_numpy",
    "evidence.vjp_check.check_vjp": "assert_vjp check_vjp",
    "inference.model": "Model load_model",
    "nn.activations": "Activation activation",
    "nn.backprop": "backprop cost",
    "nn.forward": "forward logits",
    "nn.network": "Network",
    "nn.objective": "Objective",
    "nn.parameters": "init params_from_dict params_to_dict",
    "nn.passes": "trace",
    "population.ensemble": "Ensemble",
    "population.fit_many": "fit_many",
    "training": (
        "Callback Checkpointer EarlyStopping Report ReportCallback TrainConfig TrainState epochs fit init_numpy "
        "init_state lr_find make_batches make_step network_for"
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}
_get_module, _list_names = _lazy_modules(__name__)

__all__ = [
    "Activation",
    "Callback",
    "Checkpointer",
    "Dataset",
    "EarlyStopping",
    "Ensemble",
    "Model",
    "Network",
    "Objective",
    "Report",
    "ReportCallback",
    "StreamedDataset",
    "TrainConfig",
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
    "init_numpy",
    "init_state",
    "largest_eigenvalue",
    "load",
    "load_model",
    "logits",
    "lr_find",
    "make_batches",
    "make_step",
    "network_for",
    "params_from_dict",
    "params_to_dict",
    "stream",
    "trace",
    "verify",
    "verify_numpy",
]

if _find_spec("sklearn"):  # without it, `from jaxmlp import *` brings everything else
    __all__ += ["MLPClassifier", "MLPRegressor"]


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        value = getattr(_import_module(f"jaxmlp.{_HOME_OF[name]}"), name)
        globals()[name] = value  # the next access does not come here
        return value
    if name == "__version__":  # only when it is asked for: the metadata of packages take 80 ms to read
        from importlib.metadata import PackageNotFoundError, version

        try:
            globals()[name] = version("jaxmlp")
        except PackageNotFoundError:  # run from its source without being installed
            globals()[name] = "unknown"
        return globals()[name]
    return _get_module(name)


def __dir__() -> list[str]:
    return sorted({*_list_names(), *_HOME_OF, "__version__"} - {"TYPE_CHECKING", "Any"})
