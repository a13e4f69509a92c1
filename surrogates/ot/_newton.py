"""Second-order steps for entropic problems: damped Newton on the semi-dual, batched."""

import torch
from torch import Tensor

from ._scaling import Scaling, left, right

__all__: list[str] = []

# Shorter sides up to this are factorised; beyond it conjugate gradients do less work.
_DENSE_SIDE = 1536


@torch.no_grad()
def newton_step(state: Scaling) -> tuple[int, Tensor]:
    """One step towards the maximum of ⟨a, softmin(C - g)⟩ + ⟨b, g⟩.

    With exact rows the gradient in g is b - P'1 and the Hessian -(diag(P'1) - P' diag(1/a) P)/eps,
    a Laplacian, singular along the constants. The step is cut until the objective rises enough; a
    problem in which it never does gets a Sinkhorn sweep, which cannot lower it. Returns the number
    of evaluations and for each problem whether this was progress, (B,): the step was cut to the
    trust radius and taken, or it brought the error down by a tenth.

    The trust radius bounds the change of log w. It starts at 10, beyond which the quadratic model
    says nothing, and doubles as long as whole steps are taken: groups of atoms that exchange almost
    no mass must drift a long way before they do.
    """
    slope = state.b - state.columns
    move = _direction(state, slope)
    gain = (slope * move).sum(-1)
    objective, error, w = state.objective(), state.error, state.w
    chosen = w * torch.where(state.b > 0, state.b / state.columns, 1.0)
    accepted = torch.zeros_like(gain, dtype=torch.bool)
    step = (state.trust / move.abs().amax(-1)).clamp_max(1.0)
    cut = step < 1
    for evaluations in range(1, 11):
        trial = w * (step.unsqueeze(-1) * move).exp()
        state.move(torch.where(accepted.unsqueeze(-1), chosen, trial))
        enough = state.objective() >= objective + 1e-4 * step * gain
        fresh = ~accepted & ((enough & (gain > 0)) | (state.error < 0.5 * error))
        chosen = torch.where(fresh.unsqueeze(-1), trial, chosen)
        accepted = accepted | fresh
        if evaluations == 1:
            state.trust = torch.where(fresh & cut, 2 * state.trust, 10.0).clamp_max(state.far)
        if accepted.all():
            break
        step = step / 4
    else:
        state.move(chosen)
    return evaluations, (accepted & cut) | (state.error < 0.9 * error)


def _direction(state: Scaling, slope: Tensor) -> Tensor:
    if state.C.shape[-1] <= _DENSE_SIDE:
        return _factorised(state, slope)
    return _conjugate_gradients(state, slope)


def _factorised(state: Scaling, slope: Tensor) -> Tensor:
    """Solve the Laplacian system by Cholesky factors in float64, scaled to unit diagonal."""
    columns = state.columns.double()
    present = state.b > 0
    scale = torch.where(present, columns, 1.0).rsqrt()
    rows = torch.where(state.a > 0, state.u.double() / state.a.double().sqrt(), 0.0)
    share = state.K.double() * rows.unsqueeze(-1)
    share.mul_((state.w.double() * torch.where(present, scale, 0.0)).unsqueeze(-2))
    matrix = torch.baddbmm(
        torch.eye(share.shape[-1], dtype=share.dtype, device=share.device),
        share.mT,
        share,
        alpha=-1,
    )
    # The constants, in this scaling the square root of the columns, are the null space; the ridge
    # keeps nearly separate blocks solvable.
    null = torch.where(present, columns.sqrt(), 0.0)
    null = null / null.square().sum(-1, keepdim=True).sqrt()
    matrix = matrix.baddbmm_(null.unsqueeze(-1), null.unsqueeze(-2))
    matrix.diagonal(dim1=-2, dim2=-1).add_(1e-14)
    factor, info = torch.linalg.cholesky_ex(matrix)
    if info.any():
        matrix.diagonal(dim1=-2, dim2=-1).add_(1e-9)
        factor, info = torch.linalg.cholesky_ex(matrix)
    x = torch.cholesky_solve((scale * slope.double()).unsqueeze(-1), factor).squeeze(-1) * scale
    x = torch.where(present & (info == 0).unsqueeze(-1) & torch.isfinite(x), x, 0.0)
    return x.to(slope.dtype)


def _conjugate_gradients(state: Scaling, slope: Tensor) -> Tensor:
    """Solve the Laplacian system to a tenth of the slope, preconditioned by its diagonal."""
    columns = torch.where(state.b > 0, state.columns, 1.0)
    inverse = torch.where(state.a > 0, state.u.square() / state.a, 0.0)
    x = torch.zeros_like(slope)
    r = slope
    z = r / columns
    p = z
    rz = (r * z).sum(-1, keepdim=True)
    goal = 0.1 * slope.abs().sum(-1)
    for _ in range(300):
        Kp = right(state.K, state.w * p)
        Ap = columns * p - state.w * left(inverse * Kp, state.K)
        curvature = (p * Ap).sum(-1, keepdim=True)
        alpha = torch.where(curvature > 0, rz / curvature, 0.0)
        x, r = x + alpha * p, r - alpha * Ap
        if (r.abs().sum(-1) <= goal).all() or not (alpha > 0).any():
            break
        z = r / columns
        before, rz = rz, (r * z).sum(-1, keepdim=True)
        p = z + torch.where(before > 0, rz / before, 0.0) * p
    return torch.where(torch.isfinite(x), x, 0.0)
