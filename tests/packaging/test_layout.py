"""The house stays in order: package list, layer order, guards, import cost, names, no strays."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAYERS = ("simulators", "datasets", "surrogates", "benchmarks")
INSIDE_SURROGATES = ("ot", "flow", "blocks", "training")
DOMAINS = ("turbulence", "atmosphere", "channel", "cells")

needs_checkout = pytest.mark.skipif(
    not (ROOT / "surrogates").is_dir(), reason="runs on a checkout; this is an installed wheel"
)


def source_files() -> list[Path]:
    return [
        path
        for folder in ("pushforward", *LAYERS)
        for path in sorted((ROOT / folder).rglob("*.py"))
    ]


def import_name(path: Path) -> str:
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts if parts[0] == "pushforward" else ["pushforward", *parts])


def imported_names(path: Path) -> set[str]:
    package = import_name(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names.update(f"{module}.{alias.name}" for alias in node.names)
    return names


@needs_checkout
def test_every_package_is_listed_in_pyproject():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {import_name(p) for p in source_files() if p.name == "__init__.py"}
    assert set(listed) == found


@needs_checkout
def test_every_folder_of_modules_is_a_package():
    for path in source_files():
        assert (path.parent / "__init__.py").exists(), f"{path.parent} has no __init__.py"


def rank(name: str) -> int | None:
    """Position of a module in the order of imports; None for other libraries and the bare face."""
    parts = name.split(".")
    if parts[0] != "pushforward" or len(parts) < 2:
        return None
    if parts[1] in LAYERS:
        return LAYERS.index(parts[1])
    return len(LAYERS) if parts[1] == "cli" else None


@needs_checkout
@pytest.mark.parametrize("path", source_files(), ids=import_name)
def test_imports_run_one_way(path):
    name = import_name(path)
    own = rank(name)
    if own is None:
        return
    parts = name.split(".")
    for target in imported_names(path):
        other = rank(target)
        if other is None:
            continue
        assert other <= own, f"{name} imports {target}, which lies above it"
        there = target.split(".")
        if parts[1] == there[1] == "surrogates" and len(parts) > 2 and len(there) > 2:
            order = [*INSIDE_SURROGATES, "domain"]
            here_at = parts[2] if parts[2] in order else "domain"
            there_at = there[2] if there[2] in order else "domain"
            assert order.index(there_at) <= order.index(here_at), f"{name} imports {target}"
        mine = [d for d in DOMAINS if d in parts]
        theirs = [d for d in DOMAINS if d in there]
        assert not (mine and theirs and mine != theirs), f"{name} imports domain {theirs}"


@needs_checkout
def test_the_cores_know_no_domain_word():
    words = ("cell", "patient", "drug", "turbul", "vortic", "channel", "carbon", "co2")
    for core in ("ot", "flow"):
        for path in sorted((ROOT / "surrogates" / core).rglob("*.py")):
            text = path.read_text().lower()
            found = [
                w for w in words if w in text.replace("laguerre cell", "").replace("excell", "")
            ]
            if core == "ot":  # semi-discrete transport speaks of the cells of a partition
                found = [w for w in found if w != "cell"]
            assert not found, f"{path.name} mentions {found}"


@needs_checkout
def test_no_grab_bags_and_no_root_conftest():
    strays = [p for p in source_files() if p.stem in {"utils", "util", "helpers", "misc"}]
    assert not strays
    assert not (ROOT / "conftest.py").exists()


@needs_checkout
@pytest.mark.parametrize("layer", LAYERS)
def test_double_import_is_refused(layer):
    code = f"import {layer}"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"Import 'pushforward.{layer}' instead" in done.stderr


@needs_checkout
def test_another_library_named_datasets_wins_in_the_root_folder(tmp_path):
    """Trap: the root folder `datasets` must not shadow the well-known library of that name."""
    (tmp_path / "datasets.py").write_text("WHO = 'the other library'\n")
    script = tmp_path / "console_script.py"
    script.write_text(
        "import datasets, pushforward.datasets\n"
        "assert datasets.WHO == 'the other library'\n"
        "assert pushforward.datasets.__name__ == 'pushforward.datasets'\n"
        "print('ok')\n"
    )
    done = subprocess.run([sys.executable, script], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "ok\n", done.stderr


def test_import_is_light():
    """`import pushforward` loads none of the heavy libraries: it takes milliseconds."""
    code = (
        "import sys, pushforward\n"
        "heavy = {'torch', 'torch_geometric', 'matplotlib', 'anndata', 'xarray', 'numpy'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("layer", LAYERS)
def test_layers_import_without_the_heaviest_libraries(layer):
    code = (
        f"import sys, pushforward.{layer}\n"
        "heavy = {'torch_geometric', 'matplotlib', 'anndata', 'lightning_fabric', 'numba'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/"
    )
    assert done.stdout == "[]\n"
