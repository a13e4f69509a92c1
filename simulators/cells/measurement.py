"""What is measured of a latent state: counts of genes, or the state itself turned."""

from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy import sparse

__all__ = ["measured"]


def measured(
    z: Float[ndarray, "n latent"],
    base: Float[ndarray, " genes"],
    decoder: Float[ndarray, "latent genes"],
    rng: np.random.Generator,
    measurement: Literal["counts", "none"],
    *,
    dispersion: float = 0.1,
    library_size: float = 3000.0,
) -> Any:
    r"""X of cells in latent states z.

    - `counts`: negative binomial with mean ℓ softmax(base + s z W), ℓ log-normal; a CSR matrix.
    - `none`: base + z W, dense: distances are kept, as the rows of W are orthonormal.

    s = 0.3 √genes makes a unit of z change the log-rate of a typical gene by about 0.3.

    Parameters
    ----------
    z, base, decoder : latent states, the genes' base values, W.
    rng : of the counts.
    measurement : counts or none.
    dispersion : α, variance = mean + α mean².
    library_size : median number of counts a cell.
    """
    if measurement == "none":
        return base + z @ decoder
    log_rate = base + 0.3 * np.sqrt(len(base)) * z @ decoder
    share = np.exp(log_rate - log_rate.max(1, keepdims=True))
    share /= share.sum(1, keepdims=True)
    library = library_size * np.exp(0.3 * rng.normal(size=(len(z), 1)))
    shape = 1.0 / dispersion
    rate = rng.gamma(shape, library * share / shape)
    return sparse.csr_matrix(rng.poisson(rate).astype(np.float64))
