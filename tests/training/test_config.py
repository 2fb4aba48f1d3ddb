"""`TrainConfig` is the one list of options: each is documented, has a flag, is compared by checkpoints, and acts."""

import dataclasses
import inspect
import re
from typing import Any

import jax
import numpy as np
import optax
import pytest
import zoo

import jaxmlp
from jaxmlp import EarlyStopping, Network, Objective, TrainConfig
from jaxmlp.cli.train import train
from jaxmlp.cli.training_options import option_name
from jaxmlp.errors import InputError, InputTypeError
from jaxmlp.training.config import OPTIONS
from jaxmlp.training.fingerprint import run_fingerprint
from jaxmlp.training.keywords import KEYWORD_SYNONYMS, OTHER_KEYWORDS, resolve_config
from jaxmlp.training.preparation import prepare

NET = Network((3, 5, 3), "tanh", "softmax")
BASE = TrainConfig(epochs=3, batch_size=8, initializer="he_normal")

# A value of each option that changes a run, beside what it needs to do so
PROBES: dict[str, dict[str, Any]] = {
    "epochs": {"epochs": 4},
    "batch_size": {"batch_size": 5},
    "optimizer": {"optimizer": "momentum"},
    "learning_rate": {"learning_rate": 0.02},
    "schedule": {"schedule": "cosine"},
    "warmup": {"warmup": 1},
    "weight_decay": {"optimizer": "adamw", "weight_decay": 1.0},
    "fade": {"optimizer": "adamw", "weight_decay": 1.0, "fade": True},
    "clip_norm": {"optimizer": "sgd", "clip_norm": 0.01},
    "objective": {"objective": Objective(max_norm=0.5)},
    "initializer": {"initializer": "he_uniform"},
    "key": {"key": jax.random.key(5)},
    "shuffle": {"shuffle": False},
    "sample_weight": {"sample_weight": np.arange(25.0)},
    "validation_weight": {"validation_weight": np.arange(15.0)},
    "class_weight": {"class_weight": {0: 5.0}},
    "ema_decay": {"ema_decay": 0.5},
    "freeze": {"freeze": [1]},
    "precision": {"precision": "float32"},
    "row_space": {"row_space": False},
    "early_stopping": {"early_stopping": EarlyStopping(1, "cost", min_delta=9.0)},
    "metrics": {"metrics": ["auc"]},
}


@pytest.fixture(scope="module")
def data():
    return zoo.three_classes(25)


@pytest.fixture(scope="module")
def plain(data):
    return leaves(jaxmlp.fit(NET, data, BASE))


def leaves(result):
    return jax.tree.leaves((result.params, result.history[-1]._replace(seconds=None)))


# what changes a run only by rounding; test_row_space.py has it
ROUNDING = {"row_space"}


@pytest.mark.quick("objective", "metrics", "initializer", "optimizer", "freeze")
@pytest.mark.parametrize("name", [name for name in OPTIONS if name not in ROUNDING])
def test_every_option_changes_a_run(data, plain, name):
    changed = leaves(jaxmlp.fit(NET, data, BASE, **PROBES[name]))
    assert len(changed) != len(plain) or any(np.any(a != b) for a, b in zip(changed, plain, strict=True))


def test_keywords_and_a_configuration_are_the_same_call(data, plain):
    keywords = jaxmlp.fit(NET, data, epochs=3, batch_size=8, initializer="he_normal")
    for a, b in zip(leaves(keywords), plain, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_is_documented(name):
    for documented in (TrainConfig, jaxmlp.fit):
        assert re.search(rf"^ +{name}: \S", documented.__doc__ or "", re.MULTILINE)
    assert name in inspect.signature(jaxmlp.fit).parameters
    assert OPTIONS[name].doc.endswith(".")


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_has_a_flag_or_a_reason(name):
    option, flags = OPTIONS[name], {param.name: param for param in train.params}
    assert option.help
    assert (option_name(name) in flags) == (option.flag != "")


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_has_a_place_in_the_fingerprint(data, name):
    def fingerprint(config):
        return run_fingerprint(data, config, prepare(NET, data, config), (None,))

    config = BASE.replace(**PROBES[name])
    assert (fingerprint(config) != fingerprint(BASE)) == OPTIONS[name].in_fingerprint


def test_the_length_of_a_run_counts_where_its_rates_depend_on_it(data):
    def fingerprint(**options):
        config = BASE.replace(**options)
        return run_fingerprint(data, config, prepare(NET, data, config), (None,))

    assert fingerprint(epochs=4) == fingerprint()
    for option in ({"schedule": "cosine"}, {"optimizer": "adamw", "fade": True}):
        assert fingerprint(epochs=4, **option) != fingerprint(**option)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"clip": 1.0}, InputTypeError, "fit expects options of TrainConfig, got 'clip': did you mean 'clip_norm'?"),
        ({"lr": 1.0}, InputTypeError, "fit expects options of TrainConfig, got 'lr': did you mean 'learning_rate'?"),
        ({"num_iterations": 9}, InputTypeError, "got 'num_iterations': did you mean 'epochs'?"),
        (
            {"cost": "quadratic"},
            InputTypeError,
            "fit expects options of TrainConfig, got 'cost': write objective=jaxmlp.Objective(cost=...)",
        ),
        ({"zebra": 1}, InputTypeError, "fit expects options of TrainConfig, got 'zebra': see help"),
        ({"epochs": 0}, InputError, "epochs expects a positive whole number, got 0"),
        ({"epochs": 10**20}, InputError, "epochs expects at most 2,147,483,647, got 100000000000000000000"),
        ({"batch_size": np.array([1, 2])}, InputError, "batch_size expects a positive whole number or 'full'"),
        ({"shuffle": "no"}, InputTypeError, "shuffle expects True or False, got 'no'"),
        ({"ema_decay": 1}, InputError, "ema_decay expects a decay between 0 and 1, got 1"),
        ({"optimizer": optax.sgd(0.1), "learning_rate": 0.1}, InputError, "no learning_rate: it brings its own"),
        ({"freeze": "1"}, InputTypeError, "freeze expects a list of layer numbers, got '1'"),
    ],
)
def test_mistakes_are_named(data, options, error, text):
    with pytest.raises(error, match=re.escape(text)):
        jaxmlp.fit(NET, data, **options)


@pytest.mark.parametrize("name", OTHER_KEYWORDS)
def test_the_remedy_for_a_keyword_of_elsewhere_can_be_written_as_it_stands(data, name):
    remedy = OTHER_KEYWORDS[name]
    unknown: dict[str, Any] = {name: 1}
    with pytest.raises(InputTypeError, match=re.escape(f"got {name!r}: write {remedy}")):
        jaxmlp.fit(NET, data, **unknown)
    if remedy.startswith("with "):
        exec(f"{remedy.partition(':')[0]}:\n    pass", {"jax": jax})
        return
    rows, labels = data.train.rows, data.train.targets
    data = jaxmlp.Dataset.from_arrays(rows, labels)
    arguments = eval(f"dict({remedy})", {"jax": jax, "jaxmlp": jaxmlp} | {"data": data, "rows": rows, "labels": labels})
    result = jaxmlp.fit(**{"net": jaxmlp.network_for(data), "data": data, "epochs": 1, **arguments})
    assert len(result.history) == 1


def test_keywords_of_other_libraries_lead_to_ours(data):
    assert set(KEYWORD_SYNONYMS.values()) <= {*OTHER_KEYWORDS, "cost"}
    with pytest.raises(InputTypeError, match=re.escape("got 'random_state': write key=jax.random.key(0)")):
        jaxmlp.fit(NET, data, random_state=0)
    with pytest.raises(
        InputTypeError, match=re.escape("fit_many expects options of TrainConfig, got 'random_state': write seeds=[0]")
    ):
        jaxmlp.fit_many(NET, data, random_state=0)
    with pytest.raises(
        InputTypeError, match=re.escape("write jaxmlp.Ensemble.of(jaxmlp.fit_many(net, data, seeds=5), ")
    ):
        jaxmlp.fit(NET, data, ensemble=5)
    with pytest.raises(InputTypeError, match=re.escape("got 'loss': write objective=jaxmlp.Objective(cost=...)")):
        jaxmlp.fit(NET, data, loss="mse")
    with pytest.raises(InputTypeError, match="got 'max_iter': did you mean 'epochs'"):
        jaxmlp.fit(NET, data, max_iter=3)
    for function in (jaxmlp.fit_many, jaxmlp.lr_find):
        with pytest.raises(InputTypeError, match="got 'verbose': see help"):
            function(NET, data, verbose=1)
    with pytest.raises(InputTypeError, match="fit_many expects options of TrainConfig, got 'patience': see help"):
        jaxmlp.fit_many(NET, data, patience=3)


def test_something_else_in_place_of_a_configuration_is_refused(data):
    with pytest.raises(InputTypeError, match=r"got ndarray: write fit\(net, \(rows, labels\)\), one example per row"):
        resolve_config("fit", np.zeros((2, 1)), {})  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputTypeError, match="fit expects a TrainConfig, got int: write TrainConfig"):
        jaxmlp.fit(NET, data, 20)  # pyright: ignore[reportArgumentType]


def test_options_that_a_function_does_not_use_are_refused(data):
    with pytest.raises(InputError, match="lr_find expects no epochs, got 7: leave it out"):
        jaxmlp.lr_find(NET, data, epochs=7)
    with pytest.raises(InputError, match="fit_many expects no metrics"):
        jaxmlp.fit_many(NET, data, metrics=["f1"])


def test_a_configuration_shows_what_differs_from_the_defaults():
    assert repr(TrainConfig()) == "TrainConfig()"
    assert repr(TrainConfig(epochs=3, key=None)) == "TrainConfig(epochs=3)"
    assert (
        resolve_config("fit", None, {}).epochs == {f.name: f.default for f in dataclasses.fields(TrainConfig)}["epochs"]
    )


def test_an_equal_number_is_the_default(data):
    assert repr(TrainConfig(warmup=0, schedule="".join(["con", "stant"]))) == "TrainConfig()"
    jaxmlp.lr_find(NET, data, TrainConfig(warmup=0), steps=3)  # which has no warmup
    with pytest.raises(InputError, match="lr_find expects no warmup, got 1"):
        jaxmlp.lr_find(NET, data, TrainConfig(warmup=1), steps=3)


@pytest.mark.parametrize("batch_size", [8, "full"])
def test_a_report_has_the_rate_of_the_last_step_of_its_epoch(data, batch_size):
    def rate(step):
        return 0.01 / (1 + int(step))

    result = jaxmlp.fit(NET, data, epochs=3, batch_size=batch_size, learning_rate=rate)
    assert [report.learning_rate for report in result.history] == pytest.approx(
        [0.01 / report.step for report in result.history], rel=1e-6
    )
