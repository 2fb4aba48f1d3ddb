"""Metrics equal to scikit-learn's, undefined ones without a warning, weights by class, sentences for mistakes."""

import math
import warnings
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics
from sklearn.utils.class_weight import compute_sample_weight

from jaxmlp.data.tasks import TASKS
from jaxmlp.errors import InputError, InputTypeError
from jaxmlp.metrics import METRICS, class_weights, compute_metrics, definitions, formulas

WEIGHTS = ["equal", "weighted", "with zeros"]


def weights_of(kind, m, rng):
    if kind == "equal":
        return None
    w = rng.uniform(0.1, 3, m)
    return w if kind == "weighted" else w * (rng.uniform(size=m) < 0.7)


def probabilities(m, C, rng, dtype=np.float64):
    """Rows that sum to 1, on a coarse grid, so that many are tied, and some of them 0 and 1."""
    P = rng.integers(0, 5, (m, C)).astype(float)
    P[:, 0] += P.sum(axis=1) == 0
    return (P / P.sum(axis=1, keepdims=True)).astype(dtype)


def sklearn_metric(name, *arguments, **options):
    """scikit-learn's number; it warns of a 0/0 that it has a convention for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(sklearn_metrics, name)(*arguments, **options)


def binary(y, p, w):
    a, w = (p > 0.5).astype(int), {"sample_weight": w}
    return {
        "accuracy": sklearn_metric("accuracy_score", y, a, **w),
        "balanced_accuracy": sklearn_metric("balanced_accuracy_score", y, a, **w),
        "f1": sklearn_metric("f1_score", y, a, **w),
        "auc": sklearn_metric("roc_auc_score", y, p, **w),
        "log_loss": sklearn_metric("log_loss", y, p, labels=[0, 1], **w),
    }


def multiclass(y, P, w):
    a, w, ids = P.argmax(axis=1), {"sample_weight": w}, range(P.shape[1])
    return {
        "accuracy": sklearn_metric("accuracy_score", y, a, **w),
        "balanced_accuracy": sklearn_metric("balanced_accuracy_score", y, a, **w),
        "f1": sklearn_metric("f1_score", y, a, average="macro", **w),
        "auc": sklearn_metric("roc_auc_score", y, P, multi_class="ovr", labels=ids, **w),
        "log_loss": sklearn_metric("log_loss", y, P, labels=ids, **w),
    }


def multilabel(Y, P, w):
    A, w = (P > 0.5).astype(int), {"sample_weight": w}
    losses = [sklearn_metric("log_loss", y, p, labels=[0, 1], **w) for y, p in zip(Y.T, P.T, strict=True)]
    return {
        "accuracy": sklearn_metric("accuracy_score", Y, A, **w),
        "f1": sklearn_metric("f1_score", Y, A, average="macro", **w),
        "auc": sklearn_metric("roc_auc_score", Y, P, average="macro", **w),
        "log_loss": np.mean(losses),
    }


def regression(Y, values, w):
    w = {"sample_weight": w}
    return {
        "r2": sklearn_metric("r2_score", Y, values, **w),
        "mae": sklearn_metric("mean_absolute_error", Y, values, **w),
        "rmse": sklearn_metric("root_mean_squared_error", Y, values, **w),
    }


def equal(found, expected, rtol=1e-12):
    for name, value in expected.items():
        ours = found[name]
        if not math.isfinite(value):
            assert ours is None, name
        else:
            np.testing.assert_allclose(ours, value, rtol=rtol, atol=1e-14, err_msg=name)


# --- equal to scikit-learn --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", WEIGHTS)
@pytest.mark.parametrize("m", [5, 12, 300])
@pytest.mark.parametrize("seed", range(8))
def test_binary(kind, m, seed):
    rng = np.random.default_rng(seed)
    y, p, w = rng.integers(0, 2, m), probabilities(m, 2, rng)[:, 1], weights_of(kind, m, rng)
    found = compute_metrics("binary", y, p, w)
    assert [*found] == ["accuracy", "balanced_accuracy", "f1", "auc", "log_loss", "calibration_error"]
    equal(found, binary(y, p, w))
    assert found == compute_metrics("binary", y, p[:, None], w)
    assert found == compute_metrics("binary", y, np.stack([1 - p, p], axis=1), w)


@pytest.mark.parametrize("kind", WEIGHTS)
@pytest.mark.parametrize("m", [5, 12, 300])
@pytest.mark.parametrize("seed", range(8))
def test_multiclass(kind, m, seed):
    rng = np.random.default_rng(seed)
    y, P, w = rng.integers(0, 4, m), probabilities(m, 4, rng), weights_of(kind, m, rng)
    found = compute_metrics("multiclass", y, P, w)
    assert [*found] == ["accuracy", "balanced_accuracy", "f1", "auc", "log_loss", "calibration_error"]
    equal(found, multiclass(y, P, w))


@pytest.mark.parametrize("kind", WEIGHTS)
@pytest.mark.parametrize("m", [5, 12, 300])
@pytest.mark.parametrize("seed", range(8))
def test_multilabel(kind, m, seed):
    rng = np.random.default_rng(seed)
    Y, P = rng.integers(0, 2, (m, 3)), rng.integers(0, 6, (m, 3)) / 5
    w = weights_of(kind, m, rng)
    found = compute_metrics("multilabel", Y, P, w)
    assert [*found] == ["accuracy", "f1", "auc", "log_loss"]
    equal(found, multilabel(Y, P, w))


@pytest.mark.parametrize("kind", WEIGHTS)
@pytest.mark.parametrize(("m", "k"), [(5, 1), (12, 3), (300, 2)])
def test_regression(kind, m, k, rng):
    Y, values, w = rng.normal(3, 2, (m, k)), rng.normal(3, 2, (m, k)), weights_of(kind, m, rng)
    found = compute_metrics("regression", Y, values, w)
    assert [*found] == ["r2", "mae", "rmse"]
    equal(found, regression(Y, values, w))
    if k == 1:
        assert found == compute_metrics("regression", Y[:, 0], values, w)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_log_loss_clips_at_the_epsilon_of_the_dtype(dtype, rng):
    P = probabilities(50, 3, rng, dtype)
    y = rng.integers(0, 3, 50)
    assert ((P[np.arange(50), y] == 0) | (P[np.arange(50), y] == 1)).any()
    found: Any = compute_metrics("multiclass", y, P, names="log_loss")["log_loss"]
    np.testing.assert_allclose(found, sklearn_metric("log_loss", y, P, labels=range(3)), rtol=10 * np.finfo(dtype).eps)
    y, p = y % 2, P[:, 0]
    found = compute_metrics("binary", y, p, names="log_loss")["log_loss"]
    np.testing.assert_allclose(found, sklearn_metric("log_loss", y, p), rtol=10 * np.finfo(dtype).eps)


def test_log_loss_of_certainty_is_finite():
    found = compute_metrics("binary", [1, 0], [0.0, 1.0])["log_loss"]
    assert found == pytest.approx(52 * np.log(2), rel=1e-12)  # ε = 2⁻⁵²


@pytest.mark.parametrize("task", ["binary", "multiclass"])
@pytest.mark.parametrize("kind", WEIGHTS)
def test_calibration_error_is_that_of_a_plain_loop(task, kind, rng):
    C = 2 if task == "binary" else 3
    P, y = probabilities(200, C, rng), rng.integers(0, C, 200)
    w = weights_of(kind, 200, rng)
    weights = np.ones(200) if w is None else w
    expected = 0.0
    for b in range(10):
        inside = []
        for i in range(200):
            confidence = max(P[i])
            if b / 10 < confidence <= (b + 1) / 10:
                inside.append((weights[i], float(P[i].argmax() == y[i]), confidence))
        W = sum(v for v, _, _ in inside)
        if W:
            share = sum(v * right for v, right, _ in inside) / W
            mean = sum(v * confidence for v, _, confidence in inside) / W
            expected += W / weights.sum() * abs(share - mean)
    found = compute_metrics(task, y, P, w)["calibration_error"]
    assert found == pytest.approx(expected, rel=1e-12)
    assert expected > 0.01


def test_calibration_error_by_hand():
    # predictions 1, 1, 0, 0 with confidence 0.9, 0.8, 0.8, 1: bins (0.8, 0.9], (0.7, 0.8], (0.9, 1]
    # gaps |1 - 0.9|, |0 - 0.8| + |1 - 0.8| within one bin: |1 - 1.6|, and |0 - 1|: (0.1 + 0.6 + 1) / 4
    found = compute_metrics("binary", [1, 0, 0, 1], [0.9, 0.8, 0.2, 0.0], names="calibration_error")
    assert found["calibration_error"] == pytest.approx(1.7 / 4, rel=1e-12)


@pytest.mark.parametrize("task", TASKS)
def test_a_weight_counts_an_example_as_often(task, rng):
    m, w = 101, rng.integers(1, 4, 101)
    if task == "regression":
        targets, outputs = rng.normal(size=(m, 2)), rng.normal(size=(m, 2))
    elif task == "multilabel":
        targets, outputs = rng.integers(0, 2, (m, 2)), rng.uniform(size=(m, 2))
    else:
        C = 2 if task == "binary" else 3
        targets, outputs = rng.integers(0, C, m), probabilities(m, C, rng)
    weighted = compute_metrics(task, targets, outputs, w)
    repeated = compute_metrics(task, targets.repeat(w, axis=0), outputs.repeat(w, axis=0))
    assert weighted == pytest.approx(repeated, rel=1e-12)
    tiny = compute_metrics(task, targets, outputs, w * 1e-250)
    assert tiny == pytest.approx(weighted, rel=1e-12)
    plain = compute_metrics(task, targets, outputs)
    assert all(plain[name] != pytest.approx(weighted[name], rel=1e-9) for name in plain)


# --- predictions, and what is undefined -------------------------------------------------------------------------------


def test_predictions_that_are_given_replace_those_of_the_outputs():
    found = compute_metrics("multiclass", [1, 2], [[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]], predictions=[1, 2])
    assert found["accuracy"] == 1
    assert found["calibration_error"] == 0.25
    assert compute_metrics("multilabel", [[1, 0]], [[0.4, 0.3]], predictions=[[1, 0]])["accuracy"] == 1


def test_without_outputs_the_metrics_that_need_them_are_undefined():
    found = compute_metrics("multiclass", [0, 1, 5], None, predictions=[0, 1, 1])
    assert {name for name, value in found.items() if value is None} == {"auc", "log_loss", "calibration_error"}
    assert found["accuracy"] == 2 / 3
    assert set(compute_metrics("regression", [1.0, 2.0], None).values()) == {None}


@pytest.mark.parametrize(
    ("task", "targets", "outputs", "weights"),
    [
        ("binary", [1, 1], [0.2, 0.7], None),
        ("binary", [0, 0], [0.2, 0.7], None),
        ("binary", [0, 1], [0.2, 0.7], [1, 0]),
        ("multiclass", [0, 1], [[0.5, 0.5, 0.0], [0.0, 1.0, 0.0]], None),
        ("multilabel", [[1, 1], [0, 1]], [[0.5, 0.1], [0.3, 0.2]], None),
    ],
)
def test_auc_without_every_class_is_none(task, targets, outputs, weights):
    found = compute_metrics(task, targets, outputs, weights)
    assert [name for name, value in found.items() if value is None] == ["auc"]
    with pytest.raises(InputError) as caught:
        compute_metrics(task, targets, outputs, weights, names=["accuracy", "auc"])
    assert str(caught.value) == (
        "metric 'auc' expects rows of every class (for labels: rows with and without each label), got data where it is "
        "undefined: leave this metric out"
    )


def test_r2_of_one_row_and_of_numbers_whose_squares_are_out_of_range():
    found = compute_metrics("regression", [[1.0, 2.0]], [[1.0, 4.0]])
    assert found == {"r2": None, "mae": 1.0, "rmse": 1.0}
    assert compute_metrics("regression", [0.0, 1e200], [1e200, 0.0]) == {"r2": -3.0, "mae": 1e200, "rmse": 1e200}
    tiny = compute_metrics("regression", [0.0, 1e-170, 2e-170], [0.0, 1e-170, 1e-170])
    assert tiny["r2"] == pytest.approx(0.5, rel=1e-12)
    assert tiny["rmse"] == pytest.approx(1e-170 / np.sqrt(3), rel=1e-12, abs=0)
    # a row of weight 0 decides on nothing
    targets, values, weights = [1e200, 1.0, 2.0, 3.0], [0.0, 1.0, 2.0, 2.0], [0, 1, 1, 1]
    weighted = compute_metrics("regression", targets, values, weights)
    assert (weighted["r2"], weighted["rmse"]) == (0.5, pytest.approx(3**-0.5))
    worst = compute_metrics("regression", [-8e307, 8e307], [8e307, -8e307])
    assert (worst["r2"], worst["rmse"]) == (-3.0, pytest.approx(1.6e308))


@pytest.mark.parametrize("weights", [None, [1, 2, 3, 0]])
def test_a_constant_column_is_told_by_equality(weights):
    targets = np.array([0.1, 0.1, 0.1, 0.1 if weights is None else 7.0])  # the mean of three times 0.1 is not 0.1
    assert compute_metrics("regression", targets, targets, weights)["r2"] == 1
    assert compute_metrics("regression", targets, targets + 1, weights)["r2"] == 0


def test_f1_without_a_true_or_predicted_one_is_zero():
    assert compute_metrics("binary", [0, 0], [0.1, 0.2])["f1"] == 0
    assert compute_metrics("multilabel", [[0, 1], [0, 0]], [[0.1, 0.9], [0.2, 0.2]])["f1"] == 0.5


# --- the table --------------------------------------------------------------------------------------------------------


def test_the_table_names_every_metric_once_and_the_better_way():
    assert [*METRICS] == [metric.name for metric in METRICS.values()]
    lower = {name for name, metric in METRICS.items() if not metric.higher_is_better}
    assert lower == {"log_loss", "calibration_error", "mae", "rmse"}
    for metric in METRICS.values():
        assert set(metric.tasks) <= set(TASKS)
        assert metric.name in (definitions.__doc__ or "")
        assert metric.name in (formulas.__doc__ or "")


@pytest.mark.parametrize("task", TASKS)
def test_perfect_predictions_are_the_best(task):
    """`higher_is_better` says which way better predictions move a metric."""
    targets = {"binary": [0, 1, 1], "multiclass": [0, 1, 2], "multilabel": [[0, 1], [1, 0]], "regression": [1.0, 2, 4]}
    perfect = np.eye(3)[targets[task]] if task == "multiclass" else np.array(targets[task], float)
    worse = 0.1 * perfect + 0.9 * np.roll(perfect, 1, axis=0)
    best, other = (compute_metrics(task, targets[task], outputs) for outputs in (perfect, worse))
    for name, value in best.items():
        low, high = (other[name], value) if METRICS[name].higher_is_better else (value, other[name])
        assert low is not None
        assert high is not None
        assert low < high, name


def test_names_choose_and_keep_their_order():
    outputs = [0.2, 0.9]
    assert [*compute_metrics("binary", [0, 1], outputs, names=["log_loss", "accuracy"])] == ["log_loss", "accuracy"]
    assert [*compute_metrics("binary", [0, 1], outputs, names="f1")] == ["f1"]
    assert compute_metrics("binary", [0, 1], outputs, names=[]) == {}


def test_arrays_of_jax_do(rng):
    P, y = probabilities(20, 3, rng), rng.integers(0, 3, 20)
    assert compute_metrics("multiclass", jnp.asarray(y), jnp.asarray(P)) == compute_metrics("multiclass", y, P)


# --- mistakes ---------------------------------------------------------------------------------------------------------

BINARY = "accuracy, balanced_accuracy, f1, auc, log_loss, calibration_error"


@pytest.mark.parametrize(
    ("arguments", "options", "line"),
    [
        (
            ("binary", [0, 1], [0.1, 0.9]),
            {"names": ["acuracy"]},
            f"metric for task 'binary' expects one of {BINARY}, got 'acuracy': did you mean 'accuracy'?",
        ),
        (
            ("binary", [0, 1], [0.1, 0.9]),
            {"names": ["f1", "r2"]},
            f"metric for task 'binary' expects one of {BINARY}, got 'r2': take one of these names",
        ),
        (
            ("multilabel", [[0, 1]], [[0.1, 0.9]]),
            {"names": "balanced_accuracy"},
            "metric for task 'multilabel' expects one of accuracy, f1, auc, log_loss, got 'balanced_accuracy': did you "
            "mean 'accuracy'?",
        ),
        (
            ("regression", [1.0], [1.0]),
            {"names": 3},
            "metric for task 'regression' expects one of r2, mae, rmse, got 3: take one of these names",
        ),
        (
            ("ranking", [0, 1], [0.1, 0.9]),
            {},
            "task expects one of binary, multiclass, multilabel, regression, got 'ranking': take one of these names",
        ),
        (
            ("binary", [0, 2], [0.1, 0.9]),
            {},
            "targets expects class ids from 0 to 1, got 2: number the classes from 0 on",
        ),
        (
            ("binary", ["a", "b"], [0.1, 0.9]),
            {},
            "targets expects an array of numbers, got dtype <U1: give class ids for labels",
        ),
        (
            ("binary", [[0], [1]], [0.1, 0.9]),
            {},
            "targets expects class ids of shape (m,), got (2, 1): pass it as .reshape(-1)",
        ),
        (
            ("multiclass", np.eye(3), np.eye(3)),
            {},
            "targets expects class ids of shape (m,), got (3, 3): pass one-hot rows as .argmax(axis=1)",
        ),
        (
            ("binary", [0, 1], [0.1, 0.9, 0.5]),
            {},
            "outputs expects probabilities of shape (2,), (2, 1) or (2, 2), got (3,): give a row for each target",
        ),
        (
            ("multiclass", [0, 1], np.ones((3, 2)) / 3),
            {},
            "outputs expects probabilities of shape (2, C), got (3, 2): one example per row here: pass the transpose",
        ),
        (
            ("multiclass", [0, 1], np.ones((2, 3)) * 0.9),
            {},
            "outputs expects probabilities that sum to 1 in each row, got a sum of 2.7: divide each row by its sum, or "
            "apply softmax to logits",
        ),
        (
            ("binary", [0, 1], [-0.5, 2.0]),
            {},
            "outputs expects probabilities from 0 to 1, got -0.5: apply the output's activation",
        ),
        (
            ("binary", [0, 1], [np.nan, 0.5]),
            {},
            "outputs expects finite numbers, got nan: look for rows that are missing or for a training that diverged",
        ),
        (
            ("multilabel", [[0, 2]], [[0.1, 0.9]]),
            {},
            "targets expects flags 0 and 1 of shape (m, k), got 2: one column per label",
        ),
        (
            ("multilabel", [[0, 1]], [[0.1], [0.9]]),
            {},
            "outputs expects shape (1, 2) as the targets have, got (2, 1): one example per row here: pass the "
            "transpose",
        ),
        (
            ("regression", [1.0, 2.0], [1.0]),
            {},
            "outputs expects shape (2, 1) as the targets have, got (1, 1): give a row for each target",
        ),
        (
            ("regression", np.ones((2, 1, 1)), [1.0]),
            {},
            "targets expects numbers of shape (m,) or (m, k), got (2, 1, 1): reshape them",
        ),
        (
            ("binary", [0, 1], [0.1, 0.9]),
            {"weights": [1, -1]},
            "weights expects finite numbers ≥ 0, got -1: take 0 to leave a row out",
        ),
        (
            ("binary", [0, 1], [0.1, 0.9]),
            {"weights": [1]},
            "weights expects a number ≥ 0 for each of the 2 rows, got shape (1,): give one number for each row",
        ),
        (
            ("binary", [0, 1], [0.1, 0.9]),
            {"weights": [0, 0]},
            "weights expects a number above 0, got only zeros: leave it out for equal weights",
        ),
        (("binary", [], []), {}, "targets expects at least one row, got (0,): no metric is defined on no examples"),
        (("binary", [0, 1], None), {}, "task 'binary' expects outputs or predictions, got neither: give one of them"),
        (
            ("binary", [0, 1], None),
            {"predictions": [0, 1], "names": "auc"},
            "metric 'auc' expects probabilities, got none: leave this metric out",
        ),
        (
            ("regression", [0, 1], None),
            {"names": "mae"},
            "metric 'mae' expects finite values, got none: leave this metric out",
        ),
        (
            ("regression", [1.0], [1.0]),
            {"names": "r2"},
            "metric 'r2' expects two rows or more, got data where it is undefined: leave this metric out",
        ),
        (
            ("regression", [[1.0], [1.0, 2.0]], [1.0]),
            {},
            "targets expects an array of numbers, got rows of unequal length: fill them up",
        ),
    ],
)
def test_a_mistake_is_one_sentence(arguments, options, line):
    with pytest.raises(InputError) as caught:
        compute_metrics(*arguments, **options)
    assert str(caught.value) == line


# --- weights by class -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_class_weights_are_those_of_scikit_learn(seed):
    y = np.random.default_rng(seed).integers(0, 4, 20) * 2  # only even classes occur
    np.testing.assert_allclose(class_weights(y, 9, "balanced"), compute_sample_weight("balanced", y), rtol=1e-15)
    spec = {int(c): 0.5 + c for c in np.unique(y)[:2]}
    np.testing.assert_array_equal(class_weights(y, 9, spec), compute_sample_weight(spec, y))


def test_balanced_weights_weigh_classes_alike_and_average_one():
    y = np.array([0, 0, 0, 1, 2, 2])
    w = class_weights(y, 3, "balanced")
    assert w.dtype == np.float64
    np.testing.assert_allclose(np.bincount(y, w), [2, 2, 2], rtol=1e-15)
    balanced = compute_metrics("multiclass", y, None, w, "accuracy", predictions=[0, 0, 1, 1, 2, 0])["accuracy"]
    plain = compute_metrics("multiclass", y, None, None, "balanced_accuracy", predictions=[0, 0, 1, 1, 2, 0])
    assert balanced == pytest.approx(plain["balanced_accuracy"], rel=1e-15)


SPEC = "class_weight expects 'balanced' or a dict {class id: weight}, got"
IDS = "class_weight expects class ids from 0 to 1, got"
FINITE = "class_weight expects finite weights ≥ 0, got"
KEEP = "take 1 for no change and 0 to leave the class out"


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        ("balance", f"{SPEC} 'balance': write 'balanced', say"),
        (None, f"{SPEC} None: write 'balanced', say"),
        ([1, 2], f"{SPEC} [1, 2]: write {{0: 1, 1: 2}}"),
        ({2: 1.0}, f"{IDS} 2: name classes by id, not by label"),
        ({"cat": 1.0}, f"{IDS} 'cat': name classes by id, not by label"),
        ({True: 1.0}, f"{IDS} True: name classes by id, not by label"),
        ({0: -1}, f"{FINITE} -1 for class 0: {KEEP}"),
        ({1: math.nan}, f"{FINITE} nan for class 1: {KEEP}"),
        (
            {0: 0, 1: 0},
            "class_weight expects a class that occurs to count, got 0 for all that do: give one of them a weight "
            "above 0",
        ),
    ],
)
def test_a_bad_class_weight_is_one_sentence(spec, line):
    with pytest.raises(InputError) as caught:
        class_weights([0, 1], 2, spec)
    assert str(caught.value) == line


def test_class_weights_are_for_class_ids():
    with pytest.raises(InputError, match="targets expects class ids from 0 to 1, got 2"):
        class_weights([0, 2], 2, "balanced")
    with pytest.raises(InputTypeError, match="targets expects an array of numbers"):
        class_weights(["cat"], 2, "balanced")
