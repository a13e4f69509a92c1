"""pushforward: scientific machine learning of transport.

Four layers, imported on first use so that ``import pushforward`` stays light:

- ``pushforward.simulators``: physics that makes data,
- ``pushforward.datasets``: files in and out, splits, preprocessing,
- ``pushforward.surrogates``: optimal transport, flow matching and the learned models,
- ``pushforward.benchmarks``: metrics, results, leaderboard.
"""

import importlib
from types import ModuleType

__version__ = "0.1.0"
__all__ = ["__version__", "benchmarks", "datasets", "simulators", "surrogates"]

_LAYERS = ("simulators", "datasets", "surrogates", "benchmarks")


def __getattr__(name: str) -> ModuleType:
    if name in _LAYERS:
        return importlib.import_module(f"pushforward.{name}")
    raise AttributeError(f"module 'pushforward' has no attribute {name!r}; layers: {_LAYERS}")


def __dir__() -> list[str]:
    return sorted(__all__)
