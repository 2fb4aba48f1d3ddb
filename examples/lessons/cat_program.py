"""The program of the fifth tutorial, in NumPy: its functions under its names, and files of the format that it reads.

Lesson 25 runs it beside jaxmlp. A layer's cache is ((W, A_prev, b), Z); parameters are {"W1": …, "b1": …, "W2": …}.
"""

from pathlib import Path

import h5py
import numpy as np

# --- data -------------------------------------------------------------------------------------------------------------


def write_stand_ins(folder: Path) -> Path:
    """Write train and test files of 64 x 64 colour images of blobs (1) and stripes (0), and print that they stand in."""
    print("images of blobs and stripes; for the course's cats set JAXMLP_DATA to the folder that holds the folder cat")
    rng, (u, v) = np.random.default_rng(0), np.mgrid[0:64, 0:64]
    for name, m in (("train", 209), ("test", 50)):
        labels, images = rng.integers(0, 2, m), np.empty((m, 64, 64, 3), np.uint8)
        for i, label in enumerate(labels):
            cx, cy = rng.uniform(20, 44, 2)
            shape = np.exp(-((u - cx) ** 2 + (v - cy) ** 2) / 200) if label else 0.5 + 0.5 * np.sin((u + cx) / 4)
            images[i] = 200 * shape[:, :, None] * rng.uniform(0.5, 1, 3) + rng.uniform(0, 50, (64, 64, 3))
        with h5py.File(folder / f"{name}_catvnoncat.h5", "w") as file:
            file[f"{name}_set_x"], file[f"{name}_set_y"] = images, labels
            file["list_classes"] = np.array([b"non-cat", b"cat"])
    return folder


def loadData(folder):
    """Images (m, 64, 64, 3) and labels (1, m) of both parts, and the names of the classes."""
    # the course's names end in _catvnoncat, the tutorial's are train.h5 and test.h5
    with h5py.File(next(folder.glob("train*.h5"))) as train, h5py.File(next(folder.glob("test*.h5"))) as test:
        train_set_x, train_set_y = np.asarray(train["train_set_x"]), np.asarray(train["train_set_y"])
        test_set_x, test_set_y = np.asarray(test["test_set_x"]), np.asarray(test["test_set_y"])
        list_classes = np.asarray(test["list_classes"])
    return train_set_x, train_set_y.reshape(1, -1), test_set_x, test_set_y.reshape(1, -1), list_classes


# --- parameters, forward, backward ------------------------------------------------------------------------------------


def iniPara(laydims):
    """Seed 1, randn/√n, zeros."""
    generator = np.random.RandomState(1)  # the numbers of np.random.seed(1), on which the course's costs depend
    parameters = {}
    for l in range(1, len(laydims)):
        parameters[f"W{l}"] = generator.randn(laydims[l], laydims[l - 1]) / np.sqrt(laydims[l - 1])
        parameters[f"b{l}"] = np.zeros((laydims[l], 1))
    return parameters


def sigmoid(z):
    """1/(1 + e⁻ᶻ)."""
    return 1 / (1 + np.exp(-z))


def relu(z):
    """z where z > 0."""
    return np.array(z > 0) * z


def forwardLinearActivation(W, b, A_prev, activation):
    """A, and the cache ((W, A_prev, b), Z)."""
    Z = np.dot(W, A_prev) + b
    return activation(Z), ((W, A_prev, b), Z)


def forwardModel(X, parameters):
    """A_L and the caches: relu, relu, …, sigmoid."""
    L, A, caches = len(parameters) // 2, X, []
    for l in range(1, L + 1):
        A, cache = forwardLinearActivation(parameters[f"W{l}"], parameters[f"b{l}"], A, sigmoid if l == L else relu)
        caches.append(cache)
    return A, caches


def reluBackward(dA, Z):
    """dA where Z > 0."""
    dZ = np.array(dA, copy=True)
    dZ[Z <= 0] = 0
    return dZ


def sigmoidBackward(dA, Z):
    """dA · σ(1 - σ)."""
    s = sigmoid(Z)
    return dA * s * (1 - s)


def linearBackward(dZ, cache):
    """dA_prev, dW, db."""
    W, A_prev, _ = cache
    m = A_prev.shape[1]
    return np.dot(W.T, dZ), np.dot(dZ, A_prev.T) / m, np.sum(dZ, axis=1, keepdims=True) / m


def linearActivationBackward(dA, cache, backward):
    """dA_prev, dW, db through both halves of a layer."""
    linear, Z = cache
    return linearBackward(backward(dA, Z), linear)


def backwardModel(AL, Y, caches):
    """dW, db of every layer; the key dA{l} holds, as in the tutorial, the gradient for the layer below."""
    L, diffs = len(caches), {}
    dA = -(np.divide(Y, AL) - np.divide(1 - Y, 1 - AL))
    for l in range(L, 0, -1):
        dA, dW, db = linearActivationBackward(dA, caches[l - 1], sigmoidBackward if l == L else reluBackward)
        diffs[f"dA{l}"], diffs[f"dW{l}"], diffs[f"db{l}"] = dA, dW, db
    return diffs


def cost_of(AL, Y):
    """-1/m Σ (y ln a + (1 - y) ln(1 - a))."""
    return float(-np.mean(Y * np.log(AL) + (1 - Y) * np.log(1 - AL)))
