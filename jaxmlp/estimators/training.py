"""One call of `fit` or `partial_fit`: `jaxmlp.fit` turns a checked table into parameters."""

import dataclasses
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxmlp.data.dataset import Dataset, Part
from jaxmlp.errors import InputError, sentence, warn_user
from jaxmlp.estimators import settings
from jaxmlp.estimators.computation import computing, precision_of
from jaxmlp.estimators.first_weights import first_params
from jaxmlp.estimators.inputs import Table
from jaxmlp.estimators.memory import (
    Memory,
    coefficient_units,
    continuation_snapshot,
    digest_of,
    keeps_units,
    optimizer_name,
)
from jaxmlp.estimators.monitor import FitMonitor, Patience
from jaxmlp.estimators.units import ColumnMoments, Units, bounded, to_raw
from jaxmlp.nn import costs
from jaxmlp.nn.costs import Cost
from jaxmlp.nn.network import Network
from jaxmlp.tabular.encoder import TableEncoder
from jaxmlp.training.config import TrainConfig
from jaxmlp.training.early_stopping import EarlyStopping
from jaxmlp.training.fit import fit
from jaxmlp.training.state import Report, Snapshot, TrainState, evaluation_params

OUTPUT_NAMES = {"sigmoid": "logistic"}  # the names of scikit-learn, where they differ


class Job(NamedTuple):
    """The checked arguments of a call.

    Attributes:
      train, validation: the rows; validation may be None.
      task, output, n_outputs: the task, the output activation, and the number of outputs.
      encoder: the encoder that turned the cells of a frame into numbers; None if the rows were numbers.
      sparse: whether the caller's rows were sparse.
      incremental: whether the call is one epoch of `partial_fit`.
      memory: the memory of the previous call, which this call continues; None for a new start.
    """

    train: Table
    validation: Table | None
    task: str
    output: str
    n_outputs: int
    encoder: TableEncoder | None
    sparse: bool
    incremental: bool
    memory: Memory | None


class Start(NamedTuple):
    """The random numbers that a call draws from the estimator's random state.

    Attributes:
      weights: the initial weights and intercepts of each layer, drawn as scikit-learn draws them; None if an
        initializer of jaxmlp draws them.
      seed: the seed of the row orders and of the noise, and of the weights if an initializer draws them.
    """

    weights: list[tuple[np.ndarray, np.ndarray]] | None
    seed: int


class Session(NamedTuple):
    """Everything that a call needs for its first step.

    Attributes:
      job: the checked arguments.
      net: the network to train.
      units: the units of the network's inputs and outputs.
      columns, targets: the moments from which the units follow, as in `Memory`.
      precision, dtype: the precision of the computation, and the dtype of the parameters.
      cost: the name of the cost for a model file; for a cost that the user wrote, the default cost of the output.
    """

    job: Job
    net: Network
    units: Units
    columns: ColumnMoments | None
    targets: ColumnMoments | None
    precision: str
    dtype: np.dtype
    cost: str

    @property
    def prediction_net(self) -> Network:
        """The network for predictions: without batch normalisation, which is folded into its weights."""
        return dataclasses.replace(self.net, norm=None) if self.net.norm == "batch" else self.net

    def attributes(self, params: Any) -> dict[str, Any]:
        """Return the attributes of an estimator that predicts with these parameters."""
        params = jax.tree.map(np.asarray, params)
        coefs, intercepts = to_raw(params, coefficient_units(self.net, self.units))
        return {
            "coefs_": coefs,
            "intercepts_": intercepts,
            "scales_": [np.array(layer["gamma"][:, 0]) for layer in params if "gamma" in layer],
            "activation_shares_": [np.array(layer["s"][:, 0]) for layer in params if "s" in layer],
            "member_scales_": np.array(params[0]["R"]) if "R" in params[0] else None,
            "n_layers_": self.net.depth + 1,
            "n_outputs_": self.job.n_outputs,
            "out_activation_": OUTPUT_NAMES.get(self.job.output, self.job.output),
            "_network": self.prediction_net,
            "_units": self.units,
            "_encoder": self.job.encoder,
            "_dtype": self.dtype,
            "_cost": self.cost,
        }


def prepare(estimator: object, job: Job) -> Session:
    """Return the session of a call.

    Raises:
      InputError: for invalid parameters of the network, and for a network that differs from that of earlier calls.
    """
    net = settings.make_network(estimator, job.train.rows.shape[1], job.n_outputs, job.output, job.encoder)
    if job.memory is not None and net != job.memory.net:
        remedy = "clone the estimator" if job.incremental else "set warm_start=False, or clone the estimator"
        expects = f"the network of the last fit, {job.memory.net}"
        raise InputError(sentence("a fit that continues", expects, net, f"{remedy}, for a new start"))
    columns, targets = known_moments(estimator, job, net)
    units = Units(*(Units().inputs if moments is None else moments.preprocessing() for moments in (columns, targets)))
    if settings.is_bounded(estimator, job.task):
        # a warm start is a whole fit: the range of its own rows counts, not that of earlier ones
        earlier = None if job.memory is None or not job.incremental else job.memory.units.targets
        units = units._replace(targets=bounded(units.targets, job.train.targets, earlier))
    precision = precision_of(estimator, job.train.rows.dtype)
    # bfloat16 is for matrix products only: the parameters are float32
    dtype = np.dtype("float64" if precision == "float64" else "float32")
    return Session(job, net, units, columns, targets, precision, dtype, cost_name(estimator, net))


def cost_name(estimator: Any, net: Network) -> str:
    """Return the name of the cost for a model file; for a cost that the user wrote, the default cost of the output.

    A file cannot hold the user's function.
    """
    cost = settings.cost_of(estimator.loss)
    return costs.find(None if isinstance(cost, Cost) else cost, net.activations[-1]).name


def train(estimator: Any, session: Session, monitor: FitMonitor, start: Start) -> tuple[Any, Memory]:
    """Run a call, and return the parameters to predict with and the memory for the next call.

    Args:
      estimator: the estimator, with the coefficients of earlier calls.
      session: the result of `prepare`.
      monitor: the callback that decides when the fit ends.
      start: the random numbers for a new start.
    """
    memory = session.job.memory
    with computing(estimator, session.dtype):
        if memory is not None:
            config = make_config(estimator, session)
            initial: Any = continuation_snapshot(estimator, memory, session.units, config, session.dtype)
        elif start.weights is not None:
            config = make_config(estimator, session, key=jax.random.key(start.seed))
            initial = first_params(session.net, start.weights, session.dtype)
        else:
            key = jax.random.key(start.seed)
            config, initial = make_config(estimator, session, key=key, initializer=estimator.initializer), None
        params, state = run(session, config, initial, monitor, estimator)
        # NumPy has no dtype for typed keys, and the memory holds NumPy arrays, which can be pickled
        state = state._replace(key=jax.random.key_data(state.key))
        state, params = jax.tree.map(np.asarray, (state, params))
    coefs, intercepts = to_raw(params, coefficient_units(session.net, session.units))
    calls = 1 if memory is None else memory.calls + 1
    new_memory = Memory(
        state=state,
        net=session.net,
        units=session.units,
        columns=session.columns,
        targets=session.targets,
        digest=digest_of(coefs, intercepts),
        optimizer=optimizer_name(estimator),
        calls=calls,
    )
    return params, new_memory


def run(
    session: Session,
    config: TrainConfig,
    initial: Snapshot | tuple[Any, ...] | None,
    monitor: FitMonitor,
    estimator: Any,
) -> tuple[Any, TrainState]:
    """Return the parameters to predict with and the state after the last epoch.

    Ctrl-C ends the training after the last completed epoch, with scikit-learn's warning.
    """
    data = make_dataset(session.job, session.units)
    keyword: Any = {"resume" if isinstance(initial, Snapshot) else "params": initial}
    try:
        result = fit(session.net, data, config, callbacks=monitor, mesh=estimator.mesh, **keyword)
        return result.params, result.state
    except KeyboardInterrupt:
        # before the end of the first epoch there is nothing to predict with
        if monitor.snapshot is None or not monitor.n_iter:
            raise
        monitor.interrupted = True
        warn_user("Training interrupted by user.")
        last = monitor.snapshot()
        _, params = evaluation_params(session.net, last.state)
        # with early stopping the best epoch predicts, but a further call continues from the last one
        return params if last.best is None else last.best.params, last.state


def known_moments(estimator: Any, job: Job, net: Network) -> tuple[ColumnMoments | None, ColumnMoments | None]:
    """Return the moments of the columns and of the targets; None where they are not standardised.

    A call of `partial_fit` adds its rows to those of earlier calls. With layer normalisation or members the moments of
    the first call stay, because no change of the weights makes up for another shift there.
    """
    table, memory = job.train, job.memory
    is_next_part = job.incremental and memory is not None

    def moments(rows: np.ndarray, earlier: ColumnMoments | None) -> ColumnMoments:
        current = ColumnMoments.of(rows, table.weights)
        return earlier.merge(current) if is_next_part and earlier is not None else current

    standardised = not job.sparse if estimator.standardize == "auto" else bool(estimator.standardize)
    if is_next_part:
        assert memory is not None
        if keeps_units(net):
            return memory.columns, memory.targets
        standardised = memory.columns is not None  # as in the first call, whatever standardize is now
    standardised &= job.encoder is None  # an encoder scales its columns itself
    columns = moments(table.rows, memory and memory.columns) if standardised else None
    # only a last layer without activation can take the unit of the targets into its weights
    scales_targets = job.task == "regression" and job.output == "identity"
    scales_targets &= memory.targets is not None if is_next_part and memory is not None else bool(estimator.standardize)
    return columns, moments(table.targets, memory and memory.targets) if scales_targets else None


def make_dataset(job: Job, units: Units) -> Dataset:
    """Return the rows as a data set whose preprocessing converts them to the units of the network."""
    parts = [table and Part(table.rows, table.targets) for table in (job.train, job.validation)]
    classes: tuple[int, ...] = ()
    if job.task != "regression":
        classes = tuple(range(max(job.n_outputs, 2) if job.task == "binary" else job.n_outputs))
    return Dataset(
        name="the rows of fit",
        train=parts[0],  # pyright: ignore[reportArgumentType]
        validation=parts[1],
        test=None,
        task=job.task,  # pyright: ignore[reportArgumentType]
        classes=classes,
        preprocessing=units.inputs,
        target_preprocessing=units.targets,
    )


def make_config(estimator: Any, session: Session, **options: Any) -> TrainConfig:
    """Return the configuration of `jaxmlp.fit` for a call; `options` are further fields of it."""
    job, table = session.job, session.job.train
    m = len(table.rows)
    limit = settings.MAX_BATCH_SIZE if estimator.batch_size == "auto" else int(estimator.batch_size)
    size = m if settings.is_line_search(estimator) else min(m, limit)
    # scikit-learn divides the penalty by the rows of a batch; with weights, by the weight of an average batch
    penalty_rows = size if table.weights is None else float(table.weights.sum()) * size / m
    samples = int(getattr(estimator, "t_", 0)) if job.incremental and job.memory is not None else 0
    factor = job.memory.rate_factor if job.memory is not None and job.incremental else 1.0
    rates = settings.learning_rates(estimator, samples, m, -(-m // size), factor)
    if job.incremental and rates.get("schedule", "").startswith("plateau"):
        del rates["schedule"]  # one epoch cannot show a plateau: `rate_factor` holds the reduction so far
    early_stopping = None
    if estimator.early_stopping:
        monitor = "r2" if job.task == "regression" else "validation_accuracy"
        early_stopping = EarlyStopping(sys.maxsize, monitor)  # it keeps the best epoch; `FitMonitor` ends the fit
    return TrainConfig(
        epochs=1 if job.incremental else int(estimator.max_iter),
        batch_size="full" if size == m else size,
        optimizer=settings.optimizer_of(estimator),
        **rates,
        weight_decay=estimator.weight_decay,
        clip_norm=estimator.clip_norm,
        objective=settings.make_objective(estimator, penalty_rows),
        shuffle=bool(estimator.shuffle),
        sample_weight=table.weights,
        validation_weight=None if job.validation is None else job.validation.weights,
        ema_decay=estimator.ema_decay,
        precision=session.precision,
        early_stopping=early_stopping,
        metrics=("r2",) if job.task == "regression" and job.validation is not None else (),
        **options,
    )


def score_of(task: str) -> Callable[[Report], float | None]:
    """Return the function that reads the validation score from a report: R² of a regression, else the accuracy."""

    def score(report: Report) -> float | None:
        if task == "regression":
            return None if report.metrics is None else report.metrics["r2"]
        return report.validation_accuracy

    return score


def make_patience(estimator: Any, memory: Memory | None, *, incremental: bool) -> Patience:
    """Return the counter of epochs without improvement for a call."""
    best, loss = np.inf, getattr(estimator, "best_loss_", None)
    score = getattr(estimator, "best_validation_score_", None)
    # a call that continues must improve on the best epoch of the earlier calls, not on its own first epoch
    if memory is not None and estimator.early_stopping and score is not None:
        best = -score  # `Patience` waits for a lower number
    elif memory is not None and loss is not None:
        best = loss
    waited = memory.waited if memory is not None and incremental else 0
    return Patience(float(estimator.tol), float(estimator.n_iter_no_change), float(best), waited)
