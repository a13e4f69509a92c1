"""Second-order finish for small entropic problems: damped Newton on the semi-dual, batched."""

import torch
from torch import Tensor

from ._sinkhorn import Potentials, softmin, violation

__all__: list[str] = []

# Steps without a new best error after which rounding, not the method, is taken to be the limit.
_PATIENCE = 6


@torch.no_grad()
def newton(
    C: Tensor,
    a: Tensor,
    b: Tensor,
    g: Tensor,
    eps: Tensor,
    *,
    tol: float,
    max_iter: int,
) -> Potentials:
    """Maximise ⟨a, softmin(C - g)⟩ + ⟨b, g⟩ over g by Newton steps with halving.

    C (B, n, m), a (B, n), b and g (B, m), eps (B,). With f = softmin(C - g) the rows are exact, the
    gradient is b - P'1 and the Hessian -(diag(P'1) - P' diag(1/a) P)/eps, a Laplacian that is
    singular along the constants. It is solved densely: O(n m² + m³) a step, a handful of steps once
    Sinkhorn has come near. A step that fails to raise the objective even when halved is replaced by
    a Sinkhorn sweep, which never lowers it.
    """
    width, mass = eps.unsqueeze(-1), a.sum(-1)
    log_a, log_b = a.log(), b.log()
    Ct = C.mT.contiguous()
    # Atoms without mass take no part; their potential follows from the last sweep.
    present = b > 0

    def state(g: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        f = softmin(C, g, log_b, width)
        sweep = softmin(Ct, f, log_a, width)
        error = violation(b, (g - sweep) / width) / mass
        objective = _dot(a, f) + _dot(b, g)
        return f, sweep, error, objective, b * ((g - sweep) / width).exp()

    f, sweep, error, objective, columns = state(g)
    best, best_f, best_g = error, f, g
    errors, n_iter, waited = [error], 1, 0
    while n_iter < max_iter and waited < _PATIENCE and not (best <= tol).all():
        P = torch.where(
            (a > 0).unsqueeze(-1) & present.unsqueeze(-2),
            ((f.unsqueeze(-1) + g.unsqueeze(-2) - C) / width.unsqueeze(-1)).exp()
            * (a.unsqueeze(-1) * b.unsqueeze(-2)),
            0.0,
        )
        slope = torch.where(present, b - columns, 0.0)
        move = width * _laplacian_solve(P, a, b, slope)
        gain = (slope * move).sum(-1)
        accepted = best <= tol
        step = torch.ones_like(mass)
        trial_g = sweep
        for _ in range(12):
            candidate = torch.where(accepted.unsqueeze(-1), trial_g, g + step.unsqueeze(-1) * move)
            trial = state(candidate)
            n_iter += 1
            better = (trial[3] >= objective + 1e-4 * step * gain) | (trial[2] < 0.5 * error)
            fresh = better & ~accepted
            trial_g = torch.where(fresh.unsqueeze(-1), candidate, trial_g)
            accepted = accepted | fresh
            if accepted.all() or n_iter >= max_iter:
                break
            step = torch.where(accepted, step, step / 4)
        g = trial_g
        f, sweep, error, objective, columns = trial if bool(accepted.all()) else state(g)
        errors.append(error)
        improved = error < 0.9 * best
        waited = 0 if bool(improved.any()) else waited + 1
        take = ((error < best) & ~(best <= tol)).unsqueeze(-1)
        best_f, best_g = torch.where(take, f, best_f), torch.where(take, g, best_g)
        best = torch.where(take.squeeze(-1), error, best)
    best_g = torch.where(present, best_g, softmin(Ct, best_f, log_a, width))
    return Potentials(best_f, best_g, best, n_iter, errors)


def _laplacian_solve(P: Tensor, a: Tensor, b: Tensor, right: Tensor) -> Tensor:
    """Solve (diag(P'1) - P' diag(1/a) P) x = right in float64, on the complement of constants."""
    P, right, weight = P.double(), right.double(), b.double()
    rows = P.sum(-1, keepdim=True)
    share = P / torch.where(rows > 0, rows, 1.0)
    columns = P.sum(-2)
    matrix = torch.diag_embed(columns) - P.mT @ share
    total = weight.sum(-1, keepdim=True)
    # The constants are the null space; the tiny ridge keeps nearly separate blocks solvable.
    ridge = torch.where(weight > 0, 1e-13 * weight + 1e-300, 1.0)
    matrix = (
        matrix + torch.diag_embed(ridge) + (weight / total).unsqueeze(-1) * weight.unsqueeze(-2)
    )
    factor, info = torch.linalg.cholesky_ex(matrix)
    if info.any():
        heavier = torch.diag_embed(1e-8 * weight.amax(-1, keepdim=True).expand_as(weight))
        factor, info = torch.linalg.cholesky_ex(matrix + heavier)
    x = torch.cholesky_solve(right.unsqueeze(-1), factor).squeeze(-1)
    x = torch.where((info == 0).unsqueeze(-1) & torch.isfinite(x), x, 0.0)
    return x.to(a.dtype)


def _dot(w: Tensor, h: Tensor) -> Tensor:
    return torch.where(w > 0, w * h, 0.0).sum(-1)
