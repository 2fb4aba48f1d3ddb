"""29. Many devices: a batch divided among them gives the parameters of one device.

    python examples/lessons/29_many_devices.py [--fast]

J is a mean over m examples, so its gradient is a mean of gradients: each device computes those of its columns, X of shape
(n, m/4) for four devices, and one sum over the devices (an all-reduce) makes them whole. Every device has all of W and b,
and takes the same step, so that they stay equal. Without an accelerator, four devices are made of the CPU. The last
digits may differ, for a sum of floating-point numbers depends on its order.
"""

import jax
import numpy as np
from course import TRUE, claim, start

import jaxmlp

fast = start(__doc__)
try:
    jax.config.update("jax_num_cpu_devices", 4)
except RuntimeError:  # the devices of this process are counted already
    print(f"this process has {len(jax.devices())} devices")
data, n = jaxmlp.load("digits"), len(jax.devices())
net = jaxmlp.network_for(data, hidden=(16,))
n_epochs = 2 if fast else 10

# %% one device, all devices, and a batch that they do not divide evenly
gaps = {}
for size in (64, 61):
    one = jaxmlp.fit(net, data, epochs=n_epochs, batch_size=size)
    every = jaxmlp.fit(net, data, epochs=n_epochs, batch_size=size, mesh="all")
    gaps[size] = max(
        float(np.abs(a - b).max())
        for a, b in zip(jax.tree.leaves(one.params), jax.tree.leaves(every.params), strict=True)
    )

# %% What was claimed
# fmt: off
claim("", TRUE, "A batch divided over devices gives the parameters of one device, to rounding",
      f"{n} devices, by batch size: {({size: float(f'{gap:.0e}') for size, gap in gaps.items()})}",
      max(gaps.values()) < 1e-7)
