"""PyTorch, eager and compiled: tensors indexed directly, no DataLoader, the fused optimizer.

As many threads as are fastest for the workload: one, or one for each core.
"""

import importlib
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from workloads import Layers, Work

from peers.record import Peer, Trainer


def module(work: Work, layers: Layers, device: str = "cpu") -> Any:
    """A Sequential that ends in logits, with these weights."""
    torch = importlib.import_module("torch")
    parts = []
    for i, (W, b) in enumerate(layers):
        linear = torch.nn.Linear(W.shape[1], W.shape[0])
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(np.ascontiguousarray(W)))
            linear.bias.copy_(torch.from_numpy(np.ascontiguousarray(b)))
        parts.append(linear)
        if i < len(layers) - 1:
            parts.append(torch.nn.ReLU() if work.hidden == "relu" else torch.nn.Tanh())
    return torch.nn.Sequential(*parts).to(device)


def optimizer_of(work: Work, model: Any) -> Any:
    """The workload's, fused."""
    optim = importlib.import_module("torch").optim
    return {"adam": optim.Adam, "sgd": optim.SGD}[work.optimizer](model.parameters(), lr=work.rate, fused=True)


def cost_of(work: Work) -> Callable[[Any, Any], Any]:
    """From logits."""
    functional = importlib.import_module("torch").nn.functional
    return functional.binary_cross_entropy_with_logits if work.binary else functional.cross_entropy


def targets(work: Work) -> Any:
    """Class ids, or a column of zeros and ones."""
    y = importlib.import_module("torch").from_numpy(work.y)
    return y[:, None].float() if work.binary else y


def _prepare(work: Work, compiled: bool) -> Trainer:
    torch = importlib.import_module("torch")
    X, Y = torch.from_numpy(work.X), targets(work)
    model, cost = module(work, work.initial), cost_of(work)
    first = [parameter.detach().clone() for parameter in model.parameters()]
    B = work.batch or len(X)

    def cost_at(x: Any, y: Any) -> Any:
        return cost(model(x), y)

    # a shorter last batch is a second program, not one for shapes of every kind
    forward = torch.compile(cost_at, dynamic=False) if compiled else cost_at

    def steps(optimizer: Any, order: Any) -> None:
        for i in range(0, len(X), B):
            x, y = (X, Y) if order is None else (X[order[i : i + B]], Y[order[i : i + B]])
            optimizer.zero_grad()
            forward(x, y).backward()
            optimizer.step()

    def run(seed: int, epochs: int) -> Any:
        torch.set_num_threads(threads[0])
        torch.manual_seed(seed)
        with torch.no_grad():
            for parameter, start in zip(model.parameters(), first, strict=True):
                parameter.copy_(start)
        optimizer = optimizer_of(work, model)
        for _ in range(epochs):
            steps(optimizer, None if work.batch is None else torch.randperm(len(X)))
        return model

    threads = [1]
    threads[0] = _best_threads(partial(run, 0, 5 if work.batch is None else 1), threads)
    return Trainer(run, lambda model: _layers(model))


def _best_threads(run: Callable[[], Any], threads: list[int]) -> int:
    """1 or all cores, whichever runs faster; it leaves compiled programs behind."""
    found = {}
    for n in (1, os.cpu_count() or 1):
        threads[0] = n
        run()
        began = time.perf_counter()
        run()
        found[n] = time.perf_counter() - began
    return min(found, key=lambda n: found[n])


def _layers(model: Any) -> Layers:
    arrays = [parameter.detach().cpu().numpy().copy() for parameter in model.parameters()]
    return list(zip(arrays[::2], arrays[1::2], strict=True))


def predictor(work: Work, layers: Layers) -> Callable[[np.ndarray], np.ndarray]:
    """The module in inference mode, NumPy in and out."""
    torch = importlib.import_module("torch")
    model = module(work, layers).eval()

    def predict(rows: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            Z = model(torch.from_numpy(rows))
            return ((Z[:, 0] > 0).long() if work.binary else Z.argmax(dim=1)).numpy()

    return predict


EAGER = Peer("PyTorch", ("torch",), lambda work: _prepare(work, False), predictor)
COMPILED = Peer("PyTorch, compiled", ("torch",), lambda work: _prepare(work, True))
