"""Progress of long work: a bar on a terminal, one line an interval in a batch log."""

import logging
import sys
import time

from tqdm import tqdm

__all__ = ["Progress"]

log = logging.getLogger(__name__)


class Progress:
    """Counts finished parts of a known total.

    On a terminal a bar is drawn on stderr. Elsewhere (batch logs, pipes) a log line at level INFO
    appears at most every `interval` seconds, so that a log holds no carriage returns. Silenced by
    raising the log level above INFO, which `--quiet` does.

    Parameters
    ----------
    total : number of parts.
    label : what is being done, at the start of the line.
    start : parts already done, for a resume.
    interval : seconds between log lines; 15 by default.

    Examples
    --------
    >>> with Progress(2, "training") as progress:
    ...     progress.advance(loss=0.5)
    ...     progress.advance(loss=0.4)
    """

    def __init__(self, total: int, label: str, *, start: int = 0, interval: float = 15.0):
        self.total, self.label, self.done, self.interval = total, label, start, interval
        visible = log.isEnabledFor(logging.INFO)
        self._lines = visible and not sys.stderr.isatty()
        self._bar = tqdm(
            total=total,
            desc=label,
            initial=start,
            leave=False,
            file=sys.stderr,
            disable=not (visible and sys.stderr.isatty()),
        )
        self._begun = self._spoke = time.monotonic()
        self._first = start

    def advance(self, parts: int = 1, **figures: float) -> None:
        """Say that `parts` more are finished; `figures` are shown beside the count."""
        self.done += parts
        self._bar.update(parts)
        if figures and not self._bar.disable:
            self._bar.set_postfix({k: f"{v:.4g}" for k, v in figures.items()}, refresh=False)
        now = time.monotonic()
        if self._lines and now - self._spoke >= self.interval:
            self._spoke = now
            rate = (self.done - self._first) / (now - self._begun)
            left = (self.total - self.done) / rate if rate > 0 else float("inf")
            text = "".join(f", {k} {v:.4g}" for k, v in figures.items())
            log.info("%s: %d/%d, %.0f s left%s", self.label, self.done, self.total, left, text)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
