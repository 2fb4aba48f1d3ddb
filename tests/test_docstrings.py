"""Every docstring that shows an example is run; every public name is documented whole."""

import doctest
import importlib
import inspect
import pkgutil
import re

import jax
import pytest

import jaxmlp
from jaxmlp.nn.network import Network

MODULES = [info.name for info in pkgutil.walk_packages(jaxmlp.__path__, "jaxmlp.")]
PUBLIC = [name for name in dir(jaxmlp) if not name.startswith("_") and not inspect.ismodule(getattr(jaxmlp, name))]


def documented(module):
    """Functions and classes that a module defines, those that jit has wrapped among them."""
    for name, value in vars(module).items():
        inner = inspect.unwrap(value) if callable(value) else value
        if getattr(inner, "__module__", None) == module.__name__ and (
            inspect.isfunction(inner) or inspect.isclass(inner)
        ):
            yield name, inner


@pytest.fixture
def float32():
    """Doctests show what a user sees without x64 and without strict promotion."""
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.usefixtures("float32")
def test_examples_run(name):
    module = importlib.import_module(name)
    tests = doctest.DocTestFinder(recurse=False).find(module, name, globs=dict(vars(module)))
    finder = doctest.DocTestFinder()
    for label, item in documented(module):
        tests += finder.find(item, f"{name}.{label}", module, dict(vars(module)))
    runner = doctest.DocTestRunner(verbose=False)
    for test in tests:
        runner.run(test)
    assert runner.failures == 0


@pytest.mark.parametrize("name", MODULES)
def test_every_definition_says_what_it_is(name):
    module = importlib.import_module(name)
    assert module.__doc__
    for label, item in documented(module):
        if not label.startswith("_"):
            assert item.__doc__, f"{name}.{label}"


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_are_documented_whole(name):
    item = getattr(jaxmlp, name)
    text = inspect.getdoc(item) or ""
    assert len(text.splitlines()[0]) <= 120
    if name in ("Activation", "Report", "TrainState", "load_model"):
        return  # records that functions make, and a second name: their fields are the documentation
    assert ">>>" in text, "an example"
    signature = inspect.signature(item)
    for parameter in signature.parameters.values():
        if parameter.name not in ("self", "cls") and not inspect.isclass(item):
            assert re.search(rf"\b{parameter.name}\b", text), f"{parameter.name} is not documented"


def test_public_names_are_those_of_the_design():
    functions = {"init", "forward", "logits", "cost", "backprop", "load", "fit", "make_step", "load_model"}
    assert {"Network", "Objective", *functions} <= set(PUBLIC)
    assert isinstance(jaxmlp.Network((2, 1), "relu", "sigmoid"), Network)
