"""Tables in Markdown."""

from collections.abc import Iterable, Sequence

__all__ = ["markdown_table"]


def markdown_table(heads: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]]) -> list[str]:
    """Lines of a table.

    Parameters
    ----------
    heads : of all columns, that of the rows' names first.
    rows : (name, cells).

    Examples
    --------
    >>> print(*markdown_table(["row", "r2"], [("unet", ["0.9"])]), sep="\\n")
    | row | r2 |
    |---|---|
    | unet | 0.9 |
    """
    return [
        "| " + " | ".join(heads) + " |",
        "|---" * len(heads) + "|",
        *(f"| {name} | " + " | ".join(cells) + " |" for name, cells in rows),
    ]
