"""Who is compared: one module for each peer, each a record of functions."""

from peers.equinox_optax import EQUINOX
from peers.flax_nnx import NNX, NNX_CACHED
from peers.jax_loops import LOOP, SCAN
from peers.keras_jax import KERAS
from peers.numpy_loop import TUTORIAL, TUTORIAL32
from peers.ours import EPOCHS, OURS
from peers.pytorch import COMPILED, EAGER
from peers.record import Peer
from peers.scikit_learn import SCIKIT_LEARN

# by the word that --peers takes; ours first
PEERS: dict[str, Peer] = {
    "jaxmlp": OURS,
    "epochs": EPOCHS,
    "sklearn": SCIKIT_LEARN,
    "torch": EAGER,
    "compile": COMPILED,
    "keras": KERAS,
    "nnx": NNX,
    "nnx-cached": NNX_CACHED,
    "equinox": EQUINOX,
    "loop": LOOP,
    "scan": SCAN,
    "numpy": TUTORIAL,
    "numpy32": TUTORIAL32,
}
