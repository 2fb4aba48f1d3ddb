"""`jaxmlp info MODEL`: the table of layers, shapes and parameters; `jaxmlp info 2-3-1` before anything is trained."""

from collections.abc import Mapping

import click
from rich import box
from rich.table import Table

from jaxmlp.cli.loading import open_model
from jaxmlp.cli.network_sizes import SIZES_HELP, network_of, parse_sizes
from jaxmlp.cli.output import console, json_option, print_json
from jaxmlp.cli.run_settings import read_settings
from jaxmlp.errors import MAX_NAME_LETTERS, quoted
from jaxmlp.inference.model import Model
from jaxmlp.nn.network import Network
from jaxmlp.population.ensemble import Ensemble


@click.command(epilog=SIZES_HELP)
@click.argument("model")
@json_option
def info(model: str, as_json: bool) -> None:
    """Show the layers, shapes and parameters of MODEL (a run folder or a model.h5), and the data it takes.

    For the folder of an ensemble it shows the number of members, and the layers of one of them. MODEL may also be a
    network written as its sizes, such as 2-3-5-4-2-1, with relu in the hidden layers.
    """
    if sizes := parse_sizes(model):
        net = network_of(sizes)
        if as_json:
            answer = {"sizes": net.sizes, "parameters": net.n_parameters}
            print_json({**answer, "layers": [row._asdict() for row in net.shapes]})
        else:
            console().print(shapes_table(net))
        return
    trained, predictor = open_model(model)
    members = {"members": len(predictor.members)} if isinstance(predictor, Ensemble) else {}
    about = members | facts(trained) | training_facts(model)
    if as_json:
        print_json({**about, "layers": [row._asdict() for row in trained.net.shapes]})
        return
    out = console()
    out.print(shapes_table(trained.net))
    for name, value in (about | _readable(about)).items():
        if value not in (None, (), []):
            is_list = isinstance(value, tuple)
            text = ", ".join(quoted(part, MAX_NAME_LETTERS) for part in value) if is_list else value
            out.print(f"{name.replace('_', ' ')}: {text}")


def facts(model: Model) -> dict[str, object]:
    """Return what is known of a model besides its layers."""
    return {
        "task": model.task,
        "cost": model.cost,
        "sizes": model.net.sizes,
        "parameters": model.net.n_parameters,
        "members_in_network": model.net.members,
        "parametric_activations": model.net.parametric or None,
        "dtype": str(model.params[0]["W"].dtype),
        "classes": model.classes,
        "image_shape": model.image_shape,
        "features": model.feature_names,
        "target": model.target_names,
    }


def training_facts(model: str) -> dict[str, object]:
    """Return what the run folder says of the training; nothing for a file without one."""
    result = read_settings(model).get("result") or {}
    names = ("data", "epochs", "seconds", "row_space", "device")
    return {name: result[name] for name in names if result.get(name) is not None}


def _readable(about: Mapping[str, object]) -> dict[str, object]:
    """Return the facts that are not printed as they are."""
    row_space, seconds = about.get("row_space"), about.get("seconds")
    return {
        "seconds": f"{seconds:.2f}" if isinstance(seconds, float) else seconds,
        "row_space": row_space and f"trained in the {row_space} dimensions that the rows span",
    }


def shapes_table(net: Network) -> Table:
    """Return a table with a row per layer; a derivative has the shape of its variable."""
    # without lines between the columns the shapes of wide layers fit in 80 characters
    table = Table(title="layers (m examples, one per column)", title_justify="left", title_style="bold")
    table.box, table.padding, table.pad_edge = box.SIMPLE_HEAD, (0, 1, 0, 0), False
    for column in ("layer", "activation", "W, dW", "b, db", "Z, dZ", "A, dA", "parameters"):
        justify = "right" if column == "parameters" else "left"
        table.add_column(column, justify=justify, no_wrap=column != "activation", overflow="fold")
    table.add_row("0", "input", "", "", "", f"({net.sizes[0]}, m)", "")
    for l, row in enumerate(net.shapes, start=1):
        Z, A = f"({row.W[0]}, m)", f"({row.n_out}, m)"
        table.add_row(str(l), row.activation, str(row.W), str(row.b), Z, A, f"{row.n_parameters:,}")
    table.add_row("", "", "", "", "", "total", f"{net.n_parameters:,}")
    return table
