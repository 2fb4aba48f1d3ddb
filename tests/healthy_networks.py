"""Healthy networks as practitioners meet them: `diagnose` has no finding."""

from collections.abc import Callable
from functools import partial

import jax
import numpy as np
from network_cases import Case, blobs, digits, fresh, one_hot, smooth, standardise, table, trained

from jaxmlp.nn.objective import Objective

Builder = Callable[[], Case]
NETWORKS: dict[str, Builder] = {}


def healthy(build: Builder) -> Builder:
    NETWORKS[build.__name__] = build
    return build


ACTIVATIONS = ("tanh", "sigmoid", "relu", "leaky_relu(0.01)", "elu(1.0)", "maxout(2)", "gelu", "silu", "softplus")


def iris_with(activation: str) -> Case:
    X, y = table("iris")
    return fresh(standardise(X), one_hot(y, 3), (4, 16, 16, 3), activation, "softmax")


NETWORKS |= {f"iris with {activation}": partial(iris_with, activation) for activation in ACTIVATIONS}


@healthy
def logistic_regression_fresh():
    X, y = table("breast_cancer")
    return fresh(standardise(X), y * 1.0, (30, 1), output="sigmoid")


@healthy
def softmax_regression_of_zeros():
    X, y = digits()
    return fresh(X, one_hot(y, 10), (64, 10), output="softmax", initializer="zeros")


@healthy
def linear_regression_trained():
    X, y = table("diabetes")
    return trained(fresh(standardise(X), standardise(y[:, None]), (10, 1), dtype="float64"), 500, 0.05)


@healthy
def poisson_regression():
    X, _ = smooth(300, 4)
    y = np.random.default_rng(1).poisson(np.exp(0.5 * X[:, 0] + 0.3)) * 1.0
    return fresh(X, y, (4, 16, 1), "tanh", "exp")


@healthy
def poisson_trained():
    X, _ = smooth(300, 4)
    y = np.random.default_rng(1).poisson(np.exp(0.5 * X[:, 0] + 0.3)) * 1.0
    return trained(fresh(X, y, (4, 16, 1), "relu", "exp"))


@healthy
def multi_label():
    X, _ = blobs(300, 12, 5)
    Y = (X @ np.random.default_rng(1).normal(size=(12, 6)) > 1) * 1.0
    return fresh(X, Y, (12, 32, 6), "relu", "sigmoid")


@healthy
def multi_label_trained():
    X, _ = blobs(300, 12, 5)
    Y = (X @ np.random.default_rng(1).normal(size=(12, 6)) > 1) * 1.0
    return trained(fresh(X, Y, (12, 32, 6), "relu", "sigmoid"))


@healthy
def ten_relu_layers_he():
    X, y = blobs(300, 20, 4)
    return fresh(X, one_hot(y, 4), (20, *[64] * 10, 4), "relu", "softmax")


@healthy
def eight_tanh_layers_xavier():
    X, y = smooth(300, 20)
    return fresh(X, y, (20, *[64] * 8, 1), "tanh", dtype="float64")


@healthy
def six_gelu_layers_of_128():
    X, y = digits()
    return fresh(X, one_hot(y, 10), (64, *[128] * 6, 10), "gelu", "softmax")


@healthy
def images_scaled_to_1():
    X, y = digits()
    return fresh(X, one_hot(y, 10), (64, 100, 10), "relu", "softmax")


@healthy
def images_standardised_with_constant_pixels():
    X, y = digits()
    return fresh(standardise(X), one_hot(y, 10), (64, 100, 10), "relu", "softmax")


@healthy
def images_scaled_to_1_trained():
    X, y = digits()
    return trained(fresh(X, one_hot(y, 10), (64, 64, 10), "relu", "softmax"))


@healthy
def batch_norm_six_layers():
    X, y = digits()
    return fresh(X, one_hot(y, 10), (64, *[48] * 6, 10), "relu", "softmax", norm="batch")


@healthy
def batch_norm_trained():
    X, y = digits()
    return trained(fresh(X, one_hot(y, 10), (64, 48, 48, 10), "relu", "softmax", norm="batch"), 100)


@healthy
def layer_norm_gelu():
    X, y = blobs(200, 16, 4)
    return fresh(X, one_hot(y, 4), (16, *[32] * 5, 4), "gelu", "softmax", norm="layer")


@healthy
def bfloat16_digits():
    X, y = digits()
    return fresh(X, one_hot(y, 10), (64, 128, 64, 10), "relu", "softmax", dtype="bfloat16")


@healthy
def bfloat16_digits_trained():
    X, y = digits()
    return trained(fresh(X, one_hot(y, 10), (64, 64, 10), "relu", "softmax", dtype="bfloat16"), 200)


@healthy
def float16_tanh_iris():
    X, y = table("iris")
    return fresh(standardise(X), one_hot(y, 3), (4, 20, 3), "tanh", "softmax", dtype="float16")


@healthy
def float16_regression_trained():
    X, y = smooth(200, 5)
    return trained(fresh(X, y, (5, 32, 1), "silu", dtype="float16"))


@healthy
def table_with_one_hot_columns():
    X, y = smooth(500, 4)
    rng = np.random.default_rng(1)
    usual = one_hot(rng.integers(12, size=500), 12)
    rare = one_hot(rng.choice(4, 500, p=[0.9, 0.06, 0.03, 0.01]), 4)
    return fresh(np.c_[X, usual, rare, rng.random((500, 1)) < 0.02], y, (21, 32, 16, 1), "relu")


@healthy
def table_with_one_hot_columns_trained():
    return trained(table_with_one_hot_columns())


@healthy
def xor_fresh():
    return fresh([[0, 0], [0, 1], [1, 0], [1, 1.0]], [0, 1, 1, 0.0], (2, 4, 1), "tanh", "sigmoid")


@healthy
def xor_trained():
    return trained(fresh([[0, 0], [0, 1], [1, 0], [1, 1.0]], [0, 1, 1, 0.0], (2, 8, 1), "tanh", "sigmoid"), 600, 0.02)


@healthy
def iris_trained_float64():
    X, y = table("iris")
    return trained(fresh(standardise(X), y, (4, 16, 3), "relu", "softmax", dtype="float64"))


@healthy
def wine_trained_with_dropout():
    X, y = table("wine")
    drop = Objective(dropout=0.5)
    case = fresh(standardise(X), one_hot(y, 3), (13, 64, 3), "relu", "softmax", objective=drop)
    return trained(case, key=jax.random.key(2))


@healthy
def breast_cancer_trained_with_l2():
    X, y = table("breast_cancer")
    return trained(fresh(standardise(X), y * 1.0, (30, 32, 1), "relu", "sigmoid", objective=Objective(l2=1.0)))


@healthy
def imbalance_of_5_percent_learned():
    r = np.random.default_rng(1)
    y = (r.random(600) < 0.05) * 1.0
    X = r.normal(size=(600, 5))
    X[:, 0] += 4 * y
    return trained(fresh(standardise(X), y, (5, 16, 1), "relu", "sigmoid"))


@healthy
def wide_layer_of_1000():
    X, y = smooth(200, 10)
    return fresh(X, y, (10, 1000, 1), "relu")


@healthy
def autoencoder_of_images():
    X, _ = digits()
    return fresh(X, X, (64, 32, 8, 32, 64), "relu", "sigmoid")


@healthy
def huber_with_outliers():
    X, y = smooth(300, 5)
    y = y.copy()
    y[:5] += 8
    return fresh(X, y, (5, 32, 1), "tanh", objective=Objective(cost="huber(1.0)"))


@healthy
def median_regression_trained():
    X, y = smooth(300, 5)
    return trained(fresh(X, y, (5, 32, 1), "relu", objective=Objective(cost="absolute")))


@healthy
def sensible_rate():
    X, y = blobs(300, 10, 3)
    return fresh(X, one_hot(y, 3), (10, 32, 3), "relu", "softmax", learning_rate=0.1)


@healthy
def sensible_rate_for_regression():
    X, y = smooth(300, 10)
    return fresh(X, y, (10, 32, 1), "tanh", learning_rate=0.05)


@healthy
def smoothed_labels():
    X, y = blobs(300, 10, 5)
    return fresh(X, one_hot(y, 5), (10, 64, 5), "silu", "softmax", objective=Objective(label_smoothing=0.1))


@healthy
def targets_in_0_to_1_at_a_sigmoid():
    X, y = smooth(300, 5)
    return trained(fresh(X, 1 / (1 + np.exp(-y)), (5, 16, 1), "tanh", "sigmoid", objective=Objective(cost="quadratic")))


@healthy
def wide_digits_relu_512():
    X, y = digits(rows=600)
    return fresh(X, one_hot(y, 10), (64, 512, 256, 10), "relu", "softmax", seed=4)


@healthy
def silu_regression_trained_float64():
    X, y = smooth(250, 8, 5)
    return trained(fresh(X, y, (8, 48, 48, 1), "silu", dtype="float64", seed=2))


@healthy
def elu_with_lecun_weights():
    X, y = blobs(250, 12, 3, 7)
    return fresh(X, one_hot(y, 3), (12, 32, 32, 32, 3), "elu(1.0)", "softmax", initializer="lecun_normal")


@healthy
def he_uniform_leaky():
    X, y = smooth(250, 12, 8)
    return fresh(X, y, (12, 64, 64, 64, 64, 1), "leaky_relu(0.2)", initializer="he_uniform")


@healthy
def sparse_text_like_features():
    r = np.random.default_rng(3)
    X = (r.random((400, 200)) < 0.04) * r.random((400, 200))
    y = (X[:, :20].sum(1) > X[:, 20:40].sum(1)) * 1.0
    return fresh(X, y, (200, 32, 1), "relu", "sigmoid")


@healthy
def sparse_text_trained():
    return trained(sparse_text_like_features(), 200)


@healthy
def batch_of_32_of_digits():
    X, y = digits(rows=32)
    return fresh(X, one_hot(y, 10), (64, 64, 10), "relu", "softmax", learning_rate=0.1)


@healthy
def layer_norm_trained_bfloat16():
    X, y = digits()
    return trained(fresh(X, one_hot(y, 10), (64, 64, 64, 10), "relu", "softmax", norm="layer", dtype="bfloat16"), 150)


@healthy
def two_targets():
    X, y = smooth(250, 6)
    return trained(fresh(X, np.c_[y, standardise(X[:, :1] ** 2)], (6, 32, 2), "tanh"))


@healthy
def minmax_table():
    X, y = table("wine")
    X = (X - X.min(0)) / (X.max(0) - X.min(0))
    return trained(fresh(X, one_hot(y, 3), (13, 24, 3), "tanh", "softmax"), 400)


@healthy
def binary_inputs_only():
    r = np.random.default_rng(6)
    X = (r.random((300, 16)) < 0.5) * 1.0
    y = X[:, 0] * X[:, 1] + X[:, 2] > 0.5
    return fresh(X, y * 1.0, (16, 32, 1), "relu", "sigmoid")


@healthy
def minus1_to_1_images():
    X, y = digits()
    return trained(fresh(2 * X - 1, one_hot(y, 10), (64, 64, 10), "relu", "softmax"), 150)


@healthy
def skewed_imbalance_balanced_weights():
    X, y = blobs(400, 6, 3)
    keep = (y > 0) | (np.arange(400) % 5 == 0)
    X, y = (X[keep], y[keep])
    return trained(fresh(standardise(X), one_hot(y, 3), (6, 16, 3), "relu", "softmax"))


@healthy
def usual_dropout_of_a_narrow_network():
    X, y = blobs(300, 3, 3)
    return fresh(X, one_hot(y, 3), (3, 4, 3), output="softmax", objective=Objective(dropout=0.5, input_dropout=0.2))
