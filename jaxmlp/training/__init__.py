"""The engine: state, step, epochs, fit."""

from jaxmlp.training.batches import make_batches as make_batches
from jaxmlp.training.checkpoints import Checkpoints as Checkpoints
from jaxmlp.training.epoch import epochs as epochs
from jaxmlp.training.fit import fit as fit
from jaxmlp.training.fit import network_for as network_for
from jaxmlp.training.fit_many import fit_many as fit_many
from jaxmlp.training.range_test import lr_find as lr_find
from jaxmlp.training.state import Report as Report
from jaxmlp.training.state import TrainState as TrainState
from jaxmlp.training.state import start as start
from jaxmlp.training.step import make_step as make_step
from jaxmlp.training.stopping import EarlyStopping as EarlyStopping
