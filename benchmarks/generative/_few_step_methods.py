"""The few-step methods of table (b): how each is trained, sampled, and what its training costs."""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from pushforward.surrogates.flow import (
    BlockwiseField,
    CosinePath,
    DistillationLoss,
    FlowMatchingLoss,
    LinearPath,
    MeanFlowLoss,
    MeanFlowSampler,
    MinibatchOTCoupling,
    ODESampler,
    PairedCoupling,
    RefinedSampler,
    RefinerLoss,
    StraighteningLoss,
    TransitionMatchingLoss,
    TransitionSampler,
    bellman_time_grid,
    edm_time_grid,
    reflow,
    straightening_pairs,
)

from ._training import MLP, Counted, fit

__all__ = ["NFE", "Budget", "Method", "Problem", "all_methods"]

#: Evaluations of the network at which methods are compared.
NFE = (1, 2, 4, 8)

#: NFE -> how to sample with at most so many, or None where the method has no such form.
Sampler = Callable[[int], Callable[[Tensor], Tensor] | None]


@dataclass(frozen=True)
class Budget:
    """``steps`` of everything trained from scratch, ``tune`` of what starts from a teacher."""

    steps: int
    tune: int
    seeds: int
    test_points: int
    pairs: int
    width: int = 64
    depth: int = 3
    batch: int = 256


@dataclass(frozen=True)
class Problem:
    """Samplers of the source and of the data in d dimensions, a budget and a seed."""

    d: int
    source: Callable[[int], Tensor]
    target: Callable[[int], Tensor]
    budget: Budget
    seed: int

    def batch(self) -> tuple[Tensor, Tensor]:
        """One training batch, source and data drawn independently."""
        return self.source(self.budget.batch), self.target(self.budget.batch)

    def network(self, times: int = 1) -> MLP:
        """A fresh field of ``times`` time arguments; the same initial weights for all methods."""
        p = self.budget
        return MLP(self.d + times, self.d, width=p.width, depth=p.depth, seed=100 + self.seed)


class Method(NamedTuple):
    """A trained method: its sampler, the network rows and the seconds that training took."""

    sampler: Sampler
    rows: float
    seconds: float


class Teacher(NamedTuple):
    """The field that other methods start from, with its cost."""

    field: nn.Module
    rows: float
    seconds: float


class Transition(nn.Module):
    """Backbone and head of difference transition matching, as small as the other networks."""

    def __init__(self, d: int, p: Budget, seed: int) -> None:
        super().__init__()
        self.backbone = MLP(d + 1, p.width, width=p.width, depth=p.depth - 1, seed=seed)
        self.inner = MLP(d + 1 + p.width, d, width=p.width, depth=2, seed=seed + 1)

    def features(self, x: Tensor, t: Tensor, **condition: Any) -> Tensor:
        """What the head sees of x_t: once a step."""
        return self.backbone(x, t)

    def head(self, y: Tensor, s: Tensor, h: Tensor) -> Tensor:
        """The inner field of the difference y at inner time s."""
        return self.inner(y, s, h)


def solver(field: Any, method: Any, *, per_step: int = 1, extra: int = 0, path: Any = None):
    """Equal steps of a solver that takes ``per_step`` calls a step and ``extra`` at the start."""

    def at(nfe: int) -> Callable[[Tensor], Tensor] | None:
        steps, left = divmod(nfe - extra, per_step)
        if steps < 1 or left:
            return None
        sampler = ODESampler(field, method=method, steps=steps, path=path)
        return lambda x: sampler.sample(x).x

    return at


def train_field(problem: Problem, loss: Any, g: torch.Generator, model: Any = None) -> Teacher:
    """A field trained from scratch on fresh batches."""
    net = problem.network() if model is None else model
    counted = Counted(net)
    seconds = fit(
        net, lambda: loss(counted, *problem.batch(), generator=g), steps=problem.budget.steps
    )
    return Teacher(net, counted.rows, seconds)


def solvers_of_the_teacher(problem: Problem, teacher: Teacher) -> dict[str, Method]:
    """The same field under every solver: no further training."""
    path, field = LinearPath(), teacher.field

    def edm(nfe: int) -> Callable[[Tensor], Tensor] | None:
        steps = (nfe + 1) // 2
        if steps < 2:
            return None
        grid = edm_time_grid(path, steps)
        sampler = ODESampler(field, method="edm_heun", time_grid=grid, path=path)
        return lambda x: sampler.sample(x).x

    samplers: dict[str, Sampler] = {
        "teacher, Euler (= DDIM on the linear path)": solver(field, "euler"),
        "teacher, midpoint": solver(field, "midpoint", per_step=2),
        "teacher, Heun": solver(field, "heun", per_step=2),
        "teacher, RK4": solver(field, "rk4", per_step=4),
        "teacher, AB2": solver(field, "ab2", extra=1),
        "teacher, pseudo-corrector": solver(field, "pseudo_corrector", extra=1),
        "teacher, DPM-Solver++(2M)": solver(field, "dpm_solver_2m", path=path),
        "teacher, EDM Heun and grid (one call fewer)": edm,
    }
    return {name: Method(s, teacher.rows, teacher.seconds) for name, s in samplers.items()}


def on_the_bellman_grid(problem: Problem, teacher: Teacher) -> dict[str, Method]:
    """BOSS: the best times for Euler steps, then one network straightened on them for each NFE."""
    p, watched = problem.budget, Counted(teacher.field)
    begin = time.perf_counter()
    probe = problem.source(p.batch)
    grids = {n: bellman_time_grid(watched, probe, nfe=n, fine=64) for n in NFE}
    rows = teacher.rows + watched.rows
    seconds = teacher.seconds + time.perf_counter() - begin

    def euler(fields: dict[int, Any]) -> Sampler:
        return lambda n: (
            lambda x: ODESampler(fields[n], method="euler", time_grid=grids[n]).sample(x).x
        )

    out = {
        "teacher, Euler on Bellman grid": Method(
            euler(dict.fromkeys(NFE, teacher.field)), rows, seconds
        )
    }
    g = torch.Generator().manual_seed(40 + problem.seed)
    straight: dict[int, nn.Module] = {}
    for n in NFE:
        begin = time.perf_counter()
        watched = Counted(teacher.field)
        found, t0, t1 = straightening_pairs(watched, problem.source(p.pairs // 8), grids[n])
        net = copy.deepcopy(teacher.field)
        spent = Counted(net)

        def chord(
            spent: Counted = spent, found: Any = found, t0: Tensor = t0, t1: Tensor = t1
        ) -> Tensor:
            pick = torch.randint(len(t0), (p.batch,), generator=g)
            return StraighteningLoss()(spent, found.x0[pick], found.x1[pick], t0[pick], t1[pick])

        fit(net, chord, steps=p.tune)
        straight[n] = net
        rows += watched.rows + spent.rows
        seconds += time.perf_counter() - begin
    out["Bellman grid + straightening (a network for each NFE)"] = Method(
        euler(straight), rows, seconds
    )
    return out


def on_pairs_of_the_teacher(
    problem: Problem, teacher: Teacher
) -> tuple[dict[str, Method], nn.Module]:
    """Reflow, distillation, Rectified Diffusion on the same pairs; and the reflow field."""
    p = problem.budget
    g = torch.Generator().manual_seed(20 + problem.seed)
    begin = time.perf_counter()
    counted = Counted(teacher.field)
    pairs = reflow(counted, problem.source(p.pairs), steps=50)
    made = (teacher.rows + counted.rows, teacher.seconds + time.perf_counter() - begin)

    def tuned(initial: nn.Module, objective: Any, steps: int, before: Any) -> Teacher:
        net = copy.deepcopy(initial)
        spent = Counted(net)

        def loss() -> Tensor:
            pick = torch.randint(len(pairs.x0), (p.batch,), generator=g)
            return objective(spent, pairs.x0[pick], pairs.x1[pick], generator=g)

        seconds = fit(net, loss, steps=steps)
        return Teacher(net, before[0] + spent.rows, before[1] + seconds)

    straight = tuned(teacher.field, FlowMatchingLoss(LinearPath(), PairedCoupling()), p.tune, made)
    out = {"reflow, Euler": Method(solver(straight.field, "euler"), *straight[1:])}
    for k in (1, 2):
        student = tuned(straight.field, DistillationLoss(k), p.tune, straight[1:])

        def only(n: int, k: int = k, field: nn.Module = student.field) -> Any:
            return solver(field, "euler")(n) if n == k else None

        out[f"reflow + {k}-step distillation"] = Method(only, *student[1:])
    path = CosinePath()
    curved = FlowMatchingLoss(path, PairedCoupling(), loss="huber")
    first_order = tuned(problem.network(), curved, p.steps, made)
    out["Rectified Diffusion (cosine), DDIM"] = Method(
        solver(first_order.field, "ddim", path=path), *first_order[1:]
    )
    return out, straight.field


def refined_velocity(problem: Problem, teacher: Teacher) -> dict[str, Method]:
    """FlowTurbo: a small network corrects the teacher's velocity between its calls."""
    g = torch.Generator().manual_seed(30 + problem.seed)
    d, p = problem.d, problem.budget
    refiner = MLP(2 * d + 1, d, width=16, depth=1, seed=200 + problem.seed)
    counted = Counted(teacher.field)
    loss = RefinerLoss(counted, max_step=0.3)
    seconds = fit(refiner, lambda: loss(refiner, *problem.batch(), generator=g), steps=p.tune)

    def at(n: int) -> Callable[[Tensor], Tensor] | None:
        if n < 2:
            return None
        sampler = RefinedSampler(teacher.field, refiner, heun=1, pseudo=n - 2, refined=2)
        return lambda x: sampler.sample(x).x

    return {
        "velocity refiner (+ 2 refined steps)": Method(
            at, teacher.rows + counted.rows, teacher.seconds + seconds
        )
    }


def transition_matching(problem: Problem) -> dict[str, Method]:
    """Difference transition matching: one chain for each number of steps."""
    g = torch.Generator().manual_seed(50 + problem.seed)
    p, seconds = problem.budget, 0.0
    chains: dict[int, Transition] = {}
    for n in NFE:
        chain, loss = Transition(problem.d, p, 300 + problem.seed), TransitionMatchingLoss(n)

        def of_batch(chain: Transition = chain, loss: Any = loss) -> Tensor:
            return loss(chain, *problem.batch(), generator=g)

        seconds += fit(chain, of_batch, steps=p.steps // 2)
        chains[n] = chain

    def at(n: int) -> Callable[[Tensor], Tensor]:
        sampler = TransitionSampler(chains[n], steps=n, head_steps=8)
        return lambda x: sampler.sample(x, generator=torch.Generator().manual_seed(5)).x

    rows = len(NFE) * p.batch * (p.steps // 2)
    return {"transition matching (head: 8 steps)": Method(at, rows, seconds)}


def all_methods(problem: Problem) -> tuple[dict[str, Method], dict[str, nn.Module]]:
    """Every method of the table, trained; beside it the fields whose trajectories are drawn."""
    g = torch.Generator().manual_seed(problem.seed)
    plain = FlowMatchingLoss(LinearPath())
    teacher = train_field(problem, plain, g)
    out = solvers_of_the_teacher(problem, teacher) | on_the_bellman_grid(problem, teacher)

    coupled = train_field(problem, FlowMatchingLoss(LinearPath(), MinibatchOTCoupling()), g)
    out["OT coupling, Euler"] = Method(solver(coupled.field, "euler"), *coupled[1:])

    from_pairs, straight = on_pairs_of_the_teacher(problem, teacher)
    out |= from_pairs

    mean = train_field(problem, MeanFlowLoss(), g, problem.network(times=2))
    out["MeanFlow"] = Method(
        lambda n: lambda x: MeanFlowSampler(mean.field, steps=n).sample(x).x,
        2 * mean.rows,  # value and forward-mode derivative
        mean.seconds,
    )
    blocks = train_field(problem, plain, g, BlockwiseField([problem.network(), problem.network()]))
    out["2 blocks, Euler"] = Method(
        lambda n: solver(blocks.field, "euler")(n) if n > 1 else None, *blocks[1:]
    )
    out |= refined_velocity(problem, teacher) | transition_matching(problem)
    return out, {"teacher": teacher.field, "OT coupling": coupled.field, "reflow": straight}
