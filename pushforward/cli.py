"""The command line of pushforward."""

__all__ = ["main"]


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    raise SystemExit("the command line is being built")
