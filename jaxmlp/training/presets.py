"""Presets: named recipes that choose the network, its training and the validation part for a data set.

    tabular    two hidden layers of 256 relu units, dropout 0.1, adamw with α = 0.002 and decay 0.01, a moving average
               of the parameters (0.999), and the epoch with the lowest cost on 15 % of the training rows; numbers of a
               table are scaled by "auto"
    piecewise  piecewise-linear encoding of numbers, so that the first layer is an embedding of each column; two
               hidden layers of 256 relu units, dropout 0.15, adamw with decay 0.1 and α = 0.003, which falls to 0 by a
               cosine, a moving average (0.999), and the best epoch on 15 % of the training rows
    tabm       the same encoding; 32 members in one network (TabM-mini, `nn.members`), each with a scale for every
               column, and two hidden layers of 128 relu units; adamw with decay 0.1 and α = 0.01, which falls to 0 by a
               cosine, a moving average (0.999), and the best epoch of the members' mean on 15 % of the training rows;
               a regression predicts within the range of the training targets
    realmlp    the same encoding, and beside it each number by robust scaling with a smooth bound; a learnt scale of
               each input, then three hidden layers of 256 units with parametric elu(1.6733), dropout 0.15; adamw in the
               NTK parametrisation (`optimizers`) with decay 0.005 and α = 0.02, for a regression decay 0.02 and
               α = 0.1; α runs through four cycles, each twice as long as the one before; label smoothing 0.1 for
               classes; a regression predicts within the range of the training targets; the best epoch on 15 % of the
               training rows

The batch size B and the longest run follow from the m rows that train: a table of a hundred rows needs small batches
and many epochs, one of a million needs large batches and few epochs.

    B          64 up to 1,024 rows, 128 up to 8,192, 256 up to 30,000, 512 up to 100,000, else 1,024
    tabular    10,000 steps, and from 100 to 500 epochs; training ends early when the cost has not improved for 400
               steps, and for at least 16 epochs
    piecewise  2,000 steps, and from 20 to 500 epochs; it never ends early, because most of the gain comes at
               the end, when α is small
    tabm, realmlp    3,000 steps, and from 20 to 500 epochs; they never end early

Tried for `piecewise` and rejected, by the R² of California housing in single runs, where relu had 0.837 to 0.842: silu
(0.830), silu in three layers (0.838 and 0.839, in 1.5 times the time), 512 units (0.835), dropout 0.3 (0.822). These
runs differed in rate, decay, length or scale of the inputs as well: they are hints, not a comparison.

Of `tabm` the members, their number and the average of their probabilities are those of the paper. Width, rate, decay
and length are our choice, for a training of a few minutes on two cores. The paper has 512 units, dropout 0.1, α = 0.002
until 16 epochs bring no improvement, and a learnt embedding of each column before the scales.

Tried for `tabm` in an experiment beside this package, by R² of California housing on the 15 % of the training rows that
select the epoch, mean of five splits, 3,025 steps and 128 units unless stated. A difference of 0.002 may be chance:

    a sign for each input, α = 0.005    0.834 with 48 bins, 0.838 with 96, 0.840 with 128; 0.824 with 24
    the same, 48 bins                   256 units 0.835, 512 units 0.832; 16 members 0.835, 8 members 0.833; dropout 0.1
                                        0.833; decay 0.3 0.833; silu 0.834; three layers 0.835; 6,050 steps 0.837
    a sign for each column              0.839 with 48 bins; 0.846 with 192, α = 0.01; 0.846 with 128, 6,050 steps
    a learnt embedding of 16 units for each column, as in the paper, 96 bins
                                        α = 0.005 0.846, 0.01 0.849, 0.02 0.842; with α = 0.01 192 bins 0.850, 8 units
                                        0.849, dropout 0.1 0.847, 256 units and dropout 0.1 0.845; batches of 128 and
                                        α = 0.005 0.850; 512 units, dropout 0.1, α = 0.005, 6,050 steps 0.844
    periodic embeddings                 0.781 to 0.822

A learnt scale for each column, with 128 bins and α = 0.01, had 0.846 on the first three splits. It needs no further
layer, so the preset has it. On the test rows no recipe of the experiment had more than 0.857.

In `realmlp` rates, decays and length are our choice, for a training of one or two minutes on two cores; the paper
trains 256 epochs with α = 0.04, for a regression 0.2, and decay 0.02. These parts of the paper are left out or differ:

    periodic embeddings     replaced by the piecewise-linear encoding
    selu, mish              selu is 1.0507 elu(1.6733), and the next layer can learn the factor; mish is close to silu,
                            which was not better
    data-based first weights    tried in an experiment: no clear gain
    dropout and decay       constant here; in the paper they fall to 0 in the second half of the training, which
                            `TrainConfig.fade` does. In our shorter training it was worse: California housing, R² of
                            seeds 1 and 2 0.825 and 0.835 with it, 0.836 and 0.839 without

Tried for `realmlp` with its parametric activations: R² of California housing on the test rows of split seeds 11, 12,
13. A difference of 0.005 may be chance: with A = Z + s (g(Z) - Z), which only rounds differently, seed 0 had 0.850
instead of 0.839. The parametric activations show no clear gain: with 48 bins 0.839 over five seeds, and over three
without them.

    the preset                   0.844, 0.850, 0.835
    96 bins instead of 128       0.840, 0.848, 0.833
    48 bins                      0.838, 0.841, 0.835
    48 bins, silu                0.837, 0.844, 0.832
    48 bins, dropout 0.1         0.841, 0.840, 0.835
    48 bins, 90 epochs not 56    0.840, 0.848, 0.833
    48 bins, a moving average    0.840, 0.845, 0.835; with 512 units 0.844, 0.848 (two seeds, three times as long); on
    (0.999)                      `tips`, 195 rows, 0.39 instead of 0.67 (one seed)

Tried for `realmlp` without parametric activations, with 48 bins, on parts of the training rows, in single runs, so that
a difference of 0.005 may be chance:

    California housing, R²    the preset 0.827, `piecewise` for 1,500 steps 0.809; after 6,000 steps 0.822; with silu
                              0.821; with decay 0.005 0.821; with data-based first weights 0.822; without the numbers
                              beside the encoding 0.820, and then with decay 0.1 0.803, or with data-based first weights
                              0.824
    the same, other rows      the preset 0.827; with dropout 0.25 0.828; with a moving average (0.998) 0.828, and then
                              with α = 0.2 0.823
    Adult, 2,000 steps,       the preset 86.6 % and 0.9212, `piecewise` 86.8 % and 0.9204; with α = 0.04 86.7 % and
    accuracy and ROC AUC      0.9201; with α = 0.04 and decay 0.02 86.5 % and 0.9184; with α = 0.04 and relu 86.9 % and
                              0.9198
    Adult, other rows,        the preset 86.4 % and 0.9188, `piecewise` 86.0 % and 0.9184; with α = 0.04 and relu 86.0 %
    3,000 steps               and 0.9131

Sources of the batch sizes: Holzmüller et al. 2024 (RealMLP), arXiv 2407.04491; of the encoding and its place before
an ordinary network: Gorishniy et al. 2022, arXiv 2203.05556 (there "MLP-Q"); of members: Gorishniy et al. 2025 (TabM),
arXiv 2410.24210.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from jaxmlp.errors import unknown
from jaxmlp.nn import activations
from jaxmlp.nn.activations import Activation
from jaxmlp.nn.objective import Objective
from jaxmlp.training.early_stopping import EarlyStopping

BATCH_SIZES = ((1_024, 64), (8_192, 128), (30_000, 256), (100_000, 512))  # up to so many rows, and B
LARGEST_BATCH = 1_024
MAX_EPOCHS = 500
PATIENCE_STEPS, MIN_PATIENCE = 400, 16
OPTIMIZER_FIELDS = ("learning_rate", "schedule", "weight_decay")
"""Fields of `Preset.config` that suit its optimizer only: another optimizer has its defaults."""


class Preset(NamedTuple):
    """The recipe of a preset.

    Attributes:
      hidden, activation: the hidden layers of the network.
      validation_fraction: the fraction of the training rows that selects the best epoch.
      numbers: how columns of numbers are scaled, as in `TableOptions`.
      objective: fields of `Objective`.
      config: fields of `TrainConfig`, except those that follow from the number of rows.
      steps, min_epochs: the length of the training: this number of steps, and at least this number of epochs.
      stops_early: whether training ends early, after the patience of `Budget`.
      members: the members of the network, as in `Network`; None for a network without.
      parametric: whether its activations are parametric, as in `Network`.
      bounded: whether a regression predicts within the range of the training targets, as `Dataset.bound_targets`.
    """

    hidden: tuple[int, ...]
    activation: str
    validation_fraction: float
    numbers: str
    objective: Mapping[str, Any]
    config: Mapping[str, Any]
    steps: int
    min_epochs: int
    stops_early: bool
    members: int | None = None
    parametric: bool = False
    bounded: bool = False


_COSINE = {"optimizer": "adamw", "schedule": "cosine", "weight_decay": 0.1, "ema_decay": 0.999}

PRESETS = {
    "tabular": Preset(
        hidden=(256, 256),
        activation="relu",
        validation_fraction=0.15,
        numbers="auto",
        objective={"dropout": 0.1},
        config={"optimizer": "adamw", "learning_rate": 0.002, "weight_decay": 0.01, "ema_decay": 0.999},
        steps=10_000,
        min_epochs=100,
        stops_early=True,
    ),
    "piecewise": Preset(
        hidden=(256, 256),
        activation="relu",
        validation_fraction=0.15,
        numbers="piecewise",
        objective={"dropout": 0.15},
        config=_COSINE | {"learning_rate": 0.003},
        steps=2_000,
        min_epochs=20,
        stops_early=False,
    ),
    "tabm": Preset(
        hidden=(128, 128),
        activation="relu",
        validation_fraction=0.15,
        numbers="piecewise",
        objective={},
        config=_COSINE | {"learning_rate": 0.01},
        steps=3_000,
        min_epochs=20,
        stops_early=False,
        members=32,
        bounded=True,
    ),
    "realmlp": Preset(
        hidden=(256, 256, 256),
        activation="elu(1.6733)",
        validation_fraction=0.15,
        numbers="robust_piecewise",
        objective={"dropout": 0.15, "label_smoothing": 0.1},
        config={
            "optimizer": "adamw_ntk(0.9, 0.95)",
            "learning_rate": 0.02,
            "schedule": "coslog(4)",
            "weight_decay": 0.005,
        },
        steps=3_000,
        min_epochs=20,
        stops_early=False,
        members=1,
        parametric=True,
        bounded=True,
    ),
}

REGRESSION_PRESETS = {
    "realmlp": PRESETS["realmlp"]._replace(
        objective={"dropout": 0.15},
        config={**PRESETS["realmlp"].config, "learning_rate": 0.1, "weight_decay": 0.02},
    ),
}
"""The recipes for a regression that differ from those for classes."""


def find(name: str, task: str | None = None) -> Preset:
    """Return the preset of that name for a task; None is the recipe for classes.

    Raises:
      InputError: for an unknown name.

    >>> find("tabular").hidden, find("realmlp", "regression").bounded
    ((256, 256), True)
    """
    if name not in PRESETS:
        raise unknown("preset", name, PRESETS)
    return REGRESSION_PRESETS.get(name, PRESETS[name]) if task == "regression" else PRESETS[name]


def is_parametric(preset: Preset, hidden: Iterable[str | Activation]) -> bool:
    """Whether these hidden activations are parametric by the preset; maxout cannot be.

    >>> is_parametric(PRESETS["realmlp"], ["elu"]), is_parametric(PRESETS["realmlp"], ["maxout(2)"])
    (True, False)
    """
    return preset.parametric and all(activations.find(g).pieces == 1 for g in hidden)


class Budget(NamedTuple):
    """The length of a training: batch size, largest number of epochs, and epochs without improvement before it ends."""

    batch_size: int
    epochs: int
    patience: int


def budget(n_rows: int, name: str = "tabular") -> Budget:
    """Return how long a preset trains on so many rows.

    >>> budget(275), budget(16_512)
    (Budget(batch_size=64, epochs=500, patience=80), Budget(batch_size=256, epochs=154, patience=16))
    >>> budget(16_512, "piecewise")
    Budget(batch_size=256, epochs=31, patience=31)
    """
    preset = find(name)
    size = next((B for max_rows, B in BATCH_SIZES if n_rows <= max_rows), LARGEST_BATCH)
    steps = math.ceil(n_rows / size)  # per epoch
    epochs = min(MAX_EPOCHS, max(preset.min_epochs, math.ceil(preset.steps / steps)))
    patience = max(MIN_PATIENCE, math.ceil(PATIENCE_STEPS / steps))
    # tabular, 275 rows: B = 64, 5 steps per epoch, 10,000/5 = 2,000 epochs, of which 500 are allowed; patience 400/5 =
    # 80
    return Budget(size, epochs, patience if preset.stops_early else epochs)


def training_fields(name: str, n_rows: int, task: str | None = None) -> dict[str, Any]:
    """Return the fields of `TrainConfig` that a preset sets for a task, for so many training rows.

    >>> training_fields("tabular", 275)["early_stopping"]
    EarlyStopping(patience=80, monitor=None, min_delta=0.0)
    """
    preset, length = find(name, task), budget(n_rows, name)
    return {
        "epochs": length.epochs,
        "batch_size": length.batch_size,
        "objective": Objective(**preset.objective),
        "early_stopping": EarlyStopping(length.patience),
        **preset.config,
    }
