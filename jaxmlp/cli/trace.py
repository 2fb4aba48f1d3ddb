"""`jaxmlp trace 3-2-1 --x 1,2,3 --y 1` prints every number of both passes, with its shape and its equation."""

import dataclasses
from typing import Any

import click
import numpy as np
from click.core import ParameterSource

from jaxmlp.cli.diagnose import columns
from jaxmlp.cli.evaluate import choose_part, load_for
from jaxmlp.cli.network_sizes import SIZES_HELP, network_of, parse_sizes
from jaxmlp.cli.options import Names
from jaxmlp.cli.output import json_option, print_json
from jaxmlp.cli.walk import as_latex, as_text, walk
from jaxmlp.data.dataset import Part
from jaxmlp.errors import InputError, sentence
from jaxmlp.inference.description import network_line
from jaxmlp.inference.model import Model, load_model
from jaxmlp.nn import costs
from jaxmlp.nn.network import Network, Params
from jaxmlp.nn.objective import Objective
from jaxmlp.nn.passes import trace
from jaxmlp.training.numpy_init import init_numpy

_NEW_NETWORK_OPTIONS = ("activation", "output", "cost", "init", "seed")  # a trained model has its own values


@click.command("trace", epilog=SIZES_HELP)
@click.argument("model")
@click.argument("data", required=False)
@click.option("--x", metavar="N,N,...", help="Inputs of an example; separate several examples by semicolons.")
@click.option("--y", metavar="Y,...", help="The target of each example, for the backward pass: a label or numbers.")
@click.option(
    "--row",
    type=click.IntRange(0),
    help="Row of the test part of DATA (of all rows if it has no test part); the first row is 0 [0].",
)
@click.option(
    "--activation", type=Names(), default="sigmoid", show_default=True, help="Activation of the hidden layers."
)
@click.option("--output", help="Activation of the last layer [sigmoid for one output, softmax for several].")
@click.option("--cost", help="Cost [that of the output].")
@click.option("--init", default="lecun_normal", show_default=True, help="Initializer of the weights.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of NumPy's generator.")
@click.option("--latex", "as_tex", is_flag=True, help="Print LaTeX instead of text.")
@json_option
@click.pass_context
def trace_command(
    context: click.Context, model: str, data: str | None, as_tex: bool, as_json: bool, **options: Any
) -> None:
    """Print every number of the forward pass and, with a target, of the backward pass.

    MODEL is a run folder or a model.h5, with --x or with a row of DATA. It may also be a network written as its sizes,
    such as 3-2-1, with --x. By default its weights are randn/√n with NumPy's seed 1, as in many courses.
    """
    sizes = parse_sizes(model)
    _check_options(context, sizes is not None, data, options)
    if sizes is not None:
        net = network_of(sizes, options["activation"], options["output"])
        params, cost_name = init_numpy(net, options["seed"], options["init"]), options["cost"]
        X = _examples(options["x"], net.sizes[0])
        Y = None if options["y"] is None else _numbers_of(options["y"], net, X.shape[1])
        origin = f"weights {options['init']} from NumPy's seed {options['seed']}"
    else:
        trained = load_model(model)
        net, params, cost_name = trained.net, trained.params, trained.cost
        X, Y = _model_examples(model, trained, data, options)
        origin = "inputs after the preprocessing of the model"
    _print_walk(params, X, net, Y, cost_name, origin, as_tex, as_json)


def _print_walk(
    params: Params,
    X: np.ndarray,
    net: Network,
    Y: np.ndarray | None,
    cost_name: str | None,
    origin: str,
    as_tex: bool,
    as_json: bool,
) -> None:
    cost = costs.find(cost_name, net.activations[-1])
    if Y is not None and cost.name.endswith("cross_entropy") and not (is_probability := (Y >= 0) & (Y <= 1)).all():
        got, remedy = f"{Y[~is_probability][0]:g}", "change --y, or take --cost quadratic"
        raise InputError(sentence("--y", f"0, 1 or a probability for {cost.name}", got, remedy))
    steps = trace(params, X, net, *(() if Y is None else (Y, Objective(cost))))
    quantities = list(walk(params, X, net, steps, cost, Y))
    title = f"{network_line(net)}, cost {cost.name}"
    if as_json:
        rows = [{**q._asdict(), "shape": q.value.shape} for q in quantities]
        print_json({"network": title, "origin": origin, "quantities": rows})
    elif as_tex:
        click.echo(as_latex(quantities))
    else:
        click.echo(f"{title}; {origin}\n")
        click.echo("\n".join(map(as_text, quantities)))


def _check_options(context: click.Context, is_sizes: bool, data: str | None, options: dict[str, Any]) -> None:
    """Raise for options that exclude each other.

    Raises:
      InputError: for options of a new network with a trained model, for DATA or --row with a new network, and for --x
        together with DATA.
    """
    # the source tells a default from an option that the user wrote, also if the user wrote the default value
    chosen = {name for name in options if context.get_parameter_source(name) is not ParameterSource.DEFAULT}
    if not is_sizes and (unused := [name for name in _NEW_NETWORK_OPTIONS if name in chosen]):
        got, remedy = f"--{unused[0]}", "leave it out, because the model has its own"
        raise InputError(sentence("trace of a trained model", "no option of a new network", got, remedy))
    if is_sizes and (data is not None or "row" in chosen):
        raise InputError(sentence("trace of a new network", "--x and no data", data or "--row", "write --x 1,2,3"))
    if (options["x"] is None) == (data is None):
        got = "both" if data else "neither"
        raise InputError(sentence("trace", "--x or a row of DATA", got, "write --x 1,2,3, say"))
    if data is not None and "y" in chosen:
        remedy = "leave --y out, or give --x"
        raise InputError(sentence("trace of a row of data", "the target of the row", "--y", remedy))
    if data is None and "row" in chosen:
        raise InputError(sentence("--row", "DATA to take it from", "none", "name the data set after the model"))


def _examples(text: str, n: int) -> np.ndarray:
    """Return the examples of --x as columns, (n, m)."""
    return _matrix("--x", text, n).T


def _matrix(option: str, text: str, n: int) -> np.ndarray:
    """Return the text of an option as rows (m, n): commas separate numbers, and semicolons separate rows."""
    try:
        rows = [[float(cell) for cell in row.split(",")] for row in text.split(";")]
    except ValueError:
        remedy = "write 1,2,3 for one example and 1,2,3;4,5,6 for two"
        raise InputError(sentence(option, "numbers with commas", repr(text), remedy)) from None
    for row in rows:
        if len(row) != n:
            raise InputError(sentence(option, f"{n} numbers for each example", len(row), f"write {n} of them"))
    matrix = np.array(rows)
    if not np.isfinite(matrix).all():
        raise InputError(sentence(option, "finite numbers", repr(text), "remove nan and inf"))
    return matrix


def _numbers_of(text: str, net: Network, m: int) -> np.ndarray:
    """Return --y as (n_L, m); for softmax a class id becomes a one-hot column."""
    n, cells = net.sizes[-1], text.replace(";", ",").split(",")
    # with one number per example it is a class id: n numbers per example would be probabilities
    if net.output == "softmax" and len(cells) == m:
        ids = _matrix("--y", text.replace(",", ";"), 1)[:, 0]
        if not all(float(i).is_integer() and 0 <= i < n for i in ids):
            raise InputError(sentence("--y", f"class ids from 0 to {n - 1}", repr(text), "count the classes from 0"))
        return np.eye(n)[:, ids.astype(int)]
    Y = _matrix("--y", text.replace(",", ";") if n == 1 else text, n).T
    if Y.shape[1] != m:
        raise InputError(sentence("--y", f"a target for each of {m} examples", Y.shape[1], "write one for each"))
    return Y


def _model_examples(
    model: str, trained: Model, data: str | None, options: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return preprocessed X (n, m) and Y (n_L, m), from --x and --y or from a row of the data."""
    if data is None:
        rows = _matrix("--x", options["x"], trained.net.sizes[0])
        X = np.asarray(trained.preprocessing(rows, trained.params[0]["W"].dtype)).T
        return X, None if options["y"] is None else _labels_of(options["y"], trained, X.shape[1])
    dataset = load_for(model, trained, data)
    part, i = choose_part(dataset, "auto").part, options["row"] or 0
    if i >= len(part.rows):
        raise InputError(sentence("--row", f"a row from 0 to {len(part.rows) - 1}", i, "rows are counted from 0"))
    one_row = Part(np.asarray(part.rows[i : i + 1]), np.asarray(part.targets[i : i + 1]))
    X, Y = columns(trained, dataclasses.replace(dataset, train=one_row))
    Y = np.asarray(Y)
    # the cost takes class ids, but the walk prints a target for each output
    if trained.net.output == "softmax" and Y.shape[0] == 1:
        Y = np.eye(trained.net.sizes[-1])[:, Y[0].astype(int)]
    return np.asarray(X), Y


def _labels_of(text: str, trained: Model, m: int) -> np.ndarray:
    """Return --y as (n_L, m) for a model: the text holds class labels, or raw values for a regression."""
    if trained.task not in ("binary", "multiclass"):
        n = trained.net.sizes[-1]
        rows = _matrix("--y", text.replace(",", ";") if n == 1 else text, n)
        return np.asarray(trained.target_preprocessing(rows)).T
    class_ids = {str(label): i for i, label in enumerate(trained.classes)}
    labels = [label.strip() for label in text.replace(";", ",").split(",")]
    if len(labels) != m or not set(labels) <= set(class_ids):
        expects = f"{m} of the classes {', '.join(class_ids)}"
        raise InputError(sentence("--y", expects, repr(text), "write the label as in the data"))
    ids = np.array([class_ids[label] for label in labels])
    return ids[None, :].astype(float) if trained.net.sizes[-1] == 1 else np.eye(len(class_ids))[:, ids]
