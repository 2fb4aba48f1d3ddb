"""`jaxmlp train DATA`: from a data source to a run folder; and `--resume RUN`, from where it stopped."""

import dataclasses
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import click

from jaxmlp.cli import run_folder, tensorboard
from jaxmlp.cli.company import Company, company_options, joined
from jaxmlp.cli.ensemble import train_ensemble
from jaxmlp.cli.loading import as_trained, loading_options, open_data
from jaxmlp.cli.options import Size, check_together, data_options, given
from jaxmlp.cli.output import console, json_option, print_json, print_mistake, table
from jaxmlp.cli.run_folder import CHECKPOINTS, History
from jaxmlp.cli.signals import graceful
from jaxmlp.cli.training_options import find_rate, fit_arguments, objective_of, training_options
from jaxmlp.data.dataset import Dataset
from jaxmlp.data.sources import NAMES
from jaxmlp.data.stream import StreamedDataset
from jaxmlp.errors import DivergenceError, InputError, sentence
from jaxmlp.model import Model, load_model
from jaxmlp.model_file import FILE_NAME
from jaxmlp.nn.network import Network, Params
from jaxmlp.nn.objective import Objective
from jaxmlp.training.checkpoints import Checkpoints, orbax
from jaxmlp.training.fingerprint import digest_of
from jaxmlp.training.fit import Result, fit, network_for
from jaxmlp.training.mesh import ALL
from jaxmlp.training.processes import of_the_first
from jaxmlp.training.progress import progress_bar
from jaxmlp.training.range_test import RangeTest
from jaxmlp.training.state import Report

RANGE_TEST = "lr_find.png"


@click.command()
@click.argument("data", required=False)
@training_options
@click.option("--warm-start", metavar="MODEL", help="Start from the network of a model or run [a random one].")
@click.option("--resume", metavar="RUN", help="Go on with a run that was stopped, with its own settings; no others.")
@click.option("--tensorboard", is_flag=True, help="Write scalars for TensorBoard, too.")
@click.option("--stream", "streamed", is_flag=True, help="Leave the rows of an HDF5 file in it: for large files.")
@click.option("--memory", type=Size(), help="That a stream may take for rows: 512MB, 2GB [256MB].")
@click.option("--ensemble", type=click.IntRange(2), help="How many networks, seeds from --seed on, answer together.")
@click.option("--devices", metavar="N", help="all, how many, or 4x2: wide layers over the second [one].")
@company_options
@click.option("--out", metavar="RUN", help=f"The run folder to make [{run_folder.PARENT}/NAME].")
@data_options
@json_option
@click.pass_context
def train(
    context: click.Context,
    coordinator: str | None,
    num_processes: int | None,
    process_id: int | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Train a network on DATA and write a run folder.

    DATA is a name (digits, planar, xor, moons, circles, spirals) or a path: .h5, .npz, .csv, or a folder with a pair of
    HDF5 files or with idx files. The folder gets model.h5, history.csv, run.json and pictures. Ctrl-C ends the
    training after the epoch at hand, with a model; --resume goes on. With --ensemble it gets member-1.h5, member-2.h5,
    …, each as soon as it is trained.

    On several hosts the same command is started on each, with --process-id 0, 1, …; the data and the run folder are to
    be seen by all of them.
    """
    if options["data"] is None or options["resume"] is None:  # both at once have a word of their own
        check_together(given(context))
    place = [coordinator, num_processes, process_id]
    if place == [None, None, None]:
        return _train(None, as_json=as_json, **options)
    if coordinator is None or num_processes is None or process_id is None:
        remedy = "give all three, or none"
        expects = "--coordinator, --num-processes and --process-id together"
        raise InputError(sentence("train", expects, f"{3 - place.count(None)} of them", remedy))
    with joined(coordinator, num_processes, process_id, lambda line: print_mistake(line, as_json)) as company:
        return _train(company, as_json=as_json, **options)


def _train(
    company: Company | None,
    *,
    data: str | None,
    resume: str | None,
    out: str | None,
    devices: str | None,
    as_json: bool,
    **options: Any,
) -> int:
    first = company is None or company.index == 0
    if (data is None) == (resume is None):
        got = "neither" if data is None else "both"
        raise InputError(sentence("train", "DATA or --resume RUN", got, "write jaxmlp train digits, say"))
    if resume is not None:
        settings = run_folder.unfinished(resume)
        folder, dataset = Path(resume), open_data(settings["data"], settings["loading"])
        if digest_of(dataset) != settings["fingerprint"]:
            remedy = "put the old file back, or train anew"
            raise InputError(sentence(f"--resume {resume}", "the data that it began with", "other data", remedy))
    else:
        loading = loading_options(options)
        dataset = open_data(str(data), loading)
        folder = Path(of_the_first(str(run_folder.choose(out, dataset.name)) if first else ""))
        source = str(data) if data in NAMES else str(Path(str(data)).resolve())
        settings = {"data": source, "fingerprint": digest_of(dataset), "loading": loading, "options": options}
    devices = devices or settings.get("devices") or (None if company is None else ALL)
    if devices is not None:
        settings["devices"] = devices
    if company is not None:
        _check_alike(settings["fingerprint"])
        company.advice = run_folder.go_on(folder)
    if settings["options"]["ensemble"] is not None:
        if devices is not None:  # as they are wherever there is a coordinator
            got = f"--devices {devices}" if company is None else "--coordinator"
            raise InputError(sentence("--ensemble", "neither --devices nor --coordinator", got, "leave it out"))
        return train_ensemble(dataset, folder, settings, as_json, resumed=resume is not None)
    if not first:
        return _take_part(folder, dataset, settings)
    return _run(folder, dataset, settings, as_json, resumed=resume is not None)


def _check_alike(fingerprint: str) -> None:
    if of_the_first(fingerprint) != fingerprint:
        remedy = "give all processes the same file"
        raise InputError(sentence("train", "the data of process 0", "other data", remedy))


def _take_part(folder: Path, whole: Dataset, settings: dict[str, Any]) -> int:
    """What every process but the first does: the same epochs, without a word or a file of its own."""
    options = settings["options"]
    prepared = _prepared(options, whole)
    with graceful() as stop:
        _fit(prepared, folder, settings, [stop])
    return stop.exit_code


def _run(folder: Path, whole: Dataset, settings: dict[str, Any], as_json: bool, *, resumed: bool) -> int:
    options = settings["options"]
    prepared = _prepared(options, whole)
    data, net, objective = prepared.data, prepared.net, prepared.objective
    heading = f"{data}\nnetwork {'-'.join(map(str, net.sizes))}, {net.n_parameters:,} parameters"
    with run_folder.kept(folder, settings, resumed=resumed), graceful() as stop, ExitStack() as open_files:
        observers = [History(folder), stop]
        if options["tensorboard"]:
            observers.append(open_files.enter_context(tensorboard.scalars(folder)))
        with progress_bar(options["epochs"], heading) as bar:
            try:
                result = _fit(prepared, folder, settings, [bar, *observers])
            except DivergenceError as error:
                if not (error.last_good and int(error.last_good.state.step)):
                    raise
                Model.of(error.last_good.net, error.last_good.params, data, objective).save(folder / FILE_NAME)
                held = f"{folder / FILE_NAME} holds the network as it was {_place(error.last_good)}"
                raise DivergenceError(f"{error}; {held}") from None
        model = Model.of(result.net, result.params, data, objective)
        model.save(folder / FILE_NAME)
        summary = summarize(data, model, result) | {name: options[name] for name in ("learning_rate", "seed")}
        summary["run"] = str(folder)
        finished = stop.signal is None
        run_folder.write_settings(folder, {**settings, "result": summary, "finished": finished})
    if finished:
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    # after the rest is whole: no picture is worth a model
    pictures = _draw(folder, model, data, result.history, prepared.tested)
    if as_json:
        print_json(summary | {"finished": finished})
    else:
        written = (name for name in (FILE_NAME, run_folder.HISTORY, run_folder.SETTINGS) if (folder / name).exists())
        files = ", ".join([*written, *pictures])
        console().print(table("trained", _readable(summary) | {"run folder": str(folder), "files": files}))
    if not finished:
        line = f"stopped {_place(result)}; {run_folder.go_on(folder)}"
        console(stderr=True).print(line, soft_wrap=True)
    return stop.exit_code


def _place(result: Result) -> str:
    """How far a run has come."""
    steps = "" if result.snapshot.unfinished is None else f", step {int(result.state.step)}"
    return f"after epoch {len(result.history)}{steps}"


def _checkpoints(folder: Path, options: dict[str, Any]) -> Checkpoints | None:
    """Where the run is kept; without Orbax nowhere, and a line that says so."""
    try:
        orbax()
    except InputError as missing:
        console(stderr=True).print(f"no checkpoints kept: {missing}", soft_wrap=True)
        return None
    return Checkpoints(folder / CHECKPOINTS, options["checkpoint_every"])


class _Prepared(NamedTuple):
    """What a training takes.

    Attributes:
      data: with the validation part that it needs.
      net, params: the network, and its parameters where they are those of a model.
      objective, arguments: for `fit`.
      tested: the range test that found the rate; None where the rate was given.
    """

    data: Dataset
    net: Network
    params: Params | None
    objective: Objective
    arguments: dict[str, Any]
    tested: RangeTest | None


def _prepared(options: dict[str, Any], whole: Dataset) -> _Prepared:
    model = None if options["warm_start"] is None else load_model(options["warm_start"])
    output = options["output"] if model is None else model.net.output
    data = as_trained(options, whole, output)
    net = network_for(data, *(options[name] for name in ("hidden", "activation", "norm", "output")))
    params = None
    if model is not None:
        _check_ends(model.net, net)
        net, params = model.net, model.params
    objective, arguments = objective_of(options, data.task, output), fit_arguments(options, data)
    tested = find_rate(options, net, data, objective, arguments, params)
    return _Prepared(data, net, params, objective, arguments, tested)


def _fit(prepared: _Prepared, folder: Path, settings: dict[str, Any], observers: list[Any]) -> Result:
    return fit(
        prepared.net,
        prepared.data,
        objective=prepared.objective,
        params=prepared.params,
        observers=observers,
        checkpoints=_checkpoints(folder, settings["options"]),
        mesh=settings.get("devices"),
        **prepared.arguments,
    )


def _check_ends(net: Network, wanted: Network) -> None:
    """The model of a warm start has the inputs and outputs of the data."""
    if (net.sizes[0], net.sizes[-1]) != (wanted.sizes[0], wanted.sizes[-1]):
        expects = f"a network of {wanted.sizes[0]} inputs and {wanted.sizes[-1]} outputs"
        got = f"{net.sizes[0]} and {net.sizes[-1]}"
        raise InputError(sentence("--warm-start", expects, got, "take a model of data like these"))


def summarize(data: Dataset, model: Model, result: Result) -> dict[str, Any]:
    """The figures of a run: cost and accuracy (R² for regression) of its training and its test part."""
    last = result.history[-1] if result.history else Report(cost=None, epoch=0)
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
        "seconds": result.seconds,
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
        "learning rate": summary["learning_rate"],
        "seconds": f"{summary['seconds']:.2f}",
    }


def _draw(
    folder: Path, model: Model, data: Dataset, history: tuple[Report, ...], tested: RangeTest | None
) -> list[str]:
    """The pictures; without Matplotlib none, and a line that says so: a trained model is worth keeping all the same."""
    try:
        from jaxmlp.plots import draw_all, range_test, save
    except InputError as error:
        console(stderr=True).print(f"no pictures drawn: {error}", soft_wrap=True)
        return []
    if isinstance(data, StreamedDataset):  # of its rows only those held back are at hand
        if data.test is None:
            return []
        data = dataclasses.replace(data, train=data.test)
    try:
        drawn = draw_all(folder, model, data, history)
        if tested is not None:
            save(range_test(tested), folder / RANGE_TEST)
            drawn.append(RANGE_TEST)
    except OSError as error:
        console(stderr=True).print(f"pictures not drawn: {error}", soft_wrap=True)
        return []
    return drawn
