"""Nearest-noise coupling: each data point takes the closest of a few candidate noises."""

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.simulators.errors import DataError

from ._coupling import Pairs, check_batches

__all__ = ["NearestNoiseCoupling"]


class NearestNoiseCoupling:
    """For each x1 draw ``k`` rows of x0 and keep the nearest (Immiscible Diffusion).

    O(n k d), no transport problem. **Bias**: chosen noises are shorter than drawn ones; measured
    at data standard deviation 0.5 and k = 4, their mean square is 0.39 in 2 dimensions, 0.84 in 50
    and 0.98 in 3072, where it must be 1. In low dimension samples started from N(0, I) are then
    outside the training law. ``corrected=True`` lets each noise be used once: the data points
    choose in random order among k noises still free, so the noise law is kept exactly and the
    gain is a little smaller. Choosing ties noise to condition; with ``condition1`` the corrected
    form chooses within conditions (equal rows), which keeps the noise law of each.

    Raises `DataError` if k < 1, or if the corrected form gets batches of unequal size.

    Source: Li et al., *Immiscible Diffusion* (its nearest-neighbour form).

    >>> pool = torch.tensor([[5.0], [1.0], [3.0]])
    >>> coupling = NearestNoiseCoupling(k=3, corrected=True)
    >>> pairs = coupling(pool, torch.tensor([[0.9], [3.1], [5.2]]),
    ...                  generator=torch.Generator().manual_seed(0))
    >>> pairs.index0.tolist()
    [1, 2, 0]
    """

    def __init__(self, k: int = 4, *, corrected: bool = False) -> None:
        if k < 1:
            raise DataError(f"k = {k}; at least one candidate is needed (k = 1: independent).")
        self.k, self.corrected = k, corrected

    def __call__(
        self,
        x0: Float[Tensor, "..."],
        x1: Float[Tensor, "..."],
        *,
        condition0: Tensor | None = None,
        condition1: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Pairs:
        """Every x1 once, in order, with its noise; x0[i] belongs to condition1[i] if given."""
        check_batches(x0, x1, name="NearestNoiseCoupling", equal=self.corrected)
        index1 = torch.arange(len(x1), device=x1.device)
        with torch.no_grad():
            if not self.corrected:
                index0 = self._free(x0, x1, generator)
            elif condition1 is None:
                index0 = self._once(x0, x1, generator)
            else:
                rows = condition1.reshape(len(x1), -1)
                group = torch.unique(rows, dim=0, return_inverse=True)[1]
                index0 = torch.empty_like(index1)
                for k in range(int(group.max()) + 1 if len(group) else 0):
                    here = (group == k).nonzero()[:, 0]
                    index0[here] = here[self._once(x0[here], x1[here], generator)]
        return Pairs(x0[index0], x1, index0, index1)

    def _free(self, x0: Tensor, x1: Tensor, generator: torch.Generator | None) -> Tensor:
        shape = (len(x1), self.k)
        candidates = torch.randint(len(x0), shape, generator=generator, device=x0.device)
        distance = (x0.flatten(1)[candidates] - x1.flatten(1)[:, None]).square().sum(-1)
        return candidates.gather(1, distance.argmin(1, keepdim=True))[:, 0]

    def _once(self, x0: Tensor, x1: Tensor, generator: torch.Generator | None) -> Tensor:
        n = len(x1)
        device = generator.device if generator is not None else torch.device("cpu")
        order = torch.randperm(n, generator=generator, device=device).tolist()
        # Uniform numbers pick slots of `free`, whose first n - turn entries are still free.
        picks = torch.rand((n, self.k), generator=generator, device=device).tolist()
        free, chosen = list(range(n)), [0] * n
        a, b = x0.flatten(1).cpu(), x1.flatten(1).cpu()
        for turn, j in enumerate(order):
            left = n - turn
            slots = sorted({int(u * left) for u in picks[turn]})
            if len(slots) > 1:
                rows = a[[free[s] for s in slots]]
                slot = slots[int((rows - b[j]).square().sum(1).argmin())]
            else:
                slot = slots[0]
            chosen[j] = free[slot]
            free[slot] = free[left - 1]
        return torch.tensor(chosen, device=x0.device)
