"""Run the entry points of the package under each strict mode of JAX and Python: what a careful user switches on.

    python .ci/strict_modes.py [--modes "NAME,NAME"] [--entries "NAME;NAME"]

Each mode is a process of its own with the variables below. Prints a line for each mode, and the error of each entry
point that does not run under it; ends with 1 if there is any.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

MODES: dict[str, dict[str, str]] = {
    "none": {},
    "debug_nans": {"JAX_DEBUG_NANS": "1"},
    "enable_checks": {"JAX_ENABLE_CHECKS": "1"},
    "check_tracer_leaks": {"JAX_CHECK_TRACER_LEAKS": "1"},
    "debug_key_reuse": {"JAX_DEBUG_KEY_REUSE": "1"},
    "rank_promotion": {"JAX_NUMPY_RANK_PROMOTION": "raise"},
    "dtype_promotion": {"JAX_NUMPY_DTYPE_PROMOTION": "strict"},
    "python_dev_mode": {"PYTHONDEVMODE": "1"},
    "warnings": {"PYTHONWARNINGS": "error"},
    "custom_vjp3": {"JAX_CUSTOM_VJP3": "1"},
    "x64": {"JAX_ENABLE_X64": "1"},
    "x64_strict": {"JAX_ENABLE_X64": "1", "JAX_NUMPY_DTYPE_PROMOTION": "strict", "JAX_NUMPY_RANK_PROMOTION": "raise"},
}
SHORT: dict[str, Any] = {"epochs": 3, "batch_size": 64}


def entry_points() -> dict[str, Callable[[], Any]]:
    """Return what is run under each mode: a name, and a function without arguments."""
    import jax
    import optax

    import jaxmlp

    data = jaxmlp.load("digits")
    net = jaxmlp.network_for(data, (16,))
    planar = jaxmlp.load("planar")
    small = jaxmlp.network_for(planar, (4,), "tanh")
    params = jaxmlp.init(jax.random.key(0), small)
    X, Y = planar.train.rows[:20].T.astype(np.float32), np.asarray(planar.train.targets[:20], np.float32)[None]
    if jax.config.jax_enable_x64:
        X, Y = X.astype(np.float64), Y.astype(np.float64)

    @jax.custom_vjp
    def soft_sign(z: Any) -> Any:
        return z / (1 + abs(z))

    soft_sign.defvjp(lambda z: (soft_sign(z), z), lambda z, da: (da / (1 + abs(z)) ** 2,))
    wide = np.random.default_rng(0).standard_normal((30, 500)).astype(np.float32)

    def fit(**options: Any) -> Any:
        return jaxmlp.fit(net, data, **(SHORT | options))

    def step() -> None:
        optimizer = optax.adam(1e-2)
        advance = jaxmlp.make_step(small, optimizer)
        state = jaxmlp.init_state(jax.random.key(0), small, optimizer)
        for _ in range(3):
            state, _ = advance(state, X, Y)

    def saved() -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.h5"
            jaxmlp.Model.of(net, fit().params, data).save(path)
            model = jaxmlp.load_model(path)
            model.predict(data.test.rows)
            model.evaluate(data.test)

    def resumed() -> None:
        with tempfile.TemporaryDirectory() as folder:
            fit(checkpoints=Path(folder) / "run")
            fit(checkpoints=Path(folder) / "run", epochs=4)

    def estimators() -> None:
        from sklearn.exceptions import ConvergenceWarning

        from jaxmlp import MLPClassifier, MLPRegressor

        warnings.simplefilter("ignore", ConvergenceWarning)  # three epochs are not enough, and are said not to be
        rows, targets = planar.train.rows, np.asarray(planar.train.targets)
        MLPClassifier(hidden_layer_sizes=(8,), max_iter=3, dropout=0.1, early_stopping=True).fit(
            rows, targets
        ).predict_proba(rows)
        MLPRegressor(hidden_layer_sizes=(8,), max_iter=3, n_members=2).fit(rows, rows[:, 0]).predict(rows)

    def table() -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "people.csv"
            lines = [f"{i % 7},{'north' if i % 3 else 'south'},{'yes' if i % 2 else 'no'}" for i in range(60)]
            path.write_text("age,region,bought\n" + "\n".join(lines) + "\n", encoding="utf-8")
            read = jaxmlp.load(path, target="bought")
            jaxmlp.fit(jaxmlp.network_for(read, (8,)), read, epochs=2)

    def streamed() -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "rows.h5"
            import h5py

            with h5py.File(path, "w") as file:
                file["X"], file["y"] = data.train.rows, np.asarray(data.train.targets)
            stream = jaxmlp.stream(path, memory=2**20)
            jaxmlp.fit(jaxmlp.network_for(stream, (8,)), stream, epochs=2, batch_size=64)

    objective = jaxmlp.Objective(dropout=0.2, input_dropout=0.1)
    return {
        "forward, cost, grad, backprop": lambda: (
            jaxmlp.forward(params, X, small),
            jax.grad(jaxmlp.cost)(params, X, Y, small),
            jaxmlp.backprop(params, X, Y, small),
            jaxmlp.trace(params, X, small, Y),
        ),
        "make_step": step,
        "fit": fit,
        "fit, every option": lambda: fit(
            optimizer="adamw",
            weight_decay=0.01,
            schedule="cosine",
            clip_norm=1.0,
            ema_decay=0.9,
            objective=jaxmlp.Objective(l2=0.1, mixup=0.1, input_noise=0.1, max_norm=3.0, label_smoothing=0.1),
        ),
        "fit, batch norm and dropout": lambda: jaxmlp.fit(
            jaxmlp.network_for(data, (16,), norm="batch"), data, objective=objective, **SHORT
        ),
        "fit, early stopping": lambda: jaxmlp.fit(
            net, data.split_validation(0.2), early_stopping=jaxmlp.EarlyStopping(), **SHORT
        ),
        "fit, full batch in the space of the rows": lambda: jaxmlp.fit(
            jaxmlp.Network((500, 8, 1), "tanh", "sigmoid"),
            (wide, np.arange(30) % 2),
            epochs=200,
            batch_size="full",
            optimizer="sgd",
        ),
        "resume": resumed,
        "fit_many": lambda: jaxmlp.fit_many(small, planar, seeds=3, epochs=3),
        "fit_many, folds": lambda: jaxmlp.fit_many(small, planar, folds=3, epochs=3),
        "lr_find": lambda: jaxmlp.lr_find(net, data, batch_size=64),
        "estimators": estimators,
        "a table": table,
        "stream": streamed,
        "save, load, predict, evaluate": saved,
        "check_vjp": lambda: jaxmlp.assert_vjp(soft_sign, X),
        "diagnose": lambda: jaxmlp.diagnose(params, X, Y, small),
    }


def run_here(names: list[str]) -> int:
    """Run the entry points in this process, print the error of each that fails, and return how many do."""
    failed = 0
    for name, entry in entry_points().items():
        if names and name not in names:
            continue
        try:
            entry()
        # whatever an entry point raises is the answer for this mode, and the remaining ones still run
        except Exception as error:
            failed += 1
            place = traceback.extract_tb(error.__traceback__)[-1]
            print(f"  {name}: {type(error).__name__}: {str(error)[:300]} ({place.filename}:{place.lineno})", flush=True)
    return failed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modes", metavar="NAME,NAME", help=f"some of {', '.join(MODES)} [all]")
    parser.add_argument("--entries", metavar="NAME;NAME", default="", help="some of the entry points [all]")
    parser.add_argument("--here", action="store_true", help="run in this process, under the variables that it has")
    options = parser.parse_args()
    if options.here:
        sys.exit(min(run_here([name for name in options.entries.split(";") if name]), 99))
    failed_modes = 0
    for mode in options.modes.split(",") if options.modes else MODES:
        command = [sys.executable, __file__, "--here", "--entries", options.entries]
        done = subprocess.run(command, env=os.environ | MODES[mode], capture_output=True, text=True)
        failed_modes += done.returncode != 0
        print(f"{mode}: {'passed' if done.returncode == 0 else 'failed'}")
        if done.returncode:
            print(done.stdout or done.stderr[-2000:], flush=True)
    sys.exit(bool(failed_modes))


if __name__ == "__main__":
    main()
