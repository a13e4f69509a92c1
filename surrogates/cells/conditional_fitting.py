"""Fitting one Monge map on many conditions, with the paper's settings or tuned ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from pushforward.simulators.errors import DataError
from pushforward.surrogates.cells.conditional_map import ConditionalMongeMap
from pushforward.surrogates.cells.conditions import Chunk, Condition
from pushforward.surrogates.cells.objective import MongeObjective, MongeOptions
from pushforward.surrogates.cells.references import Populations
from pushforward.surrogates.training import Optimisation, train

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["ConditionalRecipe", "fit_conditional_map"]


@dataclass(frozen=True)
class ConditionalRecipe:
    """How a conditional Monge map is built and trained; the defaults are the tuned ones.

    Parameters
    ----------
    hidden
        widths of the network behind the condition's layers
    shrinkage
        coordinates of displacements below this share of the cells' scale become zero
    objective
        what the map minimises
    optimisation
        how
    """

    hidden: tuple[int, ...] = (64, 64, 64)
    shrinkage: float = 0.0
    objective: MongeOptions = field(
        default_factory=lambda: MongeOptions(
            fit_eps=0.1,
            gap_eps=0.1,
            gap_weight=0.1,
            batch_size=64,
            populations_per_step=16,
            independent_batches=True,
        )
    )
    optimisation: Optimisation = field(
        default_factory=lambda: Optimisation(
            steps=1000, learning_rate=3e-3, weight_decay=1e-4, schedule="cosine"
        )
    )

    @classmethod
    def paper(cls) -> "ConditionalRecipe":
        """The settings of the released conditional-Monge code (code).

        Euclidean cost in both terms, absolute entropic strengths 1 and 0.01, gap weight 1, one
        condition of 512 cells a step, AdamW 1e-4 with decay 1e-5, cosine to 1 %, 10,000 steps.
        """
        return cls(
            hidden=(64, 64, 64, 64),
            objective=MongeOptions(
                cost="euclidean",
                fit_eps=1.0,
                gap_eps=0.01,
                eps_unit="absolute",
                gap_weight=1.0,
                batch_size=512,
                populations_per_step=1,
            ),
            optimisation=Optimisation(
                steps=10_000, learning_rate=1e-4, weight_decay=1e-5, schedule="cosine"
            ),
        )


def fit_conditional_map(
    populations: Populations,
    conditions: Mapping[str, Condition],
    chunks: Sequence[Chunk],
    *,
    recipe: ConditionalRecipe | None = None,
    seed: int = 0,
    folder: Path | None = None,
    fabric: "Fabric | None" = None,
    label: str = "conditional Monge map",
) -> ConditionalMongeMap:
    r"""Fit one map on all training groups, each a population of cells under one condition.

        min_θ  mean_c [ S_ε(T_θ(·, c)#μ_c, ν_c) + λ M(T_θ(·, c); μ_c) ] / c̄

    Several conditions pass a step as one batch. Nothing but the groups given is looked at: what
    is held out must not be among them.

    Parameters
    ----------
    populations : training groups by name, each (control, treated).
    conditions : the condition of each group, by the same names.
    chunks : how conditions become numbers; statistics (`Number.fit`) from training conditions.
    recipe : default `ConditionalRecipe()`, the tuned one.
    seed : of initial weights and batches.
    folder : where a checkpoint is kept, so that a killed fit goes on; None keeps nothing.
    fabric : device and precision; None: CPU, float32.
    label : at the start of progress lines.

    Raises
    ------
    DataError : groups without a condition, a condition that the chunks cannot encode, fewer than
        2 cells in a group; all before training.
    DivergedError, InterruptedRun : as `train`.

    References
    ----------
    Driessen et al., "Towards generalizable single-cell perturbation modeling via the conditional
    Monge gap", 2025.

    Examples
    --------
    >>> import torch
    >>> from pushforward.surrogates.cells import (
    ...     ConditionalRecipe, MongeOptions, Number, fit_conditional_map)
    >>> from pushforward.surrogates.training import Optimisation
    >>> x = torch.randn(300, 1, generator=torch.Generator().manual_seed(0))
    >>> groups = {"low": (x[:100], x[100:200] + 1), "high": (x[:100], x[200:] + 3)}
    >>> conditions = {"low": {"dose": 1.0}, "high": {"dose": 3.0}}
    >>> quick = ConditionalRecipe(hidden=(16,), objective=MongeOptions(batch_size=64),
    ...                           optimisation=Optimisation(steps=150, learning_rate=0.01))
    >>> model = fit_conditional_map(groups, conditions, [Number("dose")], recipe=quick)
    >>> moved = model(x, condition={"dose": 2.0}).mean() - x.mean()
    >>> bool((moved - 2).abs() < 0.5)
    True
    """
    recipe = recipe or ConditionalRecipe()
    lacking = sorted(set(populations) ^ set(conditions))
    if lacking:
        raise DataError(
            f"groups and conditions do not have the same names; one side lacks {lacking[:5]}."
        )
    if not populations:
        raise DataError("no training group; give at least one (control, treated) pair.")
    control = torch.cat([c for c, _ in populations.values()])
    scale = control.std(0).square().mean().sqrt().item()
    model = ConditionalMongeMap(
        control.shape[1],
        chunks,
        hidden=recipe.hidden,
        centre=control.mean(0).tolist(),
        scale=scale if scale > 0 else 1.0,
        shrinkage=recipe.shrinkage,
        seed=seed,
    ).to(control.device)
    context = model.encode([conditions[name] for name in populations])
    train(
        model,
        MongeObjective(populations, recipe.objective, context=context),
        recipe.optimisation,
        seed=seed,
        folder=folder,
        fabric=fabric,
        label=label,
    )
    return model
