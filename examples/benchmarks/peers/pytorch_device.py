"""PyTorch on an accelerator: eager, compiled, and with a whole step captured in a CUDA graph.

Rows stay on the device and a batch is taken by indices drawn there, the fused optimizer; bfloat16 by autocast.
"""

import importlib
import importlib.util
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from workloads import Work

from peers.pytorch import cost_of, module, targets

KINDS = ("PyTorch", "PyTorch, compiled", "PyTorch, CUDA graph")


def kinds() -> tuple[str, ...]:
    """What is run here: on a CPU, whose own benchmark is another, the eager one alone."""
    if importlib.util.find_spec("torch") is None:
        return ()
    return KINDS if importlib.import_module("torch").cuda.is_available() else KINDS[:1]


def epoch_of(work: Work, kind: str, bfloat16: bool) -> Callable[[], None]:
    """A function that trains for an epoch, of whole batches, and waits for its end."""
    torch = importlib.import_module("torch")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    X, Y = torch.from_numpy(work.X).to(device), targets(work).to(device)
    model, cost, B = module(work, work.initial, device), cost_of(work), work.batch or len(work.X)
    graph = kind == KINDS[2]
    choices = {"fused": True, "capturable": True} if device == "cuda" else {"fused": True}
    optimizer = torch.optim.Adam(model.parameters(), lr=work.rate, **choices)

    def forward(x: Any, y: Any) -> Any:
        with torch.autocast(device, torch.bfloat16) if bfloat16 else nullcontext():
            Z = model(x)
        return cost(Z.float(), y)

    if kind == KINDS[1]:
        forward = torch.compile(forward, dynamic=False)

    def step(x: Any, y: Any) -> None:
        optimizer.zero_grad()
        forward(x, y).backward()
        optimizer.step()

    one = _captured(torch, step, X[:B].clone(), Y[:B].clone()) if graph else step

    def epoch() -> None:
        order = torch.randperm(len(X), device=device)
        for i in range(0, len(X) - B + 1, B):
            index = order[i : i + B]
            one(X[index], Y[index])
        if device == "cuda":
            torch.cuda.synchronize()

    return epoch


def _captured(torch: Any, step: Callable[[Any, Any], None], x: Any, y: Any) -> Callable[[Any, Any], None]:
    """The step as a CUDA graph on these two tensors, into which every batch is copied."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):  # a graph is captured after a few steps outside the main stream
        for _ in range(3):
            step(x, y)
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step(x, y)
    owners = [step]  # of the parameters and moments, whose memory the graph goes on writing to

    def replay(batch: Any, labels: Any) -> None:
        assert owners
        x.copy_(batch)
        y.copy_(labels)
        graph.replay()

    return replay
