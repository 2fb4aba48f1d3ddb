"""The zoo is complete: a new activation, cost or initializer must be listed there, and the oracle must know it."""

import jax.numpy as jnp
import numpy as np
import oracle
import pytest
import zoo

from jaxmlp.evidence.formulas import formula, losses
from jaxmlp.nn import activations, costs, initializers


def test_zoo_lists_every_activation():
    built_in = {g.name.partition("(")[0] for g in zoo.ACTIVATIONS} - {"sine", "softsign"}

    assert built_in == set(activations.ACTIVATIONS)


def test_zoo_lists_an_activation_of_ones_own_with_and_one_without_pullback():
    assert [g.autodiff for g in zoo.ACTIVATIONS if g.name in ("sine", "softsign")] == [False, True]
    assert [g.name for g in zoo.ACTIVATIONS if g.autodiff] == ["softsign"]  # ours are all written by hand


def test_zoo_lists_every_cost_with_every_output_it_is_defined_for():
    assert {name.partition("(")[0] for name in zoo.COSTS} == set(costs.COSTS)
    for name in zoo.COSTS:
        outputs = {output.name for head, output in zoo.HEADS if head == name}
        cost = costs.find(name, zoo.LIKELIHOODS.get(name, activations.identity))
        assert outputs == set(cost.outputs or (g.name for g in zoo.ACTIVATIONS))


@pytest.mark.parametrize("g", zoo.BUILT_IN, ids=lambda g: g.name)
def test_every_activation_has_a_second_formula_for_verify(g):
    assert formula(g) is not None, f"write g and g' of {g.name} in jaxmlp/evidence/formulas.py"


@pytest.mark.parametrize("name", zoo.COSTS)
def test_every_cost_has_a_second_formula_for_verify(name):
    g = zoo.LIKELIHOODS.get(name, activations.identity)
    Z = np.array([[0.5], [-0.5]])
    c = losses(costs.find(name, g), g, Z, np.asarray(g.apply(jnp.asarray(Z))))
    assert c is not None, f"write c of {name} in jaxmlp/evidence/formulas.py"


def test_zoo_lists_every_initializer():
    assert {name.partition("(")[0] for name in zoo.INITIALIZERS} == set(initializers.INITIALIZERS)


def test_oracle_knows_the_whole_zoo():
    for g in zoo.ACTIVATIONS:
        assert oracle.activation(g.name)
    for name in zoo.COSTS:
        assert oracle.cost(name)


def test_widths_of_the_zoo_all_differ():
    for sizes in zoo.SIZES:
        assert len({*sizes, 7}) == len(sizes) + 1  # 7 examples
