"""`jaxmlp predict MODEL FILE`: answers for rows without labels, or for one picture."""

import csv
import io
import os
from pathlib import Path
from typing import Any

import click
import numpy as np

from jaxmlp.cli.loading import open_model
from jaxmlp.cli.output import console, json_option, print_json
from jaxmlp.data import pictures
from jaxmlp.data.files import atomic_path
from jaxmlp.data.sources import load_rows
from jaxmlp.ensemble import Ensemble
from jaxmlp.errors import InputError, sentence
from jaxmlp.model import PROBABILITIES, Model


@click.command()
@click.argument("model")
@click.argument("file")
@click.option("--threshold", type=float, help="Above it, a single sigmoid says yes [0.5].")
@click.option("--out", metavar="CSV", help="Write to this file instead of stdout.")
@json_option
def predict(model: str, file: str, threshold: float | None, out: str | None, as_json: bool) -> None:
    """Answer for every row of FILE (.csv, .npz, .h5), or for one picture (.png, .jpg, ...).

    MODEL is a run folder, also of an ensemble, or a model.h5. A picture is resized to the images that the model was
    trained on. The answer is CSV: the prediction, for classifiers the probability of each class, and for an ensemble
    how far its members disagree.
    """
    trained, who = open_model(model)
    check_picture(trained, file)
    rows = load_rows(file, trained.net.sizes[0], trained.image_shape, trained.feature_names, trained.target_names)
    answers = who.predict(rows, **({} if threshold is None else {"threshold": threshold}))
    probabilities = who.predict_proba(rows) if has_probabilities(trained) else None
    disagreement = who.disagreement(rows) if isinstance(who, Ensemble) else None
    text = as_csv(trained, answers, probabilities, disagreement)
    if out:
        with atomic_path(out) as temporary:
            temporary.write_text(text, encoding="utf-8")
        console(stderr=True).print(f"{len(rows)} predictions in {out}")
    if as_json:
        answer = {"predictions": answers, "probabilities": probabilities, "classes": trained.classes, "out": out}
        print_json(answer if disagreement is None else {**answer, "disagreement": disagreement})
    elif not out:
        click.echo(text, nl=False)


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


def as_csv(
    model: Model, answers: np.ndarray, probabilities: np.ndarray | None, disagreement: np.ndarray | None = None
) -> str:
    """A header and a row per answer."""
    columns = answers.reshape(len(answers), -1)
    if columns.shape[1] == 1:
        header = ["prediction"]
    else:
        names: Any = model.classes or model.target_names or range(1, columns.shape[1] + 1)
        header = [f"prediction {name}" for name in names]
    rows = columns.tolist()
    if probabilities is not None:
        header += [f"probability {label}" for label in model.classes]
        rows = [[*row, *(f"{p:.6g}" for p in ps)] for row, ps in zip(rows, probabilities, strict=True)]
    if disagreement is not None:
        header.append("disagreement")
        rows = [[*row, f"{far:.6g}"] for row, far in zip(rows, disagreement, strict=True)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator=os.linesep)
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()
