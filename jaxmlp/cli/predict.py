"""`jaxmlp predict MODEL FILE`: predictions for rows without labels, or for pictures."""

import csv
import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np

from jaxmlp.cli.loading import FILE_HELP, open_model, text_loading
from jaxmlp.cli.options import text_options
from jaxmlp.cli.output import console, json_option, print_json
from jaxmlp.cli.run_folder import history_and_checkpoints
from jaxmlp.cli.table_output import check_table_output
from jaxmlp.data.files import atomic_path
from jaxmlp.data.folders import one_row_files
from jaxmlp.data.limits import as_name, as_path
from jaxmlp.data.load import is_table, load_rows, load_table
from jaxmlp.data.readers.images import IMAGE_SUFFIXES
from jaxmlp.data.tables import read_features
from jaxmlp.errors import InputError, printable, sentence
from jaxmlp.inference.model import Model
from jaxmlp.population.ensemble import Ensemble
from jaxmlp.tabular.encoder import TableEncoder
from jaxmlp.tabular.frame_cells import as_text
from jaxmlp.tabular.options import TableOptions
from jaxmlp.tabular.roles import check_names, identifies_rows


@click.command(epilog=FILE_HELP)
@click.argument("model")
@click.argument("file")
@click.option(
    "--threshold",
    type=float,
    help="Probability above which to predict the second class (two classes) or a label (several labels) [0.5].",
)
@click.option("-o", "--out", metavar="CSV", help="Output file; - is stdout [-].")
@click.option(
    "--id", "id_column", metavar="COLUMN", help="Column to copy into the output [one that identifies the rows]."
)
@text_options
@json_option
def predict(
    model: str,
    file: str,
    threshold: float | None,
    out: str | None,
    id_column: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Predict every row of FILE, an image file, or every image file in a folder.

    MODEL is a run folder (of one network or of an ensemble) or a model.h5. The columns of a table are matched by name,
    in any order. An image file is resized to the size of the training images. The output is CSV with one line per row,
    in the order of FILE, or of the names in the folder. It has the identifier of the row (if there is one), the
    prediction, for a classifier the probability of each class, and for an ensemble the disagreement of its members.
    """
    out = None if out == "-" else out
    if out is not None:
        # before the work: an error after it would lose the predictions
        check_table_output(out, file, model, *history_and_checkpoints(model))
    trained, predictor = open_model(model, file)
    check_pixel_type(trained, file)
    rows, identifiers = read_rows(trained, file, id_column, TableOptions(**text_loading(options, model)))
    predictions = predictor.predict(rows, **({} if threshold is None else {"threshold": threshold}))
    probabilities = predictor.predict_proba(rows) if trained.has_probabilities else None
    disagreement = predictor.disagreement(rows) if isinstance(predictor, Ensemble) else None
    text = as_csv(trained, predictions, probabilities, disagreement, identifiers)
    if out:
        with atomic_path(out) as temporary:
            temporary.write_text(text, encoding="utf-8")
        console(stderr=True).print(f"{len(rows)} predictions in {out}")
    if as_json:
        answer = {"predictions": predictions, "probabilities": probabilities, "classes": trained.classes, "out": out}
        answer |= {} if identifiers is None else {"identifiers": identifiers.cells}
        print_json(answer if disagreement is None else {**answer, "disagreement": disagreement})
    elif not out:
        click.echo(printable(text), nl=False)


def check_pixel_type(model: Model, file: str) -> None:
    """Raise for pictures, whose pixels are bytes, if the model was trained on images of another dtype.

    Raises:
      InputError: because the model would take the bytes for numbers of another range.
    """
    is_picture = bool(picture_files(file))
    if is_picture and model.image_shape and model.row_dtype != "uint8":
        got, remedy = f"images of {model.row_dtype}", "train on images of bytes, or give the rows as .npz"
        raise InputError(sentence("a picture", "a model trained on bytes 0..255", got, remedy))


def picture_files(file: str) -> list[Path]:
    """Return the picture itself, the pictures in a folder, or [] for any other file."""
    path = as_path(file)
    if path.is_dir():
        return one_row_files(path)
    return [path] if path.suffix.lower() in IMAGE_SUFFIXES else []


class Identifiers(NamedTuple):
    """A column that names the rows of a file: its own name, and its cells as text."""

    name: str
    cells: list[str]


def read_rows(
    model: Model, file: str, id_column: str | None, options: TableOptions
) -> tuple[np.ndarray, Identifiers | None]:
    """Return the rows of a file, and the column that identifies them if it has one; what is unusual goes to stderr.

    Raises:
      InputError: as `load_rows`, and for an identifier that the file has not.
    """
    if not is_table(file):
        if id_column is not None:
            raise InputError(sentence("--id", "a table", file, "leave it out"))
        rows = load_rows(file, model.n_features, model.columns)
        names = [as_name(path.name) for path in picture_files(file)] if as_path(file).is_dir() else []
        return rows, Identifiers("file", names) if names else None
    table = load_table(file, model.known_columns, options)
    content = read_features(table, model.known_columns, model.n_features)
    notes = [*table.notes, *content.notes]
    if isinstance(model.preprocessing, TableEncoder):
        notes += model.preprocessing.unknown_values(content.rows)
    for note in notes:
        console(stderr=True).print(f"note: {note}", soft_wrap=True)
    if id_column is not None:
        check_names(table, [id_column])
    # a column of the model is no identifier, however its cells look
    features = {*content.names}
    name = id_column or next((n for n in table.names if n not in features and identifies_rows(n, table)), None)
    return content.rows, None if name is None else Identifiers(name, as_text(table.column(name)))


def as_csv(
    model: Model,
    predictions: np.ndarray,
    probabilities: np.ndarray | None,
    disagreement: np.ndarray | None = None,
    identifiers: Identifiers | None = None,
) -> str:
    """Return a header and a line per row, as CSV."""
    # a column for each target or label, then those that the model can add, then the identifier in front
    columns = predictions.reshape(len(predictions), -1)
    if columns.shape[1] == 1:
        header = ["prediction"]
    else:
        names: Iterable[object] = model.classes or model.target_names or range(1, columns.shape[1] + 1)
        header = [f"prediction {name}" for name in names]
    rows = columns.tolist()
    if probabilities is not None:
        header += [f"probability {label}" for label in model.classes]
        rows = [[*row, *(f"{p:.6g}" for p in ps)] for row, ps in zip(rows, probabilities, strict=True)]
    if disagreement is not None:
        header.append("disagreement")
        rows = [[*row, f"{value:.6g}"] for row, value in zip(rows, disagreement, strict=True)]
    if identifiers is not None:
        header = [identifiers.name, *header]
        rows = [[cell, *row] for cell, row in zip(identifiers.cells, rows, strict=True)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator=os.linesep)
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()
