"""An ensemble: the models of a population, which predict together and measure how far they disagree.

    p̄ = 1/M Σ_i p_i                     the prediction is the class of the largest p̄ (for regression the mean value)
    disagreement                        for each row: the fraction of the members that predict otherwise than the
                                        ensemble; for regression the standard deviation of their values

The log loss of p̄ is at most the mean of the members' log losses, because -ln is convex (Jensen): an ensemble cannot be
worse than its members are on average. Source: Hansen and Salamon 1990; Lakshminarayanan et al. 2017.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from jaxmlp.data.dataset import Dataset, Part
from jaxmlp.data.limits import as_path
from jaxmlp.data.streaming.file_rows import FileRows
from jaxmlp.errors import InputError, InputTypeError, check_type, sentence
from jaxmlp.inference import model_file
from jaxmlp.inference.matching import match_part
from jaxmlp.inference.model import Model
from jaxmlp.inference.model_file import MEMBERS
from jaxmlp.metrics.definitions import compute_metrics
from jaxmlp.nn.activations import Activation
from jaxmlp.nn.objective import Objective
from jaxmlp.population.fit_many import Population
from jaxmlp.population.leaderboard import Member


@dataclass(frozen=True, eq=False, repr=False)
class Ensemble:
    """Models of one data set that predict together.

    Attributes:
      members: the models, all of one task, with the same classes and inputs.

    >>> from jaxmlp import fit_many, load, network_for
    >>> data = load("xor")
    >>> population = fit_many(network_for(data, (8,), "tanh"), data, seeds=3, epochs=200, batch_size="full",
    ...                       learning_rate=0.05, strategy="vmap")
    >>> ensemble = Ensemble.of(population, data)
    >>> ensemble.predict(data.train.rows).tolist(), ensemble.disagreement(data.train.rows).tolist()
    ([0, 1, 1, 0], [0.0, 0.0, 0.0, 0.0])
    """

    members: tuple[Model, ...]

    def __post_init__(self) -> None:
        if isinstance(self.members, Iterable):
            object.__setattr__(self, "members", tuple(self.members))
        check_type("an ensemble", self.members, tuple, "a list of models", "write Ensemble([model_1, model_2])")
        if not self.members or not all(isinstance(member, Model) for member in self.members):
            got = [type(member).__name__ for member in self.members] or "none"
            raise InputTypeError(sentence("an ensemble", "at least one Model", got, "use Ensemble.of"))
        signatures = {(m.task, m.classes, m.net.sizes[0], m.net.sizes[-1], m.net.output) for m in self.members}
        if len(signatures) > 1:
            expects, remedy = "members of one task, with equal classes", "take models of one data set"
            raise InputError(sentence("an ensemble", expects, "members that differ", remedy))

    def __repr__(self) -> str:
        return f"Ensemble of {len(self.members)}, the first: {self.members[0]!r}"

    @classmethod
    def of(cls, population: Population | Iterable[Member], data: Dataset, objective: Objective | None = None) -> Self:
        """Return the ensemble of trained members, without those that diverged.

        Args:
          population: from `fit_many`, for its best setting; or the members to take.
          data: the data set they were trained on.
          objective: the objective they were trained with; if None, the cost that follows from the output.

        Raises:
          InputError: when all have diverged.
        """
        members = population.best if isinstance(population, Population) else tuple(population)
        finite = [member for member in members if member.diverged is None]
        if not finite:
            expects, remedy = "a member that did not diverge", "lower the learning rate"
            raise InputError(sentence("an ensemble", expects, "none", remedy))
        return cls(tuple(Model.of(member.net, member.params, data, objective) for member in finite))

    @property
    def task(self) -> str:
        """The task of all members."""
        return self.members[0].task

    # --- prediction ---------------------------------------------------------------------------------------------------

    def predict_proba(self, rows: ArrayLike | FileRows | Mapping[str, Any]) -> np.ndarray:
        """Return p̄, the mean of the members' probabilities: (m, C), for several labels (m, k).

        Raises:
          InputError: as for `Model.predict_proba`.
        """
        return np.mean([member.predict_proba(rows) for member in self.members], axis=0)

    def predict(self, rows: ArrayLike | FileRows | Mapping[str, Any], *, threshold: float = 0.5) -> np.ndarray:
        """Return class labels (m,); for several labels 0 and 1, (m, k); for regression mean values.

        Classifiers without probabilities vote. Among classes with as many votes, the first in their order wins.

        Args:
          rows: as for `Model.predict`.
          threshold: the mean probability above which a single sigmoid predicts the second class, or a label is present.
        """
        self.members[0].check_threshold(threshold)
        if self.task == "regression":
            return np.mean([member.predict(rows) for member in self.members], axis=0)
        if not self.members[0].has_probabilities:
            return self._vote(self._member_predictions(rows))
        probabilities = self.predict_proba(rows)
        if self.task == "multilabel":
            return (probabilities > threshold).astype(int)
        # several classes have no other threshold (`check_threshold`), so column 1 below is that of the second of two
        ids = probabilities.argmax(axis=1) if threshold == 0.5 else (probabilities[:, 1] > threshold).astype(int)
        return np.asarray(self.members[0].classes)[ids]

    def disagreement(self, rows: ArrayLike | FileRows | Mapping[str, Any]) -> np.ndarray:
        """Return for each row, (m,), the fraction of the members that predict otherwise than the ensemble.

        For regression it is the standard deviation of the members' values in the unit of the target, averaged over
        several targets.
        """
        predictions = self._member_predictions(rows)  # (members, m) or (members, m, k)
        if self.task == "regression":
            deviation = predictions.std(axis=0)
            return deviation if deviation.ndim == 1 else deviation.mean(axis=1)
        differs = predictions != self.predict(rows)  # (members, m), for several labels (members, m, k)
        return (differs.any(axis=2) if differs.ndim == 3 else differs).mean(axis=0)

    def evaluate(
        self, part: Part, metrics: str | Iterable[str] | None = None, weights: ArrayLike | None = None
    ) -> dict[str, Any]:
        """Return metrics of the common predictions, the mean disagreement, and the mean of the members' costs.

        Args:
          part: rows and targets.
          metrics, weights: as for `Model.evaluate`.

        Returns:
          {"accuracy": …, …, "disagreement": …, "member_cost": …}; for regression {"r2": …, …}.
        """
        part = match_part(part, self.members[0])
        costs = [member.evaluate(part, metrics, weights)["cost"] for member in self.members]  # this checks `part` too
        predictions, outputs = self.predict(part.rows), None
        if self.task == "regression":
            outputs, predictions = predictions.reshape(len(predictions), -1), None
        else:
            if self.members[0].has_probabilities:
                outputs = self.predict_proba(part.rows)
            if self.task != "multilabel":
                # labels to class ids, which are what the targets of a part are
                predictions = (predictions[:, None] == np.asarray(self.members[0].classes)).argmax(axis=1)
        values = compute_metrics(self.task, part.targets, outputs, weights, metrics, predictions=predictions)
        weights = None if weights is None else np.asarray(weights)
        disagreement = np.average(self.disagreement(part.rows), weights=weights)
        return {**values, "disagreement": float(disagreement), "member_cost": float(np.mean(costs))}

    def _member_predictions(self, rows: ArrayLike | FileRows | Mapping[str, Any]) -> np.ndarray:
        return np.stack([member.predict(rows) for member in self.members])

    def _vote(self, predictions: np.ndarray) -> np.ndarray:
        """Return the predictions of most members."""
        if self.task == "multilabel":
            return (predictions.mean(axis=0) > 0.5).astype(int)
        classes = np.asarray(self.members[0].classes)
        # argmax takes the first of equal counts, which makes a tie the same on every machine
        return classes[(predictions[:, :, None] == classes).sum(axis=0).argmax(axis=1)]

    # --- files --------------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> list[Path]:
        """Write each member as a model into a folder: member-1.h5, member-2.h5, …; return the files.

        Raises:
          InputError: when the folder holds members already.
        """
        folder = as_path(path, "Ensemble.save", for_writing=True)
        folder.mkdir(exist_ok=True)
        if any(folder.glob(MEMBERS)):
            raise InputError(sentence(str(folder), "a folder without members", "members", "choose another"))
        files = [model_file.member(folder, i) for i in range(1, len(self.members) + 1)]
        for file, member in zip(files, self.members, strict=True):
            model_file.write(file, member)
        return files

    @classmethod
    def load(cls, path: str | os.PathLike[str], activations: Sequence[Activation] = ()) -> Self:
        """Return the ensemble in a folder that `save` wrote.

        Args:
          path: the folder.
          activations: as for `Model.load`.

        Raises:
          InputError: when there are no members, or they do not belong together.
        """
        # by length first: member-10.h5 comes after member-9.h5
        files = sorted(as_path(path, "Ensemble.load").glob(MEMBERS), key=lambda file: (len(file.name), file.name))
        if not files:
            remedy = "give what `jaxmlp train --ensemble` or Ensemble.save wrote"
            raise InputError(sentence(str(path), "a folder with member-1.h5, …", "none", remedy))
        return cls(tuple(Model.load(file, activations) for file in files))
