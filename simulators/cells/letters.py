"""Letters as populations of points: a family of shapes, some of them held back."""

import math
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from pushforward.simulators.errors import DataError

__all__ = ["Letters", "letter_points"]

CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
POINT_SIZE = 100.0  # of the glyphs that are drawn, as in the released code


@cache
def letter_points(letter: str) -> Float[ndarray, "n 2"]:
    """Centres of the pixels that a capital letter covers, scaled into [-3, 3]², upright.

    Drawn at 100 points in DejaVu Sans, the font that matplotlib brings; the longer side fills the
    square and the shorter one keeps the aspect.

    Raises
    ------
    DataError : not one of A to Z.

    Examples
    --------
    >>> points = letter_points("L")
    >>> float(points.max()), float(points.min())
    (3.0, -3.0)
    >>> bool((points[:, 0] > 0).mean() < 0.5)  # most of an L is on its left
    True
    """
    if letter not in CAPITALS or len(letter) != 1:
        raise DataError(f"letter {letter!r}; expected one of A to Z.")
    from matplotlib import get_data_path
    from matplotlib.ft2font import FT2Font

    font = FT2Font(f"{get_data_path()}/fonts/ttf/DejaVuSans.ttf")
    font.set_size(POINT_SIZE, 72)
    font.set_text(letter)
    font.draw_glyphs_to_bitmap(antialiased=True)
    rows, columns = np.nonzero(np.asarray(font.get_image()))
    points = np.stack([columns, -rows], 1).astype(float)
    low, high = points.min(0), points.max(0)
    points = 6.0 * (points - (low + high) / 2) / (high - low).max()
    points.setflags(write=False)
    return points


@dataclass(frozen=True)
class Letters:
    r"""Clean and noisy letters, each turned by a random angle: "denoise this shape".

        treated  y = R(θ) p + `blur` ξ,    control  x = y + `noise` ξ′

    p is a random pixel of the letter, θ uniform, ξ and ξ′ standard normal.

    Parameters
    ----------
    letters
        which ones
    rotations
        populations a letter, each at its own angle
    n_cells
        points a population
    blur
        standard deviation of the jitter that hides the pixel grid
    noise
        standard deviation of what the treatment must remove
    pairing
        paired: x_i is y_i with noise, so a model may be trained on the true pairs, which real
        cells never give (an oracle); independent: x comes from another draw of y

    Raises
    ------
    DataError : no letters, an unknown one, or sizes that are not positive.

    References
    ----------
    Atanackovic et al., "Meta Flow Matching", ICLR 2025; their released data use Arial and true
    pairs (code).

    Examples
    --------
    >>> populations = Letters("XY", rotations=2, n_cells=50).simulate(seed=0)
    >>> sorted(populations)
    ['X0', 'X1', 'Y0', 'Y1']
    >>> populations["X0"][0].shape
    (50, 2)
    """

    letters: str = CAPITALS
    rotations: int = 10
    n_cells: int = 700
    blur: float = 0.05
    noise: float = 0.5
    pairing: Literal["paired", "independent"] = "independent"

    def __post_init__(self) -> None:
        if not self.letters:
            raise DataError("letters is empty; name at least one of A to Z.")
        for letter in self.letters:
            if letter not in CAPITALS:
                raise DataError(f"letter {letter!r}; expected one of A to Z.")
        if self.rotations < 1 or self.n_cells < 2:
            raise DataError(
                f"rotations = {self.rotations}, n_cells = {self.n_cells}; must be at least 1 and 2."
            )
        if not (self.blur >= 0 and self.noise > 0):
            raise DataError(
                f"blur = {self.blur}, noise = {self.noise}; must be at least 0, and positive."
            )
        if self.pairing not in ("paired", "independent"):
            raise DataError(f"pairing = {self.pairing!r}; expected 'paired' or 'independent'.")

    def simulate(
        self, *, seed: int
    ) -> dict[str, tuple[Float[ndarray, "n 2"], Float[ndarray, "n 2"]]]:
        """(control, treated) of each population, named letter and rotation; float32.

        A population depends on the seed, its letter and its rotation's number alone.
        """
        populations = {}
        for letter in self.letters:
            for turn in range(self.rotations):
                rng = np.random.default_rng([seed, ord(letter), turn])
                angle = rng.uniform(0, 2 * math.pi)
                treated = self._clean(letter, angle, rng)
                other = treated if self.pairing == "paired" else self._clean(letter, angle, rng)
                control = other + self.noise * rng.normal(size=other.shape)
                pair = control.astype(np.float32), treated.astype(np.float32)
                populations[f"{letter}{turn}"] = pair
        return populations

    def _clean(self, letter: str, angle: float, rng: np.random.Generator) -> Float[ndarray, "n 2"]:
        pixels = letter_points(letter)
        points = pixels[rng.integers(len(pixels), size=self.n_cells)]
        c, s = math.cos(angle), math.sin(angle)
        turned = points @ np.array([[c, s], [-s, c]])
        return turned + self.blur * rng.normal(size=turned.shape)
