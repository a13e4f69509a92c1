"""How much of a drug's full effect a dose brings."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["DoseResponse"]


class DoseResponse(nn.Module):
    r"""Hill curves whose half-effective doses depend on the rest of the condition.

        h_k(a | e) = a^{n_k} / (a^{n_k} + κ_k(e)^{n_k}) = σ(n_k (ln a − ln κ_k(e)))
        ln κ_k(e) = m + s (⟨w_k, e⟩ + b_k)

    m and s are the mean and the spread of ln a in training. A few doses, decades apart, leave open
    what a free function of the dose does between them, and a network fills the gap as it likes.
    Hill's curve, pharmacology's usual law, leaves two numbers to be found: the half-effective dose
    κ, told by the rest of the condition e, and the steepness n, shared by all conditions. Training
    starts from n = 1 and half-effective doses spread evenly over the doses seen (m for one curve).

    Parameters
    ----------
    width : entries of e, the encoded rest of the condition; 0 for a map of the dose alone.
    curves : K.
    centre, scale : m and s.

    References
    ----------
    Hill, "The possible effects of the aggregation of the molecules of haemoglobin on its
    dissociation curves", 1910.

    Examples
    --------
    >>> import torch
    >>> response = DoseResponse(0, 1, centre=0.0, scale=1.0)
    >>> log_dose = torch.tensor([[0.0], [1.0986123]])  # doses 1 and 3, half-effective dose 1
    >>> response(log_dose, torch.zeros(2, 0)).detach().flatten()
    tensor([0.5000, 0.7500])
    """

    centre: Tensor
    scale: Tensor

    def __init__(self, width: int, curves: int, *, centre: float, scale: float):
        super().__init__()
        self.register_buffer("centre", torch.tensor(centre))
        self.register_buffer("scale", torch.tensor(scale))
        self.weight = nn.Parameter(torch.zeros(curves, width))
        self.bias = nn.Parameter((2 * torch.arange(curves) + 1 - curves) / curves)
        self.log_slope = nn.Parameter(torch.zeros(curves))

    def log_half_dose(
        self, embedded: Float[Tensor, "conditions width"]
    ) -> Float[Tensor, "conditions curves"]:
        """Logarithm of κ under each condition."""
        return self.centre + self.scale * (embedded @ self.weight.T + self.bias)

    def forward(
        self, log_dose: Float[Tensor, "conditions 1"], embedded: Float[Tensor, "conditions width"]
    ) -> Float[Tensor, "conditions curves"]:
        """Shares of the full effects, between 0 and 1; `log_dose` standardised by m and s."""
        distance = self.centre + self.scale * log_dose - self.log_half_dose(embedded)
        return torch.sigmoid(self.log_slope.exp() * distance)
