"""Training: configuration, state, step, engine, callbacks, fit."""

from jaxmlp.lazy_modules import lazy_modules as _lazy_modules
from jaxmlp.training.batches import make_batches as make_batches
from jaxmlp.training.blocks import epochs as epochs
from jaxmlp.training.callbacks import Callback as Callback
from jaxmlp.training.callbacks import ReportCallback as ReportCallback
from jaxmlp.training.checkpoints import Checkpointer as Checkpointer
from jaxmlp.training.config import TrainConfig as TrainConfig
from jaxmlp.training.early_stopping import EarlyStopping as EarlyStopping
from jaxmlp.training.fit import fit as fit
from jaxmlp.training.fit import network_for as network_for
from jaxmlp.training.lr_finder import lr_find as lr_find
from jaxmlp.training.numpy_init import init_numpy as init_numpy
from jaxmlp.training.state import Report as Report
from jaxmlp.training.state import TrainState as TrainState
from jaxmlp.training.state import init_state as init_state
from jaxmlp.training.step import make_step as make_step

__getattr__, __dir__ = _lazy_modules(__name__)
