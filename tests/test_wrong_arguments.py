"""Arguments of a wrong kind in Python: each is refused in one sentence that names it, before anything is trained."""

# pyright: reportArgumentType=false
# wrong types are the point of this file

import jax
import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

import jaxmlp
from jaxmlp import Dataset, Ensemble, Model
from jaxmlp.errors import InputError, InputTypeError
from jaxmlp.tabular.options import TableOptions

DATA = Dataset.from_arrays(np.arange(24.0).reshape(12, 2), np.arange(12) % 2)
NET = jaxmlp.network_for(DATA, (3,))
KEY = jax.random.key(0)
SOMETHING = object()
ROWS, LABELS = np.arange(24.0).reshape(12, 2), np.arange(12) % 2
CASES = {
    "load(features=5)": (lambda: jaxmlp.load("t.csv", features=5), "features expects a name, or a list of names"),
    "load(drop=5)": (lambda: jaxmlp.load("t.csv", drop=5), "drop expects a name, or a list of names, got 5"),
    "load(keep)": (lambda: jaxmlp.load("t.csv", keep=SOMETHING), "keep expects a name, or a list"),
    "load(missing=5)": (lambda: jaxmlp.load("t.csv", missing=5), r"missing expects .*\['NA'\]"),
    "load(missing=b'x')": (lambda: jaxmlp.load("t.csv", missing=b"x"), "missing expects a name, or a list"),
    "load(drop={})": (lambda: jaxmlp.load("t.csv", drop={"a": 1}), "drop expects a name, or a list"),
    "load(roles=5)": (lambda: jaxmlp.load("t.csv", roles=5), "roles expects a dictionary .column: role."),
    "load(roles=[5])": (lambda: jaxmlp.load("t.csv", roles=["number"]), "roles expects a dictionary"),
    "load(encoding=5)": (lambda: jaxmlp.load("t.csv", encoding=5), "encoding expects the name of an encoding"),
    "load(header=5)": (lambda: jaxmlp.load("t.csv", header=5), "header expects True or False, got 5"),
    "from_arrays(feature_names=5)": (lambda: Dataset.from_arrays(ROWS, LABELS, feature_names=5), "a list of names"),
    "from_arrays(feature_names='ab')": (lambda: Dataset.from_arrays(ROWS, LABELS, feature_names="ab"), "list of names"),
    "select(5)": (lambda: DATA.select(5), "select expects a sequence of column names"),
    "fit(ema_decay)": (lambda: jaxmlp.fit(NET, DATA, ema_decay=SOMETHING), "ema_decay expects a positive number"),
    "fit(ema_decay={})": (lambda: jaxmlp.fit(NET, DATA, ema_decay={1: 2}), "ema_decay expects a positive number"),
    "fit(ema_decay=1)": (lambda: jaxmlp.fit(NET, DATA, ema_decay=1), "ema_decay expects a decay between 0 and 1"),
    "fit(freeze={})": (lambda: jaxmlp.fit(NET, DATA, freeze={1: 2}), "freeze expects a list of layer numbers"),
    "fit_many(5)": (lambda: jaxmlp.fit_many(5, DATA), "fit_many expects a network, or a list of them, got 5"),
    "fit_many(grid)": (lambda: jaxmlp.fit_many(NET, DATA, grid=SOMETHING), "grid expects a dictionary of numbers"),
    "fit_many(grid=[])": (lambda: jaxmlp.fit_many(NET, DATA, grid=["l2"]), "grid expects a dictionary of numbers"),
    "fit_many(folds)": (lambda: jaxmlp.fit_many(NET, DATA, folds=b"x"), "folds expects their number, or Folds"),
    "fit_many(seeds)": (lambda: jaxmlp.fit_many(NET, DATA, seeds=b"x"), "seeds expects how many"),
    "fit_many(strategy)": (lambda: jaxmlp.fit_many(NET, DATA, strategy=5), "strategy expects one of"),
    "fit_many(progress)": (lambda: jaxmlp.fit_many(NET, DATA, progress=5), "progress expects a function"),
    "Ensemble(5)": (lambda: Ensemble(5), "an ensemble expects a list of models, got 5"),
    "Ensemble(None)": (lambda: Ensemble(None), "an ensemble expects a list of models, got None"),
    "Model.of(5, …)": (lambda: Model.of(5, (), DATA), "net expects a jaxmlp.Network"),
    "Model.of(…, 5)": (lambda: Model.of(NET, (), 5), "Model.of expects the data set of the training, got 5"),
    "make_batches(5, …)": (lambda: jaxmlp.make_batches(5, NET, None, 3), "make_batches expects a Dataset, got 5"),
    "make_batches(…, 5, …)": (lambda: jaxmlp.make_batches(DATA, 5, None, 3), "net expects a jaxmlp.Network"),
    "make_batches(objective)": (lambda: jaxmlp.make_batches(DATA, NET, 5, 3), "objective expects an Objective"),
    "init_state(optimizer)": (lambda: jaxmlp.init_state(KEY, NET, 5), "optimizer expects an optax transformation"),
    "MLPClassifier(activation)": (
        lambda: jaxmlp.MLPClassifier(activation=SOMETHING).fit(ROWS, LABELS),
        "activation expects a name, an Activation, or a list",
    ),
    "MLPClassifier(hidden_layer_sizes)": (
        lambda: jaxmlp.MLPClassifier(hidden_layer_sizes=b"x").fit(ROWS, LABELS),
        "hidden_layer_sizes expects positive whole numbers of units, got b'x'",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_sentence_names_the_argument(case, place):
    (place / "t.csv").write_text("a,b,y\n1,2,x\n3,4,z\n" * 5, encoding="utf-8")
    call, words = CASES[case]
    with pytest.raises(InputError, match=words):
        call()


def test_wrong_types_are_type_errors_as_well():
    with pytest.raises(InputTypeError):
        Ensemble(5)


@pytest.mark.parametrize("value", [np.array("a"), np.array(4), jax.numpy.array(4)])
def test_arrays_of_a_single_thing_are_no_lists(value):
    for call in (
        lambda: Dataset.from_arrays(ROWS, LABELS, feature_names=value),
        lambda: DATA.select(value),
        lambda: TableOptions(drop=value),
        lambda: jaxmlp.fit(NET, DATA, freeze=value),
    ):
        with pytest.raises(InputTypeError):
            call()


def test_what_numpy_and_pandas_give_is_accepted():
    pandas = pytest.importorskip("pandas")
    names = pandas.Index(["a", "b"])
    assert Dataset.from_arrays(ROWS, LABELS, feature_names=names).feature_names == ("a", "b")
    assert TableOptions(drop=names, header=np.True_, keep=(name for name in "cd")).keep == ("c", "d")


@pytest.mark.slow
def test_a_warning_points_at_the_line_of_the_user():
    classifier = jaxmlp.MLPClassifier((2,), max_iter=1)
    with pytest.warns(ConvergenceWarning, match="not converged") as caught:
        classifier.fit(ROWS, LABELS)
    assert caught[0].filename == __file__
