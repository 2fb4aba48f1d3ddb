"""The undecorated function: the same program with every `custom_vjp` replaced by what it computes.

    f  →  jaxpr  →  the same equations, with each  custom_vjp_call[call_jaxpr=p]  read as  p

Autodiff of the result is a witness that no rule of f has touched, however deep the rules lie: under `jit`, in a
`scan`, in a branch. `custom_jvp` rules stay, they are JAX's own more often than not; but one that holds a `custom_vjp`
inside is read as what it computes, too. With `JAX_CUSTOM_VJP3=1` a rule is an object in the equation, whose `expand` is
what it computes.
"""

from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.extend import core

_core: Any = core  # since JAX 0.12 ClosedJaxpr has no type that a checker sees

# Equations whose inner program can simply take their place; the name of the parameter that holds it.
_INLINE = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "checkpoint": "jaxpr",
    "remat2": "jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "custom_vjp_call_jaxpr": "fun_jaxpr",
}


def undecorated(f: Callable[..., Any]) -> Callable[..., Any]:
    """f without its `custom_vjp` rules, for arguments that are pytrees of arrays.

    >>> import jax.numpy as jnp
    >>> rule = jax.custom_vjp(lambda x: x * x)
    >>> rule.defvjp(lambda x: (x * x, x), lambda x, u: (-u,))
    >>> jax.grad(rule)(3.0).item(), jax.grad(undecorated(rule))(3.0).item()
    (-1.0, 6.0)
    """

    def plain(*args: Any) -> Any:
        closed, shapes = jax.make_jaxpr(f, return_shape=True)(*args)
        outputs = _evaluate(closed, *jax.tree.leaves(args))
        return jax.tree.unflatten(jax.tree.structure(shapes), outputs)

    return plain


def _evaluate(closed: Any, *args: Any) -> list[Any]:
    """The outputs of a closed jaxpr, read without its rules."""
    if not holds_rule(closed):
        return core.jaxpr_as_fun(closed)(*args)
    jaxpr = closed.jaxpr
    values: dict[Any, Any] = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*closed.consts, *args), strict=True))

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, core.Literal) else values[atom]

    for equation in jaxpr.eqns:
        outputs = _apply(equation, [read(atom) for atom in equation.invars])
        values.update(zip(equation.outvars, outputs, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _apply(equation: Any, inputs: list[Any]) -> list[Any]:
    primitive, params = equation.primitive, equation.params
    if _is_object(equation):
        rule = params["_prim"]
        expanded = jax.make_jaxpr(lambda *flat: rule.expand(*rule.in_tree.unflatten(flat)))(*inputs)
        return _evaluate(expanded, *inputs)
    if any(map(holds_rule, _programs(params))) or _is_rule(equation):
        inner = params.get(_INLINE.get(primitive.name, ""))
        if inner is not None:
            return _evaluate(_closed(inner), *inputs)
        params = {key: _rewritten(value) for key, value in params.items()}
    bound = primitive.get_bind_params(params)
    functions, params = bound if isinstance(bound, tuple) else ((), bound)  # a tuple until JAX 0.8
    outputs = primitive.bind(*functions, *inputs, **params)
    return list(outputs) if primitive.multiple_results else [outputs]


def _rewritten(value: Any) -> Any:
    """A parameter of scan, while or cond with the rules taken out of its programs."""
    if isinstance(value, tuple):
        return tuple(map(_rewritten, value))
    if not _is_program(value) or not holds_rule(value):
        return value
    inputs = [jax.ShapeDtypeStruct(a.shape, a.dtype, weak_type=a.weak_type) for a in value.in_avals]
    return jax.make_jaxpr(lambda *args: _evaluate(value, *args))(*inputs)


def primitives(program: Any) -> set[str]:
    """The names of every primitive in a jaxpr, however deep.

    >>> import jax.numpy as jnp
    >>> sorted(primitives(jax.make_jaxpr(lambda x: jnp.sin(x) + 1)(1.0)))
    ['add', 'sin']
    """
    names = {equation.primitive.name for equation in program.eqns}
    return names.union(*(primitives(inner) for e in program.eqns for inner in _programs(e.params)))


def _is_rule(equation: Any) -> bool:
    return equation.primitive.name.startswith("custom_vjp_call") or _is_object(equation)


def _is_object(equation: Any) -> bool:
    """Whether the equation applies an object with a rule for reverse mode (jax-ml/jax#34548)."""
    rule = equation.params.get("_prim")
    while hasattr(rule, "prim"):  # one such object under vmap, in another
        rule = rule.prim
    return rule is not None and not hasattr(rule, "jvp_rule")


def holds_rule(program: Any) -> bool:
    """Whether a `custom_vjp` is called anywhere in a jaxpr."""
    return any(_is_rule(e) or any(map(holds_rule, _programs(e.params))) for e in program.eqns)


def _programs(params: dict[str, Any]) -> Iterator[Any]:
    for value in params.values():
        yield from (v for v in (value if isinstance(value, tuple) else (value,)) if _is_program(v))


def _is_program(value: Any) -> bool:
    return isinstance(value, _core.ClosedJaxpr | core.Jaxpr)


def _closed(program: Any) -> Any:
    """An open jaxpr (that of `checkpoint`) as a closed one; since JAX 0.12 they are one type."""
    return program if hasattr(program, "consts") else _core.ClosedJaxpr(program, ())
