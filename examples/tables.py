"""Tables as they come: `jaxmlp train FILE` beside scikit-learn's perceptron and its gradient boosting.

    python examples/tables.py [--seeds 5] [--tables iris,wine] [--folder DATA] [--fast]

Each line is a table; one of its columns is predicted from the others. All train on the same 80 % of the rows,
drawn by each seed, and are measured on the others (of Adult on its own test file): accuracy, or R² of numbers.

    train               jaxmlp train FILE, with bare defaults
    tabular, piecewise, tabm, realmlp    jaxmlp train FILE --preset with that name
    scikit-learn        MLPClassifier or MLPRegressor with its defaults; numbers imputed and standardised, words
                        one-hot, dates as their parts, targets of a regression standardised
    boosting            HistGradientBoosting with its defaults, words as categories

The tables of scikit-learn come with it. Those of --folder are seaborn's penguins, titanic, mpg, tips, diamonds and
taxis, UCI's adult-train and adult-test, and california_housing, as .csv; what is not there is left out. Exits with 1
where bare defaults are more than a point of accuracy or 0.02 of R² behind scikit-learn's perceptron.
"""

import argparse
import contextlib
import io
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas
from sklearn import datasets, ensemble, neural_network
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import jaxmlp
from jaxmlp.cli.main import run

BEHIND = {True: 0.02, False: 0.01}  # of a regression, and of classes
METHODS = ("train", "tabular", "piecewise", "tabm", "realmlp", "scikit-learn", "boosting")


class Source(NamedTuple):
    """A table: its file, the target, columns to leave out, and the file of its own test part."""

    file: str
    target: str
    drop: tuple[str, ...] = ()
    test: str | None = None


# titanic: `alive` is the target in words; taxis: the total is fare, tip and tolls together; mpg: names are free text
SOURCES = {
    **{name: Source(f"{name}.csv", "target") for name in ("iris", "wine", "breast_cancer", "diabetes", "digits")},
    "penguins": Source("penguins.csv", "species"),
    "titanic": Source("titanic.csv", "survived", ("alive",)),
    "mpg": Source("mpg.csv", "mpg", ("name",)),
    "tips": Source("tips.csv", "tip"),
    "taxis": Source("taxis.csv", "tip", ("total",)),
    "california": Source("california_housing.csv", "median_house_value"),
    "adult": Source("adult-train.csv", "14", test="adult-test.csv"),
    "diamonds": Source("diamonds.csv", "price"),
}
LOADERS = {name: getattr(datasets, f"load_{name}") for name in ("iris", "wine", "breast_cancer", "diabetes", "digits")}


def main() -> int:
    """Print the table; return 1 where bare defaults are behind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--tables", default=",".join(SOURCES))
    parser.add_argument("--folder", type=Path, default=Path("../shared/data/tabular"))
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--fast", action="store_true", help="one seed of iris and diabetes, by two methods")
    options = parser.parse_args()
    names, seeds = options.tables.split(","), range(options.seeds)
    methods = options.methods.split(",")
    if options.fast:
        names, seeds, methods = ["iris", "diabetes"], range(1), ["train", "scikit-learn"]
    print("| table | rows | " + " | ".join(methods) + " | seconds |")
    print("|---" * (3 + len(methods)) + "|")
    behind = [name for name in names if is_behind(name, seeds, methods, options.folder)]
    if behind:
        print(f"behind scikit-learn's perceptron: {', '.join(behind)}", file=sys.stderr)
    return int(bool(behind))


def is_behind(name: str, seeds: range, methods: list[str], folder: Path) -> bool:
    """Print the line of a table, and return whether bare defaults are behind scikit-learn's perceptron."""
    source = SOURCES[name]
    with tempfile.TemporaryDirectory() as scratch:
        if name in LOADERS:
            folder = Path(scratch)
            LOADERS[name](as_frame=True).frame.to_csv(folder / source.file, index=False)
        if not (folder / source.file).exists():
            print(f"{name}: no {folder / source.file}", file=sys.stderr)
            return False
        scores: dict[str, list[float]] = {method: [] for method in methods}
        seconds = dict.fromkeys(methods, 0.0)
        for seed in seeds:
            for method in methods:
                begin = time.perf_counter()
                scores[method].append(MEASURE[method](source, folder, Path(scratch), seed))
                seconds[method] += (time.perf_counter() - begin) / len(seeds)
        is_regression = jaxmlp.load(folder / source.file, target=source.target).task == "regression"
        n_rows = sum(1 for _ in (folder / source.file).open(encoding="utf-8")) - (source.test is None)
    texts = [score_text(scores[method], is_regression) for method in methods]
    print(
        f"| {name} | {n_rows:,} | {' | '.join(texts)} | {', '.join(f'{s:.1f}' for s in seconds.values())} |", flush=True
    )
    if not {"train", "scikit-learn"} <= {*methods}:
        return False
    return float(np.mean(scores["train"])) < float(np.mean(scores["scikit-learn"])) - BEHIND[is_regression]


def score_text(scores: list[float], is_regression: bool) -> str:
    """Return the mean and the deviation of the scores of all seeds, as text."""
    mean, deviation = float(np.mean(scores)), float(np.std(scores))
    spread = "" if len(scores) == 1 else f" ± {deviation:.3f}" if is_regression else f" ± {100 * deviation:.1f}"
    return f"{mean:.3f}{spread}" if is_regression else f"{mean:.1%}{spread}"


# --- jaxmlp on the command line ---------------------------------------------------------------------------------------


def command(*arguments: str) -> dict[str, Any]:
    """Return what a command of jaxmlp prints as JSON."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        status = run([*arguments, "--json"])
    assert status == 0, arguments
    return json.loads(out.getvalue())


def measure_command(*more: str) -> Callable[[Source, Path, Path, int], float]:
    """Return the measurement of `jaxmlp train` with further options."""

    def measure(source: Source, folder: Path, scratch: Path, seed: int) -> float:
        place = str(scratch / f"run-{'-'.join(more)}-{seed}")
        arguments = ["train", str(folder / source.file), "--target", source.target, "--out", place, *more]
        arguments += [part for column in source.drop for part in ("--drop", column)]
        arguments += ["--seed", str(seed)]
        arguments += ["--split-seed", str(seed)] if source.test is None else ["--test-fraction", "0"]
        summary = command(*arguments)
        if source.test is not None:
            return command("evaluate", place, str(folder / source.test))["accuracy"]
        accuracy = summary["test_accuracy"]
        return summary["test_r2"] if accuracy is None else accuracy

    return measure


# --- scikit-learn -----------------------------------------------------------------------------------------------------


class Rows(NamedTuple):
    """A table divided as `jaxmlp train` divides it."""

    X_train: pandas.DataFrame
    y_train: np.ndarray
    X_test: pandas.DataFrame
    y_test: np.ndarray
    is_regression: bool


def read(source: Source, folder: Path, seed: int) -> Rows:
    """Return the rows of a table for scikit-learn."""
    files = [source.file] if source.test is None else [source.file, source.test]
    header = None if source.test else 0
    frames = [pandas.read_csv(folder / file, header=header, skipinitialspace=True, na_values="?") for file in files]
    frame = pandas.concat(frames, ignore_index=True).rename(columns=str)
    loaded = jaxmlp.load(folder / source.file, target=source.target, drop=source.drop, seed=seed)
    is_regression = loaded.task == "regression"
    if source.test is None:
        train, test = loaded.origins["train"], loaded.origins["test"]
    else:
        train, test = np.arange(len(frames[0])), np.arange(len(frames[0]), len(frame))
    y = frame.pop(source.target)
    y = y.to_numpy(float) if is_regression else y.astype(str).str.strip(" .").to_numpy()
    X = with_parts_of_dates(frame.drop(columns=list(source.drop)))
    return Rows(X.iloc[train], y[train], X.iloc[test], y[test], is_regression)


def with_parts_of_dates(frame: pandas.DataFrame) -> pandas.DataFrame:
    """Return the frame with numbers in place of dates, and objects in place of other text."""
    columns = {}
    for name in frame:
        column = frame[name]
        if not pandas.api.types.is_numeric_dtype(column) and column.astype(str).str.match(r"\d{4}-\d\d-\d\d ").all():
            date = pandas.to_datetime(column)
            seconds = 3600 * date.dt.hour + 60 * date.dt.minute + date.dt.second
            parts = {"month": date.dt.month, "day": date.dt.day, "weekday": date.dt.day_of_week, "second": seconds}
            columns |= {f"{name} {part}": values for part, values in parts.items()}
        else:
            columns[name] = column.astype(float) if column.dtype == bool else column
    return pandas.DataFrame(columns)


def measure_perceptron(source: Source, folder: Path, scratch: Path, seed: int) -> float:
    """Return the score of scikit-learn's perceptron in a pipeline."""
    rows = read(source, folder, seed)
    numbers = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    words = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="missing"),
        OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=2, sparse_output=False),
    )
    is_number = make_column_selector(dtype_include="number")
    encode = ColumnTransformer([("numbers", numbers, is_number), ("words", words, lambda X: words_of(X))])
    if not rows.is_regression:
        return fitted_score(make_pipeline(encode, neural_network.MLPClassifier(random_state=seed)), rows)
    regressor = make_pipeline(encode, neural_network.MLPRegressor(random_state=seed))
    return fitted_score(TransformedTargetRegressor(regressor, transformer=StandardScaler()), rows)


def words_of(X: pandas.DataFrame) -> list[str]:
    """Return the columns that are not numbers."""
    return [name for name in X if not pandas.api.types.is_numeric_dtype(X[name])]


def measure_boosting(source: Source, folder: Path, scratch: Path, seed: int) -> float:
    """Return the score of scikit-learn's gradient boosting."""
    rows = read(source, folder, seed)
    words = words_of(rows.X_train)
    filled = [
        X.assign(**{name: X[name].astype(object).fillna("missing").astype(str) for name in words})
        for X in (rows.X_train, rows.X_test)
    ]
    rows = rows._replace(X_train=filled[0], X_test=filled[1])
    kinds = {name: pandas.CategoricalDtype(sorted({*rows.X_train[name]})) for name in words}
    rows = rows._replace(X_train=rows.X_train.astype(kinds), X_test=rows.X_test.astype(kinds))
    kind: Any = (
        ensemble.HistGradientBoostingRegressor if rows.is_regression else ensemble.HistGradientBoostingClassifier
    )
    return fitted_score(kind(categorical_features=words or None, random_state=seed), rows)


def fitted_score(estimator: Any, rows: Rows) -> float:
    """Return the accuracy or R² on the test rows after a fit."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return float(estimator.fit(rows.X_train, rows.y_train).score(rows.X_test, rows.y_test))


MEASURE: dict[str, Callable[[Source, Path, Path, int], float]] = {
    "train": measure_command(),
    "tabular": measure_command("--preset", "tabular"),
    "piecewise": measure_command("--preset", "piecewise"),
    "tabm": measure_command("--preset", "tabm"),
    "realmlp": measure_command("--preset", "realmlp"),
    "scikit-learn": measure_perceptron,
    "boosting": measure_boosting,
}

if __name__ == "__main__":
    sys.exit(main())
