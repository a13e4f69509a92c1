"""Every module's examples run, and every public name is documented."""

import doctest
import importlib
import inspect
import pkgutil

import pytest


def modules() -> list[str]:
    names = ["pushforward"]
    for layer in ("simulators", "datasets", "surrogates", "benchmarks"):
        package = importlib.import_module(f"pushforward.{layer}")
        names.append(package.__name__)
        names += [m.name for m in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
    return [*names, "pushforward.cli"]


@pytest.mark.parametrize("name", modules())
def test_examples_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert outcome.failed == 0


@pytest.mark.parametrize("name", modules())
def test_public_names_exist_and_are_documented(name):
    module = importlib.import_module(name)
    for public in getattr(module, "__all__", []):
        thing = getattr(module, public)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert inspect.getdoc(thing), f"{name}.{public} has no docstring"
