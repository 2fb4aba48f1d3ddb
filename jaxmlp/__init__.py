"""jaxmlp: the textbook neural network in JAX, proven and fast."""

from importlib.metadata import version as _version

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

__version__ = _version("jaxmlp")
