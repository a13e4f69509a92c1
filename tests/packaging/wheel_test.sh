#!/usr/bin/env bash
# Builds the wheel, installs it into a clean environment, type-checks it there and runs the tests
# against it from outside the checkout (so that nothing of the source tree can be imported).
set -euo pipefail
root="$(cd "$(dirname "$0")/../.." && pwd)"
python="$(cd "$root" && command -v "${PYTHON:-python3}")"
case "$python" in /*) ;; *) python="$root/$python" ;; esac
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

# A copy is built, for setuptools leaves a build/ folder whose old files would get into later wheels.
mkdir "$work/source"
tar -C "$root" --exclude=./.venv --exclude=./.git --exclude=./build -cf - . | tar -C "$work/source" -xf -
"$python" -m build --wheel --outdir "$work/dist" "$work/source" >"$work/build.log" 2>&1 ||
  { cat "$work/build.log"; exit 1; }
"$python" -m venv "$work/venv"
wheel="$(ls "$work"/dist/*.whl)"
"$work/venv/bin/python" -m pip install --quiet --constraint "$root/constraints.txt" "$wheel[dev]"

cp -r "$root/tests" "$work/tests"
cp "$root/pyproject.toml" "$root/README.md" "$work/"
mkdir -p "$work/benchmarks"
cp -r "$root/benchmarks/results" "$work/benchmarks/results"
rm -rf "$work/source"
cd "$work"
export PUSHFORWARD_DATA="${PUSHFORWARD_DATA:-$root/../shared/data}"
"$work/venv/bin/mypy" --config-file pyproject.toml -p pushforward
"$work/venv/bin/pytest" -q tests
