"""What the solvers accept, checked before any work, with errors that say what to change."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from pushforward.simulators.errors import DataError

__all__: list[str] = []


def check_cost(C: Tensor) -> None:
    """Refuse a cost matrix that no solver can use."""
    check_floating(C, "C")
    if C.ndim < 2 or 0 in C.shape:
        raise DataError(
            f"C has shape {tuple(C.shape)}; expected (*batch, n, m) with every size at least 1. "
            "Pass the matrix of costs between the n source and m target points."
        )
    if not torch.isfinite(C.detach().sum()) and (C.isnan().any() or torch.isneginf(C).any()):
        bad = int((C.isnan() | torch.isneginf(C)).sum())
        raise DataError(
            f"C holds {bad} values that are NaN or -inf; expected finite costs, or +inf for a "
            "forbidden pair. Look for NaN in the points or an overflow in the cost."
        )


def check_floating(x: Tensor, name: str) -> None:
    """Refuse anything but a float32 or float64 tensor."""
    if not isinstance(x, Tensor):
        raise DataError(
            f"{name} is a {type(x).__name__}; expected a torch tensor. "
            f"Convert it by torch.as_tensor({name}, dtype=torch.float64)."
        )
    if x.dtype not in (torch.float32, torch.float64):
        raise DataError(
            f"{name} has dtype {x.dtype}; expected torch.float32 or torch.float64. "
            f"Convert it by {name}.double() or {name}.float()."
        )


def check_points(x: Tensor, y: Tensor) -> None:
    """Refuse point clouds that do not live in one space or hold non-finite coordinates."""
    for name, points in (("x", x), ("y", y)):
        check_floating(points, name)
        if points.ndim < 2 or 0 in points.shape:
            raise DataError(
                f"{name} has shape {tuple(points.shape)}; expected (*batch, n, d) with every size "
                f"at least 1. For points on a line pass {name}[:, None]."
            )
        if not torch.isfinite(points.detach()).all():
            bad = int((~torch.isfinite(points)).sum())
            raise DataError(
                f"{name} holds {bad} non-finite coordinates; expected finite points. "
                "Drop or repair these points first."
            )
    if x.shape[-1] != y.shape[-1]:
        raise DataError(
            f"x has points of dimension {x.shape[-1]}, y of dimension {y.shape[-1]}; "
            "expected the same. Project both into one space, or use gromov_wasserstein."
        )
    if x.dtype != y.dtype or x.device != y.device:
        raise DataError(
            f"x is {x.dtype} on {x.device}, y is {y.dtype} on {y.device}; expected one dtype and "
            "one device. Use y.to(x)."
        )
    check_batch(x.shape[:-2], y.shape[:-2], "x", "y")


def check_batch(one: torch.Size, other: torch.Size, name: str, other_name: str) -> torch.Size:
    """The joint batch shape of two arguments."""
    try:
        return torch.broadcast_shapes(one, other)
    except RuntimeError:
        raise DataError(
            f"{name} has batch shape {tuple(one)}, {other_name} has {tuple(other)}; expected "
            "shapes that broadcast. Add axes of size 1 by unsqueeze."
        ) from None


def weights(w: Tensor | None, n: int, like: Tensor, name: str) -> Tensor:
    """Weights of shape `(*batch, n)`: uniform for None, otherwise checked and broadcast.

    `like` is the cost (*batch, n, m), which gives batch shape, dtype and device.
    """
    batch = like.shape[:-2]
    if w is None:
        return torch.full((*batch, n), 1.0 / n, dtype=like.dtype, device=like.device)
    check_floating(w, name)
    if w.dtype != like.dtype or w.device != like.device:
        raise DataError(
            f"{name} is {w.dtype} on {w.device}, the cost is {like.dtype} on {like.device}; "
            f"expected the same. Use {name}.to(C)."
        )
    fits = w.ndim >= 1 and w.shape[-1] == n and w.ndim - 1 <= len(batch)
    if not fits or any(
        s not in (1, t) for s, t in zip(w.shape[-2::-1], reversed(batch), strict=False)
    ):
        raise DataError(
            f"{name} has shape {tuple(w.shape)}; expected {(*batch, n)} or one that broadcasts to "
            f"it, for a cost of shape {tuple(like.shape)}. a weighs the rows, b the columns."
        )
    values = w.detach()
    low = values.min()
    if not (low >= 0) or not torch.isfinite(values.sum()):
        bad = ~(values >= 0) | torch.isinf(values)
        raise DataError(
            f"{name} holds {int(bad.sum())} weights that are negative, NaN or infinite (the first "
            f"is {values[bad][0].item():.4g}); expected finite weights >= 0. Drop those atoms or "
            "set their weight to 0."
        )
    if not (values.sum(-1) > 0).all():
        raise DataError(
            f"{name} sums to 0; expected a positive total mass. "
            "Pass None for uniform weights, or drop the empty group."
        )
    return w.expand(*batch, n)


def check_same_mass(a: Tensor, b: Tensor) -> None:
    """Balanced transport needs equal masses."""
    mass_a, mass_b = a.detach().sum(-1), b.detach().sum(-1)
    allowed = (1e-8 if a.dtype == torch.float64 else 1e-4) * mass_a
    off = (mass_a - mass_b).abs() - allowed
    if (off > 0).any():
        at = off.argmax()
        raise DataError(
            f"a has total mass {mass_a.flatten()[at].item():.9g}, b has "
            f"{mass_b.flatten()[at].item():.9g}; balanced transport needs equal masses. Normalise "
            "by a / a.sum(), or pass tau= (unbalanced) or mass= (partial)."
        )


def check_reachable(C: Tensor, a: Tensor, b: Tensor) -> None:
    """Every atom with mass needs at least one allowed partner with mass."""
    if torch.isfinite(C.detach().sum()):
        return
    shut = C.detach() == math.inf
    for axis, own, other, name in ((-1, a, b, "row"), (-2, b, a, "column")):
        blocked = shut | (other.detach() == 0).unsqueeze(-3 - axis)
        bad = blocked.all(axis) & (own.detach() > 0)
        if bad.any():
            where = [int(i) for i in bad.nonzero()[0]]
            raise DataError(
                f"{name} {where[-1]} of C is infinite wherever there is mass, yet its weight is "
                f"positive ({int(bad.sum())} such {name}s); expected at least one finite cost. "
                "Set that weight to 0, or use a large finite cost."
            )


def check_eps(eps: float | int | Tensor, like: Tensor) -> Tensor:
    """Entropic strength as a tensor that broadcasts over the batch axes of the cost `like`."""
    value = torch.as_tensor(eps, dtype=like.dtype, device=like.device)
    low = value.detach().min()
    if not (low > 0) or not torch.isfinite(value.detach()).all():
        raise DataError(
            f"eps = {low.item():.4g}; expected a finite entropic strength > 0. "
            "Pass eps=None for exact transport, or about 0.05 times the spread of the cost."
        )
    if value.ndim > like.ndim - 2 or any(
        s not in (1, t) for s, t in zip(value.shape[::-1], reversed(like.shape[:-2]), strict=False)
    ):
        raise DataError(
            f"eps has shape {tuple(value.shape)}; expected a number or the batch shape "
            f"{tuple(like.shape[:-2])} of the cost."
        )
    return value.expand(like.shape[:-2])


def check_init(init: tuple[Tensor, Tensor] | None, C: Tensor) -> None:
    """Refuse potentials to start from that do not belong to the cost."""
    if init is None:
        return
    for h, n, name in ((init[0], C.shape[-2], "f"), (init[1], C.shape[-1], "g")):
        fits = h.ndim >= 1 and h.shape[-1] == n and h.dtype == C.dtype
        if not fits or not torch.isfinite(h).all():
            raise DataError(
                f"init holds {name} of shape {tuple(h.shape)} and dtype {h.dtype}, or non-finite "
                f"values; expected finite potentials (*batch, {n}) of dtype {C.dtype}. Pass the "
                "`potentials` of a converged result of the same sizes."
            )


def check_mass(mass: float | Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Mass to transport, (*batch,), between 0 and what both sides hold."""
    value = torch.as_tensor(mass, dtype=a.dtype, device=a.device).detach().expand(a.shape[:-1])
    limit = torch.minimum(a.detach().sum(-1), b.detach().sum(-1))
    if not ((value > 0) & (value <= limit * (1 + 1e-6))).all():
        raise DataError(
            f"mass = {value.max().item():.6g}; expected more than 0 and at most the smaller total, "
            f"{limit.min().item():.6g}. Lower it, or scale the weights."
        )
    return torch.minimum(value, limit)


def check_stopping(tol: float, max_iter: int) -> None:
    """Refuse a tolerance or an iteration limit that cannot stop a loop."""
    if not tol > 0:
        raise DataError(f"tol = {tol}; expected a marginal error > 0, such as 1e-6.")
    if max_iter < 1:
        raise DataError(f"max_iter = {max_iter}; expected at least 1.")


def check_choice(value: object, choices: tuple[str, ...], name: str) -> None:
    """Refuse a word that is not among the choices."""
    if value not in choices:
        raise DataError(f"{name} = {value!r}; expected one of {', '.join(map(repr, choices))}.")


def check_cost_name(cost: str | Callable[[Tensor, Tensor], Tensor]) -> None:
    """Refuse an unknown ground cost."""
    if not callable(cost):
        check_choice(cost, ("sqeuclidean", "euclidean"), "cost")
