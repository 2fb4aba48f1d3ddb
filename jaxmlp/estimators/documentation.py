"""The parameters and attributes of the estimators, written once for both docstrings.

Each class names its own loss and its own example; the rest is what they share.
"""

import inspect
import textwrap
from typing import TypeVar

from jaxmlp.training.optimizers import OPTIMIZERS
from jaxmlp.training.presets import PRESETS

T = TypeVar("T", bound=type)

PARAMETERS = {
    "loss": "what is minimised, scikit-learn's name or one of jaxmlp's costs, or a `Cost` of your own. ",
    "hidden_layer_sizes": "units of the hidden layers, or of the only one; () for none.",
    "activation": 'of the hidden layers: "relu", "tanh", "logistic", "identity", any other of jaxmlp such as "gelu" or '
    '"leaky_relu(0.1)", an `Activation` of your own, or a tuple with one for each layer.',
    "solver": f'"adam", "sgd", "lbfgs", any other optimizer of jaxmlp ({", ".join(OPTIMIZERS)}), or an optax '
    "transformation, which brings its own rate.",
    "alpha": "α of the penalty α/(2n) Σ w², n the rows of a batch, or the sum of their weights.",
    "batch_size": 'rows per step; "auto" is 200, or all rows if there are fewer. "lbfgs" always takes all.',
    "learning_rate": '"constant"; "invscaling", rate / t^power_t; "adaptive", which divides the rate by 5 when '
    'n_iter_no_change epochs have not improved; another schedule of jaxmlp such as "cosine" or "one_cycle"; or a '
    'function step -> rate. For every solver but "lbfgs".',
    "learning_rate_init": "the rate that it starts from.",
    "power_t": 'exponent of "invscaling".',
    "max_iter": "epochs at most.",
    "shuffle": "whether each epoch draws a new order of the rows.",
    "random_state": "of the initial weights, the order of the rows, the rows held out and the noise.",
    "tol": "how much the loss must fall, or the validation score rise, to count as an improvement.",
    "verbose": "whether to print the loss of every epoch.",
    "warm_start": "whether a further `fit` goes on from the weights of the last one, and from its optimizer's memory.",
    "momentum": 'of solver "sgd"; 0 for none.',
    "nesterovs_momentum": "whether it is Nesterov's.",
    "early_stopping": "whether to hold out a part of the rows, to stop when the score on it no longer rises, and to "
    "keep the weights of the best epoch.",
    "validation_fraction": "how much of the rows that is, unless `fit` is given X_val and y_val.",
    "beta_1, beta_2, epsilon": 'of solvers "adam" and "adamw".',
    "n_iter_no_change": "epochs in a row without an improvement, after which training stops; infinity for never.",
    "max_fun": 'evaluations of the loss by "lbfgs" at most.',
    "class_weight": '{class: weight} or "balanced"; multiplies sample_weight.',
    "norm": '"batch" or "layer" normalisation of the hidden layers; None for none.',
    "initializer": 'how the first weights are drawn, as for `jaxmlp.init`; "auto" draws those of scikit-learn.',
    "standardize": "whether to shift and scale the columns, and the targets of a regression, by their weighted mean "
    'and deviation in training; "auto" does so unless X is sparse. `coefs_` are in the units of X and y all the same.',
    "l1, dropout, input_dropout, label_smoothing, input_noise, mixup": "penalty and noise of training, as for "
    "`jaxmlp.Objective`; 0 for none.",
    "l1, dropout, input_dropout, input_noise, mixup": "penalty and noise of training, as for `jaxmlp.Objective`; 0 for "
    "none.",
    "max_norm": "the largest norm of the weights into one unit; None for no limit.",
    "weight_decay, clip_norm, ema_decay": "as for `jaxmlp.fit`.",
    "n_members": "networks that are trained from different initial weights, and predict together; `members_` has them.",
    "precision": '"float32", "float64" or "bfloat16"; "auto" is that of X, and float32 on an accelerator.',
    "device": '"cpu", "gpu" or "tpu"; None for JAX\'s own choice.',
    "mesh": "several devices to train on, as for `jaxmlp.fit`.",
    "preset": f"the name of a recipe ({', '.join(PRESETS)}) for all parameters of network and training that are at "
    "their defaults, by the number of rows, and for the numbers of a frame with text; `partial_fit` holds no rows out.",
}

ATTRIBUTES = {
    "coefs_, intercepts_": "of each layer, (n_in, n_out) and (n_out,), in the units of X and y. Predictions follow "
    "from them: what is written there counts.",
    "member_scales_": "of a preset with members their scales: of the columns, (k, columns), or of the inputs of a "
    "single member, (1, n). The last of coefs_ and intercepts_ then has the outputs of all members one by one. "
    "Else None.",
    "activation_shares_": "with a preset that has parametric activations: the vector s of each hidden layer, a number "
    "for each unit. Else [].",
    "scales_": "γ of each layer with layer normalisation, whose coefs_ act on standardised columns; else ().",
    "loss_, loss_curve_, best_loss_": "of the training rows with its penalties, in the last epoch, in each, and the "
    "lowest; of a regression in the units of the standardised targets, and of several numbers the sum. best_loss_ is "
    "None with early_stopping.",
    "validation_scores_, best_validation_score_": "accuracy or R² on the rows held out or given as X_val, after each "
    "epoch; None without.",
    "validation_loss_curve_": "their loss; None without.",
    "n_iter_, t_": "epochs of the last call, and rows seen in all.",
    "classes_": "the classes in the order of the probabilities.",
    "n_features_in_, feature_names_in_, n_layers_, n_outputs_, out_activation_": "as scikit-learn has them.",
    "members_": "the fitted estimators of an ensemble, which has no coefs_ of its own.",
}


def documents_parameters(cls: T) -> T:
    """Write the parameters of a constructor and the attributes of a fit into the docstring of its class."""
    names = list(inspect.signature(cls).parameters)
    loss, _, tail = inspect.cleandoc(cls.__doc__ or "").partition("\n\nloss: ")[2].partition("\n\n")
    summary = inspect.cleandoc(cls.__doc__ or "").partition("\n\nloss: ")[0]
    parameters = {key: text for key, text in PARAMETERS.items() if all(name in names for name in key.split(", "))}
    if "label_smoothing" in names:
        del parameters["l1, dropout, input_dropout, input_noise, mixup"]
    parameters["loss"] += " ".join(loss.split())
    order = sorted(parameters, key=lambda key: names.index(key.split(", ")[0]))
    attributes = {key: text for key, text in ATTRIBUTES.items() if key != "classes_" or "class_weight" in names}
    lines = [summary, "", "Args:", *(_entry(key, parameters[key]) for key in order), "", "Attributes:"]
    lines += [*(_entry(key, text) for key, text in attributes.items()), "", tail]
    cls.__doc__ = "\n".join(lines)
    return cls


def _entry(names: str, text: str) -> str:
    return textwrap.fill(f"{names}: {text}", 116, initial_indent="  ", subsequent_indent="    ")
