"""A training loop of your own: step by step, as one scan, as a vmap over seeds, and stopped and resumed.

    python examples/training_script.py [--fast]

`make_step` gives one compiled step of training; everything around it is ordinary JAX, to copy and change.
"""

import argparse
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp

import jaxmlp

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--fast", action="store_true", help="fewer steps")
n_steps = 200 if parser.parse_args().fast else 1000

# %% data as columns, network, optimizer, step
data = jaxmlp.load("digits")
assert data.test is not None  # a data set that is read without one has no test part
X, X_test = (jnp.asarray(data.preprocessing(part.rows).T) for part in (data.train, data.test))
Y, Y_test = (jnp.asarray(part.targets[None, :]) for part in (data.train, data.test))
net = jaxmlp.network_for(data, hidden=(32,))
optimizer = optax.adam(3e-3)
step = jaxmlp.make_step(net, optimizer)
batches = np.random.default_rng(0).integers(0, X.shape[1], size=(n_steps, 64))

# %% 1. a Python loop: the state goes in and is replaced, because its memory is used again
state = jaxmlp.init_state(jax.random.key(0), net, optimizer)
report = None
for columns in batches:
    state, report = step(state, X[:, columns], Y[:, columns])
assert report is not None
print(f"loop: cost {report.cost:.4f} and accuracy {report.accuracy:.1%} of the last batch")


# %% 2. the same steps as one compiled program
def scan_steps(state, batches, X, Y):  # X and Y are arguments: captured, they would be copied into the program
    return jax.lax.scan(lambda state, columns: step(state, X[:, columns], Y[:, columns]), state, batches)


scanned, reports = jax.jit(scan_steps)(jaxmlp.init_state(jax.random.key(0), net, optimizer), batches, X, Y)
print(f"scan: {len(reports.cost)} costs in one call, the last is {reports.cost[-1]:.4f}")
for ours, theirs in zip(jax.tree.leaves(state.params), jax.tree.leaves(scanned.params), strict=True):
    np.testing.assert_allclose(ours, theirs, atol=1e-2)

# %% 3. the same again for four seeds at once: `vmap` adds an axis to every leaf of the state
states = jax.vmap(lambda key: jaxmlp.init_state(key, net, optimizer))(jax.random.split(jax.random.key(1), 4))
states, reports = jax.jit(jax.vmap(scan_steps, in_axes=(0, None, None, None)))(states, batches, X, Y)
outputs = jax.vmap(lambda params: jaxmlp.forward(params, X_test, net))(states.params)
accuracies = (outputs.argmax(axis=1) == Y_test).mean(axis=1)
print("vmap: test accuracies", " ".join(f"{accuracy:.1%}" for accuracy in accuracies))
assert float(accuracies.min()) > 0.9

# %% 4. stopped and resumed: the state is all that the next step needs
half = n_steps // 2
state = jaxmlp.init_state(jax.random.key(0), net, optimizer)
state, _ = jax.jit(scan_steps)(state, batches[:half], X, Y)
with tempfile.TemporaryDirectory() as folder, ocp.StandardCheckpointer() as checkpointer:
    plain = state._replace(key=jax.random.key_data(state.key))  # a file holds numbers, and a typed key is none
    checkpointer.save(Path(folder) / "state", plain)
    checkpointer.wait_until_finished()
    loaded = checkpointer.restore(Path(folder) / "state", plain)
resumed, _ = jax.jit(scan_steps)(loaded._replace(key=jax.random.wrap_key_data(loaded.key)), batches[half:], X, Y)
same = jax.tree.map(lambda a, b: bool((a == b).all()), resumed.params, scanned.params)
assert all(jax.tree.leaves(same)), "the resumed run must be that of one scan, bit for bit"
print("resume: bit for bit the parameters of the run that was not stopped")

# %% 5. the parameters become a model: predict, evaluate, save
model = jaxmlp.Model.of(net, resumed.params, data)
print(f"model: test accuracy {model.evaluate(data.test)['accuracy']:.1%}")
