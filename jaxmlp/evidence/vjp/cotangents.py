"""What the backward rule itself returned, before JAX makes something of it.

    for a real array                  an array of its shape and dtype (judged by what arrives: see `types`)
    for a whole-number array          None, or float0: JAX drops anything else without a word
    for None, wherever it stands      None: JAX drops anything else here, too

So the rule is made again with a bwd that keeps its answer. That takes the rule itself: one that lies inside a larger
function is asked by itself.
"""

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.evidence.certificate import Row, Verdict
from jaxmlp.evidence.vjp.arguments import splitted, static_positions, titles_of
from jaxmlp.evidence.vjp.bench import Bench, pullback
from jaxmlp.evidence.vjp.undecorated import holds_rule

WHOLE = "whole-number argument"
NOTHING = "None argument"


def cotangent_rows(bench: Bench) -> Iterator[Row]:
    """A row for every whole-number array and every None among the arguments of the rule."""
    rule, args = _opened(bench.rule, bench.arguments.join(*bench.point))
    positions = [i for i in range(len(args)) if i not in static_positions(rule)]
    names = titles_of(rule, len(args))
    asked = [entry for i in positions for entry in _passive(names[i], args[i], None)]
    if not asked:
        return
    returned = _returned(bench, rule)
    if returned is None:
        yield from _by_jax(bench, [(check, name) for check, name, _, _ in asked])
        return
    for i, cotangent in zip(positions, returned, strict=True):
        for check, name, arg, answer in _passive(names[i], args[i], cotangent):
            note = "" if _is_nothing(answer) else f"bwd returns {_kind(answer)}, which JAX drops: return None"
            verdict: Verdict = "FAIL" if note else "PASS"
            yield Row(check, name, "None" if arg is None else "float0", None, None, verdict, note)


def _opened(rule: Any, args: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
    """The rule of a `functools.partial`, with all of its arguments in their places."""
    keywords: dict[str, Any] = {}
    while isinstance(rule, functools.partial):
        args, keywords, rule = rule.args + args, {**rule.keywords, **keywords}, rule.func
    if not keywords:
        return rule, args
    bound = inspect.signature(rule).bind(*args, **keywords)
    bound.apply_defaults()
    return rule, bound.args


def _passive(name: str, arg: Any, answer: Any) -> Iterator[tuple[str, str, Any, Any]]:
    """(check, name, argument, cotangent) of every None and every whole-number array inside an argument."""
    if arg is None:
        yield NOTHING, name, arg, answer
        return
    children, _ = jax.tree_util.tree_flatten_with_path(arg, is_leaf=lambda node: node is not arg)
    if children and not (len(children) == 1 and not children[0][0]):
        answers = [a for _, a in jax.tree_util.tree_flatten_with_path(answer, is_leaf=lambda n: n is not answer)[0]]
        if answer is None or len(answers) != len(children):  # None stands for all below; another structure raises
            answers = [None] * len(children)
        for (path, child), below in zip(children, answers, strict=True):
            yield from _passive(name + jax.tree_util.keystr(path), child, below)
    elif hasattr(arg, "dtype") and (jnp.issubdtype(arg.dtype, jnp.integer) or arg.dtype == bool):
        yield WHOLE, name, arg, answer


def _is_nothing(answer: Any) -> bool:
    return not jax.tree.leaves(answer) or getattr(answer, "dtype", None) == jax.dtypes.float0


def _kind(answer: Any) -> str:
    return ", ".join(f"{jnp.result_type(a)}[{','.join(map(str, np.shape(a)))}]" for a in jax.tree.leaves(answer))


def _returned(bench: Bench, rule: Any) -> tuple[Any, ...] | None:
    """The cotangents as bwd returns them; None for a rule that cannot be made again."""
    bwd = getattr(rule, "bwd", None)
    if not callable(bwd) or getattr(rule, "with_logs", False) or getattr(rule, "with_accums", False):
        return None
    kept: list[Any] = []

    def keeping(*args: Any) -> Any:
        kept.append(bwd(*args))
        return kept[-1]

    again = object.__new__(type(rule))
    vars(again).update(vars(rule) | {"bwd": keeping})
    pullback(splitted(_closed(bench.rule, again), bench.arguments.join), *bench.point, bench.cotangent)
    return tuple(kept[-1])


def _closed(partial: Any, rule: Callable[..., Any]) -> Callable[..., Any]:
    """The `functools.partial` around another rule."""
    if isinstance(partial, functools.partial):
        return functools.partial(_closed(partial.func, rule), *partial.args, **partial.keywords)
    return rule


def _by_jax(bench: Bench, asked: list[tuple[str, str]]) -> Iterator[Row]:
    """Without a rule of one's own JAX answers, rightly; a rule inside may answer anything."""
    inside = holds_rule(jax.make_jaxpr(bench.f)(*bench.point))
    verdict: Verdict = "UNDECIDED" if inside else "PASS"
    note = "the rule lies inside: ask it by itself" if inside else ""
    for check, name in asked:
        yield Row(check, name, "None" if check == NOTHING else "float0", None, None, verdict, note)
