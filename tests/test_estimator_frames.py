"""Estimators on frames as they come: text, categories, dates, yes and no, and gaps."""

import pickle
from typing import Any

import numpy as np
import pandas
import pytest
from sklearn.base import clone
from sklearn.model_selection import cross_val_score

import jaxmlp
from jaxmlp import MLPClassifier, MLPRegressor
from jaxmlp.errors import InputError, InputTypeError

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.usefixtures("as_users_have_it"),
]

M = 90
RNG = np.random.default_rng(0)
CITY = RNG.choice(["Rome", "Oslo", "Lima"], M)
SIZE = np.where(RNG.random(M) < 0.2, np.nan, RNG.normal(50, 10, M))
FRAME = pandas.DataFrame(
    {
        "city": CITY,
        "size": SIZE,
        "smoker": RNG.choice(["yes", "no"], M),
        "day": pandas.Timestamp("2024-01-01") + pandas.to_timedelta(RNG.integers(0, 300, M), unit="D"),
        "kind": pandas.Categorical(RNG.choice(["u", "v"], M)),
    }
)
SICK = np.where((CITY == "Oslo") | (np.nan_to_num(SIZE, nan=80) > 60), "ill", "well")
PRICE = np.nan_to_num(SIZE, nan=50) * np.where(CITY == "Rome", 3, 1)
OPTIONS: dict[str, Any] = {"hidden_layer_sizes": (12,), "max_iter": 60, "learning_rate_init": 0.02, "random_state": 0}


@pytest.fixture(scope="module")
def fitted(as_users_have_it):
    return MLPClassifier(**OPTIONS).fit(FRAME, SICK)


def test_a_frame_with_text_dates_and_gaps_is_learnt(fitted: Any):
    assert fitted.score(FRAME, SICK) > 0.95
    assert fitted.feature_names_in_.tolist() == list(FRAME)
    assert fitted.n_features_in_ == 5
    assert fitted.coefs_[0].shape[0] == len(fitted.to_model().preprocessing.input_names)
    assert cross_val_score(clone(fitted), FRAME, SICK, cv=3).mean() > 0.75
    regressor = MLPRegressor(**OPTIONS).fit(FRAME, PRICE)
    assert regressor.score(FRAME, PRICE) > 0.9


def test_columns_are_found_by_name_in_any_order(fitted: Any):
    shuffled = FRAME[["kind", "size", "day", "smoker", "city"]].assign(more=1)
    np.testing.assert_array_equal(fitted.predict_proba(shuffled), fitted.predict_proba(FRAME))
    with pytest.raises(InputError, match="add city"):
        fitted.predict(FRAME.drop(columns="city"))
    with pytest.raises(InputTypeError, match=r"expects a frame with the columns 'city', 'size'.*got ndarray"):
        fitted.predict(FRAME.to_numpy())
    with pytest.warns(UserWarning, match="did not occur in the training: 90 in column 'city'"):
        unknown = fitted.predict_proba(FRAME.assign(city="Paris", size=np.nan))
    assert np.isfinite(unknown).all()


def test_a_polars_frame_answers_like_that_of_pandas(fitted: Any):
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({name: FRAME[name].to_list() for name in FRAME})
    np.testing.assert_array_equal(fitted.predict_proba(frame), fitted.predict_proba(FRAME))


def test_a_table_of_pyarrow_answers_like_that_of_pandas(fitted: Any):
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.Table.from_pandas(FRAME).select(["kind", "size", "day", "smoker", "city"])
    np.testing.assert_array_equal(fitted.predict_proba(table), fitted.predict_proba(FRAME))
    again = MLPClassifier(**OPTIONS).fit(pyarrow.Table.from_pandas(FRAME), SICK)
    np.testing.assert_array_equal(again.predict_proba(FRAME), fitted.predict_proba(FRAME))


def test_the_model_file_reads_the_same_frame(fitted: Any, tmp_path: Any):
    fitted.to_model().save(tmp_path / "model.h5")
    model = jaxmlp.load_model(tmp_path / "model.h5")
    assert model.predict(FRAME).tolist() == fitted.predict(FRAME).tolist()
    np.testing.assert_array_equal(model.predict_proba(FRAME), fitted.predict_proba(FRAME))
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(FRAME), fitted.predict_proba(FRAME))
    with pytest.raises(InputError, match="a network that reads numbers, got one that reads a frame"):
        fitted.to_sklearn()


@pytest.mark.slow
def test_a_whole_weight_is_as_many_rows():
    weights = RNG.integers(0, 3, M)
    repeated = FRAME.loc[np.repeat(np.arange(M), weights)].reset_index(drop=True)
    options = OPTIONS | {"batch_size": 500, "max_iter": 5, "shuffle": False}
    weighted = MLPClassifier(**options).fit(FRAME, SICK, sample_weight=weights)
    plain = MLPClassifier(**options).fit(repeated, np.repeat(SICK, weights))
    np.testing.assert_allclose(weighted.predict_proba(FRAME), plain.predict_proba(FRAME), rtol=1e-4, atol=1e-5)


def test_the_encoder_is_fitted_on_the_rows_that_train():
    train = RNG.permutation(M) < 60
    held = FRAME.assign(size=np.where(train, FRAME["size"], 1e6))
    own: Any = MLPClassifier(**dict(OPTIONS, early_stopping=True))
    own.fit(held[train], SICK[train], X_val=held[~train], y_val=SICK[~train])
    column = next(c for c in own.to_model().preprocessing.columns if c.name == "size")
    assert abs(column.block.shift - np.nanmean(SIZE[train])) < 1e-9
    assert len(own.validation_scores_) == own.n_iter_


@pytest.mark.slow
def test_calls_that_continue_read_frames_as_the_first_did():
    parts: Any = MLPClassifier(**OPTIONS)
    for i in range(0, M, 30):
        parts.partial_fit(FRAME[i : i + 30], SICK[i : i + 30], classes=["ill", "well"])
    assert parts.t_ == M
    assert parts.predict(FRAME).shape == (M,)
    warm: Any = MLPClassifier(**dict(OPTIONS, warm_start=True, max_iter=3)).fit(FRAME, SICK)
    names = warm.to_model().preprocessing.input_names
    assert (
        warm.fit(FRAME[["size", "city", "day", "kind", "smoker"]], SICK).to_model().preprocessing.input_names == names
    )
    ensemble = MLPClassifier(**dict(OPTIONS, n_members=2, max_iter=3)).fit(FRAME, SICK)
    assert ensemble.predict_proba(FRAME).shape == (M, 2)
    # an array after a frame is a new start
    assert warm.set_params(warm_start=False).fit(RNG.normal(size=(M, 2)), SICK).coefs_[0].shape[0] == 2


def test_what_is_left_out_is_said():
    frame = FRAME.assign(note=[f"a long remark about the patient number {i}" for i in range(M)])
    with pytest.warns(UserWarning, match="MLPClassifier leaves out 'note': free text or identifiers"):
        MLPClassifier(**dict(OPTIONS, max_iter=1)).fit(frame, SICK)
    with pytest.raises(InputTypeError, match=r"'\?\?\?' in column 'size', row 3"):
        MLPClassifier(**OPTIONS).fit(FRAME.assign(size=["1.5"] * 3 + ["???"] + ["2.5"] * (M - 4)), SICK)


def test_columns_named_by_numbers_in_another_order_are_refused():
    frame = pandas.DataFrame(RNG.normal(size=(30, 3)))
    y = (frame[0] > 0).astype(int)
    line = r"MLPClassifier expects the columns 0, 1, 2 in this order, as in fit, got 2, 1, 0: write X\[\[0, 1, 2\]\]"
    single: Any = MLPClassifier((4,), max_iter=2, random_state=0).fit(frame, y)
    ensemble = MLPClassifier((4,), max_iter=2, random_state=0, n_members=2).fit(frame, y)
    for fitted in (single, pickle.loads(pickle.dumps(single)), ensemble):
        with pytest.raises(InputError, match=line):
            fitted.predict(frame[[2, 1, 0]])
        with pytest.raises(InputError, match=line):
            fitted.score(frame[[2, 1, 0]], y)
        # other names say nothing, as in scikit-learn: a frame may have been made from an array
        other = frame.set_axis([5, 6, 7], axis=1)
        np.testing.assert_array_equal(fitted.predict(other), fitted.predict(frame))
        np.testing.assert_array_equal(fitted.predict(frame.to_numpy()), fitted.predict(frame))
    with pytest.raises(InputError, match=line):
        single.partial_fit(frame[[2, 1, 0]], y)
    with pytest.raises(InputError, match=line):
        MLPClassifier(**OPTIONS).fit(frame, y, X_val=frame[[2, 1, 0]], y_val=y)
    del single._number_names  # as in a pickle of an earlier release
    assert single.predict(frame[[2, 1, 0]]).shape == (30,)
    again = single.fit(frame[[2, 1, 0]], y)  # a new fit has a new order
    assert again.predict(frame[[2, 1, 0]]).shape == (30,)


@pytest.mark.parametrize(
    "make",
    [
        lambda times: times,
        lambda times: times.tz_localize("Asia/Tokyo"),
        lambda times: times - times[0],
        lambda times: times.to_pydatetime().tolist(),
        lambda times: pandas.DataFrame({"a": times, "b": 1.0}),
    ],
)
def test_a_regressor_refuses_dates(make):
    y = make(pandas.date_range("2020", periods=30))
    rows = RNG.normal(size=(30, 2))
    line = "MLPRegressor expects y of numbers, got dates or durations: turn them into numbers, such as the days since"
    for fit in (MLPRegressor(**OPTIONS).fit, MLPRegressor(**OPTIONS).partial_fit):
        with pytest.raises(InputTypeError, match=line):
            fit(rows, y)
