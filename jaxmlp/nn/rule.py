"""A derivative rule: a function together with its hand-written backward pass.

    forward     inputs -> output, cache
    backward    cache, derivative by the output -> derivatives by the inputs

The layers, the mean cost and the penalties of this package are such rules. Each can be differentiated in two ways: by
its backward pass, which is what `jax.grad` uses in training, and by JAX's own differentiation of the forward pass,
which is the independent witness that the backward pass is right.
"""

from collections.abc import Callable
from functools import wraps
from operator import attrgetter
from typing import Any, Generic, TypeVar

import jax

T = TypeVar("T")


class Rule(Generic[T]):
    """A function with its backward pass.

    Attributes:
      forward: (*static, *inputs) -> output, cache.
      backward: (*static, cache, derivative by the output) -> a tuple with a derivative for each input.
      apply: (*static, *inputs) -> output, differentiated by `backward`.
      reference: the same function, differentiated by JAX.

    The first `n_static` arguments are records and names, which no derivative goes through.

    >>> square = Rule(lambda x: (x * x, x), lambda x, dy: (2 * x * dy,))
    >>> float(square.apply(3.0)), float(jax.grad(square.apply)(3.0)), float(jax.grad(square.reference)(3.0))
    (9.0, 6.0, 6.0)
    """

    def __init__(
        self,
        forward: Callable[..., tuple[T, Any]],
        backward: Callable[..., tuple[Any, ...]],
        *,
        n_static: int = 0,
    ) -> None:
        @wraps(forward)  # custom_vjp reads the names of the arguments from the signature
        def reference(*arguments: object) -> T:
            return forward(*arguments)[0]

        rule = jax.custom_vjp(reference, nondiff_argnums=tuple(range(n_static)))
        rule.defvjp(forward, backward)
        self.forward, self.backward = forward, backward
        self.apply: Callable[..., T] = rule
        self.reference: Callable[..., T] = reference


# Which of the two functions of each rule a computation is made of: `derivatives(dense)(g, layer, A_prev)`.
Derivatives = Callable[[Rule[Any]], Callable[..., Any]]
TEXTBOOK: Derivatives = attrgetter("apply")
AUTODIFF: Derivatives = attrgetter("reference")
