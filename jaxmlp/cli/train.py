"""`jaxmlp train DATA`: from a data source to a run folder; and `--resume RUN`, from where it stopped."""

import dataclasses
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click

from jaxmlp.cli import run_folder, tensorboard
from jaxmlp.cli.ensemble import train_ensemble
from jaxmlp.cli.loading import fingerprint, held_back, loading_options, open_data
from jaxmlp.cli.options import Size, data_options
from jaxmlp.cli.output import console, json_option, print_json, progress_bar, table
from jaxmlp.cli.run_folder import CHECKPOINTS, History
from jaxmlp.cli.signals import graceful
from jaxmlp.cli.training_options import fit_arguments, objective_of, training_options
from jaxmlp.data.dataset import Dataset
from jaxmlp.data.sources import NAMES
from jaxmlp.data.stream import StreamedDataset
from jaxmlp.errors import DivergenceError, InputError, sentence
from jaxmlp.model import Model, load_model
from jaxmlp.model_file import FILE_NAME
from jaxmlp.training.checkpoints import Checkpoints
from jaxmlp.training.fit import Result, fit, network_for
from jaxmlp.training.state import Report


@click.command(short_help="Train a network on a data set and write a run folder.")
@click.argument("data", required=False)
@training_options
@click.option("--warm-start", metavar="MODEL", help="Start from the parameters of a model or run [random ones].")
@click.option("--resume", metavar="RUN", help="Go on with a run that was stopped, with its own settings.")
@click.option("--tensorboard", is_flag=True, help="Write scalars for TensorBoard, too.")
@click.option("--stream", "streamed", is_flag=True, help="Leave the rows of an HDF5 file in it: for large files.")
@click.option("--memory", type=Size(), help="That a stream may take for rows: 512MB, 2GB [256MB].")
@click.option("--ensemble", type=click.IntRange(2), help="How many networks, seeds from --seed on, answer together.")
@click.option("--out", metavar="RUN", help=f"The run folder to make [{run_folder.PARENT}/NAME].")
@data_options
@json_option
def train(data: str | None, resume: str | None, out: str | None, as_json: bool, **options: Any) -> int:
    """Train a network on DATA and write a run folder.

    DATA is a name (digits, planar, xor, moons, circles, spirals) or a path: .h5, .npz, .csv, or a folder with a pair of
    HDF5 files or with idx files. The folder gets model.h5, history.csv, run.json and pictures. Ctrl-C ends the
    training after the epoch at hand, with a model; --resume goes on.
    """
    if (data is None) == (resume is None):
        got = "neither" if data is None else "both"
        raise InputError(sentence("train", "DATA or --resume RUN", got, "write jaxmlp train digits, say"))
    if resume is not None:
        settings = run_folder.unfinished(resume)
        folder, dataset = Path(resume), open_data(settings["data"], settings["loading"])
        if fingerprint(dataset) != settings["fingerprint"]:
            remedy = "put the old file back, or train anew"
            raise InputError(sentence(f"--resume {resume}", "the data that it began with", "other data", remedy))
    else:
        loading = loading_options(options)
        dataset = open_data(str(data), loading)
        folder = run_folder.choose(out, dataset.name)
        source = str(data) if data in NAMES else str(Path(str(data)).resolve())
        settings = {"data": source, "fingerprint": fingerprint(dataset), "loading": loading, "options": options}
    if settings["options"]["ensemble"] is not None:
        train_ensemble(dataset, folder, settings, as_json)
        return 0
    return _run(folder, dataset, settings, as_json, resumed=resume is not None)


def _run(folder: Path, whole: Dataset, settings: dict[str, Any], as_json: bool, *, resumed: bool) -> int:
    options = settings["options"]
    data = held_back(options, whole)
    net, params = _beginning(options, data)
    objective, arguments = objective_of(options), fit_arguments(options, data)
    heading = f"{data}\nnetwork {'-'.join(map(str, net.sizes))}, {net.n_parameters:,} parameters"
    with _kept(folder, settings, resumed=resumed), graceful() as stop, ExitStack() as open_files:
        observers = [History(folder), stop]
        if options["tensorboard"]:
            observers.append(open_files.enter_context(tensorboard.scalars(folder)))
        with progress_bar(options["epochs"], heading) as bar:
            try:
                result = fit(
                    net,
                    data,
                    objective=objective,
                    params=params,
                    observers=[bar, *observers],
                    checkpoints=_checkpoints(folder, options, settings),
                    **arguments,
                )
            except DivergenceError as error:
                if not (error.last_good and error.last_good.history):
                    raise
                Model.of(error.last_good.net, error.last_good.params, data, objective).save(folder / FILE_NAME)
                epoch = error.last_good.history[-1].epoch
                raise DivergenceError(f"{error}; {folder / FILE_NAME} holds the network of epoch {epoch}") from None
        model = Model.of(result.net, result.params, data, objective)
        model.save(folder / FILE_NAME)
        summary = summarize(data, model, result) | {"seed": options["seed"], "run": str(folder)}
        finished = stop.signal is None
        run_folder.write_settings(folder, {**settings, "result": summary, "finished": finished})
    if finished:
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    pictures = _draw(folder, model, data, result.history)  # after the rest is whole: no picture is worth a model
    if as_json:
        print_json(summary | {"finished": finished})
    else:
        files = ", ".join([FILE_NAME, run_folder.HISTORY, run_folder.SETTINGS, *pictures])
        console().print(table("trained", _readable(summary) | {"run folder": str(folder), "files": files}))
    if not finished:
        line = f"stopped after epoch {result.history[-1].epoch}; go on with: jaxmlp train --resume {folder}"
        console(stderr=True).print(line, soft_wrap=True)
    return stop.exit_code


@contextmanager
def _kept(folder: Path, settings: dict[str, Any], *, resumed: bool) -> Iterator[None]:
    """The run folder with its settings; one that comes to nothing before its first epoch goes again."""
    folder.mkdir(parents=True, exist_ok=True)
    run_folder.write_settings(folder, {**settings, "finished": False})
    try:
        yield
    except BaseException:
        if not resumed and not (folder / run_folder.HISTORY).exists():
            run_folder.discard(folder)
        raise


def _checkpoints(folder: Path, options: dict[str, Any], settings: dict[str, Any]) -> Checkpoints | None:
    """Where the run is kept; without Orbax nowhere, and a line that says so."""
    try:
        import orbax.checkpoint  # noqa: F401
    except ImportError:
        line = 'no checkpoints: install orbax-checkpoint with pip install "jaxmlp[all]"'
        console(stderr=True).print(line, soft_wrap=True)
        return None
    return Checkpoints(folder / CHECKPOINTS, options["checkpoint_every"], {"data": settings["fingerprint"]})


def _beginning(options: dict[str, Any], data: Dataset) -> tuple[Any, Any]:
    """The network, and its parameters where they are those of a model."""
    if options["warm_start"] is None:
        return network_for(data, options["hidden"], options["activation"], options["norm"]), None
    model = load_model(options["warm_start"])
    wanted = network_for(data, options["hidden"])
    if (model.net.sizes[0], model.net.sizes[-1]) != (wanted.sizes[0], wanted.sizes[-1]):
        expects = f"a network of {wanted.sizes[0]} inputs and {wanted.sizes[-1]} outputs"
        got = f"{model.net.sizes[0]} and {model.net.sizes[-1]}"
        raise InputError(sentence("--warm-start", expects, got, "take a model of data like these"))
    return model.net, model.params


def summarize(data: Dataset, model: Model, result: Result) -> dict[str, Any]:
    """The figures of a run: cost and accuracy (R² for regression) of its training and its test part."""
    last = result.history[-1]
    # of rows that stay in their file, what the last epoch has seen: each before the update that its batch made
    seen = {"cost": last.cost, "accuracy": last.accuracy}
    trained = seen if isinstance(data, StreamedDataset) else model.evaluate(data.train)
    held_back = data.test or data.validation
    tested = model.evaluate(held_back) if held_back else {}
    return {
        "data": data.name,
        "task": data.task,
        "sizes": model.net.sizes,
        "parameters": model.net.n_parameters,
        "cost": last.cost,
        "train_cost": trained["cost"],
        "test_cost": tested.get("cost"),
        "train_accuracy": trained.get("accuracy"),
        "test_accuracy": tested.get("accuracy"),
        "train_r2": trained.get("r2"),
        "test_r2": tested.get("r2"),
        "epochs": last.epoch,
        "best_epoch": result.best_epoch,
        "seconds": last.seconds,
    }


def _readable(summary: dict[str, Any]) -> dict[str, Any]:
    shares = {
        f"{part} accuracy": f"{value:.2%}"
        for part in ("train", "test")
        if (value := summary[f"{part}_accuracy"]) is not None
    }
    return {
        "data": f"{summary['data']} ({summary['task']})",
        "network": f"{'-'.join(map(str, summary['sizes']))}, {summary['parameters']:,} parameters",
        "cost": summary["cost"],
        **shares,
        "train R²": summary["train_r2"],
        "test R²": summary["test_r2"],
        "epochs": summary["epochs"],
        "best epoch": summary["best_epoch"],
        "seconds": f"{summary['seconds']:.2f}",
    }


def _draw(folder: Path, model: Model, data: Dataset, history: tuple[Report, ...]) -> list[str]:
    """The pictures; without Matplotlib none, and a line that says so: a trained model is worth keeping all the same."""
    try:
        from jaxmlp.plots import draw_all
    except InputError as error:
        console(stderr=True).print(f"no pictures drawn: {error}", soft_wrap=True)
        return []
    if isinstance(data, StreamedDataset):  # of its rows only those held back are at hand
        if data.test is None:
            return []
        data = dataclasses.replace(data, train=data.test)
    return draw_all(folder, model, data, history)
