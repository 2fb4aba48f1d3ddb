"""The textbook's figures. Each function draws on the Matplotlib Axes that you give it, and returns nothing.

The figures are activations with their derivatives, Maxout as the largest of its lines, a network with its sizes, the
blocks forward and backward, paths of gradient descent, weights of the first layer, the decision boundary, and costs of
several runs.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes

from jaxmlp.errors import InputError, InputTypeError, sentence
from jaxmlp.fork import refuse_after_fork
from jaxmlp.nn import activations
from jaxmlp.nn.activations import Activation
from jaxmlp.nn.checks import check_network
from jaxmlp.nn.forward import forward
from jaxmlp.nn.network import Network, Params

COLOURS = ("#1f6fb4", "#d9731a", "#2e9d4f", "#c03a3a", "#7f5fb3", "#8a5a44", "#d06fb0", "#6f6f6f")
MAX_UNITS_DRAWN = 8  # per layer; larger layers: the first 7, dots, the last


def draw_activation(axes: Axes, activation: str | Activation, limit: float = 5.0) -> None:
    """Draw g(z) and g'(z) for |z| ≤ limit; at a kink the curve of g' is broken.

    Raises:
      InputError: for an activation that is not elementwise, which is no function of one number.
    """
    _check_axes(axes)
    refuse_after_fork("draw_activation")
    g = activations.find(activation)
    if not g.elementwise:
        remedy = (
            "use draw_maxout" if g.name.startswith("maxout") else "choose one whose unit depends on its own z alone"
        )
        raise InputError(sentence("draw_activation", "an elementwise activation", g.name, remedy))
    z = np.linspace(-limit, limit, 801)
    Z = jnp.asarray(z)[None, :]
    A = g.apply(Z)
    slope = np.array(g.pullback(Z, A, jnp.ones_like(A))[0])
    for kink in g.kinks:
        slope[np.abs(z - kink).argmin()] = np.nan
    axes.plot(z, np.asarray(A)[0], color=COLOURS[0], label="g(z)")
    axes.plot(z, slope, color=COLOURS[1], linestyle="--", label="g'(z)")
    axes.axhline(0, color="black", linewidth=0.5)
    axes.axvline(0, color="black", linewidth=0.5)
    axes.set(title=g.name, xlabel="z")
    axes.legend(fontsize=8)


def draw_maxout(axes: Axes, slopes: Sequence[float], intercepts: Sequence[float], limit: float = 2.0) -> None:
    """Draw the lines w_i x + b_i of one Maxout unit, and their maximum.

    Raises:
      InputError: unless there is an intercept for each slope.
    """
    _check_axes(axes)
    if np.ndim(slopes) != 1 or not np.size(slopes) or np.shape(slopes) != np.shape(intercepts):
        got = f"shapes {np.shape(slopes)} and {np.shape(intercepts)}"
        remedy = "write [-1, 1], [0, 0] for the lines -x and x"
        raise InputError(sentence("draw_maxout", "a list of slopes and one of as many intercepts", got, remedy))
    x = np.linspace(-limit, limit, 401)
    lines = np.outer(slopes, x) + np.asarray(intercepts)[:, None]
    largest = lines.max(axis=0)
    for line, colour in zip(lines, COLOURS[1:] * len(lines), strict=False):
        axes.plot(x, line, color=colour, linewidth=1, linestyle=":")
    axes.plot(x, largest, color=COLOURS[0], linewidth=2.5)
    margin = 0.3 + 0.15 * np.ptp(largest)
    axes.set(xlabel="x", title=f"maximum of {len(slopes)} lines", ylim=(largest.min() - margin, largest.max() + margin))


def draw_network(axes: Axes, net: Network) -> None:
    """Draw units and connections, with n_l and the shape of W_l; large layers are shortened.

    Raises:
      InputTypeError: if `net` is not a Network (sizes alone are not enough).
    """
    _check_axes(axes)
    check_network(net)
    positions = [_unit_positions(n) for n in net.sizes]
    for l, (starts, ends) in enumerate(itertools.pairwise(positions)):
        for y0 in starts:
            for y1 in ends:
                axes.plot([l, l + 1], [y0, y1], color="#b0b0b0", linewidth=0.6, zorder=1)
    for l, (n, ys) in enumerate(zip(net.sizes, positions, strict=True)):
        colour = COLOURS[2] if l == 0 else COLOURS[1] if l == net.depth else COLOURS[0]
        axes.scatter([l] * len(ys), ys, s=190, color=colour, edgecolor="black", zorder=2)
        if n > MAX_UNITS_DRAWN:
            axes.text(l, (ys[-2] + ys[-1]) / 2, "⋮", ha="center", va="center", fontsize=14, zorder=3)
        name = "X" if l == 0 else net.activations[l - 1].name
        axes.text(l, -MAX_UNITS_DRAWN / 2 - 1.0, f"n = {n}\n{name}", ha="center", va="top", fontsize=9)
    for l, layer in enumerate(net.shapes, start=1):
        text = f"W$_{{{l}}}$ {layer.W[0]}×{layer.W[1]}"
        axes.text(l - 0.5, MAX_UNITS_DRAWN / 2 + 0.8, text, ha="center", fontsize=8)
    axes.set(xlim=(-0.5, net.depth + 0.5), ylim=(-MAX_UNITS_DRAWN / 2 - 3, MAX_UNITS_DRAWN / 2 + 1.6))
    axes.set_axis_off()


def _unit_positions(n: int) -> np.ndarray:
    """Return the heights of the units, centred; for a large layer those of the first ones and of the last."""
    if n <= MAX_UNITS_DRAWN:
        return np.arange(n)[::-1] - (n - 1) / 2
    heights = np.arange(MAX_UNITS_DRAWN + 1)[::-1] - MAX_UNITS_DRAWN / 2
    return np.delete(heights, -2)  # the place of the dots


def draw_blocks(axes: Axes, depth: int) -> None:
    """Draw the block diagram: forward A_{l-1} → A_l with its cache, backward dA_l → dA_{l-1} with dW_l and db_l.

    Raises:
      InputTypeError: unless `depth` is a positive whole number (for a network: `net.depth`).
    """
    _check_axes(axes)
    if not isinstance(depth, int | np.integer) or depth < 1:
        got = "a Network" if isinstance(depth, Network) else depth
        remedy = "write net.depth" if isinstance(depth, Network) else "write 2 for two layers"
        raise InputTypeError(sentence("depth", "a positive whole number of layers", got, remedy))
    for l in range(1, depth + 1):
        for y, text, colour in ((1.0, f"W$_{{{l}}}$, b$_{{{l}}}$", COLOURS[0]), (-1.0, f"W$_{{{l}}}$", COLOURS[1])):
            box = {"boxstyle": "round,pad=0.55", "facecolor": "white", "edgecolor": colour}
            axes.text(2 * l, y, text, ha="center", va="center", fontsize=10, bbox=box, zorder=3)
        axes.annotate("", (2 * l, -0.62), (2 * l, 0.62), arrowprops={"arrowstyle": "->", "linestyle": ":"})
        axes.text(2 * l + 0.08, 0, f"Z$_{{{l}}}$, A$_{{{l - 1}}}$", fontsize=8, va="center")
        axes.annotate("", (2 * l, -2.0), (2 * l, -1.4), arrowprops={"arrowstyle": "->", "color": COLOURS[1]})
        axes.text(2 * l, -2.25, f"dW$_{{{l}}}$, db$_{{{l}}}$", ha="center", fontsize=9)
    # the arrows between the blocks: forward above, backward below
    for l in range(depth + 1):
        arrow = {"arrowstyle": "->", "color": COLOURS[0]}
        name = "X" if l == 0 else f"A$_{{{l}}}$"
        axes.annotate("", (2 * l + 1.55, 1.0), (2 * l + 0.45, 1.0), arrowprops=arrow)
        axes.text(2 * l + 1, 1.15, name, ha="center", fontsize=10)
        if l > 0:
            arrow = {"arrowstyle": "->", "color": COLOURS[1]}
            axes.annotate("", (2 * l + 0.45, -1.0), (2 * l + 1.55, -1.0), arrowprops=arrow)
            axes.text(2 * l + 1, -0.85, f"dA$_{{{l}}}$", ha="center", fontsize=10)
    axes.text(2 * depth + 2, 0, "cost J", ha="center", va="center", fontsize=11)
    axes.text(0.2, 1.7, "forward", color=COLOURS[0], fontsize=11)
    axes.text(0.2, -1.7, "backward", color=COLOURS[1], fontsize=11)
    axes.set(xlim=(0, 2 * depth + 2.6), ylim=(-2.6, 2.1))
    axes.set_axis_off()


def draw_paths(
    axes: Axes, cost: Callable[[np.ndarray, np.ndarray], Any], paths: Mapping[str, np.ndarray], margin: float = 0.3
) -> None:
    """Draw the contour lines of a cost of two numbers, and named paths of gradient descent, each (steps, 2).

    Raises:
      InputError: for a path of another shape.
      InputTypeError: for paths without names.
    """
    _check_axes(axes)
    _check_names("paths", paths, '{"descent": path}')
    for name, path in paths.items():
        if np.ndim(path) != 2 or np.shape(path)[1] != 2:
            remedy = "give one point per row"
            raise InputError(sentence(f"path {name!r}", "shape (steps, 2)", np.shape(path), remedy))
    points = np.concatenate(list(paths.values()))
    low, high = points.min(axis=0), points.max(axis=0)
    space = margin * np.maximum(high - low, 1e-9)
    x, y = (np.linspace(a, b, 160) for a, b in zip(low - space, high + space, strict=True))
    values = np.asarray(cost(*np.meshgrid(x, y)))
    # levels are dense near the minimum, where the paths end
    axes.contour(x, y, values, levels=np.geomspace(1e-3, 1, 14) * np.ptp(values) + values.min(), colors="#c0c0c0")
    for (name, path), colour in zip(paths.items(), itertools.cycle(COLOURS), strict=False):
        axes.plot(*path.T, color=colour, marker=".", markersize=4, linewidth=1.2, label=name)
    axes.plot(*points[0], color="black", marker="o", markersize=5)
    axes.legend(fontsize=8)


def draw_first_layer(
    axes: Axes, params: Params, image_shape: tuple[int, int], units: Sequence[int] | None = None, columns: int = 8
) -> None:
    """Draw the weights of each unit of the first layer as an image.

    A pixel is blue where it raises z and red where it lowers it. `units` selects rows of W_1; None draws all. Colour
    images are drawn one channel at a time; red of (64, 64, 3) is: params `[{"W": W[:, 0::3]}]`, image_shape (64, 64).

    Raises:
      InputError: if height × width is not the number of columns of W_1.
    """
    _check_axes(axes)
    W = np.asarray(params[0]["W"])
    if len(image_shape) != 2 or image_shape[0] * image_shape[1] != W.shape[1]:
        remedy = "give the height and width of the training images"
        if len(image_shape) == 3:
            remedy = f'draw one colour: [{{"W": W[:, 0::{image_shape[2]}]}}] with image_shape {tuple(image_shape[:2])}'
        expects = f"a height and a width whose product is {W.shape[1]}, the columns of W of layer 1"
        raise InputError(sentence("image_shape", expects, image_shape, remedy))
    W = W if units is None else W[list(units)]
    height, width = image_shape
    rows = -(-len(W) // columns)
    canvas = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1), np.nan)
    for i, w in enumerate(W):
        y, x = (i // columns) * (height + 1), (i % columns) * (width + 1)
        # scale each unit by its largest weight, so that small weights show too; 1e-12 avoids 0/0
        canvas[y : y + height, x : x + width] = w.reshape(height, width) / (np.abs(w).max() + 1e-12)
    axes.imshow(canvas, cmap="RdBu", vmin=-1, vmax=1)
    axes.set_axis_off()


def draw_boundary(axes: Axes, params: Params, net: Network, X: np.ndarray, labels: np.ndarray) -> None:
    """Draw the plane of two features coloured by the predicted class, with the points X (2, m) and their class ids.

    Raises:
      InputError: if network or points do not have two features, or labels and points differ in number.
    """
    _check_axes(axes)
    refuse_after_fork("draw_boundary")
    check_network(net)
    X, labels = np.asarray(X), np.asarray(labels)
    if net.sizes[0] != 2:
        remedy = "train one on two features to draw its plane"
        raise InputError(sentence("draw_boundary", "a network of 2 inputs", net.sizes[0], remedy))
    if X.ndim != 2 or len(X) != 2:
        raise InputError(sentence("X", "shape (2, m)", X.shape, "is X one example per column?"))
    if labels.size != X.shape[1]:
        expects = f"a class id for each of {X.shape[1]} points"
        raise InputError(sentence("labels", expects, labels.size, "give shape (m,) or (1, m)"))
    low, high = X.min(axis=1), X.max(axis=1)
    space = 0.08 * (high - low) + 1e-9
    x, y = (np.linspace(a, b, 200) for a, b in zip(low - space, high + space, strict=True))
    grid = np.stack(np.meshgrid(x, y)).reshape(2, -1)
    A = np.asarray(forward(jax.tree.map(jnp.asarray, params), jnp.asarray(grid), net))
    ids = (A[0] > 0.5).astype(int) if len(A) == 1 else A.argmax(axis=0)
    n = max(2, len(A))
    colours = list(itertools.islice(itertools.cycle(COLOURS), n))
    axes.contourf(x, y, ids.reshape(200, 200), levels=np.arange(n + 1) - 0.5, colors=colours, alpha=0.25)
    for i, colour in enumerate(colours):
        axes.scatter(*X[:, labels.ravel() == i], s=9, color=colour, edgecolor="black", linewidth=0.3)
    axes.set(xlabel="x₁", ylabel="x₂")


def draw_costs(axes: Axes, costs: Mapping[str, Sequence[float] | np.ndarray], *, logarithmic: bool = False) -> None:
    """Draw the costs of several runs over their iterations, by name.

    Raises:
      InputTypeError: for costs without names.
    """
    _check_axes(axes)
    _check_names("costs", costs, '{"J": costs}')
    for (name, values), colour in zip(costs.items(), itertools.cycle(COLOURS), strict=False):
        axes.plot(np.asarray(values), color=colour, label=name)
    axes.set(xlabel="iteration", ylabel="cost J")
    if logarithmic:
        axes.set_yscale("log")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


def _check_axes(axes: object) -> None:
    if not isinstance(axes, Axes):
        remedy = "make them with figure, axes = matplotlib.pyplot.subplots()"
        raise InputTypeError(sentence("axes", "Matplotlib Axes", type(axes).__name__, remedy))


def _check_names(where: str, arrays: object, example: str) -> None:
    if not isinstance(arrays, Mapping):
        raise InputTypeError(sentence(where, "a dictionary of names", type(arrays).__name__, f"write {example}"))
