"""What scikit-learn's own perceptron refuses, and the places of scikit-learn where an estimator must work."""

import inspect
import re
import signal
import sys
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas
import pytest
import sklearn
from marks import slow_except
from scipy import sparse
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import VotingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

import jaxmlp
from jaxmlp import MLPClassifier, MLPRegressor
from jaxmlp.errors import InputError, InputTypeError
from jaxmlp.estimators.fit_tasks import HAS_CALLBACKS
from jaxmlp.nn.costs import Cost

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3)) * [1, 10, 0.1] + [0, 50, 0]
SIGNAL = X @ [1, 0.1, 5] + 0.3 * RNG.normal(size=60)
TWO = (SIGNAL > 5).astype(int)
THREE = np.array(["a", "b", "c"])[np.digitize(SIGNAL, [4, 6])]
LABELS = np.stack([X[:, 0] > 0, X[:, 1] > 50], axis=1).astype(int)
NUMBERS = np.stack([SIGNAL, X[:, 0] ** 2], axis=1)
SMALL = {"hidden_layer_sizes": (6,), "max_iter": 8, "random_state": 0}


@pytest.fixture(autouse=True)
def float32():
    """What users have: float64 is switched on by the estimator alone, where it computes in it."""
    with jax.enable_x64(False):
        yield


def classifier(**options: Any) -> Any:
    return MLPClassifier(**SMALL | options)


def regressor(**options: Any) -> Any:
    return MLPRegressor(**SMALL | options)


# --- every parameter acts, and is checked ---------------------------------------------------------------------------


def own_cost():
    def losses(g, Z, Y):
        return ((g.apply(Z) - Y) ** 4).sum(axis=0, keepdims=True)

    return Cost("quartic", losses, lambda g, Z, Y: g.pullback(Z, g.apply(Z), 4 * (g.apply(Z) - Y) ** 3))


# a value of each parameter that changes a fit, beside what it needs to do so
PROBES = {
    "hidden_layer_sizes": {"hidden_layer_sizes": ()},
    "activation": {"activation": jaxmlp.activation("sine", jnp.sin)},
    "solver": {"solver": "lbfgs"},
    "alpha": {"alpha": 10.0},
    "batch_size": {"batch_size": 16},
    "learning_rate": {"learning_rate": "cosine"},
    "learning_rate_init": {"learning_rate_init": 0.01},
    "power_t": {"solver": "sgd", "learning_rate": "invscaling", "power_t": 0.1},
    "max_iter": {"max_iter": 9},
    "shuffle": {"batch_size": 16, "shuffle": False},
    "random_state": {"random_state": 1},
    "tol": {"tol": 1.0, "n_iter_no_change": 1},
    "momentum": {"solver": "sgd", "momentum": 0.5},
    "nesterovs_momentum": {"solver": "sgd", "nesterovs_momentum": False},
    "early_stopping": {"early_stopping": True},
    "validation_fraction": {"early_stopping": True, "validation_fraction": 0.3},
    "beta_1": {"beta_1": 0.5},
    "beta_2": {"beta_2": 0.5},
    "epsilon": {"epsilon": 0.1},
    "n_iter_no_change": {"tol": 1.0, "n_iter_no_change": 2},
    "max_fun": {"solver": "lbfgs", "max_fun": 1},
    "class_weight": {"class_weight": {0: 5}},
    "loss": {"loss": "quadratic"},
    "norm": {"norm": "layer"},
    "initializer": {"initializer": "he_normal"},
    "standardize": {"standardize": False},
    "l1": {"l1": 1.0},
    "dropout": {"dropout": 0.5},
    "input_dropout": {"input_dropout": 0.5},
    "label_smoothing": {"label_smoothing": 0.2},
    "input_noise": {"input_noise": 0.5},
    "mixup": {"mixup": 1.0},
    "max_norm": {"max_norm": 0.1},
    "weight_decay": {"solver": "adamw", "weight_decay": 1.0},
    "clip_norm": {"solver": "sgd", "clip_norm": 1e-3},
    "ema_decay": {"ema_decay": 0.9},
    "n_members": {"n_members": 2},
    "precision": {"precision": "bfloat16"},
    "preset": {"preset": "tabular"},
}
ELSEWHERE = {"verbose", "warm_start", "device", "mesh"}  # tests of their own below


def test_every_parameter_has_a_probe():
    assert {*inspect.signature(MLPClassifier).parameters} == {*PROBES, *ELSEWHERE}
    only_classifier = {"class_weight", "label_smoothing"}
    assert {*inspect.signature(MLPRegressor).parameters} == {*PROBES, *ELSEWHERE} - only_classifier


# the others go to `jaxmlp.fit` as they are
QUICK = (
    *("hidden_layer_sizes", "solver", "alpha", "batch_size", "power_t", "tol", "momentum", "early_stopping", "beta_1"),
    *(
        "max_fun",
        "class_weight",
        "loss",
        "norm",
        "initializer",
        "standardize",
        "dropout",
        "n_members",
        "precision",
        "preset",
    ),
)


@pytest.mark.slow
@pytest.mark.parametrize("name", slow_except(PROBES, *QUICK))
def test_every_parameter_changes_a_fit(name):
    plain = probabilities(tuple((key, value) for key, value in PROBES[name].items() if key != name))
    assert np.abs(plain - classifier(**PROBES[name]).fit(X, TWO).predict_proba(X)).max() > 1e-6


@cache
def probabilities(options):
    """Those of a fit with options as pairs."""
    return classifier(**dict(options)).fit(X, TWO).predict_proba(X)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"alpha": -1}, "MLPClassifier(alpha=...) expects a number ≥ 0, got -1: write 1e-4, for example"),
        ({"max_iter": 0}, "MLPClassifier(max_iter=...) expects a positive whole number, got 0"),
        ({"batch_size": "all"}, "MLPClassifier(batch_size=...) expects 'auto' or a positive whole number, got 'all'"),
        ({"shuffle": 1}, "MLPClassifier(shuffle=...) expects True or False, got 1: leave it out to shuffle"),
        ({"hidden_layer_sizes": (4, 0)}, "hidden_layer_sizes expects positive whole numbers of units, got (4, 0)"),
        ({"activation": "rellu"}, "activation expects one of"),
        ({"solver": "adamm"}, "solver expects one of sgd, momentum, nesterov, rmsprop, adam"),
        ({"learning_rate": "adaptiv"}, "schedule expects one of constant, step, cosine, coslog, one_cycle, plateau"),
        ({"loss": "log_los"}, "cost expects one of"),
        ({"loss": "poisson"}, "cost 'poisson' is defined for output 'exp'; the network has output 'sigmoid'"),
        ({"dropout": 1.5}, "dropout expects a finite number ≥ 0 and < 1, got 1.5"),
        ({"norm": "bach"}, "norm expects one of batch, layer, got 'bach'"),
        ({"class_weight": "balance"}, "balance"),
        ({"device": "tpu9"}, "device expects one of the devices here (cpu), got 'tpu9'"),
        ({"precision": "half"}, "MLPClassifier(precision=...) expects 'auto', 'float32', 'float64' or 'bfloat16'"),
        ({"mesh": 999}, "mesh expects"),
    ],
)
def test_mistakes_in_parameters_are_one_sentence(options, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)) as caught:
        classifier(**options).fit(X, TWO)
    assert "\n" not in str(caught.value)


def test_verbose_prints_every_epoch(capsys):
    classifier(verbose=True, max_iter=2, early_stopping=True).fit(X, TWO)
    lines = capsys.readouterr().out.splitlines()
    epoch = ["loss", "Validation score"]
    assert [re.sub(r"Iteration \d+, |[:=].*| $", "", line).strip() for line in lines] == epoch * 2


@pytest.mark.slow
def test_a_fit_that_has_not_converged_warns():
    with pytest.warns(ConvergenceWarning, match="The fit has not converged within max_iter=8: raise it, or accept"):
        classifier().fit(X, TWO)
    with pytest.warns(ConvergenceWarning, match="The fit has not converged within max_fun=2"):
        classifier(solver="lbfgs", max_fun=2).fit(X, TWO)


# --- weights --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [classifier, regressor])
def test_a_whole_weight_is_as_many_rows(make):
    times = np.arange(60) % 3
    y = TWO if make is classifier else NUMBERS
    weighted = make().fit(X, y, sample_weight=times)
    repeated = make().fit(X.repeat(times, axis=0), y.repeat(times, axis=0))
    np.testing.assert_allclose(weighted.predict(X), repeated.predict(X), rtol=1e-9)
    np.testing.assert_allclose(weighted.loss_curve_, repeated.loss_curve_, rtol=1e-9)


@pytest.mark.parametrize("make", [classifier, regressor])
def test_weights_whose_sum_is_below_1_train_too(make):
    y = TWO if make is classifier else NUMBERS
    weights = np.random.default_rng(0).random(60) / 100  # as those of AdaBoost, which sum to 1 over all rows
    small = make(alpha=0.01 * weights.sum()).fit(X, y, sample_weight=weights)
    large = make(alpha=0.01).fit(X, y, sample_weight=weights / weights.sum())  # λ/Σw is the same
    np.testing.assert_allclose(small.predict(X), large.predict(X), rtol=1e-9)
    np.testing.assert_allclose(small.loss_, large.loss_, rtol=1e-9)


@pytest.mark.slow
def test_class_weights_are_sample_weights():
    of_class = classifier(class_weight={"a": 3, "b": 1, "c": 0.5}).fit(X, THREE)
    of_rows = classifier().fit(X, THREE, sample_weight=np.select([THREE == "a", THREE == "c"], [3, 0.5], 1.0))
    np.testing.assert_array_equal(of_class.predict_proba(X), of_rows.predict_proba(X))
    times = np.arange(60) % 3
    weighted = classifier(class_weight="balanced").fit(X, THREE, sample_weight=times)
    repeated = classifier(class_weight="balanced").fit(X.repeat(times, axis=0), THREE.repeat(times))
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), rtol=1e-9)
    with pytest.raises(InputError, match="class_weight expects one class for each row, got several labels"):
        classifier(class_weight="balanced").fit(X, LABELS)


@pytest.mark.parametrize(
    ("weights", "text"),
    [
        ({0: 1, 1: -5}, "expects finite weights ≥ 0, got -5"),
        ({0: 1, 1: np.nan}, "expects finite weights ≥ 0, got nan"),
        ({"0": 1, "1": 5}, "expects the classes 0, 1 as keys, got '0': name the classes by their labels"),
        ([1, 5], "expects 'balanced' or a dict"),
    ],
)
def test_class_weights_that_are_none(weights, text):
    with pytest.raises(InputError, match=f"class_weight {text}"):
        classifier(class_weight=weights).fit(X, TWO)


def test_a_fold_may_lack_a_class_that_has_a_weight():
    more, same = ({0: 1, 1: 5, 2: 3}, {0: 1, 1: 5})
    models = [classifier(class_weight=weights).fit(X, TWO) for weights in (more, same)]
    np.testing.assert_array_equal(models[0].predict_proba(X), models[1].predict_proba(X))


def test_weights_that_leave_one_class_are_a_mistake():
    with pytest.raises(InputError, match="got one class only, 1: give rows of another class too"):
        classifier().fit(X[TWO == 1], TWO[TWO == 1])
    weighted = "got one class only, 1, among the rows with a weight above 0: give rows of another class too"
    with pytest.raises(InputError, match=weighted):
        classifier().fit(X, TWO, sample_weight=TWO)
    with pytest.raises(InputError, match=weighted):
        classifier(class_weight={0: 0}).fit(X, TWO)
    with pytest.raises(InputError, match="sample_weight expects finite numbers ≥ 0, got -1"):
        classifier().fit(X, TWO, sample_weight=-np.ones(60))


# --- an own validation set ------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("make", [classifier, regressor])
def test_an_own_validation_set_gives_curves(make):
    y = TWO if make is classifier else SIGNAL
    weights = np.arange(20) % 3
    model = make().fit(X[:40], y[:40], X_val=X[40:], y_val=y[40:], sample_weight_val=weights)
    assert len(model.validation_scores_) == len(model.validation_loss_curve_) == model.n_iter_ == 8
    assert model.validation_scores_[-1] == pytest.approx(model.score(X[40:], y[40:], weights))
    assert model.best_validation_score_ == max(model.validation_scores_)
    plain = make().fit(X[:40], y[:40])
    np.testing.assert_array_equal(model.predict(X), plain.predict(X))  # it decides on nothing
    assert plain.validation_scores_ is plain.validation_loss_curve_ is None


def test_an_own_validation_set_decides_when_to_stop():
    options = {"early_stopping": True, "max_iter": 300, "n_iter_no_change": 3}
    model = classifier(**options).fit(X[:40], TWO[:40], X_val=X[40:], y_val=TWO[40:])
    assert model.n_iter_ < 300
    assert model.score(X[40:], TWO[40:]) == model.best_validation_score_ == max(model.validation_scores_)


def test_the_members_of_an_ensemble_get_the_validation_set_and_its_weights():
    weights = np.r_[np.full(10, 9.0), np.ones(10)]
    curves = [
        [member.validation_loss_curve_ for member in classifier(n_members=2).fit(X[:40], TWO[:40], **given).members_]
        for given in (
            {"X_val": X[40:], "y_val": TWO[40:]},
            {"X_val": X[40:], "y_val": TWO[40:], "sample_weight_val": weights},
        )
    ]
    assert not np.allclose(curves[0], curves[1])


def test_mistakes_in_a_validation_set_are_one_sentence():
    with pytest.raises(InputError, match="fit expects X_val and y_val together, got only X_val: give both or neither"):
        classifier().fit(X, TWO, X_val=X)
    with pytest.raises(InputError, match="expects the classes 0, 1, got 7 in row 0 of y_val"):
        classifier().fit(X, TWO, X_val=X[:1], y_val=[7])
    with pytest.raises(ValueError, match="features"):
        classifier().fit(X, TWO, X_val=X[:, :2], y_val=TWO)


# --- continuing -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "y", "every"),
    [
        (classifier, THREE, {"classes": ["a", "b", "c"]}),
        (classifier, LABELS, {}),
        (regressor, SIGNAL, {}),
        (regressor, NUMBERS, {}),
    ],
)
def test_partial_fit_learns_from_parts(make, y, every):
    model = make(learning_rate_init=0.04)
    for _ in range(30):
        for rows in (slice(0, 20), slice(20, 40), slice(40, 60)):
            model.partial_fit(X[rows], y[rows], **every)
    assert model.score(X, y) > 0.85
    assert (model.t_, model.n_iter_, len(model.loss_curve_)) == (1800, 1, 90)


@pytest.mark.slow
def test_partial_fit_goes_on_with_the_scales_of_all_rows():
    """The first rows are nearly constant; their deviation alone would blow the others up."""
    model = regressor(learning_rate_init=0.02)
    first = np.full((5, 3), 0.5) + 1e-6 * RNG.normal(size=(5, 3))
    model.partial_fit(first, np.ones(5))
    for _ in range(100):
        model.partial_fit(X, SIGNAL)
    assert model.score(X, SIGNAL) > 0.9


@pytest.mark.quick("None")
@pytest.mark.parametrize("norm", [None, "batch"])
def test_new_scales_do_not_change_what_is_computed(norm):
    model = regressor(norm=norm, learning_rate_init=1e-12, momentum=0.0, solver="sgd").fit(X[:30], SIGNAL[:30])
    before = model.predict(X)
    model.partial_fit(X[30:] * 3 + 1, SIGNAL[30:] * 2)
    if norm is None:
        np.testing.assert_allclose(model.predict(X), before, rtol=1e-6)
    else:  # the running moments have seen the new rows
        assert model.score(X, SIGNAL) > -5
    assert not np.array_equal(model._memory.columns.mean, X[:30].mean(axis=0))


@pytest.mark.slow
def test_a_warm_start_keeps_the_memory_of_the_optimizer():
    whole = classifier(max_iter=8).fit(X, TWO)
    half = classifier(max_iter=4, warm_start=True).fit(X, TWO).fit(X, TWO)
    np.testing.assert_allclose(half.predict_proba(X), whole.predict_proba(X), rtol=1e-9)
    assert (half.n_iter_, half.t_, len(half.loss_curve_)) == (4, 480, 8)
    other = classifier(max_iter=4, warm_start=True).fit(X, TWO)
    other.set_params(solver="sgd").fit(X, TWO)  # another kind of optimizer begins anew, with these weights
    assert len(other.loss_curve_) == 8
    with pytest.raises(
        InputError, match=r"a fit that continues expects the network of the last fit, .*: set warm_start"
    ):
        other.set_params(hidden_layer_sizes=(7,)).fit(X, TWO)


@pytest.mark.slow
def test_early_stopping_goes_on_with_its_best_epoch():
    options = {"early_stopping": True, "warm_start": True, "solver": "sgd", "max_iter": 20}
    model = classifier(**options).fit(X, TWO)
    best = model.best_validation_score_
    model.set_params(learning_rate_init=50.0, max_iter=2)
    model.fit(X, TWO)  # at a rate that ruins it: the best epoch of the first call stays
    assert model.best_validation_score_ >= best
    assert model.score(X, TWO) > 0.4


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda m: write_coefs(m).partial_fit(X, TWO, classes=[0, 1]), "a fit that continues expects the coefs_ of an"),
        (lambda m: m.partial_fit(X, TWO), "the first call of partial_fit expects all classes, got none: give classes="),
        (lambda m: m.set_params(early_stopping=True).partial_fit(X, TWO), "partial_fit expects early_stopping=False"),
        (lambda m: m.fit(X, TWO).partial_fit(X, TWO + 5), "MLPClassifier expects the classes 0, 1, got 6 in row 0"),
        (lambda m: m.fit(X, TWO).partial_fit(X, THREE), "MLPClassifier expects the classes 0, 1, got 'b' in row 0"),
        (lambda m: m.fit(X, TWO).partial_fit(X, LABELS), "MLPClassifier expects y of one column, got (60, 2)"),
        (lambda m: m.fit(X, TWO).partial_fit(X, TWO, classes=[0, 1, 2]), "partial_fit expects the classes 0, 1, got"),
        (lambda m: m.fit(X, np.c_[TWO, TWO + 1]), "MLPClassifier expects one class, or flags of labels, for each row"),
    ],
)
def test_mistakes_of_continuing_are_one_sentence(call, sentence):
    with pytest.raises(InputError) as caught:
        call(classifier())
    assert str(caught.value).startswith(sentence)


def write_coefs(model):
    """Write coefficients into an estimator that has not been fitted."""
    model.coefs_ = [np.zeros((3, 6)), np.zeros((6, 1))]
    return model


@pytest.mark.slow
def test_lbfgs_has_no_partial_fit():
    assert not hasattr(classifier(solver="lbfgs"), "partial_fit")
    model = classifier(solver="lbfgs", max_iter=500).fit(X, TWO)
    assert model.n_iter_ < 500
    assert model.score(X, TWO) > 0.95


# --- an own cost, activation and optimizer; ensembles; precision -----------------------------------------------------


@pytest.mark.slow
def test_costs_and_optimizers_of_the_user():
    for options in ({"loss": own_cost()}, {"loss": "huber(0.5)"}, {"loss": "absolute"}):
        model = regressor(**options, max_iter=300, learning_rate_init=0.02).fit(X, SIGNAL)
        assert model.score(X, SIGNAL) > 0.3
    assert (
        regressor(loss="quantile(0.9)", max_iter=300, learning_rate_init=0.02).fit(X, SIGNAL).predict(X) > SIGNAL
    ).mean() > 0.7
    counts = np.round(np.exp(X[:, 0]))
    poisson = regressor(loss="poisson", max_iter=300, learning_rate_init=0.02).fit(X, counts)
    assert poisson.predict(X).min() > 0
    assert poisson.out_activation_ == "exp"
    own = classifier(solver=optax.rmsprop(0.01), max_iter=100).fit(X, TWO)
    assert own.score(X, TWO) > 0.9
    with pytest.raises(InputError, match="learning_rate expects 'constant' beside a solver of Optax, got 'adaptive'"):
        classifier(solver=optax.rmsprop(0.01), learning_rate="adaptive").fit(X, TWO)
    assert classifier(learning_rate=lambda step: 0.1 / (1 + step), solver="sgd").fit(X, TWO).n_iter_ == 8


@pytest.mark.slow
@pytest.mark.parametrize("y", [TWO, THREE, LABELS])
def test_an_ensemble_averages_its_members(y):
    model = classifier(n_members=3).fit(X, y)
    mean = np.mean([member.predict_proba(X) for member in model.members_], axis=0)
    np.testing.assert_allclose(model.predict_proba(X), mean, rtol=1e-12)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), mean, rtol=1e-9)
    ids = (mean > 0.5).astype(int) if y is LABELS else model.classes_[mean.argmax(axis=1)]
    np.testing.assert_array_equal(model.predict(X), ids)
    assert len({member.loss_ for member in model.members_}) == 3
    assert model.loss_ == pytest.approx(np.mean([member.loss_ for member in model.members_]))
    assert not hasattr(model, "coefs_")
    model.partial_fit(X, y)
    assert model.members_[0].t_ == 540
    assert jaxmlp.Ensemble(tuple(member.to_model() for member in model.members_)).predict(X).shape == y.shape
    assert hasattr(model.set_params(n_members=1).fit(X, y), "coefs_")
    assert not hasattr(model, "members_")


@pytest.mark.slow
def test_an_ensemble_of_a_regression_and_a_warm_start():
    model = regressor(n_members=2, warm_start=True, early_stopping=True).fit(X, NUMBERS).fit(X, NUMBERS)
    np.testing.assert_allclose(model.predict(X), np.mean([m.predict(X) for m in model.members_], axis=0))
    assert len(model.members_[1].loss_curve_) == 16


@pytest.mark.slow
def test_precision_is_that_of_the_rows():
    wide, narrow = classifier().fit(X, TWO), classifier().fit(X.astype(np.float32), TWO)
    assert (wide.predict_proba(X).dtype, narrow.predict_proba(X).dtype) == (np.float64, np.float32)
    np.testing.assert_allclose(narrow.predict_proba(X), wide.predict_proba(X), atol=1e-4)
    forced = classifier(precision="float32").fit(X, TWO)
    np.testing.assert_allclose(forced.predict_proba(X), narrow.predict_proba(X), atol=1e-5)
    far = regressor(precision="float32", max_iter=100).fit(X + 1e7, SIGNAL)  # float32 would hold these columns badly
    near = regressor(precision="float32", max_iter=100).fit(X, SIGNAL)
    np.testing.assert_allclose(far.predict(X + 1e7), near.predict(X), atol=1e-3)
    assert jnp.zeros(1).dtype == np.float32  # it was on while they computed in float64, and is off again


@pytest.mark.slow
def test_a_device_and_several():
    plain = classifier(max_iter=3).fit(X, TWO)
    np.testing.assert_array_equal(
        classifier(max_iter=3, device="cpu").fit(X, TWO).predict_proba(X), plain.predict_proba(X)
    )
    split = classifier(max_iter=3, mesh=4).fit(X, TWO)
    np.testing.assert_allclose(split.predict_proba(X), plain.predict_proba(X), rtol=1e-6)


# --- inputs ---------------------------------------------------------------------------------------------------------


def test_frames_of_numbers_keep_their_names():
    frame = pandas.DataFrame(X, columns=["x", "y", "z"])
    model = classifier().fit(frame, pandas.Series(THREE))
    assert model.feature_names_in_.tolist() == ["x", "y", "z"]
    assert model.predict(frame).tolist() == model.predict(frame.copy()).tolist()
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[["z", "y", "x"]])
    with pytest.raises(InputTypeError) as caught:
        model.predict(frame.assign(x=THREE))
    assert str(caught.value) == (
        "MLPClassifier expects columns of numbers, got text or categories in 'x': give the columns of the first fit"
    )
    objects = frame.astype(object)  # of numbers
    np.testing.assert_array_equal(classifier().fit(objects, THREE).predict(objects), model.predict(frame))


def test_inputs_that_would_be_read_wrongly_are_refused():
    for rows, text in (
        (np.ma.masked_array(X, mask=X > 2), "contains NaN"),
        (pandas.DataFrame(X, columns=["x", "y", "x"]), "distinct column names, got 'x' twice"),
        (dict(zip("xyz", X.T, strict=True)), "got dict: give pandas.DataFrame"),
        (X * 1e-200, "got numbers as small as .* in column 0: rescale that column"),
    ):
        with pytest.raises(ValueError, match=text):
            classifier().fit(rows, TWO)
    with pytest.raises(InputError, match="MLPRegressor expects y of numbers, got '"):
        regressor().fit(X, THREE)
    with pytest.raises(InputError, match="MLPRegressor expects y of finite numbers, got nan in row 1"):
        regressor().fit(X, [0.5, None] * (len(X) // 2))
    with pytest.raises(InputError, match="numbers as small as"):
        regressor().fit(X, X[:, 0] * 1e-200)


@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csc_matrix, sparse.coo_array, sparse.dok_matrix])
def test_sparse_rows_are_taken_as_they_are(container):
    rows = np.where(X > 0, X, 0)
    model, plain = classifier().fit(container(rows), TWO), classifier(standardize=False).fit(rows, TWO)
    np.testing.assert_array_equal(model.predict_proba(container(rows)), plain.predict_proba(rows))
    scaled = classifier(standardize=True).fit(container(rows), TWO)
    np.testing.assert_array_equal(scaled.predict_proba(rows), classifier().fit(rows, TWO).predict_proba(rows))


def test_sparse_rows_beyond_memory_are_a_mistake_before_they_fill_it():
    rows = sparse.csr_array((10**7, 10**6))
    with pytest.raises(InputError) as caught:
        classifier().fit(rows, np.arange(10**7) % 2)
    assert re.fullmatch(
        r"MLPClassifier expects sparse rows of which 2 dense copies fit into [\d.]+ GB of memory, got 10000000 rows of "
        r"1000000 columns, 74505.8 GB: call partial_fit with some thousand rows at a time, or keep fewer columns, as "
        r"TruncatedSVD does",
        str(caught.value),
    )


def test_probabilities_that_round_to_0_have_finite_logarithms():
    model = classifier(max_iter=1).fit(X, THREE)
    model.intercepts_[-1][:] = [0, 2000, 0]
    assert model.predict_proba(X).min() == 0
    assert np.isfinite(model.predict_log_proba(X)).all()


# --- within scikit-learn --------------------------------------------------------------------------------------------


def test_metamodels_of_scikit_learn():
    steps = make_pipeline(StandardScaler(), classifier(max_iter=200, learning_rate_init=0.01))
    assert cross_val_score(steps, X, TWO, cv=3).mean() > 0.8
    calibrated = CalibratedClassifierCV(classifier(max_iter=200, learning_rate_init=0.01), cv=3).fit(X, TWO)
    np.testing.assert_allclose(calibrated.predict_proba(X).sum(axis=1), 1)
    voting = VotingClassifier([("a", classifier()), ("b", classifier(random_state=1))], voting="soft").fit(X, THREE)
    assert voting.predict(X).shape == (60,)
    model = classifier(max_iter=200, learning_rate_init=0.01).fit(X, TWO)
    importance: Any = permutation_importance(model, X, TWO, n_repeats=3, random_state=0)
    assert importance.importances_mean.argmax() in (0, 1)


@pytest.mark.slow
def test_a_search_in_two_processes():
    search = GridSearchCV(classifier(), {"alpha": [1e-4, 1], "dropout": [0, 0.3]}, cv=2, n_jobs=2).fit(X, TWO)
    alone = GridSearchCV(classifier(), {"alpha": [1e-4, 1], "dropout": [0, 0.3]}, cv=2).fit(X, TWO)
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"])


@pytest.mark.slow
def test_metadata_is_routed():
    with sklearn.config_context(enable_metadata_routing=True):
        model = classifier().set_fit_request(sample_weight=True, X_val=True, y_val=True)
        pipeline: Any = Pipeline(
            [("scale", StandardScaler().set_fit_request(sample_weight=False)), ("net", model)],
            transform_input=["X_val"],
        )
        pipeline.fit(X, TWO, sample_weight=np.ones(60), X_val=X[:9], y_val=TWO[:9])
        assert len(pipeline["net"].validation_scores_) == 8
        assert pipeline["net"].validation_scores_[-1] == pytest.approx(pipeline.score(X[:9], TWO[:9]))


# --- callbacks, and Ctrl-C ------------------------------------------------------------------------------------------


class Recorder:
    """A callback of scikit-learn that stops after some epochs."""

    def __init__(self, stop_after=None):
        self.events, self.losses, self.stop_after = [], [], stop_after

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context, *, X: Any = None):
        self.events.append(f"begin {context.task_name} {X.shape}")

    def on_fit_task_end(self, estimator, context):
        self.events.append(f"end {context.task_name}")
        return self.stop_after is not None and self.events.count("end epoch") >= self.stop_after


class Scorer(Recorder):
    """A callback that asks for a fitted estimator."""

    def on_fit_task_end(self, estimator, context, *, fitted_estimator: Any = None, y=None):
        if context.task_name == "epoch":
            self.losses.append(fitted_estimator.score(globals()["X"], y))


@pytest.mark.skipif(not HAS_CALLBACKS, reason="scikit-learn has callbacks from 1.9 on")
class TestCallbacks:
    def test_a_fit_is_a_task_with_a_task_for_each_epoch(self):
        recorder = Recorder()
        classifier(max_iter=2).set_callbacks(recorder).fit(X, TWO)
        epoch = ["begin epoch (60, 3)", "end epoch"]
        assert recorder.events == ["setup", "begin fit (60, 3)", *epoch, *epoch, "end fit", "teardown"]

    def test_a_true_answer_ends_the_fit(self):
        model = classifier(max_iter=200).set_callbacks(Recorder(stop_after=3)).fit(X, TWO)
        assert model.n_iter_ == 3
        np.testing.assert_array_equal(model.predict_proba(X), classifier(max_iter=3).fit(X, TWO).predict_proba(X))

    @pytest.mark.parametrize("norm", [None, "batch"])
    def test_a_hook_gets_a_fitted_estimator(self, norm):
        scorer = Scorer()
        model = classifier(max_iter=4, norm=norm).set_callbacks(scorer).fit(X, TWO)
        scores = [classifier(max_iter=n, norm=norm).fit(X, TWO).score(X, TWO) for n in (1, 2, 3, 4)]
        assert scorer.losses == scores
        assert model.score(X, TWO) == scores[-1]

    def test_a_search_and_an_ensemble_pass_callbacks_on(self):
        class Everywhere(Recorder):
            max_propagation_depth = None

            def __deepcopy__(self, memo):
                return self

        recorder = Everywhere()
        classifier(max_iter=2, n_members=2).set_callbacks(recorder).fit(X, TWO)
        assert recorder.events.count("end epoch") == 4
        assert recorder.events.count("setup") == recorder.events.count("teardown") == 1

    def test_callbacks_of_scikit_learn_itself(self):
        from sklearn.callback import ScoringMonitor

        monitor = ScoringMonitor(scoring="accuracy")
        model = classifier(max_iter=3).set_callbacks(monitor).fit(X, TWO)
        log: Any = monitor.get_logs()
        log = log.data
        assert any(row["accuracy"] == model.score(X, TWO) for row in log if "accuracy" in row)


def test_ctrl_c_leaves_a_fitted_estimator(monkeypatch):
    model = classifier(max_iter=5000, tol=0.0, n_iter_no_change=np.inf, verbose=True)

    class Out:
        """A stdout that presses Ctrl-C at the third epoch."""

        def write(self, text):
            if "Iteration 3" in text:
                signal.raise_signal(signal.SIGINT)

        def flush(self):
            pass

    monkeypatch.setattr(sys, "stdout", Out())
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores Ctrl-C
    try:
        with pytest.warns(UserWarning, match="Training interrupted by user"):
            model.fit(X, TWO)
    finally:
        signal.signal(signal.SIGINT, before)
    assert 3 <= model.n_iter_ < 5000
    expected = classifier(max_iter=model.n_iter_).fit(X, TWO)
    np.testing.assert_allclose(model.predict_proba(X), expected.predict_proba(X), rtol=1e-9)
