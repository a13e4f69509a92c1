"""What was done to a population of cells, as numbers that a network reads."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from pushforward.simulators.errors import DataError
from pushforward.surrogates.cells.descriptors import DescriptorTable

__all__ = [
    "Chunk",
    "Condition",
    "Context",
    "Dose",
    "Drugs",
    "Label",
    "Number",
    "Vector",
    "chunk_from_plain",
    "encode_conditions",
]

Condition = Mapping[str, Any]
"""One condition by name of its parts, such as {"drug": "givinostat", "dose": 100.0}."""

Context = tuple[Tensor, ...]
"""Encoded conditions: for each chunk (conditions, members, 1 + width), a weight, then features.

A member is an element of a set of drugs; single values have one. The weights of a condition sum to
one over its members, padding has weight 0."""


@dataclass(frozen=True)
class Number:
    r"""A number, such as a dose: (g(value) − centre)/scale with g linear, ln or ln(1 + ·).

    Parameters
    ----------
    key : name of the part of the condition.
    transform : "log" is the conditional-Monge code's choice for doses in nM (code).
    centre, scale : statistics of the training conditions, see `fit`; 0 and 1 leave g(value).
    units : width of the layer that reads the chunk.

    Raises
    ------
    DataError : scale not positive; on encoding a missing, non-finite or non-numeric value, or one
        outside the domain of the logarithm (dose 0 is the control, not a condition).

    Examples
    --------
    >>> Number("dose", transform="log").encode({"dose": 1.0}).tolist()
    [[0.0]]
    """

    key: str
    transform: Literal["linear", "log", "log1p"] = "linear"
    centre: float = 0.0
    scale: float = 1.0
    units: int = 1

    def __post_init__(self) -> None:
        _check_scale(self.key, [self.scale])
        if self.transform not in ("linear", "log", "log1p"):
            raise DataError(
                f"{self.key}: transform = {self.transform!r}; expected linear, log or log1p."
            )

    @classmethod
    def fit(
        cls, key: str, conditions: Sequence[Condition], *, transform: str = "linear", units: int = 1
    ) -> "Number":
        """Centre and scale from the training conditions, so that the network sees order one."""
        bare = cls(key, transform=transform, units=units)  # type: ignore[arg-type]
        values = torch.cat([bare.encode(condition)[0] for condition in conditions]).double()
        spread = values.std(correction=0).item()
        return cls(
            key,
            transform=bare.transform,
            centre=values.mean().item(),
            scale=spread if spread > 0 else 1.0,
            units=units,
        )

    @property
    def width(self) -> int:
        """One number."""
        return 1

    def encode(self, condition: Condition) -> Tensor:
        """(1, 1)."""
        value = _number(_part(condition, self.key), self.key)
        if self.transform == "log" and value <= 0:
            raise DataError(
                f"{self.key} = {value:g} has no logarithm. Dose 0 is the control: leave it out of "
                "the conditions, or use transform='log1p'."
            )
        if self.transform == "log1p" and value <= -1:
            raise DataError(f"{self.key} = {value:g}; log(1 + value) needs a value above -1.")
        transformed = {"linear": lambda v: v, "log": math.log, "log1p": math.log1p}[self.transform]
        return torch.tensor([[(transformed(value) - self.centre) / self.scale]])


@dataclass(frozen=True)
class Dose:
    r"""A dose that scales the effect by Hill's curve; encoded as (ln a − centre)/scale.

    Where a `Number` lets the network do with the dose whatever fits, a `Dose` says how doses act:
    nothing at dose 0, more with more, up to a full effect (`DoseResponse`). That is what a dose
    between or beyond those seen is predicted by. With one curve a cell's path is straight and the
    dose decides how far it goes; each further curve adds an effect of its own, with half-effective
    doses of its own, for drugs whose effect changes direction with the dose.

    Parameters
    ----------
    key : name of the part of the condition.
    centre, scale : mean and spread of ln a over the training conditions, see `fit`.
    curves : effects that add up.

    Raises
    ------
    DataError : scale not positive, no curve; on encoding a missing, non-finite or non-numeric
        dose, or one that is not positive (dose 0 is the control, not a condition).

    Examples
    --------
    >>> Dose("dose").encode({"dose": 1.0}).tolist()
    [[0.0]]
    """

    key: str
    centre: float = 0.0
    scale: float = 1.0
    curves: int = 1

    def __post_init__(self) -> None:
        _check_scale(self.key, [self.scale])
        if self.curves < 1:
            raise DataError(f"{self.key}: curves = {self.curves} must be at least 1.")

    @classmethod
    def fit(cls, key: str, conditions: Sequence[Condition], *, curves: int = 1) -> "Dose":
        """Centre and scale from the training conditions."""
        number = Number.fit(key, conditions, transform="log")
        return cls(key, number.centre, number.scale, curves)

    @property
    def width(self) -> int:
        """One number."""
        return 1

    @property
    def units(self) -> int:
        """None: no layer reads it, it scales the displacement."""
        return 0

    def encode(self, condition: Condition) -> Tensor:
        """(1, 1)."""
        return Number(self.key, "log", self.centre, self.scale).encode(condition)


@dataclass(frozen=True)
class Label:
    """One of a fixed list of labels, such as a cell line, as a one-hot vector.

    Parameters
    ----------
    key : name of the part of the condition.
    labels : the labels that occur in training. An unknown label is refused: its column would
        be untrained.
    units : width of the layer that reads the chunk.

    Examples
    --------
    >>> Label("cell_type", ("A549", "K562")).encode({"cell_type": "K562"}).tolist()
    [[0.0, 1.0]]
    """

    key: str
    labels: tuple[str, ...]
    units: int = 8

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", tuple(str(label) for label in self.labels))
        if not self.labels or len(set(self.labels)) < len(self.labels):
            raise DataError(f"{self.key}: labels {self.labels} must be given, each once.")

    @property
    def width(self) -> int:
        """One column a label."""
        return len(self.labels)

    def encode(self, condition: Condition) -> Tensor:
        """(1, labels)."""
        label = str(_part(condition, self.key))
        if label not in self.labels:
            raise DataError(
                f"{self.key} = {label!r} was not seen by the encoder, which knows "
                f"{_shown(self.labels)}. Train with it, or describe it by numbers."
            )
        hot = torch.zeros(1, self.width)
        hot[0, self.labels.index(label)] = 1.0
        return hot


@dataclass(frozen=True)
class Drugs:
    """A drug, or a set of drugs, by rows of a table of descriptors.

    Each drug of a set passes the same layer, then the mean is taken: the order of the set does
    not matter. Drugs that training never saw can be asked for if the table describes them.

    Parameters
    ----------
    key : name of the part of the condition; its value is a label or a sequence of labels.
    table : descriptors of all drugs that will ever be asked for. If `table.oracle`, its rows were
        made from treated cells, and a prediction for an unseen drug has seen the answer.
    units : width of the layer that reads the chunk; 50 is the conditional-Monge code's (code).

    Examples
    --------
    >>> table = DescriptorTable(("a", "b"), ("weight",), ((1.0,), (2.0,)))
    >>> Drugs("drug", table).encode({"drug": ("b", "a")}).tolist()
    [[2.0], [1.0]]
    """

    key: str
    table: DescriptorTable
    units: int = 50

    @property
    def width(self) -> int:
        """One column a descriptor."""
        return len(self.table.columns)

    def encode(self, condition: Condition) -> Tensor:
        """(drugs of the set, descriptors)."""
        value = _part(condition, self.key)
        names = [value] if isinstance(value, str) else list(value)
        if not names:
            raise DataError(f"{self.key}: the set of drugs is empty; the control is no condition.")
        return torch.tensor([self.table.row(str(name)) for name in names])


@dataclass(frozen=True)
class Vector:
    """Several numbers, such as the summary of a population's control cells: (v − centre)/scale.

    Parameters
    ----------
    key : name of the part of the condition.
    centre, scale : one entry a column, see `fit`.
    units : width of the layer that reads the chunk.

    Examples
    --------
    >>> Vector("state", (0.0, 1.0), (1.0, 2.0)).encode({"state": [3.0, 5.0]}).tolist()
    [[3.0, 2.0]]
    """

    key: str
    centre: tuple[float, ...]
    scale: tuple[float, ...]
    units: int = 16

    def __post_init__(self) -> None:
        for name in ("centre", "scale"):
            object.__setattr__(self, name, tuple(float(v) for v in getattr(self, name)))
        if not self.centre or len(self.centre) != len(self.scale):
            raise DataError(
                f"{self.key}: centre has {len(self.centre)} entries and scale {len(self.scale)}; "
                "both need one a column."
            )
        _check_scale(self.key, self.scale)

    @classmethod
    def fit(cls, key: str, conditions: Sequence[Condition], *, units: int = 16) -> "Vector":
        """Centre and scale from the training conditions; a constant column gets scale 1."""
        rows = torch.stack([_vector(_part(c, key), key, None) for c in conditions]).double()
        spread = rows.std(0, correction=0)
        spread = torch.where(spread > 1e-6 * rows.abs().amax(0), spread, 1.0)
        return cls(key, tuple(rows.mean(0).tolist()), tuple(spread.tolist()), units=units)

    @property
    def width(self) -> int:
        """One column an entry."""
        return len(self.centre)

    def encode(self, condition: Condition) -> Tensor:
        """(1, columns)."""
        values = _vector(_part(condition, self.key), self.key, self.width)
        return ((values - torch.tensor(self.centre)) / torch.tensor(self.scale)).unsqueeze(0)


Chunk = Number | Dose | Label | Drugs | Vector

_KINDS: dict[str, type] = {
    "number": Number,
    "dose": Dose,
    "label": Label,
    "drugs": Drugs,
    "vector": Vector,
}


def chunk_to_plain(chunk: Chunk) -> dict[str, Any]:
    """A chunk as values that JSON keeps exactly."""
    (kind,) = [name for name, cls in _KINDS.items() if type(chunk) is cls]
    return {"kind": kind, **asdict(chunk)}


def chunk_from_plain(plain: Mapping[str, Any]) -> Chunk:
    """The chunk that `chunk_to_plain` described.

    Raises
    ------
    DataError : an unknown kind.
    """
    values = dict(plain)
    kind = values.pop("kind", None)
    if kind not in _KINDS:
        raise DataError(f"chunk of kind {kind!r}; expected one of {sorted(_KINDS)}.")
    if kind == "drugs":
        values["table"] = DescriptorTable(**values["table"])
    return _KINDS[kind](**values)


def encode_conditions(chunks: Sequence[Chunk], conditions: Sequence[Condition]) -> Context:
    """Conditions as one tensor a chunk; sets are padded to the longest of them.

    Raises
    ------
    DataError : a part is missing, unknown to its chunk, or not finite; says which and what is
        known.
    """
    if not conditions:
        raise DataError("no condition given; expected at least one.")
    context = []
    for chunk in chunks:
        members = [chunk.encode(condition) for condition in conditions]
        longest = max(len(m) for m in members)
        packed = torch.zeros(len(members), longest, 1 + chunk.width)
        for row, m in zip(packed, members, strict=True):
            row[: len(m), 0] = 1.0 / len(m)
            row[: len(m), 1:] = m
        context.append(packed)
    return tuple(context)


def _part(condition: Condition, key: str) -> Any:
    if key not in condition:
        raise DataError(f"the condition {dict(condition)} has no {key!r}; the map was made for it.")
    return condition[key]


def _number(value: Any, key: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise DataError(f"{key} = {value!r} is not a number.") from None
    if not math.isfinite(number):
        raise DataError(f"{key} = {number} is not finite.")
    return number


def _vector(value: Any, key: str, width: int | None) -> Tensor:
    vector = torch.as_tensor(value, dtype=torch.float32).flatten()
    if width is not None and len(vector) != width:
        raise DataError(f"{key} has {len(vector)} entries; the map was made for {width}.")
    bad = int((~torch.isfinite(vector)).sum())
    if bad:
        raise DataError(f"{key}: {bad} of {len(vector)} entries are NaN or infinite.")
    return vector


def _check_scale(key: str, scale: Sequence[float]) -> None:
    if not all(s > 0 for s in scale):
        raise DataError(f"{key}: scale {tuple(scale)} must be positive.")


def _shown(labels: Sequence[str], limit: int = 12) -> str:
    more = len(labels) - limit
    text = ", ".join(repr(label) for label in labels[:limit])
    return text + (f" and {more} more" if more > 0 else "")
