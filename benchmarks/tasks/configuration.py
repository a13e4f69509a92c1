"""What the configurations of all tasks have in common: seeds, plain values, hash, checks."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any, ClassVar

from pushforward.simulators.errors import DataError
from pushforward.simulators.provenance import configuration_hash
from pushforward.surrogates.training import Stage

__all__ = ["TaskConfig", "check_known", "make_stages"]


class TaskConfig:
    """Base of the tasks' configurations, which are frozen dataclasses of options.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Config(TaskConfig):
    ...     SWEEP = ("seed", "n_seeds")
    ...     seed: int = 4
    ...     n_seeds: int = 2
    ...     width: int = 8
    >>> Config().seeds
    [4, 5]
    >>> Config(seed=0).hash == Config().hash, Config(width=16).hash == Config().hash
    (True, False)
    """

    SWEEP: ClassVar[tuple[str, ...]]
    """Options that name result files: runs that differ only in them may share an output folder."""

    seed: int
    n_seeds: int

    @property
    def seeds(self) -> list[int]:
        """The seeds of the run."""
        return list(range(self.seed, self.seed + self.n_seeds))

    def plain(self) -> dict[str, Any]:
        """All options as plain values."""
        return asdict(self)  # type: ignore[call-overload]  # a dataclass, though its base is none

    @property
    def hash(self) -> str:
        """Hash of the options without those that a sweep runs over."""
        kept = {k: v for k, v in self.plain().items() if k not in self.SWEEP}
        return configuration_hash(kept)

    def check_counts(self, *names: str) -> None:
        """Refuse options below 1."""
        for name in names:
            if getattr(self, name) < 1:
                raise DataError(f"{name} = {getattr(self, name)} must be at least 1.")


def check_known(kind: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse names that are not known, with the nearest one."""
    names = sorted(known)
    for name in given:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
            hint = f"Did you mean {near[0]!r}? " if near else ""
            raise DataError(f"unknown {kind} {name!r}. {hint}Known: {', '.join(names)}.")


def make_stages(unroll_steps: Sequence[int], unrolls: Sequence[int]) -> list[Stage]:
    """The curriculum that two options of a configuration describe.

    Parameters
    ----------
    unroll_steps : gradient steps, stage by stage.
    unrolls : lengths of the roll-outs, stage by stage.

    Raises
    ------
    DataError : none, lists of unequal lengths, or a number below 1.

    Examples
    --------
    >>> make_stages([400, 150], [1, 2])
    [Stage(steps=400, unroll=1), Stage(steps=150, unroll=2)]
    """
    if len(unrolls) != len(unroll_steps) or not unrolls:
        raise DataError(
            f"unrolls has {len(unrolls)} stages, unroll_steps {len(unroll_steps)}; they must match "
            "and be at least one."
        )
    return [Stage(s, u) for s, u in zip(unroll_steps, unrolls, strict=True)]
