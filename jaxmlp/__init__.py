"""jaxmlp: the textbook neural network in JAX, proven and fast."""

from importlib.metadata import version as _version

from jaxmlp.data import Dataset as Dataset
from jaxmlp.data import load as load
from jaxmlp.model import Model as Model
from jaxmlp.model import load_model as load_model
from jaxmlp.nn.activations import Activation as Activation
from jaxmlp.nn.activations import activation as activation
from jaxmlp.nn.network import Network as Network
from jaxmlp.nn.network import forward as forward
from jaxmlp.nn.network import init as init
from jaxmlp.nn.network import logits as logits
from jaxmlp.nn.network import trace as trace
from jaxmlp.nn.objective import Objective as Objective
from jaxmlp.nn.objective import backprop as backprop
from jaxmlp.nn.objective import cost as cost
from jaxmlp.training import Report as Report
from jaxmlp.training import TrainState as TrainState
from jaxmlp.training import epochs as epochs
from jaxmlp.training import fit as fit
from jaxmlp.training import make_batches as make_batches
from jaxmlp.training import make_step as make_step
from jaxmlp.training import network_for as network_for
from jaxmlp.training import start as start

__version__ = _version("jaxmlp")
