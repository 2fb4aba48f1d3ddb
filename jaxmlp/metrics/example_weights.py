"""Weights of examples: checked as given, or made from the classes of the examples."""

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from jaxmlp.data.labels import are_words, preview
from jaxmlp.errors import InputError, InputTypeError, is_listed, sentence
from jaxmlp.metrics.predictions import check_ids

MAX_CLASSES_WRITTEN = 10  # that an error writes out


def class_weights(
    targets: ArrayLike, n_classes: int, spec: str | Mapping[Any, float], labels: Sequence[Any] | None = None
) -> np.ndarray:
    """Return a weight for each example by its class, (m,) float64.

    "balanced" gives every class the same total weight: m / (C count_c) for an example of class c, with C the number of
    classes that occur, as scikit-learn's compute_sample_weight does. The mean of these weights is 1.

    Args:
      targets: class ids (m,), from 0 to n_classes - 1.
      n_classes: the number of classes.
      spec: "balanced", or {class id: weight}, where a class that is not named has weight 1.
      labels: the labels of the classes, which are then the keys in place of the ids. Where no label is a number, the
        keys may still be ids.

    Raises:
      InputError: for targets that are no class ids, and for any other spec.

    >>> class_weights([0, 0, 0, 1], 2, "balanced").round(3).tolist()
    [0.667, 0.667, 0.667, 2.0]
    >>> class_weights([0, 0, 0, 1], 2, {1: 5}).tolist()
    [1.0, 1.0, 1.0, 5.0]
    >>> class_weights([0, 0, 0, 1], 2, {"cat": 5}, ["cat", "dog"]).tolist()
    [5.0, 5.0, 5.0, 1.0]
    """
    ids = check_ids(targets, n_classes)
    if isinstance(spec, str) and spec == "balanced":
        # a class that does not occur takes no share: the weights then still have the mean 1
        counts = np.bincount(ids)
        return len(ids) / (np.count_nonzero(counts) * counts[ids])  # ids 0, 0, 0, 1: 4/(2·3) three times, 4/(2·1)
    if not isinstance(spec, Mapping):
        expects = f"'balanced' or a dict {{{'class id' if labels is None else 'label'}: weight}}"
        raise InputTypeError(sentence("class_weight", expects, repr(spec), _how_to_write(spec, n_classes, labels)))
    weights = np.ones(n_classes)
    for key, weight in spec.items():
        if isinstance(weight, bool) or not isinstance(weight, Real) or not 0 <= float(weight) < math.inf:
            got, remedy = f"{weight!r} for class {key!r}", "take 1 for no change and 0 to leave the class out"
            raise InputError(sentence("class_weight", "finite weights ≥ 0", got, remedy))
        weights[_id_of(key, n_classes) if labels is None else _id_of_label(key, labels)] = weight
    if len(ids) and not weights[ids].any():
        remedy = "give one of them a weight above 0"
        raise InputError(sentence("class_weight", "a class that occurs to count", "0 for all that do", remedy))
    return weights[ids]


def _how_to_write(spec: Any, n_classes: int, labels: Sequence[Any] | None) -> str:
    """Return the remedy: a dictionary in place of a list with a number for each class, or 'balanced'."""
    if is_listed(spec) and len(numbers := list(spec)) == n_classes <= MAX_CLASSES_WRITTEN:
        return f"write {dict(zip(range(n_classes) if labels is None else labels, numbers, strict=True))}"
    return "write 'balanced', say"


def _id_of(key: Any, n_classes: int) -> int:
    if isinstance(key, bool) or not isinstance(key, (int, np.integer)) or not 0 <= key < n_classes:
        expects = f"class ids from 0 to {n_classes - 1}"
        raise InputError(sentence("class_weight", expects, repr(key), "name classes by id, not by label"))
    return int(key)


def _id_of_label(key: Any, labels: Sequence[Any]) -> int:
    ids = {label: i for i, label in enumerate(labels)}
    if key in ids:
        return ids[key]
    if are_words(labels) and isinstance(key, int | np.integer) and not isinstance(key, bool) and 0 <= key < len(ids):
        return int(key)
    # of the labels "1" and "2" the key 1 could be the first, or the id of the second
    remedy = f"write {str(key)!r}" if str(key) in ids else "name classes by their labels"
    raise InputError(sentence("class_weight", f"labels among {preview(labels)}", repr(key), remedy))
