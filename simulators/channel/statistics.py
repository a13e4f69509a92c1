"""Running statistics of channel flow: moments, spectra, correlations, without stored fields."""

from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from pushforward.simulators.channel.blocks import BlockSums, mean_and_error
from pushforward.simulators.channel.flow import ChannelFlow, ChannelState

__all__ = ["ChannelStatistics"]

STRESSES = {"uu": (0, 0), "vv": (1, 1), "ww": (2, 2), "uv": (0, 1)}


class ChannelStatistics:
    """Plane averages of moments, spectra and correlations, summed while the flow runs.

    Moments come from Fourier coefficients (Parseval), so a sample costs no transform. Samples are
    grouped into blocks of equal time; standard errors are those of the mean over blocks, which is
    right if a block is longer than the flow's memory (about 1 h/u_τ).

    Parameters
    ----------
    flow : the solver whose states will be handed in.
    block_time : length of a block, in the time units of the flow.

    Raises
    ------
    DataError : a block length that is not positive; `profiles` without samples.

    Examples
    --------
    >>> flow = ChannelFlow((8, 17, 8), lengths=(6.0, 3.0), viscosity=0.01, dt=0.01)
    >>> statistics = ChannelStatistics(flow, block_time=1.0)
    >>> statistics.update(flow.laminar())
    >>> float(statistics.profiles()["u_plus"][0])
    0.0
    """

    def __init__(self, flow: ChannelFlow, *, block_time: float | int) -> None:
        self.flow, self.sums = flow, BlockSums(block_time)

    def update(self, state: ChannelState) -> None:
        """Add one state (no batch axis)."""
        flow, plane = self.flow, self.flow.plane
        velocity = torch.stack(flow.coefficients(state))
        product = {
            k: (velocity[i] * velocity[j].conj()).real * plane.multiplicity
            for k, (i, j) in STRESSES.items()
        }
        stress = torch.stack([p.sum((-1, -2)) for p in product.values()])
        half = plane.positive
        spectra_x, spectra_z = [], []
        for name in ("uu", "vv", "ww"):
            over_z = product[name].sum(-1)
            folded = over_z[:, :half].clone()
            folded[:, 1:] += over_z[:, half:].flip(1)
            spectra_x.append(folded)
            spectra_z.append(product[name].sum(-2))
        self.sums.add(
            state.time,
            mean=state.mean,
            stress=stress,
            along_x=torch.stack(spectra_x),
            along_z=torch.stack(spectra_z),
            friction=flow.friction_velocity(state).square(),
        )

    @property
    def n_blocks(self) -> int:
        """Blocks that hold samples."""
        return len(self.sums)

    def profiles(self) -> xr.Dataset:
        """Profiles in wall units over the half channel, with standard errors over blocks.

        u_τ comes from the mean wall shear. The two halves are folded: U, the variances and spectra
        are even, the shear stress is odd. Spectra are folded to k >= 0 and sum to the variance
        (without the plane mean, k = 0 included otherwise); correlations are their cosine
        transforms, <u_i'(x) u_i'(x + r)>, the variance at r = 0. The last block, if it is shorter
        than half the others, is left out.

        Returns
        -------
        Dataset over `y` (distance from the wall, h), `kx`, `kz` and the separations `rx`, `rz` up
        to half the box: `y_plus, u_plus, u_rms, v_rms, w_rms, uv_plus` (= -<u'v'>+),
        `viscous_plus`, `total_stress`, spectra `E_uu_x` and so on, correlations `R_uu_x` and so on,
        each with `*_error`; attributes `re_tau, u_tau, u_tau_error, bulk_plus, n_samples,
        n_blocks`.
        """
        blocks = self.sums.means()
        flow, nu = self.flow, self.flow.viscosity
        u_tau = float(np.sqrt(np.mean([float(b["friction"]) for b in blocks])))
        mean_flow = torch.stack([b["mean"] for b in blocks]).mean(0)
        per_block = [self._block_profiles(b, mean_flow, u_tau) for b in blocks]
        out: dict[str, Any] = {}
        for name in per_block[0]:
            mean, error = mean_and_error([p[name] for p in per_block])
            if name.endswith("_rms"):  # averaged as variances
                root = np.sqrt(np.maximum(mean, 0))
                error = error / np.maximum(2 * root, 1e-12)
                mean = root
            along = {"E": ("k", "y"), "R": ("r", "y")}.get(name[0])
            dims = ("y",) if along is None else (along[0] + name[-1], along[1])
            out[name], out[f"{name}_error"] = (dims, mean), (dims, error)
        ny = flow.shape[1]
        y = 1 + flow.y[: (ny + 1) // 2].cpu().numpy()
        _, spread = mean_and_error([b["friction"].sqrt().reshape(1).cpu().numpy() for b in blocks])
        out["y_plus"] = ("y", y * u_tau / nu)
        bulk = np.mean([float(b["mean"][0] @ flow.wall.weights) / 2 for b in blocks])
        return xr.Dataset(
            out,
            coords={
                "y": y,
                **{f"k{axis}": k for axis, k in self._wavenumbers().items()},
                **{f"r{axis}": self._separations(axis) for axis in "xz"},
            },
            attrs={
                "re_tau": u_tau / nu,
                "u_tau": u_tau,
                "u_tau_error": float(spread[0]),
                "bulk_plus": float(bulk / u_tau),
                "n_samples": self.sums.samples,
                "n_blocks": len(blocks),
                "block_time_h_over_u_tau": self.sums.block_time * u_tau,
            },
        )

    def _block_profiles(
        self, block: dict[str, Tensor], mean_flow: Tensor, u_tau: float
    ) -> dict[str, np.ndarray]:
        flow, nu = self.flow, self.flow.viscosity
        half = (flow.shape[1] + 1) // 2
        mean, stress = block["mean"], block["stress"]
        slope = flow.wall.first @ mean[0]

        def fold(profile: Tensor, sign: float = 1.0) -> np.ndarray:
            return ((profile + sign * profile.flip(-1)) / 2)[..., :half].cpu().numpy()

        # Fluctuations are about the mean of all blocks: <(u - U)²> = <u²> - 2 U <u> + U².
        square = mean_flow * (2 * mean - mean_flow)
        variance = {"u": stress[0] - square[0], "v": stress[1], "w": stress[2] - square[1]}
        out = {"u_plus": fold(mean[0]) / u_tau}
        out |= {f"{k}_rms": fold(q) / u_tau**2 for k, q in variance.items()}
        out["uv_plus"] = -fold(stress[3], -1.0) / u_tau**2
        out["viscous_plus"] = fold(slope, -1.0) * nu / u_tau**2
        out["total_stress"] = out["uv_plus"] + out["viscous_plus"]
        for axis, k in self._wavenumbers().items():
            waves = np.cos(np.outer(self._separations(axis), k))
            for i, name in enumerate(("uu", "vv", "ww")):
                spectrum = block[f"along_{axis}"][i].clone()
                if name != "vv":
                    spectrum[:, 0] -= square[0 if name == "uu" else 1]
                out[f"E_{name}_{axis}"] = fold(spectrum.T) / u_tau**2
                out[f"R_{name}_{axis}"] = waves @ out[f"E_{name}_{axis}"]
        return out

    def _wavenumbers(self) -> dict[str, np.ndarray]:
        plane = self.flow.plane
        return {"x": plane.kx[: plane.positive, 0].cpu().numpy(), "z": plane.kz.cpu().numpy()}

    def _separations(self, axis: str) -> np.ndarray:
        """Distances between points of the unpadded grid, to half the box."""
        nx, _, nz = self.flow.shape
        n, length = (nx, self.flow.lengths[0]) if axis == "x" else (nz, self.flow.lengths[1])
        return np.arange(n // 2 + 1) * (length / n)
