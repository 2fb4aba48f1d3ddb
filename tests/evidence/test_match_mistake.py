"""Every mistake of the table, at every place of several networks, is named rightly or not at all."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from marks import slow_except

from jaxmlp import Network, Objective
from jaxmlp.evidence.numpy_check import verify_numpy as module
from jaxmlp.evidence.numpy_check.common_mistakes import MISTAKES, UNKNOWN_CAUSE
from jaxmlp.evidence.numpy_check.match_mistake import possible_layers
from jaxmlp.evidence.numpy_check.numpy_backprop import CORRECT, forward_steps, run_backward
from jaxmlp.evidence.numpy_check.shape_errors import NO_GRADIENT
from jaxmlp.evidence.numpy_check.trials import draw_problem, problems_for

verify_numpy: Any = module.verify_numpy  # reports are taken apart without asking for None first

SWEEP = {
    "binary": (Network((3, 5, 4, 1), ("tanh", "sigmoid"), "sigmoid"), Objective(), False),
    "class ids": (Network((3, 5, 4), "leaky_relu(0.2)", "softmax"), Objective(), True),
    "softmax, quadratic": (Network((3, 5, 4), "elu(0.5)", "softmax"), Objective("quadratic"), False),
    "maxout, L2": (Network((3, 6, 5, 2), ("maxout(2)", "relu"), "identity"), Objective(l2=0.7), False),
}


def mistakes_of_a_student(net, objective, ids):
    """Every mistake at every place of a network, each as a student's function, and what verify_numpy says."""
    X = np.random.default_rng(5).normal(size=(net.sizes[0], 9)) if ids else None
    Y = np.arange(9)[None] % net.sizes[-1] if ids else None
    problems = problems_for(net, objective, None, X, Y)
    one = next(iter(problems.values()))
    for mistake in MISTAKES:
        for place in possible_layers(mistake, [forward_steps(problem) for problem in problems.values()]):
            wrong = mistake.change(CORRECT)

            def student(params, X, Y, mistake=mistake, place=place, wrong=wrong):
                rows = [len(layer["W"]) // g.pieces for layer, g in zip(params, net.activations, strict=True)]
                sizes = (params[0]["W"].shape[1], *rows)
                problem = one._replace(net=Network(sizes, net.hidden, net.output), params=params, X=X, Y=Y)

                def use(step):
                    return wrong if place in (None, step.l) and mistake.condition(step) else CORRECT

                return run_backward(use, forward_steps(problem))

            yield mistake, place, verify_numpy(student, None, X, Y, net, objective)


@pytest.mark.slow
@pytest.mark.parametrize("name", slow_except(SWEEP, "binary"))
def test_mistakes_are_named(name):
    verdicts = Counter()
    for mistake, place, report in mistakes_of_a_student(*SWEEP[name]):
        assert not report.passed, (mistake.name, place)
        assert report.diagnosis.cause in (mistake.name, UNKNOWN_CAUSE, NO_GRADIENT), (
            mistake.name,
            mistake.equation,
            place,
        )
        verdicts[report.diagnosis.cause == mistake.name] += 1
    assert verdicts[True] >= 0.95 * verdicts.total()
    assert verdicts.total() > 60


@pytest.mark.parametrize("seed", slow_except(range(10), 0, 1))
def test_faults_of_no_known_kind_have_no_name(seed):
    net = SWEEP["binary"][0]
    rng = np.random.default_rng(seed)
    layer, name, factor = rng.integers(0, 3), rng.choice(["W", "b"]), rng.uniform(0.9, 0.999)

    def student(params, X, Y):
        problem = draw_problem(net, "binary_cross_entropy", 0)._replace(params=params, X=X, Y=Y)
        gradient = run_backward(lambda step: CORRECT, forward_steps(problem))
        gradient[layer][name] *= factor
        return gradient

    report = verify_numpy(student, net=net)
    assert not report.passed
    assert report.diagnosis.cause == UNKNOWN_CAUSE
