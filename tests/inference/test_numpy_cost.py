"""The cost of a cost without a NumPy form is computed by its record, in float64."""

import jax
import numpy as np

import jaxmlp
from jaxmlp.inference import numpy_cost
from jaxmlp.nn import activations, costs


def test_a_cost_without_a_numpy_form_is_computed_by_its_record(rng, monkeypatch):
    net, cost = jaxmlp.Network((1, 2), "relu", "identity"), costs.find("quadratic", activations.identity)
    Z, Y, weights = rng.normal(size=(2, 5)).astype(np.float32), rng.normal(size=(2, 5)), rng.uniform(1, 2, size=5)
    expected = numpy_cost.mean_cost(Z, Y, net, cost, weights)
    monkeypatch.delitem(numpy_cost._RHO, "quadratic")
    with jax.enable_x64(False):
        assert numpy_cost.mean_cost(Z, Y, net, cost, weights) == np.float64(expected)
