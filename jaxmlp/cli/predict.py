"""`jaxmlp predict MODEL FILE`: answers for rows without labels, or for one picture."""

import csv
import io
import os
from pathlib import Path
from typing import Any

import click
import numpy as np

from jaxmlp.cli.output import console, json_option, print_json
from jaxmlp.data import pictures
from jaxmlp.data.files import atomic_path
from jaxmlp.data.sources import load_rows
from jaxmlp.errors import InputError, sentence
from jaxmlp.model import PROBABILITIES, Model, load_model


@click.command(short_help="Answer for rows of a file, or for a picture.")
@click.argument("model")
@click.argument("file")
@click.option("--threshold", type=float, help="Above it, a single sigmoid says yes [0.5].")
@click.option("--out", metavar="CSV", help="Write to this file instead of stdout.")
@json_option
def predict(model: str, file: str, threshold: float | None, out: str | None, as_json: bool) -> None:
    """Answer for every row of FILE (.csv, .npz, .h5), or for one picture (.png, .jpg, ...).

    MODEL is a run folder or a model.h5. A picture is resized to the images that the model was trained on. The answer
    is CSV: the prediction and, for classifiers, the probability of each class.
    """
    trained = load_model(model)
    check_picture(trained, file)
    rows = load_rows(file, trained.net.sizes[0], trained.image_shape, trained.feature_names, trained.target_names)
    answers = trained.predict(rows, **({} if threshold is None else {"threshold": threshold}))
    probabilities = trained.predict_proba(rows) if has_probabilities(trained) else None
    if out:
        with atomic_path(out) as temporary:
            temporary.write_text(as_csv(trained, answers, probabilities), encoding="utf-8")
        console(stderr=True).print(f"{len(rows)} predictions in {out}")
    if as_json:
        print_json({"predictions": answers, "probabilities": probabilities, "classes": trained.classes, "out": out})
    elif not out:
        click.echo(as_csv(trained, answers, probabilities), nl=False)


def check_picture(model: Model, file: str) -> None:
    """A picture gives bytes; a model of other images would take them for numbers of its own range.

    Raises:
      InputError: for a picture, when the model was trained on images of other numbers.
    """
    picture = Path(file).suffix.lower() in pictures.SUFFIXES
    if picture and model.image_shape and model.row_dtype != "uint8":
        got, remedy = f"images of {model.row_dtype}", "train on images of bytes, or give the rows as .npz"
        raise InputError(sentence("a picture", "a model trained on bytes 0..255", got, remedy))


def has_probabilities(model: Model) -> bool:
    """Whether the outputs of the model are probabilities."""
    return model.task != "regression" and model.net.activations[-1].name in PROBABILITIES


def as_csv(model: Model, answers: np.ndarray, probabilities: np.ndarray | None) -> str:
    """A header and a row per answer."""
    columns = answers.reshape(len(answers), -1)
    if columns.shape[1] == 1:
        header = ["prediction"]
    else:
        names: Any = model.classes or model.target_names or range(1, columns.shape[1] + 1)
        header = [f"prediction {name}" for name in names]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator=os.linesep)
    if probabilities is None:
        writer.writerow(header)
        writer.writerows(columns.tolist())
    else:
        writer.writerow([*header, *(f"probability {label}" for label in model.classes)])
        for answer, row in zip(columns.tolist(), probabilities, strict=True):
            writer.writerow([*answer, *(f"{p:.6g}" for p in row)])
    return text.getvalue()
