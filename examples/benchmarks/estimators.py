"""The estimators with bare defaults beside scikit-learn's perceptron in a pipeline that standardises, on its tables.

    python examples/benchmarks/estimators.py [--seeds 5] [--tables iris,wine] [--fast]

5-fold cross-validation, shuffled by each seed, which is also the random_state. scikit-learn's regressor also with
standardised targets. Exits with 1 where ours is more than a point of accuracy or 0.02 of R² behind the better of them.
"""

import argparse
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn import datasets, neural_network
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tables import table

import jaxmlp

TABLES = {
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
    "breast_cancer": datasets.load_breast_cancer,
    "digits": datasets.load_digits,
    "diabetes": datasets.load_diabetes,
}
BEHIND = {"classes": 0.01, "numbers": 0.02}


def contestants(is_regression: bool) -> dict[str, Callable[[int], Any]]:
    """Return functions random_state -> estimator by name."""
    if not is_regression:
        return {
            "jaxmlp": lambda seed: jaxmlp.MLPClassifier(random_state=seed),
            "scikit-learn": lambda seed: make_pipeline(
                StandardScaler(), neural_network.MLPClassifier(random_state=seed)
            ),
        }

    def theirs(seed: int) -> Any:
        return make_pipeline(StandardScaler(), neural_network.MLPRegressor(random_state=seed))

    return {
        "jaxmlp": lambda seed: jaxmlp.MLPRegressor(random_state=seed),
        "scikit-learn": theirs,
        "scikit-learn, targets too": lambda seed: TransformedTargetRegressor(
            theirs(seed), transformer=StandardScaler()
        ),
    }


def measure(name: str, seeds: int) -> tuple[list[list[str]], bool]:
    """Return the lines of a table, and whether ours is behind."""
    X, y = TABLES[name](return_X_y=True)
    is_regression = name == "diabetes"
    scores: dict[str, list[float]] = {}
    lines = []
    for contestant, make in contestants(is_regression).items():
        began = time.perf_counter()
        for seed in range(seeds):
            folds = (KFold if is_regression else StratifiedKFold)(5, shuffle=True, random_state=seed)
            scores.setdefault(contestant, []).append(cross_val_score(make(seed), X, y, cv=folds).mean())
        seconds = (time.perf_counter() - began) / (5 * seeds)
        mean, spread = np.mean(scores[contestant]), np.std(scores[contestant])
        lines.append([name, contestant, f"{mean:.4f}", f"{spread:.4f}", f"{seconds:.2f}"])
    means = {contestant: np.mean(values) for contestant, values in scores.items()}
    best = max(mean for contestant, mean in means.items() if contestant != "jaxmlp")
    return lines, bool(means["jaxmlp"] < best - BEHIND["numbers" if is_regression else "classes"])


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--tables", default=",".join(TABLES))
    parser.add_argument("--fast", action="store_true", help="iris, one seed")
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    names = ["iris"] if options.fast else options.tables.split(",")
    measured = [measure(name, 1 if options.fast else options.seeds) for name in names]
    print(
        table(
            ["table", "estimator", "accuracy, R²", "spread", "s a fit"],
            [line for lines, _ in measured for line in lines],
        )
    )
    return int(any(behind for _, behind in measured))


if __name__ == "__main__":
    sys.exit(main())
