"""An ensemble: the models of a population, which answer together and say how far they disagree.

    p̄ = 1/M Σ_i p_i                     the answer: the largest p̄ (for regression the mean of the values)
    disagreement                        per row: the share of the members that answer otherwise than the ensemble;
                                        for regression the standard deviation of their values

The log-loss of p̄ is at most the mean of theirs, because -ln is convex (Jensen): an ensemble cannot be worse than its
members are on average. Source: Hansen and Salamon 1990; Lakshminarayanan et al. 2017.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from jaxmlp import model_file
from jaxmlp.data.dataset import Dataset, Part
from jaxmlp.errors import InputError, InputTypeError, sentence
from jaxmlp.model import PROBABILITIES, Model
from jaxmlp.model_file import MEMBERS
from jaxmlp.nn.activations import Activation
from jaxmlp.nn.objective import Objective
from jaxmlp.training.fit_many import Population
from jaxmlp.training.leaderboard import Member
from jaxmlp.training.scores import evaluate_scores


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Models of one data set that answer together.

    Attributes:
      members: the models, all of one task, with the same classes and inputs.

    >>> from jaxmlp import fit_many, load, network_for
    >>> data = load("xor")
    >>> found = fit_many(network_for(data, (8,), "tanh"), data, seeds=3, epochs=200, batch_size="full",
    ...                  learning_rate=0.05, strategy="vmap")
    >>> ensemble = Ensemble.of(found, data)
    >>> ensemble.predict(data.train.rows).tolist(), ensemble.disagreement(data.train.rows).tolist()
    ([0, 1, 1, 0], [0.0, 0.0, 0.0, 0.0])
    """

    members: tuple[Model, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "members", tuple(self.members))
        if not self.members or not all(isinstance(member, Model) for member in self.members):
            got = [type(member).__name__ for member in self.members] or "none"
            raise InputTypeError(sentence("an ensemble", "at least one Model", got, "use Ensemble.of"))
        kinds = {(m.task, m.classes, m.net.sizes[0], m.net.sizes[-1], m.net.output) for m in self.members}
        if len(kinds) > 1:
            remedy = "take models of one data set"
            raise InputError(sentence("an ensemble", "members of one task, with equal classes", "others", remedy))

    @classmethod
    def of(cls, population: Population | Iterable[Member], data: Dataset, objective: Objective | None = None) -> Self:
        """The ensemble of trained members; those that diverged have no say.

        Args:
          population: from `fit_many`, for its best setting; or the members to take.
          data: what they were trained on.
          objective: with what; the cost that follows from the output if None.

        Raises:
          InputError: when all have diverged.
        """
        members = population.best if isinstance(population, Population) else tuple(population)
        sound = [member for member in members if member.diverged is None]
        if not sound:
            raise InputError(
                sentence("an ensemble", "a member that did not diverge", "none", "lower the learning rate")
            )
        return cls(tuple(Model.of(member.net, member.params, data, objective) for member in sound))

    @property
    def task(self) -> str:
        """What labels mean."""
        return self.members[0].task

    # --- answers ------------------------------------------------------------------------------------------------------

    def predict_proba(self, rows: Any) -> np.ndarray:
        """p̄, the mean of the members' probabilities: (m, C), for several labels (m, k).

        Raises:
          InputError: as for `Model.predict_proba`.
        """
        return np.mean([member.predict_proba(rows) for member in self.members], axis=0)

    def predict(self, rows: Any, *, threshold: float = 0.5) -> np.ndarray:
        """Answers: class labels (m,); for several labels 0 and 1, (m, k); for regression mean values.

        Classifiers without probabilities vote; of answers with as many votes the first in the order of classes wins.

        Args:
          rows: as for `Model.predict`.
          threshold: the mean probability above which a single sigmoid says "second class", or a label is present.
        """
        self.members[0].check_threshold(threshold)
        if self.task == "regression":
            return np.mean([member.predict(rows) for member in self.members], axis=0)
        if not self._has_probabilities:
            return self._elected(self._votes(rows))
        return self._answers(self.predict_proba(rows), threshold)

    def disagreement(self, rows: Any) -> np.ndarray:
        """Per row, (m,), the share of the members that answer otherwise than the ensemble.

        For regression the standard deviation of their values, the mean over several targets; in the target's unit.
        """
        votes = self._votes(rows)
        if self.task == "regression":
            deviation = votes.std(axis=0)
            return deviation if deviation.ndim == 1 else deviation.mean(axis=1)
        differs = votes != self.predict(rows)
        return (differs.any(axis=2) if differs.ndim == 3 else differs).mean(axis=0)

    def evaluate(self, part: Part, metrics: str | Iterable[str] | None = None, weights: Any = None) -> dict[str, Any]:
        """Metrics of the common answers, the mean disagreement, and the mean of the members' costs.

        Args:
          part: rows and targets.
          metrics, weights: as for `Model.evaluate`.

        Returns:
          {"accuracy": …, …, "disagreement": …, "member_cost": …}; for regression {"r2": …, …}.
        """
        own = [member.evaluate(part, metrics, weights) for member in self.members]  # which checks the part as well
        if self.task == "regression":
            outputs, answers = self.predict(part.rows).reshape(len(part.rows), -1), None
        else:
            outputs = self.predict_proba(part.rows) if self._has_probabilities else None
            answers = self._ids(self.predict(part.rows))
        scores = evaluate_scores(self.task, part.targets, outputs, weights, metrics, answers=answers)
        far = np.average(self.disagreement(part.rows), weights=weights)
        return {**scores, "disagreement": float(far), "member_cost": float(np.mean([one["cost"] for one in own]))}

    @property
    def _has_probabilities(self) -> bool:
        return self.task != "regression" and self.members[0].net.activations[-1].name in PROBABILITIES

    def _votes(self, rows: Any) -> np.ndarray:
        return np.stack([member.predict(rows) for member in self.members])

    def _answers(self, probabilities: np.ndarray, threshold: float) -> np.ndarray:
        if self.task == "multilabel":
            return (probabilities > threshold).astype(int)
        if threshold != 0.5:
            return np.asarray(self.members[0].classes)[(probabilities[:, 1] > threshold).astype(int)]
        return np.asarray(self.members[0].classes)[probabilities.argmax(axis=1)]

    def _elected(self, votes: np.ndarray) -> np.ndarray:
        if self.task == "multilabel":
            return (votes.mean(axis=0) > 0.5).astype(int)
        classes = np.asarray(self.members[0].classes)
        return classes[(votes[:, :, None] == classes).sum(axis=0).argmax(axis=1)]

    def _ids(self, answers: np.ndarray) -> np.ndarray:
        if self.task == "multilabel":
            return answers
        return (answers[:, None] == np.asarray(self.members[0].classes)).argmax(axis=1)

    # --- files --------------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> list[Path]:
        """Write the members into a folder, member-1.h5, member-2.h5, …: each a model of its own.

        Raises:
          InputError: when the folder holds members already.
        """
        folder = Path(path)
        folder.mkdir(exist_ok=True)
        if any(folder.glob(MEMBERS)):
            raise InputError(sentence(str(folder), "a folder without members", "some", "choose another"))
        files = [model_file.member(folder, i) for i in range(1, len(self.members) + 1)]
        for file, member in zip(files, self.members, strict=True):
            model_file.write(file, member)
        return files

    @classmethod
    def load(cls, path: str | os.PathLike[str], activations: Sequence[Activation] = ()) -> Self:
        """The ensemble in a folder that `save` wrote.

        Args:
          path: the folder.
          activations: as for `Model.load`.

        Raises:
          InputError: when there are no members, or they do not belong together.
        """
        files = sorted(Path(path).glob(MEMBERS), key=lambda file: (len(file.name), file.name))
        if not files:
            remedy = "give what `jaxmlp train --ensemble` or Ensemble.save wrote"
            raise InputError(sentence(str(path), "a folder with member-1.h5, …", "none", remedy))
        return cls(tuple(Model.load(file, activations) for file in files))
