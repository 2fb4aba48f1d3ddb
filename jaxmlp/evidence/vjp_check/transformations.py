"""JAX's transformations: the same gradient, whatever JAX does with the program around the rule.

    jit              G compiled = G evaluated operation by operation
    vmap of grad     vmap(G) over one argument = G of each member
    grad of vmap     the pullback of vmap(f): G of each member, summed over the members for arguments that they share
    scan             ∂/∂x Σ_k ⟨u, f(s_k x)⟩ = Σ_k s_k G(s_k x; u)
    remat            G of jax.checkpoint(f) = G
    sharding         G of arguments that are sharded over the devices = G
    closures         ∂f/∂(one argument), the remaining ones captured from a surrounding jit = that part of G

Here the rule is compared with itself, so that an error which appears under one transformation only is reported in the
row of that transformation.
"""

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxmlp.evidence.certificate import Row
from jaxmlp.evidence.vjp_check.arguments import Leaves, SplitFunction
from jaxmlp.evidence.vjp_check.closures import CLOSURE, closure_rows
from jaxmlp.evidence.vjp_check.excuses import SOLVER_BOUND, STOPS_EARLY, excuse_by_witness
from jaxmlp.evidence.vjp_check.loops import stops_at_a_tolerance
from jaxmlp.evidence.vjp_check.quick_jit import quick_jit
from jaxmlp.evidence.vjp_check.rule_under_test import (
    ITSELF,
    CheckId,
    Failure,
    PlannedCheck,
    RuleUnderTest,
    attempt,
    compare,
    error_summary,
    pullback,
    row_without_number,
    rule_primitives,
)

N_MEMBERS = 3
_JIT: CheckId = ("under jit", "", "without jit")
_SCAN: CheckId = ("under scan", "", ITSELF)
_REMAT: CheckId = ("under remat", "", ITSELF)
_SHARDING: CheckId = ("under sharding", "", ITSELF)


def transformation_checks(rule: RuleUnderTest) -> list[PlannedCheck]:
    """Return the checks of every transformation."""
    arguments = rule.arguments
    owners = sorted({*arguments.owners, *arguments.discrete_owners})
    checks = [_judged(rule, _JIT, _check_jit, _run_forward)]
    for owner in owners:
        batched = partial(_run_batched, owner=owner)
        of_grad, of_vmap = partial(_check_vmap_of_grad, owner=owner), partial(_check_grad_of_vmap, owner=owner)
        checks.append(_judged(rule, _vmap_check(rule, owner, "vmap of grad"), of_grad, batched))
        checks.append(_judged(rule, _vmap_check(rule, owner, "grad of vmap"), of_vmap, batched))
    checks.append(_judged(rule, _SCAN, _check_scan, _run_scanned))
    checks.append(_judged(rule, _REMAT, _check_remat, _run_rematerialized))
    checks.append(_judged(rule, _SHARDING, _check_sharding, _run_forward))
    checks.append((CLOSURE, lambda: closure_rows(rule)))
    return checks


def _judged(
    rule: RuleUnderTest,
    check: CheckId,
    judge_rule: Callable[[RuleUnderTest], Row],
    run_function: Callable[[RuleUnderTest], object],
) -> PlannedCheck:
    """Return the check of one transformation: what the function without its rules does as well is no fault of a rule.

    `run_function`: evaluate f itself, without any derivative, under the transformation.
    """

    def rows() -> list[Row]:
        same_draws = copy.deepcopy(rule.rng)  # the witness must get the same points and cotangents
        row = attempt(lambda: judge_rule(rule))
        if isinstance(row, Failure):
            function = attempt(lambda: jax.block_until_ready(run_function(rule)))
            if isinstance(function, Failure):
                note = f"f itself raises here, without any derivative: {error_summary(function.error)}"
                return [row_without_number(check, "UNSUPPORTED", note)]
            raise row.error
        if row.verdict == "FAIL" and (row.difference or 1.0) <= SOLVER_BOUND and stops_at_a_tolerance(rule):
            return [row._replace(verdict="UNDECIDED", note=STOPS_EARLY)]
        return [excuse_by_witness(rule, row, lambda witness: [judge_rule(witness._replace(rng=same_draws))])]

    return check, rows


def _run_forward(rule: RuleUnderTest) -> object:
    return quick_jit(rule.f)(*rule.point)


def _run_batched(rule: RuleUnderTest, owner: int) -> object:
    batch = _batch_members(rule, owner)
    return quick_jit(jax.vmap(rule.f, batch.axes))(*batch.stacked)


def _run_scanned(rule: RuleUnderTest) -> object:
    real, discrete = rule.point
    return quick_jit(lambda x, k, s: jax.lax.scan(lambda _, s: (None, _scaled(rule, x, k, s)), None, s))(
        real, discrete, jnp.asarray(_SCALES)
    )


def _run_rematerialized(rule: RuleUnderTest) -> object:
    return quick_jit(jax.checkpoint(rule.f))(*rule.point)


def _check_jit(rule: RuleUnderTest) -> Row:
    compiled = rule.gradient(*rule.point, rule.cotangent)
    return compare(_JIT, compiled, pullback(rule.f, *rule.point, rule.cotangent), rule)


# --- vmap -------------------------------------------------------------------------------------------------------------


class MemberBatch(NamedTuple):
    """Several values of one argument.

    Attributes:
      stacked: (x, k) with that argument stacked.
      axes: the vmap axis of every array, 0 or None.
      members: (x, k) of each member.
    """

    stacked: tuple[Leaves, Leaves]
    axes: tuple[Leaves, Leaves]
    members: list[tuple[Leaves, Leaves]]


def _vmap_check(rule: RuleUnderTest, owner: int, name: str) -> CheckId:
    return name, f"over {rule.arguments.titles[owner]}", "one by one"


def _batch_members(rule: RuleUnderTest, owner: int) -> MemberBatch:
    """Return a batch in one argument; the remaining arguments are the same for every member."""
    real_axes, discrete_axes = (
        tuple(0 if o == owner else None for o in owners)
        for owners in (rule.arguments.owners, rule.arguments.discrete_owners)
    )

    def replace(axes: Leaves, nearby: Leaves, original: Leaves) -> Leaves:
        return tuple(n if axis == 0 else o for axis, n, o in zip(axes, nearby, original, strict=True))

    def stack(axes: Leaves, leaves: Sequence[Leaves]) -> Leaves:
        columns = zip(*leaves, strict=True)
        return tuple(np.stack(c) if axis == 0 else c[0] for axis, c in zip(axes, columns, strict=True))

    x, k = rule.point
    # other values in one argument only: a rule that mixes up the batch axes of two arguments shows
    members = [
        (replace(real_axes, nearby_x, x), replace(discrete_axes, nearby_k, k))
        for nearby_x, nearby_k in rule.nearby_points(N_MEMBERS)
    ]
    real, discrete = zip(*members, strict=True)
    stacked = stack(real_axes, real), stack(discrete_axes, discrete)
    return MemberBatch(stacked, (real_axes, discrete_axes), members)


def _check_vmap_of_grad(rule: RuleUnderTest, owner: int) -> Row:
    batch, u = _batch_members(rule, owner), rule.cotangent
    batched = quick_jit(jax.vmap(lambda x, k: pullback(rule.f, x, k, u), batch.axes))
    results = [rule.gradient(*member, u) for member in batch.members]
    expected = jax.tree.map(lambda *values: np.stack(values), *results)
    return compare(_vmap_check(rule, owner, "vmap of grad"), batched(*batch.stacked), expected, rule)


def _check_grad_of_vmap(rule: RuleUnderTest, owner: int) -> Row:
    """Judge grad of vmap; UNSUPPORTED if the failure disappears when the members share no output."""
    check = _vmap_check(rule, owner, "grad of vmap")
    row = attempt(lambda: _grad_of_vmap_row(rule, rule.f, owner))
    is_right = not isinstance(row, Failure) and row.verdict != "FAIL"
    if not is_right and _has_shared_output(rule, owner):
        repeated = attempt(lambda: _grad_of_vmap_row(rule, _without_shared_outputs(rule, owner), owner))
        if not isinstance(repeated, Failure) and repeated.verdict != "FAIL":
            title = rule.arguments.titles[owner]
            note = "the members share an output, and JAX counts its cotangent once per member: "
            return row_without_number(check, "UNSUPPORTED", f"{note}make it depend on {title}")
    if isinstance(row, Failure):
        raise row.error
    return row


def _has_shared_output(rule: RuleUnderTest, owner: int) -> bool:
    """Whether an output does not depend on the argument, so that vmap leaves it without a batch axis."""
    batch = _batch_members(rule, owner)

    def is_shared(i: int) -> bool:
        output = jax.vmap(lambda x, k: rule.f(x, k)[i], batch.axes, out_axes=None)
        # vmap refuses out_axes=None for an output that has a batch axis
        return not isinstance(attempt(lambda: jax.eval_shape(output, *batch.stacked)), Failure)

    return any(is_shared(i) for i in range(len(rule.cotangent)))


def _without_shared_outputs(rule: RuleUnderTest, owner: int) -> SplitFunction:
    """Return f with every real argument, and so every output, depending on the batched argument."""
    arguments = rule.arguments

    def function(real: Leaves, discrete: Leaves) -> Leaves:
        owners = *arguments.owners, *arguments.discrete_owners
        batched = [a for a, o in zip((*real, *discrete), owners, strict=True) if o == owner]
        zero = sum(0.0 * jnp.sum(a.astype(float)) for a in batched)  # a tracer, so that JAX sees the dependence
        return rule.f(tuple(x + jnp.asarray(zero).astype(x.dtype) for x in real), discrete)

    return function


def _grad_of_vmap_row(rule: RuleUnderTest, f: SplitFunction, owner: int) -> Row:
    batch = _batch_members(rule, owner)
    us = [rule.draw(rule.cotangent) for _ in batch.members]
    stacked_u = tuple(map(np.stack, zip(*us, strict=True)))
    got = quick_jit(lambda x, k: pullback(jax.vmap(f, batch.axes), x, k, stacked_u))(*batch.stacked)
    results = [rule.gradient(*member, u) for member, u in zip(batch.members, us, strict=True)]
    outputs = tuple(map(np.stack, zip(*(y for y, _ in results), strict=True)))
    gradients = tuple(
        np.stack(column) if axis == 0 else np.sum(column, axis=0)
        for axis, column in zip(batch.axes[0], zip(*(g for _, g in results), strict=True), strict=True)
    )
    return compare(_vmap_check(rule, owner, "grad of vmap"), got, (outputs, gradients), rule)


# --- scan, remat, sharding --------------------------------------------------------------------------------------------


_SCALES = np.array([1.0, 0.95, 0.9])  # towards 0: a probability stays below 1


def _scaled(rule: RuleUnderTest, real: Leaves, discrete: Leaves, scale: jax.Array) -> Leaves:
    # the scales are float64 with x64 on, and a float32 x times one of them would be float64
    return rule.f(tuple(x * scale.astype(x.dtype) for x in real), discrete)


def _check_scan(rule: RuleUnderTest) -> Row:
    real, discrete = rule.point

    def summed(real: Leaves, discrete: Leaves) -> Leaves:
        def body(total: Leaves, scale: jax.Array) -> tuple[Leaves, None]:
            outputs = _scaled(rule, real, discrete, scale)
            return tuple(t + y for t, y in zip(total, outputs, strict=True)), None

        zeros = tuple(jnp.zeros_like(u) for u in rule.cotangent)  # u has shapes and dtypes of the outputs
        return jax.lax.scan(body, zeros, jnp.asarray(_SCALES))[0]

    got = quick_jit(lambda x, k: pullback(summed, x, k, rule.cotangent))(real, discrete)
    points = [tuple(np.asarray(x) * s.astype(x.dtype) for x in real) for s in _SCALES]
    results = [rule.gradient(point, discrete, rule.cotangent) for point in points]
    outputs = tuple(np.sum(column, axis=0) for column in zip(*(y for y, _ in results), strict=True))
    gradients = tuple(np.tensordot(_SCALES, column, axes=1) for column in zip(*(g for _, g in results), strict=True))
    return compare(_SCAN, got, (outputs, gradients), rule)


def _check_remat(rule: RuleUnderTest) -> Row:
    got = quick_jit(lambda x, k: pullback(jax.checkpoint(rule.f), x, k, rule.cotangent))(*rule.point)
    return compare(_REMAT, got, rule.gradient(*rule.point, rule.cotangent), rule)


def _check_sharding(rule: RuleUnderTest) -> Row:
    real, discrete = rule.point
    devices = jax.devices(next(iter(real[0].devices())).platform)
    lengths = [n for leaf in real for n in leaf.shape]
    # the smallest number that divides an axis: on a CPU every device is a thread to start and to wait for
    count = min((d for d in range(2, len(devices) + 1) if any(n and n % d == 0 for n in lengths)), default=1)
    note = ""
    if len(devices) == 1:
        note = "one device: run with XLA_FLAGS=--xla_force_host_platform_device_count=8"
    elif count == 1:
        note = f"no axis of an argument can be divided among {len(devices)} devices"
    elif any(name.endswith("callback") for name in rule_primitives(rule)):
        note = "contains a host callback, on which XLA's collectives can wait forever"
    if note:
        return row_without_number(_SHARDING, "UNDECIDED", note)
    # only whole shares: an axis that the devices do not divide would be refused by device_put
    mesh = Mesh(np.array(devices[:count]), ("shard",))

    def shard(leaf: jax.Array) -> jax.Array:
        axis = next((i for i, n in enumerate(leaf.shape) if n and n % count == 0), None)
        spec = PartitionSpec() if axis is None else PartitionSpec(*[None] * axis, "shard")
        return jax.device_put(leaf, NamedSharding(mesh, spec))

    sharded = jax.tree.map(shard, (real, discrete, rule.cotangent))
    got = quick_jit(lambda x, k, u: pullback(rule.f, x, k, u))(*sharded)
    expected = rule.gradient(real, discrete, rule.cotangent)
    return compare(_SHARDING, got, expected, rule)._replace(note=f"{count} devices")
