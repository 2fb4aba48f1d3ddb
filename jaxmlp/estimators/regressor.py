"""`MLPRegressor`: scikit-learn's interface for one or several numbers."""

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
import optax
from sklearn.base import RegressorMixin
from sklearn.utils import column_or_1d
from sklearn.utils.metaestimators import available_if

from jaxmlp.errors import InputError, InputTypeError, sentence
from jaxmlp.estimators import settings
from jaxmlp.estimators.base import BaseMLP, can_continue
from jaxmlp.estimators.documentation import documents_parameters
from jaxmlp.estimators.fit_tasks import with_callbacks
from jaxmlp.estimators.inputs import Arguments, Table, ValidationInput, check_pair, row_weights
from jaxmlp.estimators.settings import RandomState, Sizes
from jaxmlp.nn.activations import Activation
from jaxmlp.nn.costs import Cost
from jaxmlp.nn.initializers import Initializer
from jaxmlp.tabular.cells import parse_number
from jaxmlp.training.preparation import MeshLike


@documents_parameters
class MLPRegressor(RegressorMixin, BaseMLP):
    """A multi-layer perceptron that predicts numbers, with scikit-learn's interface.

    loss: "squared_error"; "poisson" is for counts and rates, with an exponential output; "huber(1.0)", "absolute" and
    "quantile(0.9)" are others, their numbers in standard deviations of the targets.

    >>> import numpy as np
    >>> X = np.linspace(-1, 1, 40)[:, None]
    >>> regressor = MLPRegressor(hidden_layer_sizes=(16,), solver="lbfgs", random_state=0).fit(X, X[:, 0] ** 2)
    >>> bool(abs(regressor.predict([[0.5]])[0] - 0.25) < 0.01)
    True
    """

    def __init__(
        self,
        loss: str | Cost = "squared_error",
        hidden_layer_sizes: Sizes = (100,),
        activation: str | Activation | Sequence[str | Activation] = "relu",
        *,
        solver: str | optax.GradientTransformation = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str | Callable[[int], float] = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: RandomState = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: int = 10,
        max_fun: int = 15000,
        norm: str | None = None,
        initializer: str | Initializer = "auto",
        standardize: bool | str = "auto",
        l1: float = 0.0,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        input_noise: float = 0.0,
        mixup: float = 0.0,
        max_norm: float | None = None,
        weight_decay: float | None = None,
        clip_norm: float | None = None,
        ema_decay: float | None = None,
        n_members: int = 1,
        precision: str = "auto",
        device: object = None,
        mesh: MeshLike | None = None,
        preset: str | None = None,
    ) -> None:
        self._set(locals())

    _task = "regression"

    @available_if(can_continue)
    @with_callbacks
    def partial_fit(self, X: object, y: object, sample_weight: object = None) -> Self:
        """Train one epoch on these rows, and go on from where the last call ended, optimizer and all.

        Args:
          X, y, sample_weight: as for `fit`.

        Raises:
          InputError: as `fit`.
        """
        return self._train(Arguments(X, y, sample_weight, incremental=True))

    def predict(self, X: object) -> np.ndarray:
        """Return the predicted numbers, (m,), or (m, k) for several."""
        Y = self._outputs(X)
        return Y[:, 0] if Y.shape[1] == 1 else Y

    # --- what `BaseMLP` asks ------------------------------------------------------------------------------------------

    def _output(self) -> str:
        return settings.regression_output(self.loss)

    def _width(self, targets: np.ndarray) -> int:
        return targets.shape[1]

    def _check_table(
        self, X: object, y: object, sample_weight: object, *, reset: bool, incremental: bool, classes: object
    ) -> Table:
        _check_no_times(y)
        rows, numbers = check_pair(self, X, y, reset=reset, y_numeric=True)
        targets = _as_columns(numbers)
        if not reset and targets.shape[1] != self.n_outputs_:
            remedy = "give the targets as in the first fit"
            raise InputError(sentence(type(self).__name__, f"y with {self.n_outputs_} columns", targets.shape, remedy))
        return Table(rows, targets, row_weights(self, sample_weight, len(rows)))

    def _check_validation(self, validation_input: ValidationInput) -> Table:
        _check_no_times(validation_input.y)
        rows, numbers = check_pair(self, validation_input.X, validation_input.y, reset=False, y_numeric=True)
        return Table(
            rows, _as_columns(numbers), row_weights(self, validation_input.weights, len(rows), "sample_weight_val")
        )

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn wants to know of the estimator."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _check_no_times(y: Any) -> None:
    """Raise for dates and durations, which NumPy would turn into numbers of a unit that the user does not see."""
    try:
        array = np.asarray(y)
    except ValueError:  # rows of unequal length, for which scikit-learn has a sentence
        return
    is_time = array.dtype.kind == "O" and any(hasattr(x, "year") or hasattr(x, "total_seconds") for x in array.flat)
    if is_time or array.dtype.kind in "mM":
        got, remedy = "dates or durations", "turn them into numbers, such as the days since the first one"
        raise InputTypeError(sentence("MLPRegressor", "y of numbers", got, remedy))


def _as_columns(y: np.ndarray) -> np.ndarray:
    """Return numbers (m,) or (m, 1) as one column, and several columns as they are, in float64."""
    # the checks of scikit-learn expect its warning for y of shape (m, 1)
    if y.ndim == 2 and y.shape[1] == 1:
        y = column_or_1d(y, warn=True)
    try:
        numbers = np.asarray(y, np.float64).reshape(len(y), -1)
    except ValueError:
        got = repr(next((word for word in map(str, np.ravel(y)) if parse_number(word) is None), str(y[0])))
        remedy = "convert it, or take MLPClassifier for classes"
        raise InputError(sentence("MLPRegressor", "y of numbers", got, remedy)) from None
    missing = np.argwhere(~np.isfinite(numbers))  # scikit-learn accepts None in an array of objects
    if len(missing):
        row, column = missing[0]
        got = f"{numbers[row, column]:g} in row {row}"
        remedy = "drop the rows whose target is missing"
        raise InputError(sentence("MLPRegressor", "y of finite numbers", got, remedy))
    return numbers
