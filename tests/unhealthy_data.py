"""Unhealthy data as practitioners meet them, with the finding that `diagnose` must put first."""

import numpy as np
from network_cases import (
    UnhealthyNetworks,
    blobs,
    change,
    digits,
    fresh,
    one_hot,
    smooth,
    standardise,
    table,
    unhealthy_in,
)

from jaxmlp.nn.objective import Objective

NETWORKS: UnhealthyNetworks = {}
unhealthy = unhealthy_in(NETWORKS)


@unhealthy("unscaled inputs")
def raw_wine():
    X, y = table("wine")
    return fresh(X, one_hot(y, 3), (13, 32, 3), "relu", "softmax")


@unhealthy("unscaled inputs")
def raw_breast_cancer_tanh():
    X, y = table("breast_cancer")
    return fresh(X, y * 1.0, (30, 16, 1), "tanh", "sigmoid")


@unhealthy("unscaled inputs")
def pixels_to_255():
    X, y = digits(16 / 255)
    return fresh(X, one_hot(y, 10), (64, 100, 10), "relu", "softmax")


@unhealthy("unscaled inputs")
def a_row_number_among_the_features():
    X, y = blobs(400, 6, 2)
    X = np.c_[np.arange(400.0) + 10000, X]
    return fresh(X, y * 1.0, (7, 16, 1), "relu", "sigmoid")


@unhealthy("unscaled inputs")
def years_beside_standardised_columns():
    X, y = smooth(300, 4)
    X = np.c_[np.random.default_rng(1).integers(1990, 2021, 300), X]
    return fresh(X, y, (5, 32, 1), "tanh")


@unhealthy("inputs off centre")
def temperatures_in_a_narrow_band():
    X, y = smooth(300, 4)
    return fresh(8 + 0.1 * X, y, (4, 32, 1), "tanh", dtype="float64")


@unhealthy("unscaled inputs")
def a_feature_in_millionths():
    X, y = smooth(300, 5)
    X = X.copy()
    X[:, 1] *= 1e-06
    return fresh(X, y, (5, 32, 1), "relu")


@unhealthy("unscaled targets")
def house_prices_in_dollars():
    X, y = smooth(300, 8)
    return fresh(X, 200000.0 + 80000.0 * y, (8, 32, 1), "relu")


@unhealthy("unscaled targets")
def raw_diabetes_targets():
    X, y = table("diabetes")
    return fresh(standardise(X), y, (10, 20, 1), "tanh", dtype="float64")


@unhealthy("labels out of range")
def labels_1_and_2():
    X, y = blobs(200, 5, 2)
    return fresh(X, y + 1.0, (5, 16, 1), "relu", "sigmoid")


@unhealthy("labels out of range")
def labels_minus_1_and_1():
    X, y = blobs(200, 5, 2)
    return fresh(X, 2.0 * y - 1, (5, 16, 1), "tanh", "sigmoid")


@unhealthy("labels out of range")
def class_ids_from_1_to_3():
    X, y = table("iris")
    return fresh(standardise(X), y + 1, (4, 16, 3), "relu", "softmax")


@unhealthy("unreachable targets")
def tanh_output_for_targets_to_100():
    X, y = smooth(200, 3)
    return fresh(X, 50 + 25 * np.tanh(y), (3, 16, 1), "relu", "tanh", objective=Objective(cost="quadratic"))


@unhealthy("unreachable targets")
def relu_output_for_standardised_targets():
    X, y = smooth(200, 3)
    return fresh(X, y, (3, 16, 1), "relu", "relu", objective=Objective(cost="quadratic"))


@unhealthy("non-finite values")
def a_gap_in_the_table():
    X, y = smooth(200, 6)
    X = X.copy()
    X[17, 3] = np.nan
    return fresh(X, y, (6, 16, 1), "relu")


@unhealthy("non-finite values")
def weights_after_divergence():
    X, y = blobs(200, 6, 3)
    c = fresh(X, one_hot(y, 3), (6, 16, 3), "relu", "softmax")
    W = np.array(c.params[1]["W"])
    W[0, 0] = np.inf
    return change(c, 1, W=W)


@unhealthy("batch of one example")
def batch_norm_of_one_row():
    X, y = digits()
    return fresh(X[:1], one_hot(y[:1], 10), (64, 32, 32, 10), "relu", "softmax", norm="batch")


@unhealthy("labels out of range")
def digits_0_to_9_at_a_sigmoid():
    X, y = digits()
    return fresh(X, y * 1.0, (64, 32, 1), "relu", "sigmoid")


@unhealthy("labels that do not sum to 1")
def two_labels_at_once_at_a_softmax():
    X, y = blobs(200, 5, 4)
    Y = one_hot(y, 4)
    Y[np.arange(200), (y + 1) % 4] = 1
    return fresh(X, Y, (5, 16, 4), "relu", "softmax")


@unhealthy("unscaled inputs")
def raw_california_like():
    X, y = smooth(400, 5, 3)
    X = X * [2, 12, 1000, 0.5, 5] + [4, 28, 1500, 3, 35]
    return fresh(X, y, (5, 64, 64, 1), "relu")


@unhealthy("unscaled targets")
def kilowatt_hours_in_the_thousands():
    X, y = smooth(200, 6)
    return fresh(X, 4000 + 1500 * y, (6, 32, 16, 1), "gelu")


@unhealthy("labels out of range")
def percent_at_a_sigmoid():
    X, y = smooth(200, 6)
    return fresh(X, 100 / (1 + np.exp(-y)), (6, 32, 1), "relu", "sigmoid")


@unhealthy("non-finite values")
def exp_output_overflows():
    X, _ = smooth(200, 3)
    y = np.random.default_rng(1).poisson(3, 200) * 1.0
    return fresh(200 * X, y, (3, 1), output="exp", initializer="normal(1)")


@unhealthy("unreachable targets")
def sigmoid_output_standardised_targets():
    X, y = smooth(200, 4)
    return fresh(X, y, (4, 16, 1), "tanh", "sigmoid", objective=Objective(cost="quadratic"))


@unhealthy("unscaled inputs")
def pressure_in_hectopascal():
    X, y = smooth(200, 3)
    return fresh(np.c_[1013 + 8 * X[:, :1], X[:, 1:]], y, (3, 16, 1), "relu")
