"""Populations: each member is the single run of its seed, numbers, fold and width; the leaderboard adds them up."""

import dataclasses
import math

import chex
import jax
import numpy as np
import optax
import pytest
from marks import slow_except

import jaxmlp
from jaxmlp.data import Dataset, Part
from jaxmlp.data.split import assign_folds
from jaxmlp.errors import InputError, InputTypeError
from jaxmlp.nn.objective import Objective
from jaxmlp.population.fit_many import Execution, Folds, fit_many
from jaxmlp.population.grid import GRID_NUMBERS, OBJECTIVE_NUMBERS, MemberSpec
from jaxmlp.population.leaderboard import Curves, Member, leaderboard
from jaxmlp.population.padding import pad_params, padding_mask, unpad_params, widest

NET = jaxmlp.Network((3, 5, 2), "tanh", "softmax")
VALUES = {
    "learning_rate": (0.01, 0.1),
    "clip_norm": (0.05, 0.2),
    "ema_decay": (0.15, 0.9),  # the first steps know no slower average than 0.1, 0.18, 0.25
    "l2": (0.0, 2.0),
    "l1": (0.0, 1.0),
    "dropout": (0.0, 0.4),
    "input_dropout": (0.0, 0.3),
    "label_smoothing": (0.0, 0.2),
    "input_noise": (0.0, 0.5),
    "mixup": (0.0, 0.7),
    "max_norm": (0.3, 0.6),
}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(31, 3))
    labels = (rows[:, 0] * rows[:, 1] > 0).astype(int)
    return Dataset.from_arrays(rows, labels).split_test(0.2)


def single(spec, data, **options):
    """The run of `fit` that a member is said to be."""
    of_objective = {name: value for name, value in spec.numbers.items() if name in OBJECTIVE_NUMBERS}
    of_update = {name: value for name, value in spec.numbers.items() if name not in OBJECTIVE_NUMBERS}
    objective = dataclasses.replace(options.pop("objective", Objective()), **of_objective)
    key = jax.random.key(spec.seed)
    return jaxmlp.fit(spec.net, data, objective=objective, key=key, **of_update, **options)


def assert_same(member, result, penalized=False):
    chex.assert_trees_all_close(member.params, result.params, rtol=1e-9, atol=1e-11)
    assert member.net == result.net
    for name, curve in member.curves._asdict().items():
        if name == "validation_cost" and penalized:
            continue  # a Report counts the penalty in
        expected = [getattr(report, name) for report in result.history]
        np.testing.assert_allclose(curve, expected, rtol=1e-6, err_msg=name)  # weights are counted in float32


TOGETHER = [
    ("learning_rate", "clip_norm", "ema_decay"),
    ("l2", "l1", "max_norm"),
    ("dropout", "input_dropout", "label_smoothing"),
    ("input_noise", "mixup"),
]


def test_every_number_is_tried():
    assert {name for names in TOGETHER for name in names} == set(GRID_NUMBERS) == set(VALUES)


@pytest.mark.slow
@pytest.mark.parametrize("names", slow_except(TOGETHER, TOGETHER[0]))
@pytest.mark.parametrize("batch_size", slow_except([8, "full"], 8))
def test_a_member_is_the_single_run_of_its_seed_and_numbers(data, names, batch_size):
    options = {"epochs": 3, "batch_size": batch_size}
    found = fit_many(NET, data, seeds=(4, 9), grid={name: VALUES[name] for name in names}, strategy="vmap", **options)
    assert len(found.members) == 2 ** (len(names) + 1)
    assert [member.spec.seed for member in found.members] == [4, 9] * 2 ** len(names)
    rows, targets = data.test
    penalized = bool({"l2", "l1", "label_smoothing"} & {*names})
    for member in found.members:
        assert_same(member, single(member.spec, data, **options), penalized)
        J = jaxmlp.cost(member.params, rows.T, targets[None], member.net)
        np.testing.assert_allclose(member.curves.last().validation_cost, J, rtol=1e-9)
    for i in range(len(names)):  # the first member's number changed, and nothing else
        first, other = (found.members[place].params for place in (0, 2 << i))
        assert any((a != b).any() for a, b in zip(*map(jax.tree.leaves, (first, other)), strict=True)), names[-1 - i]


@pytest.mark.quick("auto")
@pytest.mark.parametrize("strategy", ["vmap", "chunks", "loop", "auto"])
def test_a_member_is_the_single_run_however_it_is_run(data, strategy):
    net = dataclasses.replace(NET, norm="batch")
    options = {"epochs": 5, "batch_size": 6, "schedule": "cosine", "warmup": 1, "optimizer": "adamw"}
    options |= {"objective": Objective(dropout=0.2, l2=0.1), "class_weight": {0: 2}, "freeze": (2,)}
    heard = []
    found = fit_many(net, data, seeds=5, strategy=strategy, progress=lambda *done: heard.append(done), **options)
    for member in found.members:
        assert_same(member, single(member.spec, data, **options), penalized=True)
    assert heard[-1][0] >= heard[-1][1] == 25
    (how,) = found.strategies
    assert how.name == strategy if strategy != "auto" else how.name in ("vmap", "loop")
    assert how.size == {"vmap": 5, "loop": 1}.get(how.name, how.size)
    assert how.reason


@pytest.mark.slow
def test_an_optimizer_of_ones_own_and_seeds_that_share_their_batches(data):
    optimizer = optax.sgd(0.1, momentum=0.9)
    own, shared = (
        fit_many(NET, data, seeds=3, epochs=2, batch_size=8, optimizer=optimizer, same_batches=same).members
        for same in (False, True)
    )
    assert_same(shared[0], jaxmlp.fit(NET, data, optimizer=optimizer, epochs=2, batch_size=8, key=jax.random.key(0)))
    chex.assert_trees_all_close(own[0].params, shared[0].params, rtol=1e-9)
    assert abs(own[1].params[0]["W"] - shared[1].params[0]["W"]).max() > 1e-4


def without(data, fold, held):
    """The data set that a member of a fold trains on: the other rows, validated on those of the fold."""
    rows, targets = data.train
    return Dataset.from_arrays(
        rows[fold != held],
        targets[fold != held],
        validation=(rows[fold == held], targets[fold == held]),
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("batch_size", "dropout"),
    [
        (6, 0.3),
        pytest.param("full", None, marks=pytest.mark.slow),
        pytest.param("full", 0.3, marks=pytest.mark.slow),
        pytest.param(7, None, marks=pytest.mark.slow),
        pytest.param(20, None, marks=pytest.mark.slow),
    ],
)
def test_a_fold_is_training_on_its_rows(data, batch_size, dropout):
    rows, targets = data.train
    assert len(rows) == 25
    options = {"epochs": 3, "batch_size": batch_size, "objective": Objective(l2=0.5, dropout=dropout)}
    found = fit_many(NET, data, folds=5, strategy="vmap", **options)
    fold = assign_folds(25, 5, 0, targets)
    for member in found.members:
        assert_same(member, single(member.spec, without(data, fold, member.spec.fold), **options), penalized=True)
    assert [member.spec.fold for member in found.members] == [0, 1, 2, 3, 4]


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", slow_except(["full", 6], 6))
def test_folds_of_unlike_sizes(data, batch_size):
    """25 rows in 4 folds leave 18 or 19: at 6 a step that is 3 or 4 steps, and some members stand still in the last."""
    fold = assign_folds(25, 4, 7, data.train.targets)
    weights = np.linspace(0.5, 2, 25)
    net = dataclasses.replace(NET, norm="batch")
    options = {"epochs": 3, "batch_size": batch_size}
    found = fit_many(net, data, folds=Folds(4, seed=7), sample_weight=weights, strategy="vmap", **options)
    for member in found.members:
        held = member.spec.fold
        own = {"sample_weight": weights[fold != held], **options}
        assert_same(member, single(member.spec, without(data, fold, held), **own))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("batch_size", "norm", "objective"),
    [
        pytest.param("full", None, Objective(dropout=0.3), marks=pytest.mark.slow),
        (27, None, Objective(input_noise=0.3)),
        pytest.param("full", "batch", Objective(), marks=pytest.mark.slow),
        (27, "batch", Objective()),
    ],
)
def test_folds_of_unlike_sizes_with_noise_or_batch_norm_are_their_single_runs(batch_size, norm, objective):
    """41 rows in 3 folds leave 27 or 28: what is drawn or averaged is of so many columns."""
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(41, 3))
    data = Dataset.from_arrays(rows, (rows[:, 0] > 0).astype(int))
    net = dataclasses.replace(NET, norm=norm)
    options = {"epochs": 3, "batch_size": batch_size, "objective": objective}
    found = fit_many(net, data, folds=3, strategy="vmap", **options)
    fold = assign_folds(41, 3, 0, data.train.targets)
    assert sorted(np.bincount(fold)) == [13, 14, 14]
    for member in found.members:
        assert_same(member, single(member.spec, without(data, fold, member.spec.fold), **options))


@pytest.mark.slow
@pytest.mark.parametrize(("hidden", "norm"), [("sigmoid", None), pytest.param("relu", "batch", marks=pytest.mark.slow)])
def test_masks_equal_the_narrow_network(data, hidden, norm):
    nets = [jaxmlp.Network((3, *widths, 2), hidden, "softmax", norm) for widths in ((5, 4), (3, 6), (5, 6))]
    assert widest(nets) == nets[2]
    options = {"epochs": 3, "batch_size": 8, "clip_norm": 0.5, "ema_decay": 0.9, "optimizer": "adamw"}
    options["objective"] = Objective(dropout=0.2, l2=0.3, max_norm=1.0)
    found = fit_many(nets, data, seeds=2, strategy="vmap", **options)
    assert len(found.strategies) == 1
    for member in found.members:
        assert_same(member, single(member.spec, data, **options), penalized=True)


@pytest.mark.slow
def test_networks_that_differ_in_more_than_width_follow_one_another(data):
    nets = [NET, jaxmlp.Network((3, 2), "tanh", "softmax"), jaxmlp.Network((3, 5, 2), "relu", "softmax")]
    heard = []
    found = fit_many(nets, data, epochs=2, batch_size=8, progress=lambda *done: heard.append(done))
    assert len(found.strategies) == 3
    assert [done for done, _ in heard] == sorted(done for done, _ in heard)
    assert heard[-1] == (6, 6)  # epochs of all members, not of the last group
    assert [member.net for member in found.members] == nets
    for member in found.members:
        assert_same(member, single(member.spec, data, epochs=2, batch_size=8))
    narrow = dataclasses.replace(NET, sizes=(3, 4, 2))
    assert widest([NET, narrow]) == NET
    for coupled in ({"norm": "layer"}, {"hidden": "maxout(2)"}, {"hidden": "softmax"}):
        assert widest([dataclasses.replace(net, **coupled) for net in (NET, narrow)]) is None
    assert widest([narrow, narrow, dataclasses.replace(NET, sizes=(3, 500, 2))]) is None  # most of it would be waste
    found = fit_many([NET, dataclasses.replace(NET, sizes=(3, 4, 2))], data, epochs=1, optimizer="muon")
    assert len(found.strategies) == 2  # muon couples the entries of W


def test_padding_is_undone():
    net, wide = jaxmlp.Network((2, 3, 1), "tanh", "sigmoid"), jaxmlp.Network((2, 5, 1), "tanh", "sigmoid")
    params = jaxmlp.init(jax.random.key(0), net)
    filled = pad_params(jax.device_get(params), wide)
    assert [layer["W"].shape for layer in filled] == [(5, 2), (1, 5)]
    chex.assert_trees_all_equal(unpad_params(filled, net), params)
    assert (
        sum(int(leaf.sum()) for leaf in jax.tree.leaves(padding_mask(net, wide, np.dtype(float)))) == net.n_parameters
    )


@pytest.mark.slow
def test_divergence_of_one_member_is_marked_and_stops_no_other(data):
    # W ← W (1 - αλ/m) grows by 4e36 a step
    options = {"epochs": 4, "batch_size": 8, "optimizer": "sgd", "objective": Objective(l2=1.0)}
    found = fit_many(NET, data, grid={"learning_rate": [1e38, 0.1]}, seeds=2, **options)
    assert [member.diverged is None for member in found.members] == [False, False, True, True]
    assert found.members[0].diverged in (2, 3)
    assert [row.diverged for row in found.leaderboard] == [0, 2]
    assert [row.runs for row in found.leaderboard] == [2, 2]
    assert math.isnan(found.leaderboard[1].mean)
    assert len(found.best) == 2
    for member in found.members[2:]:
        assert_same(member, single(member.spec, data, **options), penalized=True)


def test_the_leaderboard_is_mean_and_spread_best_first():
    def member(l2, seed, accuracy, diverged=None):
        curve = np.array([0.9, 1 - accuracy])
        spec = MemberSpec(NET, {"l2": l2}, seed)
        return Member(NET, (), spec, Curves(curve, 1 - curve, curve, 1 - curve), diverged)

    members = [member(0.0, 0, 0.5), member(0.0, 1, 0.7), member(1.0, 0, 0.9), member(1.0, 1, 0.8)]
    members += [member(2.0, 0, 0.99), member(2.0, 1, 0.1, diverged=1)]
    rows = leaderboard(members, "validation_cost")
    assert [row.numbers["l2"] for row in rows] == [1.0, 0.0, 2.0]  # what may diverge stands last
    np.testing.assert_allclose([row.mean for row in rows], [0.15, 0.4, 0.01])
    np.testing.assert_allclose([row.spread for row in rows], [0.1 / 2**0.5, 0.2 / 2**0.5, 0])
    assert [row.accuracy for row in rows] == pytest.approx([0.85, 0.6, 0.99])
    assert [row.members for row in rows] == [(2, 3), (0, 1), (4, 5)]
    rows = leaderboard(members, "accuracy")
    np.testing.assert_allclose([row.mean for row in rows], [0.85, 0.6, 0.99])


@pytest.mark.slow
def test_memory_decides_how_many_share_a_program(data):
    whole = fit_many(NET, data, seeds=6, epochs=2, batch_size=8, strategy="vmap")
    parts = fit_many(NET, data, seeds=6, epochs=2, batch_size=8, strategy=Execution("vmap", memory=1))
    (how,) = parts.strategies
    assert how[:3] == ("chunks", 1, 1)
    assert how.reason == "requested, 1 of 6 members fit the memory"
    for a, b in zip(whole.members, parts.members, strict=True):
        chex.assert_trees_all_close(a.params, b.params, rtol=1e-9)


@pytest.mark.slow
def test_regression_and_a_given_metric():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(30, 2))
    data = Dataset.from_arrays(rows, rows @ [1.0, -2.0] + 0.5, standardize=True)
    net = jaxmlp.network_for(data, ())
    found = fit_many(net, data, folds=3, epochs=40, batch_size="full", grid={"learning_rate": [0.01, 0.2]})
    assert found.metric == "validation_cost"
    assert found.leaderboard[0].numbers == {"learning_rate": 0.2}
    assert found.leaderboard[0].accuracy is None
    assert found.members[0].curves.validation_accuracy is None
    plain = fit_many(net, data, seeds=2, epochs=2)
    assert plain.metric == "cost"
    assert plain.members[0].curves.validation_cost is None
    with pytest.raises(InputError, match="metric 'mae' expects folds or a validation part, got neither: use 5 folds"):
        fit_many(net, data, epochs=1, metric="mae")


@pytest.mark.quick("None")
@pytest.mark.parametrize("folds", [None, 3])
def test_any_metric_ranks(data, folds):
    part = data.split_validation(0.3)
    assert part.validation is not None
    options = {"epochs": 3, "batch_size": 8, "grid": {"learning_rate": [1e-5, 0.1]}, "folds": folds}
    found = fit_many(NET, part, metric="log_loss", **options)
    assert found.metric == "log_loss"
    assert found.leaderboard[0].mean < found.leaderboard[1].mean
    fold = None if folds is None else assign_folds(len(part.train.rows), folds, 0, part.train.targets)
    for member in found.members:
        held = part.validation if fold is None else Part(*(array[fold == member.spec.fold] for array in part.train))
        model = jaxmlp.Model.of(member.net, member.params, part)
        assert (member.metrics or {})["log_loss"] == pytest.approx(model.evaluate(held)["log_loss"], rel=1e-9)
    best = fit_many(NET, part, metric="f1", **options).leaderboard
    assert best[0].mean >= best[1].mean


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"seeds": 0}, "seeds expects how many, or different whole numbers from 0, got 0"),
        ({"seeds": (1, 1)}, "seeds expects"),
        ({"seeds": "12"}, "seeds expects"),
        ({"grid": {"l3": [1]}}, "grid expects one of learning_rate"),
        ({"grid": {"l2": []}}, "grid 'l2' expects at least one number"),
        ({"grid": {"l2": [-1.0]}}, "l2 expects a finite number ≥ 0"),
        ({"grid": {"l2": [1, 1.0]}}, "grid 'l2' expects different numbers"),
        ({"grid": {"l2": [None]}}, "grid 'l2' expects numbers"),
        ({"grid": {"ema_decay": [1.0]}}, "ema_decay expects a decay"),
        ({"grid": {"learning_rate": [0]}}, "learning_rate expects a positive number"),
        ({"grid": {"learning_rate": [0.1]}, "learning_rate": 0.2}, "values on the grid or a value of its own"),
        ({"grid": {"l2": [0.1]}, "objective": Objective(l2=1)}, "values on the grid or a value of its own"),
        ({"grid": {"learning_rate": [0.1]}, "optimizer": optax.sgd(1.0)}, "it brings its own"),
        ({"folds": 1}, "folds expects a whole number from 2 to 25"),
        ({"folds": 26}, "folds expects a whole number from 2 to 25"),
        ({"folds": 3, "same_batches": True}, "same_batches expects no folds"),
        ({"strategy": "pmap"}, "strategy expects one of auto"),
        ({"metric": "speed"}, "metric expects one of cost"),
        ({"metric": "r2"}, "metric for task 'binary' expects one of accuracy"),
        ({"schedule": None}, "schedule expects a name, got NoneType"),
        ({"strategy": Execution(memory=-1)}, "memory expects a positive number, got -1"),
        ({"freeze": 1}, "freeze expects a list of layer numbers, got 1"),
        ({"schedule": "plateau"}, "schedule of a population expects"),
        ({"epochs": 0}, "epochs expects a positive whole number"),
        ({"objective": Objective(l1=np.ones(2))}, "l1 expects a single number, got shape"),
        ({"objective": Objective("quadratic"), "grid": {"label_smoothing": [0.1]}}, "label_smoothing expects one of"),
    ],
)
def test_mistakes_are_named(data, options, says):
    with pytest.raises(InputError, match=says.replace("(", r"\(").replace("|", r"\|")):
        fit_many(NET, data, **{"batch_size": 8, "epochs": 1, **options})


@pytest.mark.slow
def test_mistakes_of_the_data(data):
    alone = (data.train.rows, data.train.targets)
    with pytest.raises(InputError, match="metric 'validation_cost' expects folds or a validation part, got neither"):
        fit_many(NET, alone, metric="validation_cost", epochs=1)
    with pytest.raises(
        InputError, match="expects folds or a validation part, got neither: use 5 folds, for example, or make"
    ):
        fit_many(NET, data, metric="validation_cost", epochs=1)  # its test part ranks nothing
    assert fit_many(NET, data, epochs=1).metric == "cost"
    assert fit_many(NET, data.split_validation(0.2), epochs=1).metric == "validation_cost"
    with pytest.raises(InputError, match="at least one network"):
        fit_many([], alone)
    with pytest.raises(InputTypeError, match="grid expects a dictionary"):
        fit_many(NET, alone, grid=[1])  # pyright: ignore[reportArgumentType]


def test_folds_are_even_and_keep_classes_in_proportion():
    ids = np.array([0] * 17 + [1] * 8)
    fold = assign_folds(25, 4, 3, ids)
    assert sorted(np.bincount(fold).tolist()) == [6, 6, 6, 7]
    for c, least in ((0, 4), (1, 2)):
        counts = np.bincount(fold[ids == c])
        assert least <= counts.min() <= counts.max() <= least + 1
    assert (fold != assign_folds(25, 4, 4, ids)).any()
    assert np.bincount(assign_folds(10, 3)).tolist() == [4, 3, 3]


# --- ensembles --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ensemble(data):
    with jax.numpy_dtype_promotion("standard"):
        found = fit_many(NET, data, seeds=4, epochs=6, batch_size=8, learning_rate=0.02)
        return jaxmlp.Ensemble.of(found, data)


@pytest.mark.slow
def test_an_ensemble_averages_probabilities(ensemble, data, tmp_path):
    rows = data.test.rows
    each = np.stack([member.predict_proba(rows) for member in ensemble.members])
    np.testing.assert_allclose(ensemble.predict_proba(rows), each.mean(axis=0), rtol=1e-12)
    answers = each.mean(axis=0).argmax(axis=1)
    assert (ensemble.predict(rows) == answers).all()
    np.testing.assert_allclose(ensemble.disagreement(rows), (each.argmax(axis=2) != answers).mean(axis=0))
    figures = ensemble.evaluate(data.test)
    assert figures["accuracy"] == (answers == data.test.targets).mean()
    own = [member.evaluate(data.test) for member in ensemble.members]
    assert figures["member_cost"] == pytest.approx(np.mean([one["cost"] for one in own]))
    assert figures["log_loss"] < figures["member_cost"]  # Jensen
    assert figures["disagreement"] == pytest.approx(ensemble.disagreement(rows).mean())
    assert len(ensemble.save(tmp_path / "many")) == 4
    again = jaxmlp.Ensemble.load(tmp_path / "many")
    np.testing.assert_array_equal(again.predict_proba(rows), ensemble.predict_proba(rows))
    with pytest.raises(InputError, match="expects a folder without members, got members"):
        ensemble.save(tmp_path / "many")


@pytest.mark.slow
def test_an_ensemble_of_values_and_of_votes():
    rows = np.linspace(-1, 1, 24).reshape(12, 2)
    data = Dataset.from_arrays(rows, rows @ [1.0, -2.0])
    found = fit_many(jaxmlp.network_for(data, (4,)), data, seeds=3, epochs=2)
    ensemble = jaxmlp.Ensemble.of(found, data)
    each = np.stack([member.predict(rows) for member in ensemble.members])
    np.testing.assert_allclose(ensemble.predict(rows), each.mean(axis=0))
    np.testing.assert_allclose(ensemble.disagreement(rows), each.std(axis=0))
    assert {"r2", "disagreement"} <= set(ensemble.evaluate(data.train))
    data = Dataset.from_arrays(rows, ["a", "b", "c"] * 4)
    net = jaxmlp.Network((2, 4, 3), "tanh", "tanh")
    ensemble = jaxmlp.Ensemble.of(fit_many(net, data, seeds=5, epochs=2), data)
    votes = np.stack([member.predict(rows) for member in ensemble.members])
    for answer, column in zip(ensemble.predict(rows), votes.T, strict=True):
        counts = [np.sum(column == label) for label in "abc"]
        assert answer == "abc"[int(np.argmax(counts))]
    assert set(ensemble.evaluate(data.train)) >= {"accuracy", "f1"}


def test_ensembles_that_are_none(ensemble, data, tmp_path):
    with pytest.raises(InputTypeError, match="at least one Model, got none"):
        jaxmlp.Ensemble(())
    other = dataclasses.replace(ensemble.members[0], classes=("x", "y"))
    with pytest.raises(InputError, match="members of one task"):
        jaxmlp.Ensemble((ensemble.members[0], other))
    options = {"optimizer": "sgd", "batch_size": 8, "objective": Objective(l2=1.0)}
    found = fit_many(NET, data, learning_rate=1e38, epochs=4, **options)
    with pytest.raises(InputError, match="a member that did not diverge, got none"):
        jaxmlp.Ensemble.of(found, data)
    with pytest.raises(InputError, match="member-1"):
        jaxmlp.Ensemble.load(tmp_path)
