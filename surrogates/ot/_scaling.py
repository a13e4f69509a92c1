"""The state of a batch of entropic problems in kernel space, and Sinkhorn sweeps on it."""

import torch
from torch import Tensor

__all__: list[str] = []


class Scaling:
    """P = diag(u) K diag(w) with K = b exp((f + g - C)/eps): potentials absorbed, scalings near 1.

    C (B, n, m), a (B, n), b (B, m), eps (B,), potentials f (B, n), g (B, m). `refresh` works in the
    log domain, so that K always holds rows that sum to 1 whatever eps; between refreshes a sweep is
    two matrix-vector products, several times cheaper than two log-sum-exps. Invariant: the rows of
    P are exact; `columns` holds its column sums and `error` their L1 violation over the mass.
    """

    def __init__(self, C: Tensor, a: Tensor, b: Tensor, eps: Tensor, f: Tensor, g: Tensor):
        self.C, self.a, self.b, self.eps = C, a, b, eps.unsqueeze(-1)
        self.f, self.g = f, g
        self.mass = a.sum(-1)
        self.log_a, self.log_b = a.log(), b.log()
        self.absent = bool((b == 0).any())
        double = C.dtype == torch.float64
        # Entries of K below exp(_floor) of their row's largest are raised to it: they carry no
        # mass that shows, and numbers that underflow slow down exp and every product many times.
        # Scalings beyond exp(±far) are absorbed before such entries could matter.
        self._floor, self.far, self._tiny = (
            (-300.0, 100.0, 1e-120) if double else (-60.0, 20.0, 1e-22)
        )
        self.w, self.u = torch.ones_like(b), a
        self.trust = torch.full_like(self.mass, 10.0)
        self._room = torch.empty_like(C)
        self.refresh()

    def set_eps(self, eps: Tensor) -> None:
        """Move to another entropic strength, (B,), keeping the potentials."""
        self.absorb()
        self.eps = eps.unsqueeze(-1)
        self.refresh()

    def potentials(self) -> tuple[Tensor, Tensor]:
        """Current (f, g); atoms without mass keep the last absorbed value."""
        f = torch.where(self.a > 0, self.f + self.eps * (self.u / self.a).log(), self.f)
        return f, self.g + self.eps * self.w.log()

    def absorb(self) -> None:
        """Move the scalings into the potentials."""
        self.f, self.g = self.potentials()
        self.u, self.w = self.a, torch.ones_like(self.w)

    def refresh(self) -> None:
        """Recompute K from the absorbed potentials by a row sweep in the log domain."""
        self._row_sweep()
        self._close()
        light = torch.where(self.b > 0, self.columns < self._tiny * self.b, False)
        if light.any():
            # Some columns are out of reach of every row: bring them near by a column sweep.
            g = log_sweep(self.C.mT, self.f, self.log_a, self.eps)
            self.g = torch.where(self.b > 0, g, self.g)
            self._row_sweep()
            self._close()

    def _row_sweep(self) -> None:
        K = torch.div(self.C, -self.eps.unsqueeze(-1), out=self._room)
        K.add_((self.log_b + self.g / self.eps).unsqueeze(-2))
        top = K.amax(-1, keepdim=True)
        top = torch.where(torch.isinf(top), 0.0, top)
        K.sub_(top).clamp_min_(self._floor).exp_()
        total = K.sum(-1, keepdim=True)
        self.K = K.div_(total)
        self.f = -self.eps * (top + total.log()).squeeze(-1)
        self.u = self.a

    def _close(self) -> None:
        self.sums = left(self.u, self.K)
        self.columns = self.w * self.sums
        self.error = (self.columns - self.b).abs().sum(-1) / self.mass

    def move(self, w: Tensor) -> None:
        """Take new column scalings and make the rows exact again."""
        self.w = w
        self.u = self.rows(w)
        self._close()

    def rows(self, w: Tensor) -> Tensor:
        """Row scalings that make the row sums exact for the column scalings w."""
        return self.a / right(self.K, w).clamp_min(torch.finfo(w.dtype).tiny)

    def sweep_step(self, symmetric: bool) -> Tensor:
        """Change of log w in one Sinkhorn iteration, (B, m).

        For a symmetric problem (C = C', a = b) the averaged iteration g ← (g + f)/2, which
        contracts by a half at least where the kernel is positive definite.
        """
        if symmetric:
            f, g = self.potentials()
            return (f - g) / (2 * self.eps)
        step = (self.b / self.columns).log()
        return torch.where(self.b > 0, step, 0.0) if self.absent else step

    def steady(self) -> None:
        """Absorb the scalings if they have gone far."""
        spread = self.w.log().abs().amax()
        if not spread < self.far:
            self.absorb()
            self.refresh()

    def objective(self) -> Tensor:
        """Dual objective over eps up to what stays constant between refreshes, (B,)."""
        present = self.a > 0
        rows = torch.where(present, self.a * (self.u / self.a).log(), 0.0)
        return rows.sum(-1) + (self.b * self.w.log()).sum(-1)

    def spend(self) -> Tensor:
        """P, (B, n, m), in the memory of K: the state is of no use afterwards."""
        return self.K.mul_(self.u.unsqueeze(-1)).mul_(self.w.unsqueeze(-2))

    def part(self, rows: Tensor) -> "Scaling":
        """The problems listed in `rows`, as a state of their own."""
        self.absorb()
        chosen = Scaling.__new__(Scaling)
        chosen.__dict__.update(self.__dict__, _room=torch.empty_like(self.C[rows]))
        for name in ("C", "a", "b", "eps", "f", "g", "mass", "trust", "log_a", "log_b", "u", "w"):
            setattr(chosen, name, getattr(self, name)[rows])
        chosen.refresh()
        return chosen


def log_sweep(C: Tensor, h: Tensor, log_w: Tensor, eps: Tensor) -> Tensor:
    """-eps log Σⱼ wⱼ exp((hⱼ - Cᵢⱼ)/eps) along the last axis; 0 where every term vanishes.

    C (B, n, m), h and log_w (B, m), eps (B, 1). A row without any allowed partner can only belong
    to an atom without mass (the input checks see to that): its potential is free.
    """
    exponent = (log_w + h / eps).unsqueeze(-2) - C / eps.unsqueeze(-1)
    out = -eps * torch.logsumexp(exponent, -1)
    return torch.where(torch.isinf(out), 0.0, out)


def right(K: Tensor, w: Tensor) -> Tensor:
    """K w, batched."""
    return torch.bmm(K, w.unsqueeze(-1)).squeeze(-1)


def left(u: Tensor, K: Tensor) -> Tensor:
    """K' u, batched."""
    return torch.bmm(u.unsqueeze(-2), K).squeeze(-2)
