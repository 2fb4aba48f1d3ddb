"""Weights of examples: checked as given, or made from the classes of the examples."""

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from jaxmlp.data.labels import are_words
from jaxmlp.errors import InputError, InputTypeError, sentence
from jaxmlp.metrics.predictions import check_ids


def ids_of_labels(spec: object, classes: Sequence[object]) -> Any:
    """Return {class id: weight} of {label: weight}; where no label is a number, the keys may be ids already.

    Anything that is no mapping is returned as it is, for `class_weights` to refuse.

    Raises:
      InputError: for a key that is no label.

    >>> ids_of_labels({2: 5.0}, (1, 2)), ids_of_labels({"dog": 5.0}, ("cat", "dog"))
    ({1: 5.0}, {1: 5.0})
    """
    if not isinstance(spec, Mapping):
        return spec
    ids = {label: i for i, label in enumerate(classes)}
    if are_words(classes) and not any(isinstance(key, str) for key in spec):
        return spec
    strange = [key for key in spec if key not in ids]
    if strange:
        expects = f"labels among {', '.join(map(str, ids))}"
        # of the labels "1" and "2" the key 1 could be the first, or the id of the second
        remedy = f"write {str(strange[0])!r}" if str(strange[0]) in ids else "name classes by their labels"
        raise InputError(sentence("class_weight", expects, repr(strange[0]), remedy))
    return {ids[key]: weight for key, weight in spec.items()}


def class_weights(targets: ArrayLike, n_classes: int, spec: str | Mapping[int, float]) -> np.ndarray:
    """Return a weight for each example by its class, (m,) float64.

    "balanced" gives every class the same total weight: m / (C count_c) for an example of class c, with C the number of
    classes that occur, as scikit-learn's compute_sample_weight does. The mean of these weights is 1.

    Args:
      targets: class ids (m,), from 0 to n_classes - 1.
      n_classes: the number of classes.
      spec: "balanced", or {class id: weight}, where a class that is not named has weight 1.

    Raises:
      InputError: for targets that are no class ids, and for any other spec.

    >>> class_weights([0, 0, 0, 1], 2, "balanced").round(3).tolist()
    [0.667, 0.667, 0.667, 2.0]
    >>> class_weights([0, 0, 0, 1], 2, {1: 5}).tolist()
    [1.0, 1.0, 1.0, 5.0]
    """
    ids = check_ids(targets, n_classes)
    if isinstance(spec, str) and spec == "balanced":
        # a class that does not occur takes no share: the weights then still have the mean 1
        counts = np.bincount(ids)
        return len(ids) / (np.count_nonzero(counts) * counts[ids])  # ids 0, 0, 0, 1: 4/(2·3) three times, 4/(2·1)
    if not isinstance(spec, Mapping):
        expects = "'balanced' or a dict {class id: weight}"
        raise InputTypeError(sentence("class_weight", expects, repr(spec), "write 'balanced', say"))
    weights = np.ones(n_classes)
    for key, weight in spec.items():
        if isinstance(key, bool) or not isinstance(key, (int, np.integer)) or not 0 <= key < n_classes:
            expects = f"class ids from 0 to {n_classes - 1}"
            raise InputError(sentence("class_weight", expects, repr(key), "name classes by id, not by label"))
        if isinstance(weight, bool) or not isinstance(weight, Real) or not 0 <= float(weight) < math.inf:
            got, remedy = f"{weight!r} for class {key}", "take 1 for no change and 0 to leave the class out"
            raise InputError(sentence("class_weight", "finite weights ≥ 0", got, remedy))
        weights[key] = weight
    if len(ids) and not weights[ids].any():
        remedy = "give one of them a weight above 0"
        raise InputError(sentence("class_weight", "a class that occurs to count", "0 for all that do", remedy))
    return weights[ids]
