"""Where a file came from: package version, command, configuration hash, library versions."""

import hashlib
import json
import platform
import shlex
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from pushforward import __version__

__all__ = ["command_line", "configuration_hash", "library_versions", "provenance"]

_LIBRARIES = ("numpy", "scipy", "torch", "anndata", "xarray", "POT", "lightning-fabric")


def configuration_hash(configuration: dict[str, Any]) -> str:
    """Hash of a configuration: first 12 hex digits of SHA-256 of its sorted JSON.

    Examples
    --------
    >>> configuration_hash({"a": 1, "b": 2}) == configuration_hash({"b": 2, "a": 1})
    True
    """
    text = json.dumps(configuration, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def command_line() -> str:
    """The command that started this process, program name without its folder."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def library_versions() -> dict[str, str]:
    """Versions of Python and of the numerical libraries that can change a result."""
    versions = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "absent"
    return versions


def provenance(*, seed: int | None = None, configuration: dict[str, Any] | None = None) -> dict:
    """Attributes for every file written: source, command, date, seed, configuration hash.

    Examples
    --------
    >>> sorted(provenance(seed=0, configuration={"a": 1}))
    ['config_hash', 'history', 'seed', 'source']
    """
    date = datetime.now(UTC).isoformat(timespec="seconds")
    attributes: dict[str, Any] = {
        "source": f"pushforward {__version__}",
        "history": f"{date} {command_line()}",
    }
    if seed is not None:
        attributes["seed"] = seed
    if configuration is not None:
        attributes["config_hash"] = configuration_hash(configuration)
    return attributes
