"""A simulated drug screen, drugs x doses x cell lines, whose every answer is known."""

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

__all__ = ["DrugScreen"]

CONTROL = "control"


@dataclass(frozen=True)
class DrugScreen:
    r"""Cells of several lines under several drugs at several doses, with known optimal maps.

    A cell of line k has the latent state z = c_k + σ ξ. Drug i has hidden properties u_i, from
    which follow, linearly, the drift and the curvature of a convex quadratic; its tangents at the
    lines' centres make the convex response φ_i (`ConvexResponse.tangent`), so that drugs with
    like properties act alike, and each line answers in its own way. A dose a acts in part,

        T(z) = z + h(a) (∇φ_i(z) − z),    h(a) = a/(a + κ_i)    (Hill's curve) or
                                          h(a) = 1 − 2^(−a/κ_i)  (one hit),

    which is a gradient of a convex function as well: the optimal map of that condition. Treated
    cells are drawn afresh. The screen comes with a table of descriptors of the drugs that carries
    u and log κ (mixed, with a little noise), or nothing at all (`descriptors="noise"`).

    Parameters
    ----------
    n_drugs
        drugs
    doses
        doses of every drug, in nM, all above 0
    n_lines
        cell lines, each with its own response
    n_cells
        cells of each line under each drug and dose
    n_control
        control cells of each line
    n_latent
        dimension of z
    n_genes
        columns of X; at least n_latent
    n_properties
        entries of u; drugs outnumber them, or an unseen drug could not be foretold
    descriptors
        signal: the table tells what a drug does; noise: it is independent of it
    dose_curve
        hill, the usual law; one_hit: one hit suffices, and hits come in proportion to the dose.
        The latter rises from 10 to 90 % of the effect within 1.3 decades, Hill's curve within 1.9
    response
        root mean square of the displacements at full effect, latent units
    measurement
        counts or none, as in `PerturbedPopulations`

    Raises
    ------
    DataError : sizes that are not positive, a dose that is not, doses that repeat, n_genes <
        n_latent, an unknown choice.

    Examples
    --------
    >>> cells = DrugScreen(n_drugs=2, n_cells=5, n_control=10).simulate(seed=0)
    >>> cells.shape, list(cells.obs.columns)
    ((150, 100), ['cell_type', 'drug', 'dose', 'condition'])
    """

    n_drugs: int = 12
    doses: tuple[float, ...] = (10.0, 100.0, 1000.0, 10000.0)
    n_lines: int = 3
    n_cells: int = 100
    n_control: int = 400
    n_latent: int = 6
    n_genes: int = 100
    n_properties: int = 2
    descriptors: Literal["signal", "noise"] = "signal"
    dose_curve: Literal["hill", "one_hit"] = "hill"
    response: float = 5.0
    measurement: Literal["counts", "none"] = "counts"

    def __post_init__(self) -> None:
        for name in (
            "n_drugs",
            "n_lines",
            "n_cells",
            "n_control",
            "n_latent",
            "n_genes",
            "n_properties",
        ):
            if getattr(self, name) < 1:
                raise DataError(f"{name} = {getattr(self, name)} must be at least 1.")
        if self.n_genes < self.n_latent:
            raise DataError(
                f"n_genes = {self.n_genes} < n_latent = {self.n_latent}: the genes could not "
                "show the latent state. Raise n_genes or lower n_latent."
            )
        if not self.doses or min(self.doses) <= 0 or len(set(self.doses)) < len(self.doses):
            raise DataError(
                f"doses = {self.doses}; expected at least one, all above 0 (0 is the control), "
                "each once."
            )
        if self.descriptors not in ("signal", "noise"):
            raise DataError(f"descriptors = {self.descriptors!r}; expected 'signal' or 'noise'.")
        if self.dose_curve not in ("hill", "one_hit"):
            raise DataError(f"dose_curve = {self.dose_curve!r}; expected 'hill' or 'one_hit'.")
        if self.measurement not in ("counts", "none"):
            raise DataError(f"measurement = {self.measurement!r}; expected 'counts' or 'none'.")

    def simulate(self, *, seed: int) -> "AnnData":
        """Draw the screen; the same seed gives the same cells.

        Returns
        -------
        AnnData with `obs` columns cell_type, drug (control: `control`), dose (control: 0) and
        condition (`drug-dose`, control: `control`); `obsm["latent"]`; in `uns["descriptors"]` the
        table, a data frame with a row for each drug; in `uns["truth"]` what `optimal_map` needs;
        and `uns["provenance"]`.
        """
        import anndata
        import pandas as pd

        truth = self._truth(np.random.default_rng([seed, 0]))
        rng = np.random.default_rng([seed, 1])
        drugs = [f"drug_{i:02d}" for i in range(self.n_drugs)]
        latent, labels = [], []
        for line in range(self.n_lines):
            for drug, dose in [(CONTROL, 0.0), *((d, a) for d in drugs for a in self.doses)]:
                n = self.n_control if drug == CONTROL else self.n_cells
                z = truth["centres"][line] + rng.normal(size=(n, self.n_latent))
                label = CONTROL
                if drug != CONTROL:
                    z = _response(truth, drug, dose)(z)
                    label = condition_label(drug, dose)
                latent.append(z)
                labels += [(f"line_{line}", drug, dose, label)] * n
        z = np.concatenate(latent)
        x = measured(z, truth["base"], truth["decoder"], rng, self.measurement)
        obs = pd.DataFrame(labels, columns=["cell_type", "drug", "dose", "condition"])
        obs = obs.astype({name: "category" for name in ("cell_type", "drug", "condition")})
        obs.index = obs.index.map("cell_{:06d}".format)
        table = self._descriptors(truth, np.random.default_rng([seed, 2]))
        configuration = {**asdict(self), "doses": list(self.doses)}
        return anndata.AnnData(
            x,
            obs=obs,
            var=pd.DataFrame(index=[f"gene_{g:04d}" for g in range(self.n_genes)]),
            obsm={"latent": z},
            uns={
                "descriptors": pd.DataFrame(
                    table, index=drugs, columns=[f"property_{j}" for j in range(table.shape[1])]
                ),
                "truth": truth,
                "provenance": provenance(seed=seed, configuration=configuration),
            },
        )

    @staticmethod
    def optimal_map(
        cells: "AnnData", z: Float[ndarray, "n latent"], *, drug: str, dose: float
    ) -> Float[ndarray, "n latent"]:
        """Where a drug at a dose sends latent states.

        Raises
        ------
        DataError : `cells` holds no truth, or not this drug.
        """
        if "truth" not in cells.uns or drug not in cells.uns["truth"].get("half_dose", {}):
            raise DataError(
                f"no known response to {drug!r} in these cells; they must come from "
                "DrugScreen(...).simulate with that drug."
            )
        return _response(cells.uns["truth"], drug, dose)(z)

    def _truth(self, rng: np.random.Generator) -> dict[str, Any]:
        k, d = self.n_properties, self.n_latent
        axes = np.linalg.qr(rng.normal(size=(d, d)))[0]
        lines = np.arange(self.n_lines)
        centres = 3.0 * axes[lines % d] * (1 + lines // d)[:, None]
        properties = rng.normal(size=(self.n_drugs, k))
        # Positive properties bend, both signs push: curvature must not be negative.
        drift = properties @ rng.normal(size=(k, d))
        bend = np.logaddexp(0.0, properties) @ rng.uniform(0.0, 0.5, size=(k, d))
        slopes = centres[None] * bend[:, None] + drift[:, None]
        factor = self.response / np.sqrt((slopes**2).sum(-1).mean())
        weakest, strongest = (float(np.log10(f(self.doses))) for f in (min, max))
        half_dose = 10.0 ** rng.uniform(weakest, strongest, self.n_drugs)
        names = [f"drug_{i:02d}" for i in range(self.n_drugs)]
        return {
            "centres": centres,
            "properties": properties,
            "drift": dict(zip(names, drift * factor, strict=True)),
            "curvature": dict(zip(names, bend * factor, strict=True)),
            "dose_curve": self.dose_curve,
            "half_dose": dict(zip(names, half_dose.tolist(), strict=True)),
            "decoder": np.linalg.qr(rng.normal(size=(self.n_genes, d)))[0].T,
            "base": rng.normal(0.0, 1.0, self.n_genes),
        }

    def _descriptors(
        self, truth: dict[str, Any], rng: np.random.Generator
    ) -> Float[ndarray, "drugs columns"]:
        half_dose = np.log10(np.array(list(truth["half_dose"].values())))
        hidden = np.column_stack([truth["properties"], half_dose - half_dose.mean()])
        width = 2 * hidden.shape[1]
        noise = rng.normal(size=(self.n_drugs, width))
        if self.descriptors == "noise":
            return noise
        return hidden @ rng.normal(size=(hidden.shape[1], width)) + 0.05 * noise


def condition_label(drug: str, dose: float) -> str:
    """The label of a condition in `obs["condition"]`, such as `drug_03-100`."""
    return f"{drug}-{dose:g}"


def _response(truth: dict[str, Any], drug: str, dose: float) -> ConvexResponse:
    """The response scaled by the dose's curve: slopes, offsets and temperature shrink alike."""
    full = ConvexResponse.tangent(
        np.asarray(truth["centres"]),
        np.asarray(truth["curvature"][drug]),
        np.asarray(truth["drift"][drug]),
        1.0,
    )
    ratio = dose / float(truth["half_dose"][drug])
    effect = ratio / (1 + ratio) if truth["dose_curve"] == "hill" else 1 - 2.0**-ratio
    return ConvexResponse(full.slopes * effect, full.offsets * effect, full.temperature * effect)
