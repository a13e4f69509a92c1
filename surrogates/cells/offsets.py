"""Random offsets of whole populations, as large as training populations differ."""

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.surrogates.cells.references import Populations

__all__ = ["PopulationOffsets"]


class PopulationOffsets:
    r"""o = s Σ_p w_p (c_p − c̄)/√(P − 1),   w ~ N(0, I),   c_p the control mean of population p.

    An unseen population lies off the others. Moving both of its clouds alike changes nothing of
    the effect, and teaches a map not to pull strangers back to known ground.

    Parameters
    ----------
    populations : training populations.
    spread : s, in units of how far apart the control means lie; 0 gives none.
    """

    def __init__(self, populations: Populations, spread: float):
        self.spread = spread
        means = torch.stack([control.mean(0) for control, _ in populations.values()])
        self._deviations = (means - means.mean(0)) / max(len(means) - 1, 1) ** 0.5

    def draw(self, generator: torch.Generator) -> Float[Tensor, " d"]:
        """One offset; zero, without drawing, where the spread is 0."""
        if self.spread == 0:
            return torch.zeros_like(self._deviations[0])
        weights = torch.randn(len(self._deviations), generator=generator).to(self._deviations)
        return self.spread * weights @ self._deviations
