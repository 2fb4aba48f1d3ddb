"""From an estimator to scikit-learn's own perceptron and back, with equal predictions.

Weights, all that prediction needs, and parameters of the same name are copied. The state of the optimizer is not:
training continues with a new one.
"""

from copy import copy
from typing import Any

import jax
import numpy as np
from sklearn.base import is_regressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.validation import check_is_fitted

from jaxmlp.errors import InputError, InputTypeError, sentence
from jaxmlp.estimators import settings, training
from jaxmlp.estimators.computation import computing
from jaxmlp.estimators.frames import reads_frames
from jaxmlp.estimators.memory import Memory, digest_of, optimizer_name
from jaxmlp.estimators.units import Units, to_network
from jaxmlp.inference.description import network_extensions
from jaxmlp.nn.network import Network
from jaxmlp.training.config import TrainConfig, resolve_optimizer
from jaxmlp.training.state import init_state

ACTIVATIONS = {"identity": "identity", "sigmoid": "logistic", "tanh": "tanh", "relu": "relu"}
OUTPUTS = {"identity": "identity", "sigmoid": "logistic", "softmax": "softmax", "exp": "exp"}
# attributes of a fit that both have
FITTED = (
    *("n_features_in_", "feature_names_in_", "classes_", "n_layers_", "n_outputs_", "n_iter_", "t_"),
    *("loss_", "loss_curve_", "best_loss_", "validation_scores_", "best_validation_score_"),
)
# parameters that scikit-learn restricts to these values
CHOICES = {"solver": ("adam", "sgd", "lbfgs"), "learning_rate": ("constant", "invscaling", "adaptive")}


def to_sklearn(estimator: Any) -> Any:
    """Return scikit-learn's perceptron with the weights of a fitted estimator; see `BaseMLP.to_sklearn`."""
    check_is_fitted(estimator)
    if hasattr(estimator, "members_"):
        remedy = "convert each of members_"
        raise InputError(sentence("to_sklearn", "a single network", f"{len(estimator.members_)} members", remedy))
    if estimator._encoder is not None:
        remedy = "keep this estimator, or save its to_model()"
        got = "one that reads a frame" if reads_frames(estimator) else "one with piecewise encoding"
        raise InputError(sentence("to_sklearn", "a network that reads numbers", got, remedy))
    *hidden, output = (g.name for g in estimator._network.activations)
    if more := network_extensions(estimator._network):
        remedy = "keep this estimator, or save its to_model()"
        raise InputError(
            sentence("to_sklearn", "a network of weights and biases", f"one with {' and '.join(more)}", remedy)
        )
    if estimator._network.norm is not None or len({*hidden}) > 1 or not {*hidden} <= ACTIVATIONS.keys():
        expects = f"one hidden activation among {', '.join(ACTIVATIONS)}, and no layer normalisation"
        got = ", ".join(dict.fromkeys(hidden)) + (
            f" and norm={estimator._network.norm!r}" if estimator._network.norm else ""
        )
        raise InputError(sentence("to_sklearn", expects, got, "keep this estimator, or save its to_model()"))
    converted: Any = MLPRegressor() if estimator._task == "regression" else MLPClassifier()
    if output not in OUTPUTS or (output == "exp" and not hasattr(converted, "loss")):
        remedy = "keep this estimator, or for 'exp' use scikit-learn 1.7 or newer"
        raise InputError(sentence("to_sklearn", f"an output among {', '.join(OUTPUTS)}", output, remedy))
    parameters = {name: value for name, value in estimator.get_params().items() if name in converted.get_params()}
    for name, choices in CHOICES.items():
        if not (isinstance(parameters[name], str) and parameters[name] in choices):
            del parameters[name]  # scikit-learn lacks this value: keep its default
    if "loss" in parameters and estimator._task != "regression":
        del parameters["loss"]
    # a cost such as huber: scikit-learn cannot train with it, but its predictions are the same
    if parameters.get("loss", "poisson") not in ("squared_error", "poisson"):
        del parameters["loss"]
    converted.set_params(**parameters | {"activation": ACTIVATIONS[hidden[0]] if hidden else "relu"})
    for name in FITTED:
        if hasattr(estimator, name):
            # a copy: a further fit of scikit-learn's appends to its loss_curve_
            setattr(converted, name, copy(getattr(estimator, name)))
    converted.coefs_ = [C.copy() for C in estimator.coefs_]
    converted.intercepts_ = [c.copy() for c in estimator.intercepts_]
    converted.out_activation_ = OUTPUTS[output]
    # scikit-learn's partial_fit increments it, and only a first call initialises it
    converted._no_improvement_count = 0
    if estimator._task != "regression":
        is_multilabel = estimator._task == "multilabel"
        # scikit-learn's predict decodes outputs with it
        converted._label_binarizer = LabelBinarizer().fit(
            _indicator_rows(estimator.n_outputs_) if is_multilabel else estimator.classes_
        )
    return converted


def _indicator_rows(k: int) -> np.ndarray:
    """Return an indicator matrix with k labels."""
    return np.array([[1] * k, [0] * k])


def from_sklearn(cls: Any, fitted: Any) -> Any:
    """Return an estimator of the class with the weights of scikit-learn's perceptron; see `BaseMLP.from_sklearn`."""
    converted = cls()
    expected: Any = MLPRegressor if is_regressor(converted) else MLPClassifier
    if not isinstance(fitted, expected):
        remedy = f"give a fitted sklearn.neural_network.{expected.__name__}"
        raise InputTypeError(
            sentence("from_sklearn", f"scikit-learn's {expected.__name__}", type(fitted).__name__, remedy)
        )
    check_is_fitted(fitted)
    shared = {name: value for name, value in fitted.get_params().items() if name in converted.get_params()}
    converted.set_params(**shared)
    for name in FITTED:
        if hasattr(fitted, name):
            setattr(converted, name, copy(getattr(fitted, name)))
    if expected is MLPClassifier:
        if len(fitted.classes_) < 2 and fitted._label_binarizer.y_type_ != "multilabel-indicator":
            raise InputError(sentence("from_sklearn", "two classes or more", fitted.classes_, "fit it on more"))
        target_type = fitted._label_binarizer.y_type_
        converted._task = (
            "multilabel"
            if target_type == "multilabel-indicator"
            else "multiclass"
            if fitted.n_outputs_ > 1
            else "binary"
        )
    coefs = [np.array(C, np.float64) for C in fitted.coefs_]
    output = {name: activation for activation, name in OUTPUTS.items()}[fitted.out_activation_]
    sizes = (coefs[0].shape[0], *(C.shape[1] for C in coefs))
    hidden = {name: activation for activation, name in ACTIVATIONS.items()}[fitted.activation]
    # float32 if scikit-learn was fitted on rows of float32
    net, dtype = Network(sizes, hidden, output), np.asarray(fitted.coefs_[0]).dtype
    converted.coefs_, converted.intercepts_, converted.scales_ = (
        coefs,
        [np.array(c, np.float64) for c in fitted.intercepts_],
        [],
    )
    converted.activation_shares_, converted.member_scales_ = [], None
    converted.out_activation_, converted.validation_loss_curve_ = fitted.out_activation_, None
    converted._network, converted._units, converted._dtype = net, Units(), dtype
    converted._cost = training.cost_name(converted, net)
    converted._memory = _first_memory(converted, net, dtype)
    return converted


def _first_memory(estimator: Any, net: Network, dtype: Any) -> Memory:
    """Return what the next fit needs to continue from these weights, with a new optimizer."""
    with computing(estimator, dtype):
        # the state of an optimizer does not depend on the batch size, but L-BFGS requires full batches
        size: Any = "full" if settings.is_line_search(estimator) else 1
        optimizer, _ = resolve_optimizer(TrainConfig(optimizer=settings.optimizer_of(estimator), batch_size=size))
        params = tuple(to_network(estimator.coefs_, estimator.intercepts_, Units(), dtype))
        state = init_state(jax.random.key(0), net, optimizer, params)
        state = jax.tree.map(np.asarray, state._replace(key=jax.random.key_data(state.key)))
    digest = digest_of(estimator.coefs_, estimator.intercepts_)
    return Memory(state, net, Units(), None, None, digest, optimizer_name(estimator))
