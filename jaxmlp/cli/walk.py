"""The walk through a network: every quantity of both passes, with the equation that made it.

forward     A0 = X,  Z1 = W1 A0 + b1,  A1 = relu(Z1), …,  c of each example,  J
backward    dA2 = ∂J/∂A2,  dZ2 = …,  dW2 = dZ2 A1ᵀ,  db2 = …,  dA1 = W2ᵀ dZ2, …
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxmlp.nn.costs import Cost
from jaxmlp.nn.network import Network, Params


class Quantity(NamedTuple):
    """A number, vector or matrix of the walk: its name, the equation that made it, as text and in LaTeX, its value."""

    name: str
    equation: str
    latex: str
    value: np.ndarray


def walk(
    params: Params, X: np.ndarray, net: Network, steps: Sequence[Mapping[str, Any]], cost: Cost, Y: np.ndarray | None
) -> Iterator[Quantity]:
    """Yield the quantities in the order in which a person computes them; `steps` is what `jaxmlp.trace` returned."""
    yield Quantity("A0", "A0 = X", r"A^{[0]} = X", X)
    for l, (layer, g, norm, step) in enumerate(zip(params, net.activations, net.norms, steps, strict=True), start=1):
        for name, leaf in layer.items():
            symbol = {"gamma": "γ"}.get(name, name)
            yield Quantity(f"{symbol}{l}", f"{symbol}{l}", _tex(symbol, l), np.asarray(leaf))
        if norm is None:
            text = f"W{l} A{l - 1} + b{l}"
            latex = f"{_tex('W', l)} {_tex('A', l - 1)} + {_tex('b', l)}"
        else:
            text = f"γ{l} ⊙ {norm}_norm(W{l} A{l - 1}) + b{l}"
            latex = rf"{_tex('γ', l)} \odot \widehat{{{_tex('W', l)} {_tex('A', l - 1)}}} + {_tex('b', l)}"
        yield Quantity(f"Z{l}", f"Z{l} = {text}", f"{_tex('Z', l)} = {latex}", np.asarray(step["Z"]))
        name = _tex_name(g.name)
        latex = rf"{_tex('A', l)} = {name}\left({_tex('Z', l)}\right)"
        yield Quantity(f"A{l}", f"A{l} = {g.name}(Z{l})", latex, np.asarray(step["A"]))
    if Y is not None:
        yield from _backward(net, steps, cost, Y)


def _backward(net: Network, steps: Sequence[Mapping[str, Any]], cost: Cost, Y: np.ndarray) -> Iterator[Quantity]:
    L, losses = net.depth, np.asarray(steps[-1]["losses"])
    yield Quantity("Y", "Y", "Y", Y)
    yield Quantity("c", f"c = {cost.formula}, of each example", r"c", losses)
    mean = np.asarray(losses.mean())
    yield Quantity("J", "J = 1/m Σ c", r"J = \frac{1}{m} \sum_i c_i", mean)
    # from the output to the input, as a person computes them: each step uses what the one before it gave
    for l in range(L, 0, -1):
        g, step = net.activations[l - 1], steps[l - 1]
        if "dA" in step:  # of the output only where the cost has a slope by A
            text = f"∂J/∂A{l}" if l == L else f"W{l + 1}ᵀ dZ{l + 1}"
            latex = rf"\frac{{\partial J}}{{\partial {_tex('A', l)}}}" if l == L else _product("W", "dZ", l + 1)
            if l < L and net.norms[l] is not None:
                text, latex = f"backward through the normalisation of layer {l + 1}", r"\ldots"
            yield Quantity(f"dA{l}", f"dA{l} = {text}", f"{_tex('dA', l)} = {latex}", np.asarray(step["dA"]))
        # the costs that name their outputs have δ = A - Y there; all others go through the pullback
        if l == L and cost.outputs:
            text, latex = f"(A{l} - Y) / m", rf"\frac{{1}}{{m}} \left({_tex('A', l)} - Y\right)"
        elif g.elementwise:
            text = f"dA{l} ⊙ g'(Z{l}), g' = {g.derivative}" if g.derivative else f"dA{l} ⊙ g'(Z{l})"
            latex = rf"{_tex('dA', l)} \odot g'\left({_tex('Z', l)}\right)"
        else:
            text, latex = f"pullback of {g.name} at dA{l}", rf"\left(\partial A / \partial Z\right)^T {_tex('dA', l)}"
        yield Quantity(f"dZ{l}", f"dZ{l} = {text}", f"{_tex('dZ', l)} = {latex}", np.asarray(step["dZ"]))
        yield from _parameter_derivatives(l, net.norms[l - 1], step)


def _parameter_derivatives(l: int, norm: str | None, step: Mapping[str, Any]) -> Iterator[Quantity]:
    text, latex = f"dZ{l} A{l - 1}ᵀ", rf"{_tex('dZ', l)} {_tex('A', l - 1)}^T"
    if norm is not None:
        text, latex = "backward through the normalisation", r"\ldots"
    yield Quantity(f"dW{l}", f"dW{l} = {text}", f"{_tex('dW', l)} = {latex}", np.asarray(step["dW"]))
    if norm is not None:
        latex = rf"{_tex('dγ', l)} = \sum_i dZ_i \odot \widehat{{U}}_i"
        yield Quantity(f"dγ{l}", f"dγ{l} = row sums of dZ{l} ⊙ Û{l}", latex, np.asarray(step["dgamma"]))
    latex = rf"{_tex('db', l)} = \sum_{{i=1}}^m {_tex('dZ', l)}_{{\cdot i}}"
    yield Quantity(f"db{l}", f"db{l} = row sums of dZ{l}", latex, np.asarray(step["db"]))


def _product(first: str, second: str, l: int) -> str:
    return rf"{_tex(first, l)}^T {_tex(second, l)}"


def _tex(symbol: str, l: int) -> str:
    """Return a symbol of layer l in LaTeX, with the course's bracket: dW^{[1]}."""
    return f"{symbol.replace('γ', chr(92) + 'gamma ')}^{{[{l}]}}"  # Python 3.11 takes no backslash in the braces


def _tex_name(name: str) -> str:
    escaped = name.replace("_", r"\_")
    return rf"\mathrm{{{escaped}}}"


def as_text(quantity: Quantity) -> str:
    """Return the equation, the shape and the numbers, a line for each row.

    >>> print(as_text(Quantity("Z1", "Z1 = W1 A0 + b1", "", np.array([[1.0], [-0.25]]))))
    Z1 = W1 A0 + b1                                     (2, 1)
            1
        -0.25
    """
    value = quantity.value
    if value.ndim == 0:
        return f"{quantity.equation} = {value:.6g}"
    cells = [[f"{number:.6g}" for number in row] for row in value.tolist()]
    width = max(len(cell) for row in cells for cell in row)
    lines = ("    " + "  ".join(cell.rjust(width) for cell in row) for row in cells)
    return "\n".join([f"{quantity.equation:50}  {value.shape}".rstrip(), *lines])


def as_latex(quantities: Sequence[Quantity]) -> str:
    r"""Return an align* environment with an equation and its matrix for each quantity.

    >>> print(as_latex([Quantity("J", "", "J = 1/m", np.array(0.5))]))
    \begin{align*}
    J = 1/m &= 0.5
    \end{align*}
    """
    lines = (f"{quantity.latex} &= {_matrix(quantity.value)}" for quantity in quantities)
    return "\n".join([r"\begin{align*}", " \\\\\n".join(lines), r"\end{align*}"])


def _matrix(value: np.ndarray) -> str:
    if value.ndim == 0:
        return f"{value:.6g}"
    rows = r" \\ ".join(" & ".join(f"{number:.6g}" for number in row) for row in value.tolist())
    return rf"\begin{{bmatrix}} {rows} \end{{bmatrix}}"
