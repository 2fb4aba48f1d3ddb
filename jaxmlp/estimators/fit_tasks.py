"""scikit-learn's callbacks (`set_callbacks`, from version 1.9 on): one task for the fit, and one for each epoch in it.

Several epochs may be one call of the device, so an epoch's task begins and ends when its report is read. A fitted
copy is made only for a hook that asks for one: it takes a transfer of the parameters.
"""

import inspect
from collections.abc import Callable
from typing import Any

from jaxmlp.training.callbacks import Progress

try:
    from sklearn.callback import CallbackSupportMixin as CallbackSupportMixin  # pyright: ignore
    from sklearn.callback import with_callbacks as with_callbacks  # pyright: ignore
except ImportError:  # before 1.9

    class CallbackSupportMixin:
        """The base of an estimator where scikit-learn knows no callbacks."""

    def with_callbacks(method: Callable[..., Any]) -> Callable[..., Any]:
        """Return the method as it is."""
        return method


HAS_CALLBACKS = hasattr(CallbackSupportMixin, "set_callbacks")


class FitTasks:
    """The tasks of one fit.

    Attributes:
      needs_state: whether a hook asks for a fitted copy of the estimator after an epoch.
    """

    def __init__(
        self, estimator: Any, inputs: dict[str, Any], fitted_attributes: Callable[[Any], dict[str, Any]]
    ) -> None:
        """Begin the task of the fit.

        Args:
          estimator: with its callbacks.
          inputs: X, y and metadata, for the hooks.
          fitted_attributes: parameters of the network -> the attributes of an estimator that predicts with them.
        """
        self._estimator, self._inputs, self._fitted_attributes = estimator, inputs, fitted_attributes
        hooks = [callback.on_fit_task_end for callback in getattr(estimator, "_skl_callbacks", ())]
        self.needs_state = any("fitted_estimator" in inspect.signature(hook).parameters for hook in hooks)
        self._context = estimator._init_callback_context(max_subtasks=estimator.max_iter)
        self._context.call_on_fit_task_begin(estimator=estimator, **inputs)

    def end_epoch(self, progress: Progress) -> bool:
        """Begin and end the task of an epoch; return whether a callback ends the fit."""
        task = self._context.subcontext(task_name="epoch")
        task.call_on_fit_task_begin(estimator=self._estimator, **self._inputs)
        get_params = progress.params_getter()

        def attributes() -> dict[str, Any]:
            return self._fitted_attributes(get_params())

        return bool(
            task.call_on_fit_task_end(estimator=self._estimator, reconstruction_attributes=attributes, **self._inputs)
        )

    def end_fit(self) -> None:
        """End the task of the fit, with the estimator fitted."""
        self._context.call_on_fit_task_end(
            estimator=self._estimator, reconstruction_attributes=lambda: {}, **self._inputs
        )
