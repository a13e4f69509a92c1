"""A seeded generator of perturbed single-cell populations, written as AnnData."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from pushforward.simulators.cells.measurement import measured
from pushforward.simulators.cells.response import ConvexResponse
from pushforward.simulators.errors import DataError
from pushforward.simulators.provenance import provenance

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["PerturbedPopulations"]


@dataclass(frozen=True)
class PerturbedPopulations:
    r"""Control and treated cells of several patients, with a known optimal map underneath.

    A cell of type k from patient p has the latent state z = c_k + δ_p + σ ξ, ξ ~ N(0, I). A
    treatment moves it to T(z), the gradient of a convex function (`ConvexResponse`), so that
    each type answers in its own way. Treated cells are drawn afresh: measuring destroys a cell,
    control and treated cells are never the same ones. Patients differ in their shift δ_p and in
    their mixture of types (Dirichlet). What is measured is then

    - `counts`: negative binomial, mean ℓ softmax(base + z W), ℓ log-normal around `library_size`;
    - `none`: x = base + z W with orthonormal rows W: no noise, distances kept, so the optimal map
      in gene space is known exactly (`optimal_map`).

    Parameters
    ----------
    n_populations
        patients
    n_cells
        cells of each patient in each condition
    n_types
        cell types, each with its own response
    n_latent
        dimension of z
    n_genes
        columns of X; at least n_latent
    treatments
        labels in `obs["condition"]` beside the control label `ctrl`
    patient_spread
        standard deviation of δ_p, latent units (type centres are 3 apart or more)
    response
        root mean square of the types' displacements, latent units
    dispersion
        α of the negative binomial, variance = mean + α mean²
    library_size
        median number of counts a cell
    measurement
        counts or none, see above

    Raises
    ------
    DataError : a size that is not positive, n_genes < n_latent, or an unknown measurement.

    Examples
    --------
    >>> cells = PerturbedPopulations(n_populations=2, n_cells=20).simulate(seed=0)
    >>> cells.shape, sorted(set(cells.obs["condition"]))
    ((80, 200), ['ctrl', 'treated'])
    """

    n_populations: int = 4
    n_cells: int = 300
    n_types: int = 3
    n_latent: int = 8
    n_genes: int = 200
    treatments: tuple[str, ...] = ("treated",)
    patient_spread: float = 0.5
    response: float = 2.0
    dispersion: float = 0.1
    library_size: float = 3000.0
    measurement: Literal["counts", "none"] = "counts"

    def __post_init__(self) -> None:
        for name in ("n_populations", "n_cells", "n_types", "n_latent", "n_genes"):
            if getattr(self, name) < 1:
                raise DataError(f"{name} = {getattr(self, name)} must be at least 1.")
        if self.n_genes < self.n_latent:
            raise DataError(
                f"n_genes = {self.n_genes} < n_latent = {self.n_latent}: the genes could not "
                "show the latent state. Raise n_genes or lower n_latent."
            )
        if self.measurement not in ("counts", "none"):
            raise DataError(f"measurement = {self.measurement!r}; expected 'counts' or 'none'.")
        if not self.treatments or "ctrl" in self.treatments:
            raise DataError(
                f"treatments = {self.treatments} must name at least one, none of them 'ctrl'."
            )

    def simulate(self, *, seed: int) -> "AnnData":
        """Draw all populations; the same seed gives the same cells.

        Returns
        -------
        AnnData with `obs` columns patient_id, condition, cell_type; `obsm["latent"]` (z); in
        `uns["truth"]` the responses and the decoder, from which `optimal_map` is rebuilt; and
        `uns["provenance"]`.
        """
        import anndata
        import pandas as pd

        truth = self._truth(np.random.default_rng([seed, 0]))
        rng = np.random.default_rng([seed, 1])
        shifts = rng.normal(0.0, self.patient_spread, (self.n_populations, self.n_latent))
        mixtures = rng.dirichlet(np.full(self.n_types, 4.0), self.n_populations)
        latent, labels = [], []
        for patient in range(self.n_populations):
            for condition in ("ctrl", *self.treatments):
                types = rng.choice(self.n_types, self.n_cells, p=mixtures[patient])
                z = truth["centres"][types] + shifts[patient]
                z = z + 0.5 * rng.normal(size=z.shape)
                if condition != "ctrl":
                    z = _response(truth, condition)(z)
                latent.append(z)
                labels += [(f"P{patient:02d}", condition, f"type_{k}") for k in types]
        z = np.concatenate(latent)
        x = measured(
            z,
            truth["base"],
            truth["decoder"],
            rng,
            self.measurement,
            dispersion=self.dispersion,
            library_size=self.library_size,
        )
        obs = pd.DataFrame(labels, columns=["patient_id", "condition", "cell_type"])
        obs = obs.astype("category")
        obs.index = obs.index.map("cell_{:06d}".format)
        var = pd.DataFrame(index=[f"gene_{g:04d}" for g in range(self.n_genes)])
        configuration = {**asdict(self), "treatments": list(self.treatments)}
        return anndata.AnnData(
            x,
            obs=obs,
            var=var,
            obsm={"latent": z},
            uns={
                "truth": truth,
                "provenance": provenance(seed=seed, configuration=configuration),
            },
        )

    @staticmethod
    def optimal_map(
        cells: "AnnData", x: Float[ndarray, "n genes"], *, treatment: str = "treated"
    ) -> Float[ndarray, "n genes"]:
        """Where the optimal map sends noise-free cells, in gene space (`measurement="none"`).

        Parameters
        ----------
        cells : what `simulate` returned.
        x : states to be moved.
        treatment : which response.

        Raises
        ------
        DataError : `cells` holds no truth, or not this treatment.
        """
        if "truth" not in cells.uns or treatment not in cells.uns["truth"]["responses"]:
            raise DataError(
                f"no known response to {treatment!r} in these cells; they must come from "
                "PerturbedPopulations(...).simulate with that treatment."
            )
        truth = cells.uns["truth"]
        z = (x - truth["base"]) @ truth["decoder"].T
        return x + (_response(truth, treatment)(z) - z) @ truth["decoder"]

    def _truth(self, rng: np.random.Generator) -> dict[str, Any]:
        directions = np.linalg.qr(rng.normal(size=(self.n_latent, self.n_latent)))[0]
        rows = np.arange(self.n_types) % self.n_latent
        centres = 3.0 * directions[rows] * (1 + np.arange(self.n_types) // self.n_latent)[:, None]
        responses = {}
        for name in self.treatments:
            curvature = rng.uniform(0.0, 1.0, self.n_latent) ** 2
            drift = rng.normal(size=self.n_latent)
            response = ConvexResponse.tangent(centres, curvature, drift, 1.0)
            size = np.sqrt((response.slopes**2).sum(1).mean())
            factor = self.response / size
            response = ConvexResponse.tangent(centres, curvature * factor, drift * factor, 1.0)
            responses[name] = {"slopes": response.slopes, "offsets": response.offsets}
        decoder = np.linalg.qr(rng.normal(size=(self.n_genes, self.n_latent)))[0].T
        base = rng.normal(0.0, 1.0, self.n_genes)
        return {"centres": centres, "responses": responses, "decoder": decoder, "base": base}


def _response(truth: dict, treatment: str) -> ConvexResponse:
    stored = truth["responses"][treatment]
    return ConvexResponse(np.asarray(stored["slopes"]), np.asarray(stored["offsets"]), 1.0)
