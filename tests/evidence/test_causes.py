"""Every slip of the table, at every place of several networks, is named rightly or not at all."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from jaxmlp import Network, Objective
from jaxmlp.evidence.student import verify_numpy as module
from jaxmlp.evidence.student.causes import places
from jaxmlp.evidence.student.loop import RIGHT, backward_with, forward
from jaxmlp.evidence.student.slips import SLIPS, UNKNOWN
from jaxmlp.evidence.student.trials import draw, problems_for

verify_numpy: Any = module.verify_numpy  # reports are taken apart without asking for None first

SWEEP = {
    "binary": (Network((3, 5, 4, 1), ("tanh", "sigmoid"), "sigmoid"), Objective(), False),
    "class ids": (Network((3, 5, 4), "leaky_relu(0.2)", "softmax"), Objective(), True),
    "softmax, quadratic": (Network((3, 5, 4), "elu(0.5)", "softmax"), Objective("quadratic"), False),
    "maxout, L2": (Network((3, 6, 5, 2), ("maxout(2)", "relu"), "identity"), Objective(l2=0.7), False),
}


def slips_of_a_student(net, objective, ids):
    """Every slip at every place of a network, each as a student's function, and what verify_numpy says."""
    X = np.random.default_rng(5).normal(size=(net.sizes[0], 9)) if ids else None
    Y = np.arange(9)[None] % net.sizes[-1] if ids else None
    problems = problems_for(net, objective, None, X, Y)
    one = next(iter(problems.values()))
    for slip in SLIPS:
        for place in places(slip, [forward(problem) for problem in problems.values()]):
            wrong = slip.plant(RIGHT)

            def student(params, X, Y, slip=slip, place=place, wrong=wrong):
                rows = [len(layer["W"]) // g.pieces for layer, g in zip(params, net.activations, strict=True)]
                sizes = (params[0]["W"].shape[1], *rows)
                problem = one._replace(net=Network(sizes, net.hidden, net.output), params=params, X=X, Y=Y)

                def use(step):
                    return wrong if place in (None, step.l) and slip.where(step) else RIGHT

                return backward_with(use, forward(problem))

            yield slip, place, verify_numpy(student, None, X, Y, net, objective)


@pytest.mark.parametrize("name", SWEEP)
def test_slips_are_named(name):
    verdicts = Counter()
    for slip, place, report in slips_of_a_student(*SWEEP[name]):
        assert not report.passed, (slip.name, place)
        assert report.diagnosis.cause in (slip.name, UNKNOWN), (slip.name, slip.equation, place)
        verdicts[report.diagnosis.cause == slip.name] += 1
    assert verdicts[True] >= 0.95 * verdicts.total()
    assert verdicts.total() > 60


@pytest.mark.parametrize("seed", range(10))
def test_faults_of_no_known_kind_have_no_name(seed):
    net = SWEEP["binary"][0]
    rng = np.random.default_rng(seed)

    def student(params, X, Y):
        gradient = backward_with(
            lambda step: RIGHT, forward(draw(net, "binary_cross_entropy", 0)._replace(params=params, X=X, Y=Y))
        )
        layer, name = rng.integers(0, 3), rng.choice(["W", "b"])
        gradient[layer][name] *= rng.uniform(0.9, 0.999)
        return gradient

    report = verify_numpy(student, net=net)
    assert not report.passed
    assert report.diagnosis.cause == UNKNOWN
