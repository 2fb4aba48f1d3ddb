"""A program as JAX reads it, and the same program with every derivative rule replaced by the function it decorates.

    f  →  jaxpr  →  the same equations, with each  custom_vjp_call[call_jaxpr=p]  read as  p

Autodiff of the result is a witness that no rule of f has influenced, however deep the rules are nested: under `jit`,
in a `scan`, in a branch. A `custom_jvp` that JAX itself defines stays: it is not under test, and without it `relu` at 0
would have another derivative. With `JAX_CUSTOM_VJP3=1` a rule is an object in the equation, and its method `expand` is
the function.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax.extend import core

# A Jaxpr or a ClosedJaxpr: JAX 0.12 merges the two, so that no annotation fits every version that we support.
Program: TypeAlias = Any
Equation: TypeAlias = Any  # JaxprEqn, which JAX does not export

_core: Any = core  # since JAX 0.12 a type checker does not see ClosedJaxpr here
_JAX_FOLDER = os.path.dirname(os.path.abspath(jax.__file__)) + os.sep

# Primitives whose inner program can simply take their place; the parameter that holds the program.
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


class Edit(NamedTuple):
    """Equations to replace wherever they occur in a program.

    Attributes:
      matches: whether an equation is replaced.
      apply: (equation, inputs) -> outputs, in its place.
    """

    matches: Callable[[Equation], bool]
    apply: Callable[[Equation, list[Any]], list[Any]]


def edited(f: Callable[..., Any], edit: Edit) -> Callable[..., Any]:
    """Return f with the edit applied, for arguments that are pytrees of arrays; f itself where nothing matches."""

    def function(*args: Any) -> Any:
        # traced at every call, because the program depends on the shapes; within a jit that happens once
        closed, shapes = jax.make_jaxpr(f, return_shape=True)(*args)
        if not _matches_any(closed, edit):
            return f(*args)  # a rule of JAX may hold on to values of the trace above
        outputs = _evaluate(closed, edit, *jax.tree.leaves(args))
        return jax.tree.unflatten(jax.tree.structure(shapes), outputs)

    return function


def strip_rules(f: Callable[..., Any]) -> Callable[..., Any]:
    """Return f without its derivative rules, for arguments that are pytrees of arrays.

    >>> import jax.numpy as jnp
    >>> rule = jax.custom_vjp(lambda x: x * x)
    >>> rule.defvjp(lambda x: (x * x, x), lambda x, u: (-u,))
    >>> jax.grad(rule)(3.0).item(), jax.grad(strip_rules(rule))(3.0).item()
    (-1.0, 6.0)
    """
    return edited(f, _WITHOUT_RULES)


def contains_removable_rule(f: Callable[..., Any], *args: Any) -> bool:
    """Whether f(*args) calls a rule that `strip_rules` removes.

    >>> contains_removable_rule(jax.nn.relu, 1.0)
    False
    """
    return _matches_any(jax.make_jaxpr(f)(*args), _WITHOUT_RULES)


def _apply_function_of_rule(equation: Equation, inputs: list[Any]) -> list[Any]:
    if _is_rule_object(equation):
        rule = equation.params["_prim"]
        expanded = jax.make_jaxpr(lambda *flat: rule.expand(*rule.in_tree.unflatten(flat)))(*inputs)
        return _evaluate(expanded, _WITHOUT_RULES, *inputs)
    return _evaluate(_close(equation.params[_INLINE[equation.primitive.name]]), _WITHOUT_RULES, *inputs)


def _matches_any(program: Program, edit: Edit) -> bool:
    return any(map(edit.matches, all_equations(program)))


def _evaluate(closed: Program, edit: Edit, *args: jax.Array) -> list[Any]:
    """Evaluate a closed jaxpr with the edit applied."""
    # nothing to replace: JAX evaluates the program as it is, and nothing below is rebuilt
    if not _matches_any(closed, edit):
        return core.jaxpr_as_fun(closed)(*args)
    jaxpr = closed.jaxpr
    values: dict[Any, Any] = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*closed.consts, *args), strict=True))

    def value_of(atom: core.Var | core.Literal) -> Any:
        return atom.val if isinstance(atom, core.Literal) else values[atom]

    for equation in jaxpr.eqns:
        outputs = _apply_equation(equation, edit, [value_of(atom) for atom in equation.invars])
        values.update(zip(equation.outvars, outputs, strict=True))
    return [value_of(atom) for atom in jaxpr.outvars]


def _apply_equation(equation: Equation, edit: Edit, inputs: list[Any]) -> list[Any]:
    if edit.matches(equation):
        return edit.apply(equation, inputs)
    primitive, params = equation.primitive, equation.params
    if any(_matches_any(inner, edit) for inner in _programs(params)):
        inner = params.get(_INLINE.get(primitive.name, ""))
        if inner is not None:
            return _evaluate(_close(inner), edit, *inputs)
        params = {key: _edit_parameter(value, edit) for key, value in params.items()}
    bound = primitive.get_bind_params(params)
    functions, params = bound if isinstance(bound, tuple) else ((), bound)  # a tuple until JAX 0.8
    outputs = primitive.bind(*functions, *inputs, **params)
    return list(outputs) if primitive.multiple_results else [outputs]


def _edit_parameter(value: Any, edit: Edit) -> Any:
    """Return a parameter of scan, while or cond with the edit applied to its programs."""
    if isinstance(value, tuple):
        return tuple(_edit_parameter(part, edit) for part in value)
    if not _is_program(value) or not _matches_any(value, edit):
        return value
    if not hasattr(value, "consts"):  # the program of a shard_map is an open one, and must stay one
        closed = _close(value)
        inputs = [jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in value.invars]
        return jax.make_jaxpr(lambda *args: _evaluate(closed, edit, *args))(*inputs).jaxpr
    inputs = [jax.ShapeDtypeStruct(a.shape, a.dtype, weak_type=a.weak_type) for a in value.in_avals]
    return jax.make_jaxpr(lambda *args: _evaluate(value, edit, *args))(*inputs)


def primitives(program: Program) -> set[str]:
    """Return the names of all primitives in a jaxpr, those of inner programs included.

    >>> import jax.numpy as jnp
    >>> sorted(primitives(jax.make_jaxpr(lambda x: jnp.sin(x) + 1)(1.0)))
    ['add', 'sin']
    """
    names = {equation.primitive.name for equation in program.eqns}
    return names.union(*(primitives(inner) for e in program.eqns for inner in _programs(e.params)))


def all_equations(program: Program) -> Iterator[Equation]:
    """Yield the equations of a jaxpr and of all its inner programs."""
    for equation in program.eqns:
        yield equation
        for inner in _programs(equation.params):
            yield from all_equations(inner)


def _is_removable_rule(equation: Equation) -> bool:
    """Whether the equation calls a `custom_vjp`, or a `custom_jvp` that is not one of JAX's own."""
    if _is_rule(equation):
        return True
    if equation.primitive.name != "custom_jvp_call":
        return False
    program, jvp = equation.params.get("call_jaxpr"), equation.params.get("jvp_jaxpr_fun")
    # a user may give a function of JAX another rule, and `defjvps` writes the rule of a user's function
    return not all(_is_defined_in_jax(part) for part in (getattr(program, "jaxpr", program), jvp))


def _is_defined_in_jax(part: object) -> bool:
    """Whether the file of a function that JAX has traced is one of JAX's; without a name it counts as the user's."""
    info = getattr(part, "debug_info", None)
    name = getattr(info, "func_filename", None) or str(getattr(info, "func_src_info", "")).rpartition(" at ")[2]
    return str(name).startswith(_JAX_FOLDER)


def contains_rule(program: Program) -> bool:
    """Whether a jaxpr calls a `custom_vjp`, in an inner program too."""
    return any(_is_rule(e) or any(map(contains_rule, _programs(e.params))) for e in program.eqns)


def _is_rule(equation: Equation) -> bool:
    return equation.primitive.name.startswith("custom_vjp_call") or _is_rule_object(equation)


def _is_rule_object(equation: Equation) -> bool:
    """Whether the equation applies an object with a rule for reverse mode (jax-ml/jax#34548)."""
    rule = equation.params.get("_prim")
    while hasattr(rule, "prim"):  # under vmap such an object contains another
        rule = rule.prim
    return rule is not None and not hasattr(rule, "jvp_rule")


def _programs(params: Mapping[str, Any]) -> Iterator[Program]:
    for value in params.values():
        # the branches of a cond are a tuple of programs
        yield from (v for v in (value if isinstance(value, tuple) else (value,)) if _is_program(v))


def _is_program(value: object) -> bool:
    return isinstance(value, _core.ClosedJaxpr | core.Jaxpr)


def _close(program: Program) -> Program:
    """Return an open jaxpr (that of `checkpoint`) as a closed one; since JAX 0.12 they are one type."""
    return program if hasattr(program, "consts") else _core.ClosedJaxpr(program, ())


def narrowest_itemsize(program: Program) -> int:
    """Return the bytes of the narrowest real dtype in which a program computes; constants alone do not count.

    >>> import jax.numpy as jnp
    >>> narrowest_itemsize(jax.make_jaxpr(lambda x: 2 * x)(jnp.ones(2, jnp.bfloat16)))
    2
    """
    dtypes = [getattr(v.aval, "dtype", None) for equation in all_equations(program) for v in equation.outvars]
    sizes = [jnp.dtype(d).itemsize for d in dtypes if d is not None and jnp.issubdtype(d, jnp.floating)]
    return min(sizes, default=8)


_WITHOUT_RULES = Edit(_is_removable_rule, _apply_function_of_rule)
