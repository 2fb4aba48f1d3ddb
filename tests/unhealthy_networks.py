"""Unhealthy networks as practitioners meet them, each with the finding that `diagnose` must put first."""

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
    trained,
    unhealthy_in,
)

from jaxmlp.nn.objective import Objective

NETWORKS: UnhealthyNetworks = {}
unhealthy = unhealthy_in(NETWORKS)


@unhealthy("zero weights")
def zeros_on_iris():
    X, y = table("iris")
    return fresh(standardise(X), one_hot(y, 3), (4, 10, 3), "tanh", "softmax", initializer="zeros")


@unhealthy("symmetric units")
def constant_weights_of_a_regression():
    X, y = smooth(100, 6)
    return fresh(X, y, (6, 20, 20, 1), "relu", initializer="constant(0.1)")


@unhealthy("symmetric units")
def constant_weights_in_bfloat16():
    X, y = digits()
    return fresh(X, one_hot(y, 10), (64, 32, 10), "relu", "softmax", initializer="constant(0.05)", dtype="bfloat16")


@unhealthy("symmetric units")
def a_layer_doubled_without_noise():
    X, y = blobs(200, 8, 3)
    c = fresh(X, one_hot(y, 3), (8, 16, 3), "gelu", "softmax")
    W, V = np.array(c.params[0]["W"]), np.array(c.params[1]["W"])
    W[8:], V[:, 8:] = W[:8], V[:, :8]
    return change(change(c, 0, W=W), 1, W=V)


@unhealthy("vanishing gradients")
def ten_sigmoid_layers_on_digits():
    X, y = digits()
    return fresh(X, one_hot(y, 10), (64, *[30] * 10, 10), "sigmoid", "softmax")


@unhealthy("vanishing gradients")
def eight_relu_layers_of_normal_001():
    X, y = blobs(200, 20, 2)
    return fresh(X, y * 1.0, (20, *[64] * 8, 1), "relu", "sigmoid", initializer="normal(0.01)")


@unhealthy("vanishing gradients")
def tiny_weights_in_five_tanh_layers():
    X, y = smooth(200, 5)
    return fresh(X, y, (5, *[32] * 5, 1), "tanh", initializer="normal(0.001)")


@unhealthy("vanishing gradients")
def fifteen_tanh_layers_of_half_the_gain():
    X, y = blobs(200, 50, 5)
    c = fresh(X, one_hot(y, 5), (50, *[50] * 15, 5), "tanh", "softmax", dtype="float64")
    return c._replace(params=tuple({**p, "W": p["W"] * 0.5} for p in c.params))


@unhealthy("exploding gradients")
def ten_relu_layers_of_normal_1():
    X, y = smooth(100, 10)
    return fresh(X, y, (10, *[64] * 10, 1), "relu", initializer="normal(1)")


@unhealthy("exploding gradients")
def six_leaky_layers_of_normal_1():
    X, y = blobs(200, 30, 4)
    return fresh(X, one_hot(y, 4), (30, *[100] * 6, 4), "leaky_relu(0.1)", "softmax", initializer="normal(1)")


@unhealthy("exploding gradients")
def twelve_elu_layers_of_twice_the_gain():
    X, y = smooth(100, 16)
    c = fresh(X, y, (16, *[40] * 12, 1), "elu(1.0)")
    return c._replace(params=tuple({**p, "W": p["W"] * 2.5} for p in c.params))


@unhealthy("saturated units")
def tanh_of_normal_1_at_256_units():
    X, y = blobs(300, 256, 3)
    return fresh(X, one_hot(y, 3), (256, 256, 256, 3), "tanh", "softmax", initializer="normal(1)")


@unhealthy("saturated units")
def sigmoid_with_weights_of_10():
    X, y = blobs(200, 10, 2)
    return fresh(X, y * 1.0, (10, 30, 1), "sigmoid", "sigmoid", initializer="normal(10)")


@unhealthy("dead units")
def biases_of_minus_30():
    X, y = blobs(200, 10, 3)
    return fresh(X, one_hot(y, 3), (10, 40, 3), "relu", "softmax", biases=-30.0)


@unhealthy("dead units")
def two_thirds_dead_after_a_large_step():
    X, y = smooth(200, 8)
    b = np.zeros((60, 1))
    b[:40] = -25
    return fresh(X, y, (8, 60, 1), "relu", biases=b)


@unhealthy("dead units")
def gelu_with_biases_of_minus_40():
    X, y = digits()
    return fresh(X, one_hot(y, 10), (64, 50, 50, 10), "gelu", "softmax", biases=-40.0)


@unhealthy("dead output")
def a_dead_relu_output():
    X, y = smooth(200, 3)
    return change(fresh(X, np.abs(y), (3, 16, 1), "relu", "relu", objective=Objective(cost="quadratic")), -1, b=-50.0)


@unhealthy("saturated output")
def a_sigmoid_output_at_1_with_quadratic_cost():
    X, y = blobs(200, 5, 2)
    return change(fresh(X, y * 1.0, (5, 16, 1), "tanh", "sigmoid", objective=Objective(cost="quadratic")), -1, b=20.0)


@unhealthy("constant output")
def one_class_for_every_row():
    X, y = blobs(300, 6, 3)
    return change(fresh(X, one_hot(y, 3), (6, 16, 3), "relu", "softmax"), -1, W=0.0, b=np.array([[3.0], [0], [0]]))


@unhealthy("majority class")
def a_minority_of_1_percent_is_never_predicted():
    X, _ = blobs(500, 6, 1)
    y = np.zeros(500)
    y[:6] = 1
    y = np.random.default_rng(1).permutation(y)
    return change(fresh(X, y, (6, 16, 1), "relu", "sigmoid"), -1, W=1e-3, b=-4.4)


@unhealthy("learning rate too large")
def rate_10_for_standardised_regression():
    X, y = smooth(200, 10)
    return fresh(X, y, (10, 1), learning_rate=10.0)


@unhealthy("small updates")
def rate_of_a_billionth():
    X, y = blobs(200, 10, 3)
    return fresh(X, one_hot(y, 3), (10, 32, 3), "relu", "softmax", learning_rate=1e-09)


@unhealthy("linear network")
def three_identity_layers():
    X, y = smooth(200, 6)
    return fresh(X, y, (6, 32, 32, 32, 1), "identity")


@unhealthy("decayed weights")
def weights_eaten_by_l2():
    X, y = blobs(200, 10, 3)
    return trained(fresh(X, one_hot(y, 3), (10, 32, 32, 3), "relu", "softmax", objective=Objective(l2=4000.0)), 1500)


@unhealthy("vanishing gradients")
def seven_sigmoid_layers_of_a_regression():
    X, y = smooth(150, 6)
    return fresh(X, y, (6, *[20] * 7, 1), "sigmoid")


@unhealthy("dead units")
def relu_after_a_blown_step_second_layer():
    X, y = digits()
    c = fresh(X, one_hot(y, 10), (64, 40, 40, 10), "relu", "softmax")
    return change(c, 1, b=-30.0)


@unhealthy("saturated units")
def tanh_of_normal_3_in_float16():
    X, y = smooth(200, 6)
    return fresh(X, y, (6, 64, 64, 1), "tanh", initializer="normal(3)", dtype="float16")


@unhealthy("symmetric units")
def maxout_constant():
    X, y = blobs(150, 6, 3)
    return fresh(X, one_hot(y, 3), (6, 12, 3), "maxout(2)", "softmax", initializer="constant(0.3)")


@unhealthy("learning rate too large")
def rate_100_at_digits():
    X, y = digits()
    return fresh(X, one_hot(y, 10), (64, 32, 10), "relu", "softmax", learning_rate=100.0)


@unhealthy("exploding gradients")
def relu_he_times_three():
    X, y = blobs(200, 30, 3)
    c = fresh(X, one_hot(y, 3), (30, *[50] * 9, 3), "relu", "softmax")
    return c._replace(params=tuple({**p, "W": 3 * p["W"]} for p in c.params))


@unhealthy("dropout too large")
def dropout_of_nearly_all_units_of_a_narrow_layer():
    X, y = blobs(300, 8, 3)
    return fresh(X, one_hot(y, 3), (8, 8, 8, 3), "relu", "softmax", objective=Objective(dropout=0.97))


@unhealthy("dropout too large")
def dropout_of_the_only_two_features():
    X, y = blobs(300, 2, 3)
    return fresh(X, one_hot(y, 3), (2, 32, 3), "tanh", "softmax", objective=Objective(input_dropout=0.6))


@unhealthy("class never predicted")
def digits_trained_without_the_nines():
    X, y = digits()
    c = trained(fresh(X[y < 9], one_hot(y[y < 9], 10), (64, 32, 10), "relu", "softmax"))
    return c._replace(X=X.T.astype("float32"), Y=one_hot(y, 10).T.astype("float32"))


@unhealthy("class never predicted")
def a_class_with_a_bias_of_minus_30():
    X, y = blobs(300, 8, 3)
    c = trained(fresh(X, one_hot(y, 3), (8, 16, 3), "relu", "softmax"))
    return change(c, 1, b=np.array(c.params[1]["b"]) - np.array([[0.0], [0.0], [30.0]]))
