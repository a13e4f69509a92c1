"""Stopping politely: a signal sets a flag, the work is saved, the exit code says 'resume me'."""

import signal
import threading
from types import FrameType, TracebackType

from pushforward.simulators.errors import InterruptedRun

__all__ = ["StopSignal"]


class StopSignal:
    """Within this context SIGTERM and SIGINT set a flag instead of ending the process.

    The handlers only set the flag; loops look at `requested` once a step, save, and call
    `raise_if_requested`. A second signal of the same kind ends the process at once. Earlier
    handlers come back at the end. Nested use shares the outermost context's flag. Outside the
    main thread, where Python allows no handlers, the flag stays unset.

    Examples
    --------
    >>> import os
    >>> with StopSignal() as stop:
    ...     os.kill(os.getpid(), signal.SIGTERM)
    ...     stop.requested
    True
    """

    _active: "StopSignal | None" = None

    def __init__(self) -> None:
        self._received: int | None = None
        self._previous: dict[int, object] = {}

    @property
    def requested(self) -> bool:
        """True once a signal came."""
        return self._received is not None

    def raise_if_requested(self, what: str = "the run") -> None:
        """Raise `InterruptedRun` (exit code 75) if a signal came; call it after saving."""
        if self._received is not None:
            name = signal.Signals(self._received).name
            raise InterruptedRun(
                f"{name} received: {what} is saved; the same command continues from there."
            )

    def __enter__(self) -> "StopSignal":
        if StopSignal._active is not None:
            return StopSignal._active
        if threading.current_thread() is threading.main_thread():
            StopSignal._active = self
            for number in (signal.SIGTERM, signal.SIGINT):
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if StopSignal._active is self:
            for number, handler in self._previous.items():
                signal.signal(number, handler)  # type: ignore[arg-type]
            StopSignal._active = None

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._received == number:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self._received = number
