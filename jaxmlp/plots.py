"""Figures: learning curves, range test, confusion matrix, decision boundary, predicted against true values.

Each function returns a Matplotlib figure; `save` writes it. The functions `draw_…` are the textbook's figures, and draw
on an axis that you give them: draw_activation, draw_network, draw_blocks, draw_maxout, draw_paths, draw_first_layer,
draw_boundary and draw_costs, which `help(jaxmlp.textbook_plots)` describes. Figures are made without pyplot, so that no
window is opened, and no backend and no global state is changed.
"""

import os
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxmlp.data.dataset import Dataset, Part
from jaxmlp.data.files import atomic_path, check_writable
from jaxmlp.errors import INVISIBLE, InputError, quoted, sentence, unknown, warn_user
from jaxmlp.evidence.diagnostics.diagnose import Diagnosis
from jaxmlp.inference.model import Model
from jaxmlp.tabular.encoder import TableEncoder
from jaxmlp.tabular.roles import NUMBER
from jaxmlp.training.lr_finder import RangeTest
from jaxmlp.training.state import Report

try:
    from matplotlib.axes import Axes
    from matplotlib.backend_bases import FigureCanvasBase
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator
except ValueError as error:  # an unknown backend in the environment
    raise InputError(sentence("MPLBACKEND", "a backend that Matplotlib knows", error, "unset it")) from None
except ImportError as error:  # an optional package: the remedy says how to install it
    raise InputError(
        sentence("pictures", "Matplotlib", "no such package", 'install it with pip install "jaxmlp[all]"')
    ) from error

# these need Matplotlib as well: after the sentence above
from jaxmlp.letters import is_missing_letter, write_figure
from jaxmlp.textbook_plots import draw_activation as draw_activation
from jaxmlp.textbook_plots import draw_blocks as draw_blocks
from jaxmlp.textbook_plots import draw_boundary as draw_boundary
from jaxmlp.textbook_plots import draw_costs as draw_costs
from jaxmlp.textbook_plots import draw_first_layer as draw_first_layer
from jaxmlp.textbook_plots import draw_maxout as draw_maxout
from jaxmlp.textbook_plots import draw_network as draw_network
from jaxmlp.textbook_plots import draw_paths as draw_paths

TRAINING, VALIDATION = "#1f6fb4", "#d9731a"
_shown_warnings: dict[Any, Any] = {}  # by which Python shows each warning once
MAX_CONFUSION_CLASSES = 30  # a larger confusion matrix is unreadable
MAX_TICKS = 12  # on the axis of a panel
MAX_LETTERS = 40  # of a name from data


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure in one step, as PNG or in the format that the suffix names.

    Letters that the font of the figure lacks, such as Chinese ones, are taken from other fonts of this machine.

    Raises:
      InputError: for a suffix that names no format.
    """
    check_picture(path)
    with atomic_path(path) as temporary:
        # the path may be a link to a file of another suffix, and then the temporary file has that one
        _warn_again(write_figure(figure, temporary, _suffix(path)))


def _warn_again(caught: Iterable[warnings.WarningMessage]) -> None:
    """Repeat warnings of Matplotlib, but one for all letters that no font has: it warns of each, many times."""
    for warning in caught:
        if not is_missing_letter(warning):
            place = warning.filename, warning.lineno
            warnings.warn_explicit(warning.message, warning.category, *place, registry=_shown_warnings)
    if any(map(is_missing_letter, caught)):
        got, remedy = "letters that no font has, drawn as boxes", "install a font that has them, such as Noto Sans CJK"
        warn_user(sentence("a picture", "fonts with all letters of its names", got, remedy))


def _suffix(path: str | os.PathLike[str]) -> str:
    return Path(path).suffix[1:].lower()


def check_picture(path: str | os.PathLike[str], *sources: str | os.PathLike[str]) -> None:
    """Raise unless a figure can be written under this name, which is that of no file that the command reads."""
    formats = sorted(FigureCanvasBase.get_supported_filetypes().keys() - {"pgf"})  # pgf needs an installed LaTeX
    if _suffix(path) not in formats:
        raise unknown("the suffix of a picture", _suffix(path), formats)
    check_writable(path, *sources)


def _as_text(name: object) -> str:
    """Return a name from data as a text of a figure: short, on one line, and never a formula.

    >>> _as_text("$5-$10"), _as_text("_x")
    ('\\\\$5-\\\\$10', ' _x')
    """
    seen = "".join(letter for letter in str(name) if ord(letter) not in INVISIBLE)
    text = quoted(seen, MAX_LETTERS).replace("$", r"\$")  # Matplotlib sets what is between two $ as a formula
    return f" {text}" if text.startswith("_") else text  # a legend leaves out names that begin with _


def curves(history: Sequence[Report]) -> Figure:
    """Draw cost and, for classifiers, accuracy over the epochs, in training and validation."""
    panels = ["cost"] + ["accuracy"] * (history[0].accuracy is not None)
    figure = Figure(figsize=(4.8 * len(panels), 3.6), layout="constrained")
    epochs = [report.epoch for report in history]
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        axes.plot(epochs, [getattr(report, panel) for report in history], color=TRAINING, label="training")
        if (last := getattr(history[-1], f"validation_{panel}")) is not None:
            values = [getattr(report, f"validation_{panel}") for report in history]
            axes.plot(epochs, values, color=VALIDATION, label=f"validation (last {last:.3g})")
        axes.set(xlabel="epoch", ylabel=panel, title=panel)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend()
    return figure


def range_test(result: RangeTest) -> Figure:
    """Draw the cost of each step of a learning rate range test against α, raw and smoothed, and the suggested α."""
    figure = Figure(figsize=(5.4, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(result.rates, result.costs, color=TRAINING, alpha=0.3, label="cost of the batch")
    axes.plot(result.rates, result.smoothed, color=TRAINING, label="smoothed")
    axes.axvline(result.suggestion, color=VALIDATION, label=f"suggested α = {result.suggestion:.2g}")
    low, high = result.smoothed.min(), result.smoothed.max()
    axes.set(xlabel="learning rate α", ylabel="cost", xscale="log", title="learning rate range test")
    # up to a little above the first cost: the end of the test, where the cost rises without bound, would flatten the
    # curve
    axes.set_ylim(low - 0.1 * (high - low), low + 1.3 * max(result.smoothed[0] - low, 0.2 * (high - low)))
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def confusion(model: Model, part: Part) -> Figure:
    """Draw how many examples of each class were predicted as which class; a darker field is a larger fraction."""
    ids = {label: i for i, label in enumerate(model.classes)}
    predicted = np.array([ids[label] for label in model.predict(part.rows).tolist()])
    C = len(model.classes)
    # a pair (true, predicted) is one number below C², so one count gives the whole matrix
    counts = np.bincount(part.targets * C + predicted, minlength=C * C).reshape(C, C)
    names = [_as_text(label) for label in model.classes]
    longest = max(map(len, names))
    side = max(3.6, 0.42 * C + 1.6) + 0.07 * max(0, longest - 8)  # inches: the names need room, too
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.add_subplot()
    fractions = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)  # of each true class; an absent one is 0
    axes.imshow(fractions, cmap="Blues", vmin=0, vmax=1)
    for (i, j), count in np.ndenumerate(counts):
        if count:
            axes.text(j, i, str(count), ha="center", va="center", color="white" if fractions[i, j] > 0.5 else "black")
    rotation = 90 if longest > 3 else 0
    axes.set_xticks(range(C), names, rotation=rotation)
    axes.set_yticks(range(C), names)
    accuracy = np.trace(counts) / counts.sum()
    axes.set(xlabel="predicted", ylabel="true", title=f"accuracy {accuracy:.1%} of {counts.sum()}")
    return figure


def decision_boundary(model: Model, data: Dataset, resolution: int = 300) -> Figure:
    """Draw the plane of two features, coloured by the predicted class, with the training points."""
    rows = data.train.rows
    # 1e-9: a feature that is constant would have a range of no width
    margin = 0.08 * np.ptp(rows, axis=0) + 1e-9
    (x0, y0), (x1, y1) = rows.min(axis=0) - margin, rows.max(axis=0) + margin
    grid = np.stack(np.meshgrid(np.linspace(x0, x1, resolution), np.linspace(y0, y1, resolution)), axis=-1)
    figure = Figure(figsize=(5.2, 4.6), layout="constrained")
    axes = figure.add_subplot()
    _shade_classes(axes, model, grid)
    colours = _class_colours(len(model.classes))
    for i, label in enumerate(model.classes):
        points = rows[data.train.targets == i]
        axes.scatter(*points.T, s=16, color=colours[i], edgecolor="black", linewidth=0.4, label=_as_text(label))
    x, y = map(_as_text, data.feature_names or ("x₁", "x₂"))
    axes.set(xlabel=x, ylabel=y, xlim=(x0, x1), ylim=(y0, y1), title=f"predicted class: {_as_text(data.name)}")
    axes.legend(title="class", loc="upper right")
    return figure


def _shade_classes(axes: Axes, model: Model, grid: np.ndarray) -> None:
    """Shade each point of the grid by its predicted class, with lines where the class changes."""
    A = model.outputs(grid.reshape(-1, 2))
    ids = (A[:, 0] > 0.5).astype(int) if A.shape[1] == 1 else A.argmax(axis=1)
    C = len(model.classes)
    xs, ys = grid[0, :, 0], grid[:, 0, 1]
    levels = np.arange(C + 1) - 0.5
    ids = ids.reshape(grid.shape[:2])
    axes.contourf(xs, ys, ids, levels=levels, colors=_class_colours(C), alpha=0.3)
    axes.contour(xs, ys, ids, levels=levels[1:-1], colors="black", linewidths=0.8)


def _class_colours(n: int) -> list[str]:
    ten = [
        "#1f6fb4",
        "#d9731a",
        "#2e9d4f",
        "#c03a3a",
        "#7f5fb3",
        "#8a5a44",
        "#d06fb0",
        "#6f6f6f",
        "#b0ac1f",
        "#1fa8b4",
    ]
    return [ten[i % len(ten)] for i in range(n)]


def predicted_against_true(model: Model, part: Part) -> Figure:
    """Draw predicted against true values, a point per example and a panel per target; errors are off the diagonal."""
    predictions = model.predict(part.rows).reshape(part.targets.shape)
    k = part.targets.shape[1]
    figure = Figure(figsize=(4.4 * k, 4.2), layout="constrained")
    for j, axes in enumerate(figure.subplots(1, k, squeeze=False)[0]):
        true, predicted = part.targets[:, j], predictions[:, j]
        ends = [min(true.min(), predicted.min()), max(true.max(), predicted.max())]
        axes.plot(ends, ends, color="black", linewidth=0.8)
        axes.scatter(true, predicted, s=8, alpha=0.4, color=TRAINING)
        name = model.target_names[j] if j < len(model.target_names) else f"target {j + 1}"
        axes.set(xlabel="true", ylabel="predicted", title=_as_text(name))
    return figure


def picture(model: Model, data: Dataset) -> tuple[str, Figure] | None:
    """Return the most informative figure of a model on its data, with a name for its file; None where none fits."""
    part = data.test or data.validation or data.train
    single_label = data.task in ("binary", "multiclass")
    if single_label and data.n_features == data.n_inputs == 2 and _has_plain_numbers(data):
        return "boundary.png", decision_boundary(model, data)
    if single_label and len(model.classes) <= MAX_CONFUSION_CLASSES:
        return "confusion.png", confusion(model, part)
    if data.task == "regression" and data.n_outputs <= 4:
        return "predictions.png", predicted_against_true(model, part)
    return None


def _has_plain_numbers(data: Dataset) -> bool:
    """Whether each feature is a number without a unit: the points of a plane are neither dates nor yes and no."""
    columns = data.preprocessing.columns if isinstance(data.preprocessing, TableEncoder) else ()
    return all(column.role == NUMBER and not column.form for column in columns)


def mistakes(model: Model, part: Part, max_images: int = 24) -> Figure | None:
    """Draw images that the model predicts incorrectly, with true and predicted class; None if there are none."""
    shape = model.image_shape or ()
    if len(shape) == 3 and shape[2] == 1:
        shape = shape[:2]
    predictions = model.predict(part.rows)
    truth = np.asarray(model.classes)[part.targets]
    incorrect = np.flatnonzero(predictions != truth)
    if not incorrect.size:
        return None
    selected, columns = incorrect[:max_images], 6
    figure = Figure(figsize=(1.5 * columns, 1.75 * -(-len(selected) // columns)), layout="constrained")
    for panel, i in enumerate(selected, start=1):
        axes = figure.add_subplot(-(-len(selected) // columns), columns, panel)
        axes.imshow(part.rows[i].reshape(shape), cmap="gray_r" if len(shape) == 2 else None)
        axes.set_title(f"{_as_text(truth[i])} → {_as_text(predictions[i])}", fontsize=9)
        axes.set_axis_off()
    figure.suptitle(f"{len(incorrect)} mistakes of {len(truth)}: true → predicted")
    return figure


def draw_all(folder: str | os.PathLike[str], model: Model, data: Dataset, history: Sequence[Report]) -> list[str]:
    """Write curves.png, the picture of the model and, for images, its mistakes into a folder; return their names."""
    figures = [("curves.png", curves(history))] if history else []
    if figure := picture(model, data):
        figures.append(figure)
    shape = model.image_shape or ()
    images = (len(shape) == 2 or shape[2:] in ((1,), (3,), (4,))) and data.task in ("binary", "multiclass")
    if images and (figure := mistakes(model, data.test or data.validation or data.train)):
        figures.append(("mistakes.png", figure))
    for name, figure in figures:
        save(figure, Path(folder) / name)
    return [name for name, _ in figures]


def layers_picture(diagnosis: Diagnosis) -> Figure:
    """Draw a diagnosis as two panels of bars by layer: root mean square of A, and ‖dZ‖ on a log scale.

    The dead or saturated fraction of a layer is hatched and written on its bar; the findings make the title. Where a
    value that is not finite leaves nothing to draw, the text of the finding takes the place of the bars.
    """
    layers = diagnosis.layers
    title = ", ".join(f"{finding.name} ({finding.where})" for finding in diagnosis.findings) or "healthy"
    if not layers:
        figure = Figure(figsize=(7.6, 1.6), layout="constrained")
        figure.suptitle(title)
        figure.text(
            0.5, 0.4, "\n".join(finding.text for finding in diagnosis.findings), ha="center", va="center", wrap=True
        )
        return figure
    figure = Figure(figsize=(max(7.6, 0.5 * len(layers) + 3), 3.8), layout="constrained")
    forward, backward = figure.subplots(1, 2)
    numbers = [row.layer for row in layers]
    signals, idle = np.array([row.signal for row in layers]), np.array([max(row.dead, row.saturated) for row in layers])
    forward.bar(numbers, signals, color=TRAINING)
    forward.bar(numbers, signals * idle, color="white", hatch="////", edgecolor=TRAINING, label="dead or saturated")
    for l, height, fraction in zip(numbers, signals, idle, strict=True):
        if fraction:
            forward.text(l, height, f"{fraction:.0%}", ha="center", va="bottom", fontsize=7)
    if idle.any():
        forward.legend(loc="lower left")
    forward.set(xlabel="layer", ylabel="root mean square of A", title="activations")
    gradients = np.array([row.gradient for row in layers])
    backward.bar(numbers, gradients, color=VALIDATION)
    if (positive := gradients[gradients > 0]).size:
        backward.set_yscale("log")
        backward.set_ylim(positive.min() / 10, positive.max() * 10)
    backward.set(xlabel="layer", ylabel="‖dZ‖", title="gradients")
    for l, gradient in zip(numbers, gradients, strict=True):
        if gradient == 0:  # a log scale cannot show a bar of height 0
            backward.text(l, 0.02, "0", transform=backward.get_xaxis_transform(), ha="center", fontsize=7)
    for axes in (forward, backward):
        axes.set_xlim(0.4, len(layers) + 0.6)
        axes.set_xticks(numbers[:: -(-len(layers) // MAX_TICKS)])
        axes.grid(axis="y", alpha=0.3)
    figure.suptitle(title)
    return figure
