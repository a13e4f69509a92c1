"""What a population flow minimises: flow matching inside each population, condition, cell type."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from pushforward.simulators.errors import DataError
from pushforward.surrogates.cells.meta_flow import MetaFlowMatching, PopulationCode
from pushforward.surrogates.cells.offsets import PopulationOffsets
from pushforward.surrogates.cells.references import Populations
from pushforward.surrogates.flow import (
    Coupling,
    FlowMatchingLoss,
    IndependentCoupling,
    LinearPath,
    MinibatchOTCoupling,
    PairedCoupling,
)

__all__ = ["CellTypes", "FlowObjective", "FlowOptions", "FlowTrainer", "check_populations"]

CellTypes = Mapping[str, tuple[Tensor, Tensor]]
"""Integer labels of the control and of the treated cells of each group."""

COUPLINGS: dict[str, type[Coupling]] = {
    "ot": MinibatchOTCoupling,
    "independent": IndependentCoupling,
    "paired": PairedCoupling,
}


@dataclass(frozen=True)
class FlowOptions:
    """The objective of a population flow.

    Parameters
    ----------
    coupling
        ot pairs control and treated cells of a batch by exact optimal transport, within
        population, treatment and cell type; independent pairs them at random; paired takes row i
        with row i, for simulated data whose true pairs are known (an oracle)
    schedule
        joint trains everything in every step; alternating trains the velocity on stored
        embeddings in even steps and the embedding alone in odd ones, as the released code does
    batch_size
        control and treated cells drawn from a population in a step
    populations_per_step
        populations in a step; fewer where there are fewer
    offset_spread
        random offset of whole populations, as in the Monge map's objective
    """

    coupling: Literal["ot", "independent", "paired"] = "ot"
    schedule: Literal["joint", "alternating"] = "joint"
    batch_size: int = 128
    populations_per_step: int = 4
    offset_spread: float = 0.0

    def __post_init__(self) -> None:
        for name, known in (
            ("coupling", tuple(COUPLINGS)),
            ("schedule", ("joint", "alternating")),
        ):
            if getattr(self, name) not in known:
                raise DataError(f"{name} = {getattr(self, name)!r}; choose one of {known}.")
        for name in ("batch_size", "populations_per_step"):
            if not getattr(self, name) > 0:
                raise DataError(f"{name} = {getattr(self, name)} must be positive.")
        if self.offset_spread < 0:
            raise DataError(f"offset_spread = {self.offset_spread} must not be negative.")


class FlowTrainer(nn.Module):
    """A flow as it is trained: one call embeds the populations of a step and gives velocities.

    Holds what the alternating schedule must remember (the stored embeddings and whose turn it
    is) as buffers, so that a checkpoint brings them back.

    Parameters
    ----------
    model : trained in place.
    groups : number of training groups.
    schedule : see `FlowOptions`.
    """

    stored: Tensor
    is_stored: Tensor
    step: Tensor

    def __init__(self, model: MetaFlowMatching, groups: int, schedule: str):
        super().__init__()
        self.model = model
        self.alternating = schedule == "alternating"
        if self.alternating and model.embedding != "graph":
            raise DataError(
                f"schedule 'alternating' trains a graph embedding in turn with the velocity; the "
                f"embedding is {model.embedding!r}. Use schedule 'joint'."
            )
        width = model.configuration()["embedding_width"] if self.alternating else 0
        self.register_buffer("stored", torch.zeros(groups, width))
        self.register_buffer("is_stored", torch.zeros(groups, dtype=torch.bool))
        self.register_buffer("step", torch.zeros((), dtype=torch.long))

    def forward(
        self, x: Tensor, t: Tensor, cells: Tensor, rows: Tensor, names: list[str], treatment: Tensor
    ) -> Tensor:
        """Velocities at x (p, m, d), t (p, m), given cells (p, n, d) of groups `rows`."""
        model = self.model
        if model.embedding == "one_hot":
            return model.velocity(x, t, model.code_of(names), treatment)
        if not self.alternating:
            return model.velocity(x, t, model.encode(cells), treatment)
        embedding_turn = bool(self.step % 2)
        self.step += 1
        if embedding_turn:
            code = model.encode(cells)
            self._store(rows, code)
            model.network.requires_grad_(False)  # the graph built below leaves it out
            try:
                return model.velocity(x, t, code, treatment)
            finally:
                model.network.requires_grad_(True)
        if not bool(self.is_stored[rows].all()):
            with torch.no_grad():
                self._store(rows, model.encode(cells))
        return model.velocity(x, t, PopulationCode(self.stored[rows].clone()), treatment)

    def _store(self, rows: Tensor, code: PopulationCode) -> None:
        self.stored[rows] = code.vector.detach()
        self.is_stored[rows] = True


class FlowObjective:
    r"""Flow matching, averaged over the populations of a step.

        L = E_p E_{t, (x₀, x₁) ~ π_p} | v(x_t, t | φ(p₀), c) − (x₁ − x₀) |² / s²

    π_p couples control and treated cells of group p (a population under a treatment), and where
    cell types are given only cells of one type: a treated cell is drawn, then a control cell of
    its type. s is the scale of the model.

    Parameters
    ----------
    populations : training groups by name, each (control, treated), on the model's device.
    options : see `FlowOptions`.
    groups : group -> (population, treatment); default: each group is its own population.
    cell_types : labels by group; cells of a type that the other side lacks are never drawn.

    Raises
    ------
    DataError : a group with fewer than 2 cells on a side, or labels that do not fit.

    References
    ----------
    Atanackovic et al., "Meta Flow Matching", ICLR 2025. The released code couples independently
    where cells carry types (code); here transport acts within them.

    Examples
    --------
    >>> import torch
    >>> from pushforward.surrogates.cells import FlowObjective, FlowOptions, MetaFlowMatching
    >>> from pushforward.surrogates.cells.flow_objective import FlowTrainer
    >>> x = torch.zeros(8, 2)
    >>> objective = FlowObjective({"a": (x, x + 1)}, FlowOptions(batch_size=4))
    >>> trainer = FlowTrainer(MetaFlowMatching(2, embedding="none"), 1, "joint")
    >>> objective(trainer, torch.Generator().manual_seed(0))["loss"].item()
    1.0
    """

    def __init__(
        self,
        populations: Populations,
        options: FlowOptions,
        *,
        groups: Mapping[str, tuple[str, str]] | None = None,
        cell_types: CellTypes | None = None,
    ):
        check_populations(populations)
        self.populations, self.options = dict(populations), options
        self.groups = dict(groups) if groups else {name: (name, "") for name in populations}
        self._offsets = PopulationOffsets(populations, options.offset_spread)
        self._loss = FlowMatchingLoss(LinearPath(), COUPLINGS[options.coupling]())
        self._partners = self._by_type(cell_types)
        self._smallest = min(len(control) for control, _ in populations.values())
        if options.coupling == "paired":
            for name, (control, treated) in populations.items():
                if len(control) != len(treated):
                    raise DataError(
                        f"coupling 'paired', but group {name!r} has {len(control)} control and "
                        f"{len(treated)} treated cells. Use 'ot' or 'independent'."
                    )

    def __call__(self, runner: nn.Module, generator: torch.Generator) -> dict[str, Tensor]:
        """Loss on a batch drawn from the generator."""
        model: MetaFlowMatching = runner.model  # type: ignore[assignment]
        names = list(self.populations)
        chosen = torch.randperm(len(names), generator=generator)
        rows = chosen[: self.options.populations_per_step].sort().values
        picked = [names[i] for i in rows]
        batches = [self._draw(name, model, generator) for name in picked]
        x0, x1, labels, cells = (torch.stack(part) for part in zip(*batches, strict=True))
        if model.base == "gaussian":
            noise = torch.randn(x0.shape, generator=generator).to(x0)
            x0 = model.centre + model.scale * noise
        p, n, d = x1.shape
        group = labels + (int(labels.max()) + 1) * torch.arange(p, device=x1.device)[:, None]
        treatment = torch.stack([model.treatment_row(self.groups[name][1]) for name in picked])
        people = [self.groups[name][0] for name in picked]
        rows = rows.to(x1.device)

        def field(x: Tensor, t: Tensor, *, group: Tensor) -> Tensor:
            moved = runner(x.reshape(p, n, d), t.reshape(p, n), cells, rows, people, treatment)
            return moved.reshape(p * n, d)

        loss = self._loss(
            field,
            x0.reshape(p * n, d),
            x1.reshape(p * n, d),
            generator=generator,
            group=group.reshape(-1),
        )
        return {"loss": loss / model.scale.square()}

    def _draw(
        self, name: str, model: MetaFlowMatching, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Control and treated cells, the labels they share, and the cells to embed."""
        control, treated = self.populations[name]
        size = (self.options.batch_size,)
        if self.options.coupling == "paired":
            index0 = index1 = torch.randint(len(control), size, generator=generator)
            labels = torch.zeros(size, dtype=torch.long)
        elif self._partners is None:
            index0 = torch.randint(len(control), size, generator=generator)
            index1 = torch.randint(len(treated), size, generator=generator)
            labels = torch.zeros(size, dtype=torch.long)
        else:
            rows, types, by_type = self._partners[name]
            pick = torch.randint(len(rows), size, generator=generator)
            index1, labels = rows[pick], types[pick]
            share = torch.rand(size, generator=generator)
            sizes = torch.tensor([len(by_type[int(c)]) for c in labels])
            place = (share * sizes).long().clamp_max(sizes - 1)
            index0 = torch.stack([by_type[int(c)][i] for c, i in zip(labels, place, strict=True)])
        n_embed = 0 if model.embed is None else min(model.embed_cells, self._smallest)
        seen = torch.randperm(len(control), generator=generator)[:n_embed]
        offset = self._offsets.draw(generator)
        device = control.device
        return (
            control[index0.to(device)] + offset,
            treated[index1.to(device)] + offset,
            labels.to(device),
            control[seen.to(device)] + offset,
        )

    def _by_type(
        self, cell_types: CellTypes | None
    ) -> dict[str, tuple[Tensor, Tensor, dict[int, Tensor]]] | None:
        """For each group: usable treated rows, their types, and control rows of each type."""
        if cell_types is None:
            return None
        partners = {}
        for name, (control, treated) in self.populations.items():
            if name not in cell_types:
                raise DataError(f"no cell types for group {name!r}; give labels for every group.")
            labels0, labels1 = (labels.cpu() for labels in cell_types[name])
            if (len(labels0), len(labels1)) != (len(control), len(treated)):
                raise DataError(
                    f"group {name!r} has {len(control)} control and {len(treated)} treated cells, "
                    f"but {len(labels0)} and {len(labels1)} cell types."
                )
            by_type = {int(c): (labels0 == c).nonzero()[:, 0] for c in labels0.unique()}
            rows = torch.isin(labels1, labels0).nonzero()[:, 0]
            if len(rows) == 0:
                raise DataError(
                    f"group {name!r}: no cell type occurs on both sides (control "
                    f"{labels0.unique().tolist()}, treated {labels1.unique().tolist()})."
                )
            partners[name] = (rows, labels1[rows], by_type)
        return partners


def check_populations(populations: Populations) -> None:
    """Refuse an empty set, groups too small to train on, and cells that are not finite."""
    if not populations:
        raise DataError("no training population; give at least one (control, treated) pair.")
    for name, (control, treated) in populations.items():
        if len(control) < 2 or len(treated) < 2:
            raise DataError(
                f"population {name!r} has {len(control)} control and {len(treated)} treated "
                "cells; both need at least 2."
            )
        bad = int((~torch.isfinite(torch.cat((control, treated)))).any(-1).sum())
        if bad:
            raise DataError(f"population {name!r}: {bad} cells hold NaN or infinity.")
