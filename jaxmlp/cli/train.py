"""`jaxmlp train DATA`: from a data source to a run folder; and `--resume RUN`, from where it stopped."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import click

from jaxmlp.cli import run_folder, tensorboard
from jaxmlp.cli.budget import choose_budget, is_worth_more
from jaxmlp.cli.ensemble import train_ensemble
from jaxmlp.cli.loading import DATA_HELP, loading_options, open_data, prepare_data
from jaxmlp.cli.options import Options, Size, check_together, data_options, options_on_command_line
from jaxmlp.cli.output import columns_table, console, facts_table, json_option, print_json
from jaxmlp.cli.processes import Membership, joined, process_options, resolve_place
from jaxmlp.cli.rescue import FolderGuard
from jaxmlp.cli.run_folder import CHECKPOINTS, History, Settings, write_history
from jaxmlp.cli.signals import stop_on_signal
from jaxmlp.cli.summary import draw_pictures, readable, summarize
from jaxmlp.cli.training_options import apply_preset, config_of, find_rate, network_of, training_options
from jaxmlp.cli.warm_start import loading_of_model, target_of_model, use_preprocessing, warm_start_model
from jaxmlp.data.dataset import Dataset
from jaxmlp.data.load import is_table
from jaxmlp.data.locks import owned
from jaxmlp.data.toy import TOY_DATASETS
from jaxmlp.errors import DivergenceError, InputError, sentence
from jaxmlp.inference.description import network_extensions
from jaxmlp.inference.model import Model
from jaxmlp.inference.model_file import FILE_NAME
from jaxmlp.nn.network import MAX_MEMBERS, Network, Params
from jaxmlp.parallel.distributed import broadcast_from_first
from jaxmlp.parallel.mesh import ALL
from jaxmlp.tabular.roles import LEFT_OUT, NUMBER, TARGET
from jaxmlp.training.callbacks import Callback
from jaxmlp.training.checkpoints import Checkpointer, orbax
from jaxmlp.training.config import TrainConfig
from jaxmlp.training.fingerprint import digest_of
from jaxmlp.training.fit import fit
from jaxmlp.training.loop import Result
from jaxmlp.training.lr_finder import RangeTest
from jaxmlp.training.presets import PRESETS
from jaxmlp.training.progress import progress_bar


@click.command(epilog=DATA_HELP)
@click.argument("data", required=False)
@training_options
@click.option(
    "--warm-start",
    metavar="MODEL",
    help="Start from a model or run: its network, columns, classes and scaling [a new network].",
)
@click.option(
    "--resume",
    metavar="RUN",
    help="Continue an interrupted run with its settings, a finished one for more --epochs.",
)
@click.option("--tensorboard", is_flag=True, help="Also write scalars for TensorBoard.")
@click.option("--stream", "streamed", is_flag=True, help="Read rows from an HDF5 file as they are needed.")
@click.option("--memory", type=Size(), help="Memory for the rows of a stream: 512MB, 2GB [256MB].")
@click.option(
    "--ensemble",
    type=click.IntRange(2, MAX_MEMBERS),
    help="Train this number of networks, with seeds --seed, --seed + 1, ….",
)
@click.option("--devices", metavar="N", help="Number of devices, or all; 4x2 also splits wide layers over pairs [1].")
@process_options
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

    The folder contains model.h5, history.csv, run.json and pictures. Ctrl-C ends the training after the current epoch
    and saves the model; --resume continues it. With --ensemble the folder contains member-1.h5, member-2.h5, …, each
    as soon as it is trained. Without --epochs a small table is trained for 2,000 steps, with a dropout of 0.3.

    On several hosts, start the same command on each, with --process-id 0, 1, …; all of them must see the data and the
    run folder.
    """
    explicit = options_on_command_line(context)
    if options["data"] is None or options["resume"] is None:  # both together get an error of their own below
        check_together(explicit)
    options["explicit"] = [*explicit]
    place = resolve_place(coordinator, num_processes, process_id)
    if place is None:
        return _train(None, context.command.params, as_json=as_json, **options)
    with joined(place) as membership:
        return _train(membership, context.command.params, as_json=as_json, **options)


def _train(
    membership: Membership | None,
    parameters: Sequence[click.Parameter],
    *,
    data: str | None,
    resume: str | None,
    out: str | None,
    devices: str | None,
    as_json: bool,
    explicit: Sequence[str],
    **options: Any,
) -> int:
    """Train by the options of the command, of which `explicit` names those that the user has written."""
    is_first = membership is None or membership.index == 0
    if (data is None) == (resume is None):
        got, remedy = "neither", "write jaxmlp train digits, for example"
        if data is not None:
            got, remedy = "both", "leave DATA out, because the run knows its data"
        raise InputError(sentence("train", "DATA or --resume RUN", got, remedy))
    with ExitStack() as claims:  # on the folder: another process waits for none, and is refused
        if resume is not None:
            more_epochs = options["epochs"] if "epochs" in explicit else None
            settings = run_folder.read_unfinished(resume, parameters, more_epochs)
            if is_first:
                claims.enter_context(owned(Path(resume)))
                # once more, as the last owner has left them
                settings = run_folder.read_unfinished(resume, parameters, more_epochs)
            model = warm_start_model(settings["options"])
            known = loading_of_model(model, settings["data"])
            folder, dataset = Path(resume), open_data(settings["data"], {**settings["loading"], **known})
            # the rows decide, not the path: a file may have been replaced under its name
            if digest_of(dataset) != settings["fingerprint"]:
                remedy = "restore the old file, or start a new run"
                raise InputError(sentence(f"--resume {resume}", "the data that it began with", "other data", remedy))
        else:
            loading = loading_options(options)
            model = warm_start_model(options)
            if options["preset"] is not None and is_table(str(data)) and model is None:
                loading.setdefault("numbers", PRESETS[options["preset"]].numbers)
            loading = target_of_model(model, str(data)) | loading  # the target of the user first
            dataset = open_data(str(data), {**loading, **loading_of_model(model, str(data))})
            if options["preset"] is not None:
                apply_preset(options, explicit, dataset)
            else:
                choose_budget(options, explicit, dataset)
            # all processes must use one folder, and only the first can tell which name is free
            claim = str(claims.enter_context(run_folder.claimed(out, dataset.name))) if is_first else ""
            folder = Path(broadcast_from_first(claim))
            source = str(data) if data in TOY_DATASETS else str(Path(str(data)).resolve())
            settings = {"data": source, "fingerprint": digest_of(dataset), "loading": loading, "options": options}
        training_inputs = _TrainingInputs(dataset, model)
        return _train_in(
            folder, training_inputs, settings, membership, devices, as_json=as_json, resumed=resume is not None
        )


class _TrainingInputs(NamedTuple):
    """A run begins with this data, and with the model of --warm-start or None."""

    data: Dataset
    model: Model | None


def _train_in(
    folder: Path,
    training_inputs: _TrainingInputs,
    settings: Settings,
    membership: Membership | None,
    devices: str | None,
    *,
    as_json: bool,
    resumed: bool,
) -> int:
    """Train in the folder that this process owns."""
    # a resumed run keeps its devices, unless --devices names others; several processes train on all of theirs
    devices = devices or settings.get("devices") or (None if membership is None else ALL)
    if devices is not None:
        settings["devices"] = devices
    if membership is not None:
        _check_same_data(settings["fingerprint"])
        membership.advise(run_folder.how_to_resume(folder))
    if settings["options"]["ensemble"] is not None:
        if devices is not None:
            got = f"--devices {devices}" if membership is None else "--coordinator"
            raise InputError(sentence("--ensemble", "neither --devices nor --coordinator", got, "leave it out"))
        return train_ensemble(training_inputs.data, folder, settings, as_json, resumed=resumed)
    if membership is not None and membership.index:
        return _run_silently(folder, training_inputs, settings)
    return _run(folder, training_inputs, settings, as_json, resumed=resumed)


def _check_same_data(fingerprint: str) -> None:
    if broadcast_from_first(fingerprint) != fingerprint:
        remedy = "give all processes the same file"
        raise InputError(sentence("train", "the data of process 0", "other data", remedy))


def _run_silently(folder: Path, training_inputs: _TrainingInputs, settings: Settings) -> int:
    """Train in a process that is not the first: it computes the same epochs, and prints and writes nothing."""
    inputs = _prepare_run(settings["options"], training_inputs)
    with stop_on_signal() as stop:
        _fit(inputs, folder, settings, [stop])
    return stop.exit_code


def _run(folder: Path, training_inputs: _TrainingInputs, settings: Settings, as_json: bool, *, resumed: bool) -> int:
    """Train in the first process, or the only one: write the run folder, and print the summary."""
    options = settings["options"]
    inputs = _prepare_run(options, training_inputs)
    data, net, objective = inputs.data, inputs.net, inputs.config.objective
    show_columns(data)
    facts = ["-".join(map(str, net.sizes)), *network_extensions(net), f"{net.n_parameters:,} parameters"]
    heading = f"{data}\nnetwork {', '.join(facts)}"
    with run_folder.open_run(folder, settings, resumed=resumed), stop_on_signal() as stop, ExitStack() as open_files:
        guard = FolderGuard(folder)
        callbacks: list[Callback] = [History(folder, guard), stop]
        if options["tensorboard"]:
            callbacks.append(open_files.enter_context(tensorboard.scalars(folder)))
        with progress_bar(options["epochs"], heading) as bar:
            try:
                result = _fit(inputs, folder, settings, [bar, *callbacks])
            except DivergenceError as error:
                if not (error.last_good and int(error.last_good.state.step)):
                    raise
                Model.of(error.last_good.net, error.last_good.params, data, objective).save(folder / FILE_NAME)
                holds = f"{folder / FILE_NAME} holds the network as it was {_progress_text(error.last_good)}"
                raise DivergenceError(f"{error}; {holds}") from None
        model = Model.of(result.net, result.params, data, objective)

        def save(destination: Path) -> str:
            model.save(destination / FILE_NAME)
            if result.history:
                write_history(destination / run_folder.HISTORY, result.history)
            return f"the network as it was {_progress_text(result)}"

        # the model first, the summary after it: what took the time is on the disk before anything else can fail
        with guard.save_elsewhere_if_gone(save):
            if not guard.is_gone():
                model.save(folder / FILE_NAME)
        summary = summarize(data, model, result)
        summary |= {name: options.get(name) for name in ("learning_rate", "seed", "preset", "dropout")}
        summary["still_falling"] = result.best_epoch is None and is_worth_more(result.history, summary)
        summary["epochs_chosen"] = options.get("epochs_chosen", False)
        summary |= run_folder.environment(model, options["precision"]) | {"run": str(folder)}
        finished = stop.signal is None
        with guard.save_elsewhere_if_gone(save):
            run_folder.write_settings(folder, {**settings, "result": summary, "finished": finished})
    with guard.save_elsewhere_if_gone(save):
        if finished:
            run_folder.keep_last_checkpoint(folder)
        # after everything else is written: an error in a picture must not cost the model
        pictures = draw_pictures(folder, model, data, result.history, inputs.range_test)
    if as_json:
        print_json(summary | {"finished": finished})
    else:
        written = (name for name in (FILE_NAME, run_folder.HISTORY, run_folder.SETTINGS) if (folder / name).exists())
        files = ", ".join([*written, *pictures])
        console().print(facts_table("trained", readable(summary) | {"run folder": str(folder), "files": files}))
    if summary["still_falling"] and finished:
        more = f"jaxmlp train --resume {folder} --epochs {2 * options['epochs']}"
        line = f"the cost was still falling after {options['epochs']} epochs; to go on: {more}"
        console(stderr=True).print(line, soft_wrap=True)
    if not finished:
        line = f"stopped {_progress_text(result)}; {run_folder.how_to_resume(folder)}"
        console(stderr=True).print(line, soft_wrap=True)
    return stop.exit_code


def show_columns(data: Dataset) -> None:
    """Print what was decided about a table, and the role of each column unless all of them are numbers; to stderr."""
    out = console(stderr=True)
    for note in data.notes:
        out.print(f"note: {note}", soft_wrap=True)
    if all(role.role in (NUMBER, TARGET) for role in data.roles):
        return
    rows = [(role.name, role.role, role.detail) for role in data.roles]
    out.print(columns_table("columns", ("column", "role", ""), rows, text_columns=("column", "role", "")))
    out_of_use = [role.name for role in data.roles if role.role in LEFT_OUT and role.name not in data.feature_names]
    if out_of_use:
        out.print(f"--keep {out_of_use[0]} brings back a column that is left out", soft_wrap=True)


def _progress_text(result: Result) -> str:
    """Return how far a run has come, as text."""
    steps = "" if result.snapshot.partial is None else f", step {int(result.state.step)}"
    return f"after epoch {len(result.history)}{steps}"


def _checkpoints(folder: Path, options: Options) -> Checkpointer | None:
    """Return where the run is saved; without the package Orbax print a line that says so, and return None."""
    try:
        orbax()
    except InputError as error:
        console(stderr=True).print(f"no checkpoints saved: {error}", soft_wrap=True)
        return None
    return Checkpointer(folder / CHECKPOINTS, options["checkpoint_every"])


class _RunInputs(NamedTuple):
    """What `fit` takes, made from the options of the command.

    Attributes:
      data: with the validation part that the run needs.
      net, params: the network, and its parameters if they are those of a model, else None.
      config: for `fit`.
      range_test: the test that suggested the learning rate; None if the rate was specified.
    """

    data: Dataset
    net: Network
    params: Params | None
    config: TrainConfig
    range_test: RangeTest | None


def _prepare_run(options: Options, training_inputs: _TrainingInputs) -> _RunInputs:
    model = training_inputs.model
    output = options["output"] if model is None else model.net.output
    data = prepare_data(options, training_inputs.data, output)
    if model is None:
        net, params = network_of(options, data), None
    else:
        data = use_preprocessing(model, data)
        net, params = model.net, model.params
    config, range_test = find_rate(options, net, data, config_of(options, data, output), params)
    return _RunInputs(data, net, params, config, range_test)


def _fit(inputs: _RunInputs, folder: Path, settings: Settings, callbacks: Sequence[Callback]) -> Result:
    return fit(
        inputs.net,
        inputs.data,
        inputs.config,
        params=inputs.params,
        callbacks=callbacks,
        checkpoints=_checkpoints(folder, settings["options"]),
        mesh=settings.get("devices"),
    )
