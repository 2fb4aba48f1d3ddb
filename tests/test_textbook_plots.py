"""The textbook's figures show the numbers that they are given."""

from pathlib import Path

import jax
import matplotlib as mpl
import numpy as np
import pytest

import jaxmlp

mpl.use("agg")
from matplotlib.figure import Figure

from jaxmlp import plots, textbook_plots
from jaxmlp.errors import InputError

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def axes():
    return Figure().add_subplot()


def line(axes, label):
    """The points of the curve with this label."""
    return next(curve for curve in axes.lines if curve.get_label() == label).get_xydata()


def test_an_activation_and_its_derivative(axes):
    plots.draw_activation(axes, "tanh")
    z, a = line(axes, "g(z)").T
    np.testing.assert_allclose(a, np.tanh(z), atol=1e-12)
    np.testing.assert_allclose(line(axes, "g'(z)")[:, 1], 1 - a**2, atol=1e-12)


def test_the_derivative_is_broken_at_a_kink(axes):
    plots.draw_activation(axes, "relu")
    z, slope = line(axes, "g'(z)").T
    assert np.isnan(slope[z == 0]).all()
    assert (slope[z > 0] == 1).all()
    assert (slope[z < 0] == 0).all()


def test_softmax_is_no_function_of_one_number(axes):
    with pytest.raises(InputError, match="draw_activation expects an elementwise activation, got softmax"):
        plots.draw_activation(axes, "softmax")


def test_maxout_is_the_largest_of_its_lines(axes):
    plots.draw_maxout(axes, [-1, 1], [0, 0])
    x, y = axes.lines[-1].get_xydata().T
    np.testing.assert_allclose(y, np.abs(x))
    assert len(axes.lines) == 3


def test_a_network_has_a_circle_for_each_unit_and_a_line_for_each_weight(axes):
    plots.draw_network(axes, jaxmlp.Network((2, 3, 1), "relu", "sigmoid"))
    assert [len(circles.get_offsets()) for circles in axes.collections] == [2, 3, 1]
    assert len(axes.lines) == 2 * 3 + 3 * 1
    texts = {text.get_text() for text in axes.texts}
    assert {"n = 2\nX", "n = 3\nrelu", "n = 1\nsigmoid", "W$_{1}$ 3×2"} <= texts


def test_sizes_alone_are_no_network(axes):
    with pytest.raises(InputError, match=r"net expects a jaxmlp\.Network, got tuple"):
        plots.draw_network(axes, (3, 4, 1))  # pyright: ignore[reportArgumentType]


NET = jaxmlp.Network((2, 3, 1), "tanh", "sigmoid")
PARAMS = jaxmlp.init_numpy(NET)
POINTS = np.zeros((2, 4))


@pytest.mark.parametrize(
    ("draw", "arguments", "text"),
    [
        (plots.draw_blocks, (NET,), "depth expects a positive whole number of layers, got a Network: write net.depth"),
        (plots.draw_blocks, (0,), "depth expects a positive whole number of layers, got 0: write 2 for two layers"),
        (
            plots.draw_maxout,
            ([0, 1], [0]),
            "draw_maxout expects a list of slopes and one of as many intercepts, got shapes (2,) and (1,): "
            "write [-1, 1], [0, 0] for the lines -x and x",
        ),
        (plots.draw_costs, ([1.0, 0.9],), 'costs expects a dictionary of names, got list: write {"J": costs}'),
        (
            plots.draw_paths,
            (np.hypot, np.zeros((3, 2))),
            'paths expects a dictionary of names, got ndarray: write {"descent": path}',
        ),
        (
            plots.draw_paths,
            (np.hypot, {"a": np.zeros((2, 3))}),
            "path 'a' expects shape (steps, 2), got (2, 3): give one point per row",
        ),
        (
            plots.draw_boundary,
            (PARAMS, NET, POINTS.T, np.zeros(4)),
            "X expects shape (2, m), got (4, 2): is X one example per column?",
        ),
        (
            plots.draw_boundary,
            (PARAMS, NET, POINTS, np.zeros(3)),
            "labels expects a class id for each of 4 points, got 3: give shape (m,) or (1, m)",
        ),
        (
            plots.draw_boundary,
            (PARAMS, jaxmlp.Network((3, 1), output="sigmoid"), POINTS, np.zeros(4)),
            "draw_boundary expects a network of 2 inputs, got 3: train one on two features to draw its plane",
        ),
        (
            plots.draw_first_layer,
            (({"W": np.zeros((2, 6))},), (2, 2)),
            "image_shape expects a height and a width whose product is 6, the columns of W of layer 1, got (2, 2): "
            "give the height and width of the training images",
        ),
        (
            plots.draw_first_layer,
            (({"W": np.zeros((2, 12))},), (2, 2, 3)),
            "image_shape expects a height and a width whose product is 12, the columns of W of layer 1, "
            'got (2, 2, 3): draw one colour: [{"W": W[:, 0::3]}] with image_shape (2, 2)',
        ),
    ],
)
def test_what_cannot_be_drawn_is_answered_with_what_to_write(axes, draw, arguments, text):
    with pytest.raises(InputError) as error:
        draw(axes, *arguments)
    assert str(error.value) == text


def test_the_colour_of_the_remedy_is_drawn(axes):
    W = np.arange(12.0).reshape(1, 12)
    plots.draw_first_layer(axes, [{"W": W[:, 0::3]}], (2, 2), columns=1)  # pyright: ignore[reportArgumentType]
    np.testing.assert_allclose(np.asarray(axes.images[0].get_array()), np.array([[0, 3], [6, 9]]) / 9)


@pytest.mark.parametrize("draw", [plots.draw_activation, plots.draw_network, plots.draw_blocks, plots.draw_costs])
def test_a_file_name_is_no_axis(draw):
    with pytest.raises(InputError, match=r"axes expects Matplotlib Axes, got str: make them with figure, axes"):
        draw("figure.png", "tanh")


@pytest.mark.parametrize("name", [name for name in vars(textbook_plots) if name.startswith("draw_")])
def test_every_figure_is_named_where_a_reader_looks(name):
    assert name in (plots.__doc__ or "")
    assert hasattr(plots, name)
    assert f"`{name}" in README


def test_a_large_layer_is_shortened(axes):
    plots.draw_network(axes, jaxmlp.Network((64, 10), output="softmax"))
    assert [len(circles.get_offsets()) for circles in axes.collections] == [8, 8]
    assert sum(text.get_text() == "⋮" for text in axes.texts) == 2
    assert "n = 64\nX" in {text.get_text() for text in axes.texts}


def test_blocks_name_what_goes_in_and_out(axes):
    plots.draw_blocks(axes, 2)
    texts = [text.get_text() for text in axes.texts]
    for name in ("X", "A$_{1}$", "A$_{2}$", "dA$_{1}$", "dA$_{2}$", "dW$_{1}$, db$_{1}$", "Z$_{2}$, A$_{1}$", "cost J"):
        assert name in texts
    assert "dA$_{0}$" not in texts


def test_paths_start_at_the_same_point(axes):
    path = np.array([[1.0, 2.0], [0.5, 1.0]])
    plots.draw_paths(axes, lambda x, y: x**2 + y**2, {"descent": path})
    np.testing.assert_array_equal(line(axes, "descent"), path)


def test_more_curves_and_classes_than_colours_are_all_drawn(axes):
    paths = {f"path {i}": np.array([[1.0, 2.0], [0.1 * i, 1.0]]) for i in range(11)}
    plots.draw_paths(axes, lambda x, y: x**2 + y**2, paths)
    assert all(line(axes, name).shape == (2, 2) for name in paths)
    axes.clear()
    net = jaxmlp.Network((2, 11), output="softmax")
    X = np.random.default_rng(0).normal(size=(2, 22))
    plots.draw_boundary(axes, jaxmlp.init(jax.random.key(0), net), net, X, np.arange(22) % 11)
    assert [len(points.get_offsets()) for points in axes.collections if hasattr(points, "get_sizes")][-11:] == [2] * 11


def test_first_layer_shows_each_unit_as_an_image(axes):
    params = ({"W": np.arange(12.0).reshape(3, 4), "b": np.zeros((3, 1))},)
    plots.draw_first_layer(axes, params, (2, 2), columns=2)
    canvas = np.asarray(axes.images[0].get_array())
    assert canvas.shape == (5, 5)
    np.testing.assert_allclose(canvas[:2, :2], np.arange(4.0).reshape(2, 2) / 3)
    np.testing.assert_allclose(canvas[3:, :2], np.arange(8.0, 12.0).reshape(2, 2) / 11)


def test_the_boundary_colours_each_class(axes):
    net = jaxmlp.Network((2, 3), output="softmax")
    params = jaxmlp.init(jax.random.key(0), net)
    X = np.random.default_rng(0).normal(size=(2, 9))
    plots.draw_boundary(axes, params, net, X, np.arange(9) % 3)
    assert [len(points.get_offsets()) for points in axes.collections if hasattr(points, "get_sizes")][-3:] == [3, 3, 3]


def test_costs_of_runs_have_their_names(axes):
    plots.draw_costs(axes, {"zeros": [1.0, 0.9], "He": [1.0, 0.1]}, logarithmic=True)
    assert axes.get_yscale() == "log"
    np.testing.assert_array_equal(line(axes, "He")[:, 1], [1.0, 0.1])
