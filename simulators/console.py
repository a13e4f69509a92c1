"""How a program speaks while it works: log lines on stderr, apart from results on stdout."""

import logging
import sys

__all__ = ["start_logging"]

CHATTY = ("lightning_fabric", "lightning.fabric", "matplotlib", "numba", "fsspec")


def start_logging(quiet: bool = False) -> None:
    """Log lines to stderr: all from INFO on, progress among them, or if quiet from WARNING on."""
    logging.basicConfig(
        level=logging.WARNING if quiet else logging.INFO,
        format="%(asctime)s %(message)s",
        datefmt="%H:%M:%S",
        stream=sys.stderr,
        force=True,
    )
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
