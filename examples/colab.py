# %% [markdown]
# # jaxmlp on Colab
#
# The textbook's network on the processor that this notebook was given: which one that is, how many digits it
# loses, a training on each of three data sets, many networks at once, the speed, and a model to take home.
#
# *Runtime > Change runtime type* chooses a GPU or a TPU. This file is made from `examples/colab.py` by
# `examples/notebook.py`; run all cells from the top.

# %% [markdown]
# ## Install
#
# `SOURCE` is what `pip` installs: the folder of the repository, uploaded or cloned to `/content/jaxmlp`, or an
# address such as `git+https://…`.

# %%
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

SOURCE = "/content/jaxmlp"

if importlib.util.find_spec("jaxmlp") is None:
    if not (Path(SOURCE).exists() or SOURCE.startswith("git+")):
        raise SystemExit(f"no {SOURCE}: clone the repository there, or write its address into SOURCE")
    requirement = f"{SOURCE}[all]" if Path(SOURCE).exists() else f"jaxmlp[all] @ {SOURCE}"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", requirement], check=True)

# %% [markdown]
# ## The device
#
# JAX falls back to the CPU without an error when it finds no driver for the accelerator. So the hardware is asked
# first, and a difference ends the notebook here. Write "gpu", "tpu" or "cpu" to expect one whatever the hardware says.

# %%
import jax

EXPECTED = os.environ.get("EXPECTED_DEVICE", "auto")


def hardware():
    """Return what the machine has, by its device files and not by what JAX found."""
    if Path("/dev/nvidia0").exists() or shutil.which("nvidia-smi"):
        return "gpu"
    return "tpu" if Path("/dev/accel0").exists() or "TPU_ACCELERATOR_TYPE" in os.environ else "cpu"


expected = hardware() if EXPECTED == "auto" else EXPECTED
device = jax.devices()[0]
count = len(jax.devices())
print(f"this notebook computes on {count} x {device.device_kind} ({device.platform}), JAX {jax.__version__}")
assert device.platform == expected, (
    f"expected a {expected}, but JAX computes on the {device.platform}: "
    f'install its driver with pip install -U "jax[{"cuda12" if expected == "gpu" else "tpu"}]" and restart the runtime'
)

# %% [markdown]
# ## Digits: train, evaluate, predict

# %%
import jaxmlp

data = jaxmlp.load("digits")
assert data.test is not None  # a data set that is read without one has no test part
net = jaxmlp.network_for(data, hidden=(100, 50))
result = jaxmlp.fit(net, data, epochs=20)
model = jaxmlp.Model.of(net, result.params, data)
scores = model.evaluate(data.test)
print(f"test accuracy {scores['accuracy']:.2%} after {result.history[-1].seconds:.1f} s")
assert scores["accuracy"] > 0.95
print("the first five test images are", *model.predict(data.test.rows[:5]))

# %% [markdown]
# ## How many digits does this device lose?
#
# Accelerators round the factors of a float32 matrix product (to tf32 or bfloat16) unless they are told not to. Each row
# compares outputs and gradients on this device with float64 on the CPU.


# %%
def command(*arguments):
    """Run a command of jaxmlp, print what it prints, and fail if it fails."""
    done = subprocess.run([sys.executable, "-m", "jaxmlp", *arguments], capture_output=True, text=True)
    print(done.stdout, done.stderr)
    assert done.returncode == 0, arguments


command("verify", "--device")

# %% [markdown]
# ## Colab's own data: 20,000 images of MNIST
#
# A table without a header: the class, then 784 pixels.

# %%
SAMPLES = Path(os.environ.get("SAMPLE_DATA", "sample_data"))
images = jaxmlp.load(SAMPLES / "mnist_train_small.csv", target=0)  # a fifth of the rows becomes the test part
assert images.test is not None
net = jaxmlp.network_for(images, hidden=(128,), norm="batch")
result = jaxmlp.fit(net, images, epochs=10, batch_size=128, objective=jaxmlp.Objective(dropout=0.2))
accuracy = jaxmlp.Model.of(result.net, result.params, images).evaluate(images.test)["accuracy"]
print(f"{len(images.train.rows)} training images, test accuracy {accuracy:.2%}")
assert accuracy > 0.8

# %% [markdown]
# ## House prices in California
#
# A table with a header; the last column is the value to predict, in dollars.

# %%
houses = jaxmlp.load(SAMPLES / "california_housing_train.csv", target="median_house_value")
assert houses.test is not None
net = jaxmlp.network_for(houses, hidden=(64, 32))
result = jaxmlp.fit(net, houses, epochs=30, batch_size=128)
scores = jaxmlp.Model.of(net, result.params, houses).evaluate(houses.test)
print({name: round(float(value), 4) for name, value in scores.items()})
assert scores["r2"] > 0.3

# %% [markdown]
# ## Many networks in one program
#
# Three learning rates times four seeds, trained together.

# %%
population = jaxmlp.fit_many(
    jaxmlp.network_for(data, hidden=(32,)), data, grid={"learning_rate": [0.001, 0.003, 0.01]}, seeds=4, epochs=10
)
for row in population.leaderboard:
    rate = row.numbers["learning_rate"]
    print(f"learning rate {rate:g}: test accuracy {row.accuracy:.1%}, {population.metric} {row.mean:.3f}")

# %% [markdown]
# ## The speed of a training step on this device

# %%
command("bench", "small", "--rounds", "1")

# %% [markdown]
# ## Take the model home
#
# One file holds the network, its parameters, the preprocessing and the classes.

# %%
model.save("digits.h5")
again = jaxmlp.load_model("digits.h5")
assert (again.predict(data.test.rows) == model.predict(data.test.rows)).all()
print(f"digits.h5: {Path('digits.h5').stat().st_size:,} bytes")
if importlib.util.find_spec("google") and importlib.util.find_spec("google.colab"):
    importlib.import_module("google.colab.files").download("digits.h5")
