"""31. Serving: one file holds the network, its parameters, the preprocessing and the classes.

    python examples/lessons/31_serving.py [--fast]

What is saved must give the same answers elsewhere, to rows as they come: not yet standardised, one at a time or
thousands. A few rows are answered by NumPy, without a compilation; many by the compiled program.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from course import TRUE, claim, start

import jaxmlp

fast = start(__doc__)
data = jaxmlp.load("digits")
assert data.test is not None
net = jaxmlp.network_for(data, hidden=(32,))
result = jaxmlp.fit(net, data, epochs=10 if fast else 40)
model = jaxmlp.Model.of(net, result.params, data)
place = tempfile.TemporaryDirectory()
path = Path(place.name) / "model.h5"
model.save(path)
again = jaxmlp.load_model(path)
rows = data.test.rows
same = (again.predict(rows) == model.predict(rows)).all()
probabilities = again.predict_proba(rows)

# %% one row beside many
singles = np.concatenate([again.predict_proba(rows[i : i + 1]) for i in range(20)])
gap = float(np.abs(singles - probabilities[:20]).max())
times = []
for _ in range(100):
    began = time.perf_counter()
    again.predict(rows[:1])
    times.append(1e6 * (time.perf_counter() - began))

# %% the same answers from the command line
np.savez(Path(place.name) / "rows.npz", X=rows[:5])
command = [sys.executable, "-m", "jaxmlp", "predict", str(path), str(Path(place.name) / "rows.npz")]
printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
agree = [line.split(",")[0] for line in printed[1:]] == [str(label) for label in again.predict(rows[:5])]

size = path.stat().st_size
place.cleanup()

# %% What was claimed
# fmt: off
claim("", TRUE, "A saved model answers as the one that was saved", f"{len(rows)} rows, {size:,} bytes",
      same)
claim("", TRUE, "One row at a time or many together: the same probabilities",
      f"{gap:.0e}; a row takes {np.median(times):.0f} µs", gap < 1e-5)
claim("", TRUE, "The command line answers the same", " ".join(line.split(",")[0] for line in printed[1:]), agree)
