"""The estimators keep scikit-learn's contract: every check of `check_estimator`, and the same numbers as its own."""

import importlib
import pickle
import sys
from typing import Any

import jax
import numpy as np
import pytest
from marks import cpu_only
from sklearn import neural_network
from sklearn.base import clone, is_classifier
from sklearn.utils.estimator_checks import parametrize_with_checks

import jaxmlp
from jaxmlp.errors import InputError, InputTypeError, MissingPackageError
from jaxmlp.estimators import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4)) * [1, 10, 0.1, 1] + [0, 5, 0, -2]
SIGNAL = X @ [1, 0.1, 5, -1] + 0.3 * RNG.normal(size=60)
TARGETS = {
    "two classes": np.where(SIGNAL > np.median(SIGNAL), "high", "low"),
    "three classes": np.digitize(SIGNAL, np.quantile(SIGNAL, [0.3, 0.7])) * 10,
    "labels": np.stack([X[:, 0] > 0, X[:, 1] > 5, SIGNAL > 1], axis=1).astype(int),
    "a number": SIGNAL,
    "numbers": np.stack([SIGNAL, X[:, 0] ** 2], axis=1),
}
SMALL = {"hidden_layer_sizes": (6, 4), "max_iter": 15, "random_state": 3}


@pytest.fixture(autouse=True)
def float32():
    """What users have: float64 is switched on by the estimator alone, where it computes in it."""
    with jax.enable_x64(False):
        yield


def pair(name, **options):
    """Ours and scikit-learn's for targets of that name."""
    kind = "MLPRegressor" if "number" in name else "MLPClassifier"
    theirs = {key: value for key, value in options.items() if key != "standardize"}
    return getattr(jaxmlp, kind)(**options), getattr(neural_network, kind)(**theirs)


def outputs(estimator, rows=X):
    return estimator.predict_proba(rows) if hasattr(estimator, "predict_proba") else estimator.predict(rows)


def assert_same_predictions(a: Any, b: Any) -> None:
    if is_classifier(b):
        np.testing.assert_array_equal(a.predict(X), b.predict(X))
    else:
        np.testing.assert_allclose(a.predict(X), b.predict(X), rtol=1e-9)


@pytest.mark.slow
@parametrize_with_checks([MLPClassifier(), MLPRegressor()])
@pytest.mark.filterwarnings("ignore")  # the checks themselves provoke warnings of scikit-learn
def test_contract(estimator, check):
    check(estimator)


# --- the same numbers -------------------------------------------------------------------------------------------------


@cpu_only
@pytest.mark.quick("sgd-a number", "adam-two classes", "adam-three classes")
@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_training_is_that_of_scikit_learn(name, solver):
    """Up to 200 rows are one batch, so that no order of rows differs; but ε stands elsewhere in the formula."""
    options = {"solver": solver, "alpha": 0.1, "learning_rate_init": 0.01, "epsilon": 1e-14}
    ours, theirs = pair(name, standardize=False, **options, **SMALL)
    ours.fit(X, TARGETS[name])
    theirs.fit(X, TARGETS[name])
    np.testing.assert_allclose(outputs(ours), outputs(theirs), rtol=1e-6)
    for coefs, expected in zip(ours.coefs_, theirs.coefs_, strict=True):
        np.testing.assert_allclose(coefs, expected, rtol=1e-6, atol=1e-9)
    assert (ours.n_iter_, ours.t_) == (theirs.n_iter_, theirs.t_)
    assert (ours.n_layers_, ours.n_outputs_, ours.out_activation_) == (4, theirs.n_outputs_, theirs.out_activation_)
    if name != "numbers":  # of several numbers scikit-learn reports the mean, and takes the gradient of the sum
        np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-5)
        assert ours.best_loss_ == pytest.approx(theirs.best_loss_, rel=1e-5)


@cpu_only
@pytest.mark.quick("three classes")
@pytest.mark.parametrize("name", ["two classes", "three classes", "a number"])
def test_early_stopping_is_that_of_scikit_learn(name):
    ours, theirs = pair(
        name, solver="sgd", early_stopping=True, n_iter_no_change=2, standardize=False, **SMALL | {"max_iter": 40}
    )
    # scikit-learn 1.6 asks whether predictions are NaN, which text refuses
    y = (TARGETS[name] == "high").astype(int) if name == "two classes" else TARGETS[name]
    ours.fit(X, y)
    theirs.fit(X, y)
    np.testing.assert_allclose(ours.validation_scores_, theirs.validation_scores_, rtol=1e-6)
    assert ours.best_validation_score_ == pytest.approx(theirs.best_validation_score_)
    assert (ours.n_iter_, ours.best_loss_) == (theirs.n_iter_, None)
    np.testing.assert_allclose(outputs(ours), outputs(theirs), rtol=1e-6)


@cpu_only
@pytest.mark.parametrize("name", ["three classes", "a number"])
def test_weights_and_partial_fit_are_those_of_scikit_learn(name):
    weights = np.arange(60) % 4 + 0.5
    ours, theirs = pair(name, solver="sgd", learning_rate="adaptive", n_iter_no_change=1, standardize=False, **SMALL)
    every = {} if name == "a number" else {"classes": np.unique(TARGETS[name])}
    if "sample_weight" not in neural_network.MLPClassifier.fit.__code__.co_varnames:  # before 1.7
        weights = None
    for _ in range(8):
        for estimator in (ours, theirs):
            estimator.partial_fit(X, TARGETS[name], **({} if weights is None else {"sample_weight": weights}), **every)
    np.testing.assert_allclose(outputs(ours), outputs(theirs), rtol=1e-9)
    assert (ours.t_, ours.n_iter_, len(ours.loss_curve_)) == (480, 1, 8)


# --- to scikit-learn and back -----------------------------------------------------------------------------------------


@cpu_only
@pytest.mark.quick("a number", "two classes")
@pytest.mark.parametrize("name", TARGETS)
def test_to_scikit_learn_and_back_with_equal_predictions(name):
    ours, theirs = pair(name, activation="tanh", alpha=0.5, **SMALL)
    ours.fit(X, TARGETS[name])
    made = ours.to_sklearn()
    assert type(made) is type(theirs)
    assert (made.alpha, made.activation) == (0.5, "tanh")
    np.testing.assert_allclose(outputs(made), outputs(ours), rtol=1e-9)
    assert_same_predictions(made, ours)
    made.set_params(warm_start=True).fit(X, TARGETS[name])  # it goes on
    assert len(made.loss_curve_) > len(ours.loss_curve_) == 15
    theirs.fit(X, TARGETS[name])
    back = type(ours).from_sklearn(theirs)
    np.testing.assert_allclose(outputs(back), outputs(theirs), rtol=1e-9)
    assert_same_predictions(back, theirs)
    assert (back.alpha, back.loss_, back.n_iter_) == (0.5, theirs.loss_, 15)
    back.partial_fit(X, TARGETS[name])
    several = 2 if name == "numbers" else 1  # scikit-learn reports the mean over them
    assert back.loss_ == pytest.approx(several * theirs.loss_, rel=0.05)
    assert len(back.loss_curve_) == 16


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"activation": "gelu"},
            "to_sklearn expects one hidden activation among identity, sigmoid, tanh, relu, and no",
        ),
        ({"norm": "layer"}, "and no layer normalisation, got relu and norm='layer': keep this estimator"),
        ({"n_members": 2}, "to_sklearn expects a single network, got 2 members: convert each of members_"),
    ],
)
def test_what_scikit_learn_cannot_be_is_refused(options, sentence):
    with pytest.raises(InputError, match=sentence):
        MLPClassifier(**SMALL | options).fit(X, TARGETS["two classes"]).to_sklearn()
    with pytest.raises(InputTypeError, match="from_sklearn expects scikit-learn's MLPClassifier, got MLPRegressor"):
        MLPClassifier.from_sklearn(neural_network.MLPRegressor())


@pytest.mark.slow
def test_batch_normalisation_folds_into_what_scikit_learn_has():
    ours = MLPClassifier(norm="batch", **SMALL).fit(X, TARGETS["three classes"])
    np.testing.assert_allclose(outputs(ours.to_sklearn()), outputs(ours), rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_a_model_is_one_file_with_equal_predictions(name, tmp_path):
    ours = pair(name, **SMALL)[0].fit(X, TARGETS[name])
    ours.to_model().save(tmp_path / "model.h5")
    model = jaxmlp.load_model(tmp_path / "model.h5")
    assert_same_predictions(model, ours)


@cpu_only
def test_coefficients_that_the_user_writes_count():
    ours = MLPClassifier(**SMALL, norm="batch").fit(X, TARGETS["three classes"])
    hidden = X
    for C, c in zip(ours.coefs_[:-1], ours.intercepts_[:-1], strict=True):
        hidden = np.maximum(hidden @ C + c, 0)
    Z = hidden @ ours.coefs_[-1] + ours.intercepts_[-1]
    np.testing.assert_allclose(outputs(ours), np.exp(Z) / np.exp(Z).sum(axis=1, keepdims=True), rtol=1e-9)
    ours.intercepts_[-1][:] = [100, 0, 0]
    assert (ours.predict(X) == 0).all()
    with pytest.raises(
        InputError, match="norm='batch' expects the coefs_ and intercepts_ of the last fit, got changed ones"
    ):
        ours.partial_fit(X, TARGETS["three classes"])
    plain: Any = MLPClassifier(**SMALL).fit(X, TARGETS["three classes"])
    plain.coefs_ = [np.zeros_like(C) for C in plain.coefs_]
    plain.intercepts_ = [*plain.intercepts_[:-1], np.array([100.0, 0, 0])]
    plain.partial_fit(X, TARGETS["three classes"])  # one small step away from there
    assert (plain.predict(X) == 0).all()


# --- the life of an estimator -----------------------------------------------------------------------------------------


def test_pickled_clones_and_copies():
    ours: Any = MLPClassifier(**SMALL).fit(X, TARGETS["two classes"])
    restored = pickle.loads(pickle.dumps(ours))
    np.testing.assert_array_equal(outputs(restored), outputs(ours))
    for estimator in (ours, restored):
        estimator.partial_fit(X, TARGETS["two classes"])
    np.testing.assert_array_equal(outputs(restored), outputs(ours))
    assert not hasattr(clone(ours), "coefs_")
    copy: Any = clone(ours)
    assert copy.set_params(alpha=2).alpha == 2


def test_without_scikit_learn_one_sentence_names_the_command(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("jaxmlp.estimators")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(MissingPackageError) as caught:
        importlib.import_module("jaxmlp.estimators")
    assert str(caught.value) == (
        'jaxmlp.estimators expects scikit-learn, got no such package: install it with pip install "jaxmlp[all]"'
    )
    assert importlib.reload(jaxmlp).__all__.count("MLPClassifier") == 0
    monkeypatch.undo()
    assert importlib.reload(jaxmlp).__all__.count("MLPClassifier") == 1
