"""`jaxmlp info MODEL`: the table of layers, shapes and parameters."""

import click
from rich.table import Table

from jaxmlp.cli.loading import open_model
from jaxmlp.cli.output import console, json_option, print_json
from jaxmlp.ensemble import Ensemble
from jaxmlp.model import Model


@click.command()
@click.argument("model")
@json_option
def info(model: str, as_json: bool) -> None:
    """Show what MODEL (a run folder or a model.h5) is: layers, shapes, parameters, and the data it takes.

    Of an ensemble's folder: how many members there are, and what each of them is.
    """
    trained, who = open_model(model)
    members = {"members": len(who.members)} if isinstance(who, Ensemble) else {}
    if as_json:
        print_json({**members, **facts(trained), "layers": [row._asdict() for row in trained.net.shapes]})
        return
    out = console()
    out.print(layers_table(trained))
    for name, value in (members | facts(trained)).items():
        if value not in (None, (), []):
            out.print(f"{name.replace('_', ' ')}: {', '.join(map(str, value)) if isinstance(value, tuple) else value}")


def facts(model: Model) -> dict[str, object]:
    """What a model is, beside its layers."""
    return {
        "task": model.task,
        "cost": model.cost,
        "sizes": model.net.sizes,
        "parameters": model.net.n_parameters,
        "dtype": str(model.params[0]["W"].dtype),
        "classes": model.classes,
        "image_shape": model.image_shape,
        "features": model.feature_names,
        "target": model.target_names,
    }


def layers_table(model: Model) -> Table:
    """A row per layer; the columns hold the shapes of W, b and Z, A, and of their derivatives."""
    drawn = Table(title="layers (m examples, one per column)", title_justify="left", title_style="bold")
    for column in ("layer", "activation", "W, dW", "b, db", "Z, dZ", "A, dA", "parameters"):
        drawn.add_column(column, justify="right" if column == "parameters" else "left")
    drawn.add_row("0", "input", "", "", "", f"({model.net.sizes[0]}, m)", "")
    for l, row in enumerate(model.net.shapes, start=1):
        Z, A = f"({row.W[0]}, m)", f"({row.n_out}, m)"
        drawn.add_row(str(l), row.activation, str(row.W), str(row.b), Z, A, f"{row.n_parameters:,}")
    drawn.add_row("", "", "", "", "", "total", f"{model.net.n_parameters:,}")
    return drawn
