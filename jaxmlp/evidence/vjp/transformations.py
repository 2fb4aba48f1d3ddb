"""Under the transformations: the same gradient, whatever JAX makes of the program around the rule.

    jit              G compiled = G evaluated one operation after the other
    vmap of grad     vmap(G) over one argument = G of its members
    grad of vmap     the pullback of vmap(f): G of the members, summed over them for what they share
    scan             ∂/∂x Σ_k ⟨u, f(s_k x)⟩ = Σ_k s_k G(s_k x; u)
    remat            G of jax.checkpoint(f) = G
    sharding         G of arguments spread over the devices = G
    closures         ∂f/∂(one argument), the others captured from a surrounding jit = that part of G

Here the rule is compared with itself, so that a fault which only one transformation brings out is named by it.
"""

import inspect
from collections.abc import Callable, Iterator
from typing import Any, cast

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxmlp.evidence.certificate import Row
from jaxmlp.evidence.vjp.arguments import Leaves, Split
from jaxmlp.evidence.vjp.bench import Bench, ask, compare, held, pullback

MEMBERS = 3


def transformation_rows(bench: Bench) -> Iterator[Row]:
    """Every transformation in turn."""
    own = "the rule by itself"
    yield from ask("under jit", "", "without jit", lambda: [_jit(bench)])
    arguments = bench.arguments
    for owner in sorted({*arguments.owners, *arguments.other_owners}):
        title = arguments.titles[owner]
        yield from ask("vmap of grad", f"over {title}", "one by one", lambda owner=owner: [_vmap_of_grad(bench, owner)])
        yield from ask("grad of vmap", f"over {title}", "one by one", lambda owner=owner: [_batched(bench, owner)])
    yield from ask("under scan", "", own, lambda: [_scan(bench)])
    yield from ask("under remat", "", own, lambda: [_remat(bench)])
    yield from ask("under sharding", "", own, lambda: [_sharding(bench)])
    yield from closure_rows(bench)


def _jit(bench: Bench) -> Row:
    compiled = bench.gradient(*bench.point, bench.cotangent)
    plain = pullback(bench.f, *bench.point, bench.cotangent)
    return compare("under jit", "", "without jit", compiled, plain, bench)


# --- vmap -------------------------------------------------------------------------------------------------------------


def _members(bench: Bench, owner: int) -> tuple[tuple[Leaves, Leaves], tuple[Any, Any], list[tuple[Leaves, Leaves]]]:
    """A batch in one argument: the point with that argument stacked, its vmap axes, and the members one by one."""
    arguments = bench.arguments
    mine = [[o == owner for o in owners] for owners in (arguments.owners, arguments.other_owners)]
    members = [
        tuple(
            tuple(n if own else p for own, n, p in zip(*parts, strict=True))
            for parts in zip(mine, neighbour, bench.point, strict=True)
        )
        for neighbour in bench.neighbours(MEMBERS)
    ]
    stacked = tuple(
        tuple(np.stack(column) if own else column[0] for own, *column in zip(flags, *rows, strict=True))
        for flags, rows in zip(mine, zip(*members, strict=True), strict=True)
    )
    axes = tuple(tuple(0 if own else None for own in flags) for flags in mine)
    return cast(Any, (stacked, axes, members))  # pairs of leaves and others, which zip cannot tell


def _vmap_of_grad(bench: Bench, owner: int) -> Row:
    (leaves, others), axes, members = _members(bench, owner)
    u = bench.cotangent

    @jax.jit
    def batched(leaves: Leaves, others: Leaves) -> tuple[Leaves, Leaves]:
        return jax.vmap(lambda x, k: pullback(bench.f, x, k, u), axes)(leaves, others)

    single = [bench.gradient(*member, u) for member in members]
    expected = jax.tree.map(lambda *values: np.stack(values), *single)
    title = bench.arguments.titles[owner]
    return compare("vmap of grad", f"over {title}", "one by one", batched(leaves, others), expected, bench)


def _batched(bench: Bench, owner: int) -> Row:
    """grad of vmap; a failure that goes when no output is shared by the members is JAX's."""
    title = bench.arguments.titles[owner]
    rows = ask("grad of vmap", f"over {title}", "one by one", lambda: [_grad_of_vmap(bench, bench.f, owner)])
    if rows[0].verdict != "FAIL" or not _shared(bench, owner):
        return rows[0]
    (cured,) = ask("grad of vmap", "", "", lambda: [_grad_of_vmap(bench, _unshared(bench, owner), owner)])
    if cured.verdict == "FAIL":
        return rows[0]
    note = f"an output is shared by the members, its cotangent counted once for each: let it depend on {title}"
    return rows[0]._replace(difference=None, bound=None, verdict="UNSUPPORTED", note=note)


def _shared(bench: Bench, owner: int) -> bool:
    """Whether an output does not depend on the argument, so that vmap leaves it without a batch axis."""
    (leaves, others), axes, _ = _members(bench, owner)

    def alone(i: int) -> bool:
        try:
            jax.eval_shape(jax.vmap(lambda x, k: bench.f(x, k)[i], axes, out_axes=None), leaves, others)
        except ValueError:  # vmap has a batch axis and may not give it
            return False
        return True

    return any(alone(i) for i in range(len(bench.cotangent)))


def _unshared(bench: Bench, owner: int) -> Split:
    """f with every real argument, and so every output, depending on the one that is batched."""
    arguments = bench.arguments

    def function(leaves: Leaves, others: Leaves) -> Leaves:
        pairs = [*zip(leaves, arguments.owners, strict=True), *zip(others, arguments.other_owners, strict=True)]
        nothing = sum(0.0 * jnp.sum(a.astype(float)) for a, o in pairs if o == owner)
        return bench.f(tuple(x + jnp.asarray(nothing).astype(x.dtype) for x in leaves), others)

    return function


def _grad_of_vmap(bench: Bench, f: Split, owner: int) -> Row:
    (leaves, others), axes, members = _members(bench, owner)
    us = [bench.draw(bench.cotangent) for _ in members]
    stacked = tuple(map(np.stack, zip(*us, strict=True)))

    @jax.jit
    def batched(leaves: Leaves, others: Leaves) -> tuple[Leaves, Leaves]:
        return pullback(jax.vmap(f, axes), leaves, others, stacked)

    single = [bench.gradient(*member, u) for member, u in zip(members, us, strict=True)]
    outputs = tuple(map(np.stack, zip(*(y for y, _ in single), strict=True)))
    gradients = tuple(
        np.stack(column) if axis == 0 else np.sum(column, axis=0)
        for axis, column in zip(axes[0], zip(*(g for _, g in single), strict=True), strict=True)
    )
    title = bench.arguments.titles[owner]
    return compare("grad of vmap", f"over {title}", "one by one", batched(leaves, others), (outputs, gradients), bench)


# --- scan, remat, sharding --------------------------------------------------------------------------------------------


def _scan(bench: Bench) -> Row:
    leaves, others = bench.point
    scales = np.array([1.0, 0.95, 0.9])  # towards 0: a label, a probability stays one

    def looped(leaves: Leaves, others: Leaves) -> Leaves:
        def body(total: Leaves, scale: Any) -> tuple[Leaves, None]:
            outputs = bench.f(tuple(x * scale.astype(x.dtype) for x in leaves), others)
            return tuple(t + y for t, y in zip(total, outputs, strict=True)), None

        start = tuple(jnp.zeros_like(u) for u in bench.cotangent)
        return jax.lax.scan(body, start, jnp.asarray(scales))[0]

    got = jax.jit(lambda x, k: pullback(looped, x, k, bench.cotangent))(leaves, others)
    points = [tuple(np.asarray(x) * s.astype(x.dtype) for x in leaves) for s in scales]
    single = [bench.gradient(point, others, bench.cotangent) for point in points]
    outputs = tuple(np.sum(column, axis=0) for column in zip(*(y for y, _ in single), strict=True))
    gradients = tuple(np.tensordot(scales, column, axes=1) for column in zip(*(g for _, g in single), strict=True))
    return compare("under scan", "", "the rule by itself", got, (outputs, gradients), bench)


def _remat(bench: Bench) -> Row:
    got = jax.jit(lambda x, k: pullback(jax.checkpoint(bench.f), x, k, bench.cotangent))(*bench.point)
    expected = bench.gradient(*bench.point, bench.cotangent)
    return compare("under remat", "", "the rule by itself", got, expected, bench)


def _sharding(bench: Bench) -> Row:
    leaves, others = bench.point
    check = "under sharding", "", "the rule by itself"
    devices = jax.devices(next(iter(leaves[0].devices())).platform)
    lengths = [n for leaf in leaves for n in leaf.shape]
    # the fewest that an axis divides among: each is a thread to start and to wait for on a CPU
    count = min((d for d in range(2, len(devices) + 1) if any(n and n % d == 0 for n in lengths)), default=1)
    if len(devices) == 1:
        note = "one device: run with XLA_FLAGS=--xla_force_host_platform_device_count=8"
        return Row(*check, None, None, "UNDECIDED", note)
    if count == 1:
        return Row(*check, None, None, "UNDECIDED", f"no axis of an argument divides among {len(devices)} devices")
    if any(name.endswith("callback") for name in held(bench)):
        return Row(
            *check, None, None, "UNDECIDED", "holds a host callback, on which XLA's collectives can wait forever"
        )
    mesh = Mesh(np.array(devices[:count]), ("shard",))

    def spread(leaf: jax.Array) -> jax.Array:
        axis = next((i for i, n in enumerate(leaf.shape) if n and n % count == 0), None)
        spec = PartitionSpec() if axis is None else PartitionSpec(*[None] * axis, "shard")
        return jax.device_put(leaf, NamedSharding(mesh, spec))

    got = jax.jit(lambda x, k, u: pullback(bench.f, x, k, u))(*jax.tree.map(spread, (leaves, others, bench.cotangent)))
    expected = bench.gradient(leaves, others, bench.cotangent)
    return compare(*check, got, expected, bench)._replace(note=f"{count} devices")


# --- closures ---------------------------------------------------------------------------------------------------------


def closure_rows(bench: Bench) -> tuple[Row, ...]:
    """Whether the rule holds on to values that it was not given as arguments."""
    check = "closed-over tracers", "", "the rule by itself"
    rows = blame(ask(*check, lambda: [_one_by_one(bench)]))
    if any(row.verdict == "FAIL" for row in rows):
        return rows
    if kept := _captured(bench.rule, lambda value: isinstance(value, jax.core.Tracer)):
        return (Row(*check, None, None, "FAIL", f"{', '.join(kept)} keeps a tracer from one call to the next"),)
    if constants := _captured(bench.rule, _is_real):
        note = f"closes over {', '.join(constants)}: a constant to JAX; to differentiate it, make it an argument"
        return (Row(*check, None, None, "UNDECIDED", note),)
    return rows


def _one_by_one(bench: Bench) -> Row:
    leaves, others = bench.point
    owners = bench.arguments.owners

    def partial_gradients(leaves: Leaves, others: Leaves) -> tuple[Leaves, Leaves]:
        gradients: dict[int, Any] = {}
        for owner in sorted(set(owners)):
            places = [i for i, o in enumerate(owners) if o == owner]

            def alone(*mine: Any, places: list[int] = places) -> Leaves:
                given = dict(zip(places, mine, strict=True))
                return bench.f(tuple(given.get(i, leaf) for i, leaf in enumerate(leaves)), others)

            _, back = jax.vjp(alone, *(leaves[i] for i in places))
            gradients |= dict(zip(places, back(bench.cotangent), strict=True))
        return (), tuple(gradients[i] for i in range(len(leaves)))

    with jax.checking_leaks():
        got = jax.jit(partial_gradients)(leaves, others)
    _, expected = bench.gradient(leaves, others, bench.cotangent)
    return compare("closed-over tracers", "", "the rule by itself", got, ((), expected), bench)


def blame(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """The rows with what JAX says of a tracer in the wrong place put in words, as an answer to this question."""
    symptoms = ("UnexpectedTracerError", "closed-over", "Leaked", "No constant handler")
    advice = "the rule holds on to a value that JAX is tracing: make it an argument, or a residual"
    return tuple(
        row._replace(check="closed-over tracers", note=advice) if any(s in row.note for s in symptoms) else row
        for row in rows
    )


def _captured(rule: Any, wanted: Callable[[Any], bool]) -> list[str]:
    """The names in the closures of a `custom_vjp`'s three functions that hold a wanted leaf."""
    names: dict[str, None] = {}
    for function in (getattr(rule, part, None) for part in ("fun", "fwd", "bwd")):
        if inspect.isfunction(function):
            captured = inspect.getclosurevars(function).nonlocals
            names |= {name: None for name, value in captured.items() if any(map(wanted, jax.tree.leaves(value)))}
    return list(names)


def _is_real(value: Any) -> bool:
    return isinstance(value, jax.Array | np.ndarray) and jnp.issubdtype(value.dtype, jnp.floating)
