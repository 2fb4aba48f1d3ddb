"""What both estimators share: `fit`, `partial_fit`, the fitted attributes, and the model that predicts."""

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from jaxmlp.errors import InputError, sentence, warn_user
from jaxmlp.estimators import settings, training
from jaxmlp.estimators.computation import computing
from jaxmlp.estimators.ensemble import mean_logits, mean_outputs, train_members
from jaxmlp.estimators.first_weights import draw_weights
from jaxmlp.estimators.fit_tasks import HAS_CALLBACKS, CallbackSupportMixin, FitTasks, with_callbacks
from jaxmlp.estimators.inputs import (
    Arguments,
    Table,
    ValidationInput,
    check_rows,
    count_rows,
    encode_tables,
    hold_out,
    iter_dense,
    without_zero_weights,
)
from jaxmlp.estimators.interchange import from_sklearn, to_sklearn
from jaxmlp.estimators.memory import Memory, coefficient_units, network_params
from jaxmlp.estimators.monitor import Curves, FitMonitor, Patience
from jaxmlp.estimators.recipes import preset_parameters
from jaxmlp.estimators.training import Job, Start
from jaxmlp.fork import refuse_after_fork
from jaxmlp.inference.model import Model
from jaxmlp.tabular.encoder import TableEncoder


def can_continue(estimator: object) -> bool:
    """Return True if the solver supports `partial_fit`.

    Raises:
      AttributeError: for a solver that takes full batches.
    """
    if settings.is_line_search(estimator):
        raise AttributeError("partial_fit is only available for stochastic optimizers; 'lbfgs' is not stochastic.")
    return True


class BaseMLP(CallbackSupportMixin, BaseEstimator):
    """The base of `MLPClassifier` and `MLPRegressor`, which document the parameters and attributes."""

    activation_shares_: Any = ()  # default for estimators pickled by an earlier release
    _encoder: TableEncoder | None = None  # of the columns of a frame, or of a preset; else None

    if TYPE_CHECKING:  # the constructors set their parameters, and a fit its attributes, by name

        def __getattr__(self, name: str) -> Any: ...

    def _set(self, parameters: dict[str, Any]) -> None:
        """Store the parameters of the constructor, given as its `locals()`."""
        for name, value in parameters.items():
            if name not in ("self", "__class__"):
                setattr(self, name, value)

    # --- training -----------------------------------------------------------------------------------------------------

    @with_callbacks
    def fit(
        self,
        X: object,
        y: object,
        sample_weight: object = None,
        *,
        X_val: object = None,
        y_val: object = None,
        sample_weight_val: object = None,
    ) -> Self:
        """Train on rows X (m, n) and their targets y.

        Args:
          X: an array, a sparse matrix, or a frame. In a frame, text becomes categories; dates and missing cells
            become numbers, as in a table from a file. New frames are then read by the names of their columns.
          y: a class for each row, 0/1 labels (m, k), or numbers (m,) or (m, k).
          sample_weight: (m,) weights ≥ 0. A whole number counts as that many equal rows, and 0 removes a row.
          X_val, y_val, sample_weight_val: rows that are not trained on. Their cost and score are recorded after every
            epoch, and decide when to stop if `early_stopping` is on, in place of a part of X.

        Raises:
          InputError: for parameters, rows or targets that do not fit, in one sentence.
          ValueError: from scikit-learn's own checks of the input.
          DivergenceError: when the cost becomes infinite or not a number.
        """
        return self._train(Arguments(X, y, sample_weight, ValidationInput(X_val, y_val, sample_weight_val)))

    def _train(self, arguments: Arguments) -> Self:
        incremental = arguments.incremental
        refuse_after_fork("partial_fit" if incremental else "fit")
        settings.check_parameters(self)
        if incremental and self.early_stopping:
            raise InputError(sentence("partial_fit", "early_stopping=False", "True", "call fit, or switch it off"))
        if self.n_members > 1:
            train_members(self, arguments.member_keywords, incremental=incremental)
            return self
        with preset_parameters(self, count_rows(arguments.X), incremental=incremental):
            return self._train_one(arguments)

    def _train_one(self, arguments: Arguments) -> Self:
        """Train a single network."""
        X, y, sample_weight, validation_input, incremental, classes = arguments
        memory = self._memory if hasattr(self, "_memory") and (incremental or self.warm_start) else None
        if memory is None and hasattr(self, "coefs_") and (incremental or self.warm_start):
            got, remedy = "coefs_ set by hand", "call fit once, then set coefs_ and intercepts_"
            raise InputError(sentence("a fit that continues", "the coefs_ of an earlier fit", got, remedy))
        table = self._check_table(X, y, sample_weight, reset=memory is None, incremental=incremental, classes=classes)
        random_state = check_random_state(self.random_state)
        encoder = self._encoder
        weights = None
        # before the split, as in scikit-learn: an equal random_state gives equal weights and equal parts
        if memory is None and encoder is None:
            weights = self._draw_weights(table, random_state)
        train, validation = self._split(table, validation_input, random_state)
        train = without_zero_weights(train)
        encoder, train, validation = encode_tables(encoder, train, validation, is_fitted=memory is not None)
        # only now: the encoder sets the width; scikit-learn has no such case
        if memory is None and encoder is not None:
            weights = self._draw_weights(train, random_state)
        job = Job(
            train=train,
            validation=validation,
            encoder=encoder,
            task=self._task,
            output=self._output(),
            n_outputs=self._width(table.targets),
            sparse=hasattr(X, "toarray"),
            incremental=incremental,
            memory=memory,
        )
        session = training.prepare(self, job)
        patience = training.make_patience(self, memory, incremental=incremental)
        tasks = None
        if HAS_CALLBACKS:
            tasks = FitTasks(self, {"X": X, "y": y, "metadata": _metadata(sample_weight)}, session.attributes)
        curves = self._curves(memory is not None)
        monitor = FitMonitor(self, curves, None if incremental else patience, training.score_of(self._task), tasks)
        start = Start(weights, int(random_state.randint(np.iinfo(np.int32).max)))
        params, new_memory = training.train(self, session, monitor, start)
        if incremental:
            new_memory = self._after_epoch(new_memory, memory, patience, curves)
        self.__dict__.pop("members_", None)  # members_ of an earlier ensemble would predict instead
        for name, value in session.attributes(params).items():
            setattr(self, name, value)
        self._memory = new_memory
        self._record(job, curves, monitor)
        if tasks is not None:
            tasks.end_fit()
        return self

    def _draw_weights(self, table: Table, random_state: Any) -> list[tuple[np.ndarray, np.ndarray]] | None:
        """Return the first weights as scikit-learn draws them; None if another initializer draws them."""
        net = settings.make_network(self, table.rows.shape[1], self._width(table.targets), self._output())
        # scikit-learn has no rule for members or maxout units
        if self.initializer != "auto" or net.members is not None or any(g.pieces > 1 for g in net.activations):
            return None
        return draw_weights(net.sizes, random_state, self.activation in ("logistic", "sigmoid"))

    def _split(self, table: Table, validation_input: ValidationInput, random_state: Any) -> tuple[Table, Table | None]:
        """Return the rows that train and those that validate."""
        if validation_input.X is not None or validation_input.y is not None:
            if validation_input.X is None or validation_input.y is None:
                got = "only y_val" if validation_input.X is None else "only X_val"
                raise InputError(sentence("fit", "X_val and y_val together", got, "give both or neither"))
            return table, self._check_validation(validation_input)
        if not self.early_stopping:
            return table, None
        # as in scikit-learn: only two classes are stratified
        labels = self.classes_[table.targets] if self._task == "binary" else None
        return hold_out(table, self.validation_fraction, random_state, labels)

    def _curves(self, continues: bool) -> Curves:
        """Return the curves of earlier calls, to append to."""
        if not continues:
            return Curves([], [], [])
        names = ("loss_curve_", "validation_loss_curve_", "validation_scores_")
        # new lists: a copy of the estimator may hold the old ones
        earlier: list[list[float]] = [list(getattr(self, name, None) or ()) for name in names]
        return Curves(*earlier)

    def _after_epoch(self, new_memory: Memory, memory: Memory | None, patience: Patience, curves: Curves) -> Memory:
        """Return the memory with the adaptive learning rate after this epoch of `partial_fit`."""
        factor = 1.0 if memory is None else memory.rate_factor
        if patience.is_exhausted(curves.losses[-1]):
            patience.waited = 0
            if self.learning_rate == "adaptive" and factor * self.learning_rate_init > settings.LOWEST_RATE:
                factor /= settings.RATE_DIVISOR
        return new_memory._replace(rate_factor=factor, waited=patience.waited)

    def _record(self, job: Job, curves: Curves, monitor: FitMonitor) -> None:
        """Set the attributes that say how the fit went."""
        self.n_iter_ = monitor.n_iter
        samples = monitor.n_iter * len(job.train.rows)
        self.t_ = samples + (self.t_ if job.memory is not None else 0)
        self.loss_, self.loss_curve_ = curves.losses[-1], curves.losses
        self.validation_loss_curve_ = curves.validation_losses or None
        self.validation_scores_ = curves.validation_scores or None
        self.best_loss_ = None if self.early_stopping else min(curves.losses)  # as in scikit-learn
        self.best_validation_score_ = max(curves.validation_scores, default=None)
        limit = f"max_iter={self.max_iter}" if monitor.n_iter == self.max_iter else f"max_fun={self.max_fun}"
        # a preset brings the number of epochs with it
        if not (job.incremental or monitor.converged or monitor.interrupted or self.preset is not None):
            warn_user(f"The fit has not converged within {limit}: raise it, or accept this fit.", ConvergenceWarning)

    # --- prediction ---------------------------------------------------------------------------------------------------

    def _model(self, classes: tuple[Any, ...] | None = None) -> Model:
        """Return the model that predicts, from the present `coefs_`, `intercepts_` and other weights."""
        units = self._units
        params = network_params(self, coefficient_units(self._network, units), self._dtype)
        if classes is None:
            # a binary network has one output for two classes
            classes = (
                () if self._task == "regression" else tuple(range(max(self.n_outputs_, 1 + (self._task == "binary"))))
            )
        names = tuple(getattr(self, "feature_names_in_", ())) if self._encoder is None else self._encoder.names
        return Model(
            self._network,
            params,
            self._task,
            self._cost,
            classes,
            units.inputs if self._encoder is None else self._encoder,
            units.targets,
            names,
            row_dtype=str(self._dtype),
        )

    def _outputs(self, X: object, *, logits: bool = False) -> np.ndarray:
        """Return A_L of rows X, in the units of y for a regression, or Z_L; one example per row."""
        check_is_fitted(self)
        if hasattr(self, "members_"):
            A = mean_outputs(self.members_, X)
            return mean_logits(A, self._task) if logits else A
        rows = check_rows(self, X)
        with computing(self, self._dtype):
            model = self._model()
            run = model.logits if logits else model.outputs
            outputs = np.concatenate([run(block) for block in iter_dense(rows)])
        return outputs if self._task != "regression" else self._units.targets.inverse(outputs)

    # --- other forms of the fitted network ----------------------------------------------------------------------------

    def to_model(self) -> Model:
        """Return the fitted network as a `jaxmlp.Model`, which `save` writes to one file, without pickle.

        Raises:
          InputError: for an ensemble: each of its members is a model.
        """
        check_is_fitted(self)
        if hasattr(self, "members_"):
            remedy = "take jaxmlp.Ensemble(tuple(member.to_model() for member in estimator.members_))"
            raise InputError(sentence("to_model", "a single network", f"{len(self.members_)} members", remedy))
        return self._model(() if self._task == "regression" else tuple(self.classes_.tolist()))

    def to_sklearn(self) -> Any:
        """Return scikit-learn's perceptron with these weights, which predicts the same.

        Raises:
          InputError: for a network that scikit-learn cannot represent: an ensemble, members or learnt scales of the
            inputs, an encoder (for frames with text, dates or missing cells, or for piecewise numbers), parametric
            activations, layer normalisation, several hidden activations, an activation that scikit-learn lacks, or
            `exp` with a scikit-learn older than 1.7.
        """
        return to_sklearn(self)

    @classmethod
    def from_sklearn(cls, fitted: object) -> Self:
        """Return an estimator with the weights and parameters of scikit-learn's perceptron, which predicts the same.

        `partial_fit`, or `fit` with warm_start, goes on from there with a new optimizer.

        Raises:
          InputTypeError: for anything but scikit-learn's fitted perceptron of this kind.
        """
        return from_sklearn(cls, fitted)

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn wants to know of the estimator."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _metadata(sample_weight: object) -> dict[str, Any] | None:
    return None if sample_weight is None else {"sample_weight": sample_weight}
