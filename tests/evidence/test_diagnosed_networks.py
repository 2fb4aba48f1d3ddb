"""diagnose on networks as practitioners meet them: the cause of each unhealthy one first, and silence for the healthy.

The tables in `unhealthy_networks`, `unhealthy_data` and `healthy_networks` were written from the documentation alone.
"""

import healthy_networks
import pytest
import unhealthy_data
import unhealthy_networks
from marks import slow_except

from jaxmlp.evidence.diagnostics.diagnose import diagnose

UNHEALTHY = unhealthy_networks.NETWORKS | unhealthy_data.NETWORKS
QUICK_UNHEALTHY = ("labels_minus_1_and_1", "two_labels_at_once_at_a_softmax", "one_class_for_every_row")
QUICK_HEALTHY = ("poisson_regression", "softmax_regression_of_zeros")


def findings(case):
    return [finding.name for finding in diagnose(case.params, case.X, case.Y, case.net, **case.options).findings]


@pytest.mark.parametrize("name", slow_except(UNHEALTHY, *QUICK_UNHEALTHY))
def test_the_cause_of_an_unhealthy_network_comes_first(name):
    expected, build = UNHEALTHY[name]
    assert findings(build())[:1] == [expected]


@pytest.mark.parametrize("name", slow_except(healthy_networks.NETWORKS, *QUICK_HEALTHY))
def test_a_healthy_network_has_no_finding(name):
    assert findings(healthy_networks.NETWORKS[name]()) == []


@pytest.mark.slow
def test_both_tables_are_large():
    assert len(UNHEALTHY) >= 50
    assert len(healthy_networks.NETWORKS) >= 50
