"""What a finished run says: its summary as a table and for run.json, and its pictures."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxmlp.cli.budget import MIN_STEPS
from jaxmlp.cli.output import console
from jaxmlp.data.dataset import Dataset
from jaxmlp.data.streaming.dataset import StreamedDataset
from jaxmlp.errors import InputError, printable
from jaxmlp.inference.description import network_extensions
from jaxmlp.inference.model import Model
from jaxmlp.training.loop import Result
from jaxmlp.training.lr_finder import RangeTest
from jaxmlp.training.state import Report

RANGE_TEST = "lr_find.png"


def summarize(data: Dataset, model: Model, result: Result) -> dict[str, Any]:
    """Return the summary of a run: cost and accuracy (R² for regression) of its training and its test part."""
    last = result.history[-1] if result.history else Report(cost=None, epoch=0)
    # measuring a stream would read the whole file again: the last epoch reported each batch before its update
    reported = {"cost": last.cost, "accuracy": last.accuracy}
    train = reported if isinstance(data, StreamedDataset) else model.evaluate(data.train)
    test_part = data.test or data.validation
    test = model.evaluate(test_part) if test_part else {}
    return {
        "data": data.name,
        "task": data.task,
        "sizes": model.net.sizes,
        "extensions": network_extensions(model.net),
        "parameters": model.net.n_parameters,
        "cost": last.cost,
        "train_cost": train["cost"],
        "test_cost": test.get("cost"),
        "train_accuracy": train.get("accuracy"),
        "test_accuracy": test.get("accuracy"),
        "train_r2": train.get("r2"),
        "test_r2": test.get("r2"),
        "epochs": last.epoch,
        "best_epoch": result.best_epoch,
        "row_space": result.row_space,
        "seconds": result.seconds,
    }


def readable(summary: Mapping[str, Any]) -> dict[str, object]:
    """Return the summary as names and values for a table."""
    accuracies = {
        f"{part} accuracy": f"{value:.2%}"
        for part in ("train", "test")
        if (value := summary[f"{part}_accuracy"]) is not None
    }
    return {
        "data": f"{summary['data']} ({summary['task']})",
        "preset": summary["preset"],
        "network": ", ".join(
            ["-".join(map(str, summary["sizes"])), *summary["extensions"], f"{summary['parameters']:,} parameters"]
        ),
        "cost": summary["cost"],
        **accuracies,
        "train R²": summary["train_r2"],
        "test R²": summary["test_r2"],
        "epochs": f"{summary['epochs']}{f' (for {MIN_STEPS:,} steps)' if summary['epochs_chosen'] else ''}",
        "dropout": summary["dropout"],
        "best epoch": summary["best_epoch"],
        "trained in": summary["row_space"] and f"the {summary['row_space']} dimensions that the rows span",
        "learning rate": summary["learning_rate"],
        "seconds": f"{summary['seconds']:.2f}",
        "computed with": f"{summary['device']}, JAX {summary['jax']}, {summary['precision']}",
    }


def draw_pictures(
    folder: Path, model: Model, data: Dataset, history: tuple[Report, ...], range_test: RangeTest | None
) -> list[str]:
    """Draw the pictures and return their names; print a line if Matplotlib is missing or the disk is full."""
    try:
        from jaxmlp.plots import draw_all, save
        from jaxmlp.plots import range_test as draw_range_test
    except InputError as error:
        console(stderr=True).print(f"no pictures drawn: {error}", soft_wrap=True)
        return []
    if isinstance(data, StreamedDataset):  # only its test part is in memory
        if data.test is None:
            return []
        data = dataclasses.replace(data, train=data.test)
    try:
        names = draw_all(folder, model, data, history)
        if range_test is not None:
            save(draw_range_test(range_test), folder / RANGE_TEST)
            names.append(RANGE_TEST)
    except (OSError, ValueError) as error:  # of the disk, or of Matplotlib for odd data
        console(stderr=True).print(f"pictures not drawn: {printable(error)}", soft_wrap=True, markup=False)
        return []
    return names
