"""What a model remembers of past frames: the frames themselves, or their HiPPO coefficients."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from pushforward.surrogates.turbulence.hippo import HippoMemory

__all__ = ["FrameMemory", "HippoFrames", "Memory"]


@dataclass(frozen=True)
class Memory:
    """State of a memory: a tensor, and how many frames it has seen."""

    tensor: Tensor
    seen: int


class FrameMemory:
    """The last `frames` frames as they are.

    Parameters
    ----------
    frames : how many.
    """

    def __init__(self, frames: int):
        self.frames = frames
        self.channels = 2 * frames

    def begin(self, history: Float[Tensor, "n m 2 x y"]) -> Memory:
        """Look at the first frames."""
        return Memory(history, history.shape[1])

    def feed(self, memory: Memory, frames: Float[Tensor, "n b 2 x y"]) -> Memory:
        """Look at more."""
        recent = torch.cat([memory.tensor, frames], dim=1)[:, -self.frames :]
        return Memory(recent, memory.seen + frames.shape[1])

    def features(self, memory: Memory) -> Float[Tensor, "n c x y"]:
        """Channels ordered (component, frame)."""
        return memory.tensor.transpose(1, 2).flatten(1, 2)


class HippoFrames:
    """HiPPO coefficients of every cell and component, carried on from frame to frame.

    Parameters
    ----------
    measure, features, length : see `hippo_matrices`; `features` is N.
    """

    def __init__(self, measure: str, features: int, *, length: float):
        self.scan = HippoMemory(measure, features, length=length)
        self.channels = 2 * features

    def begin(self, history: Float[Tensor, "n m 2 x y"]) -> Memory:
        """Feed the first frames into an empty memory."""
        _, take = self.scan.maps(history.shape[1], 0)
        return Memory(_along_time(take, history.transpose(1, 2)), history.shape[1])

    def feed(self, memory: Memory, frames: Float[Tensor, "n b 2 x y"]) -> Memory:
        """Feed more frames."""
        carry, take = self.scan.maps(frames.shape[1], memory.seen)
        state = _along_time(carry, memory.tensor) + _along_time(take, frames.transpose(1, 2))
        return Memory(state, memory.seen + frames.shape[1])

    def features(self, memory: Memory) -> Float[Tensor, "n c x y"]:
        """Channels ordered (component, coefficient)."""
        return memory.tensor.flatten(1, 2)


def _along_time(
    matrix: Float[Tensor, "k m"], frames: Float[Tensor, "n 2 m x y"]
) -> Float[Tensor, "n 2 k x y"]:
    return (matrix.to(frames) @ frames.flatten(3)).unflatten(3, frames.shape[3:])
