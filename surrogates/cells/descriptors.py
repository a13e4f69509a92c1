"""Tables that describe drugs by numbers: a user's own, RDKit's, or an embedding of outcomes."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from pushforward.simulators.errors import DataError

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["DescriptorTable", "read_descriptors"]

FLAT = 0.01  # columns that vary less over the library are dropped, as in the released code (code)


@dataclass(frozen=True)
class DescriptorTable:
    """Descriptors of drugs, one row a drug.

    Parameters
    ----------
    names : labels of the drugs, each once.
    columns : names of the descriptors.
    values : rows of numbers, all finite.
    oracle : made from treated cells of these very drugs. A prediction for a drug "unseen" in
        training has then seen the answer; results must say so.

    Raises
    ------
    DataError : duplicate names, rows of other length, NaN or infinity (names the drug and the
        descriptor).

    Examples
    --------
    >>> table = DescriptorTable(("a", "b"), ("weight",), ((1.0,), (3.0,)))
    >>> table.standardised().row("b")
    (1.0,)
    """

    names: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[float, ...], ...] = field(repr=False)
    oracle: bool = False

    def __post_init__(self) -> None:
        names = tuple(str(name) for name in self.names)
        rows = tuple(tuple(float(v) for v in row) for row in self.values)
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "columns", tuple(str(c) for c in self.columns))
        object.__setattr__(self, "values", rows)
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise DataError(f"drugs occur more than once in the table: {twice[:5]}. Keep one row.")
        if not names or not self.columns or len(rows) != len(names):
            raise DataError(
                f"the table has {len(names)} drugs, {len(rows)} rows and {len(self.columns)} "
                "columns; expected one row a drug and at least one column."
            )
        for name, row in zip(names, rows, strict=True):
            if len(row) != len(self.columns):
                raise DataError(f"{name!r} has {len(row)} values for {len(self.columns)} columns.")
            bad = [c for c, v in zip(self.columns, row, strict=True) if not math.isfinite(v)]
            if bad:
                raise DataError(
                    f"descriptors of {name!r} are NaN or infinite: {bad[:5]}. Fill them in or "
                    "drop those columns."
                )

    @classmethod
    def from_frame(cls, frame: "DataFrame", *, oracle: bool = False) -> "DescriptorTable":
        """From a data frame whose index names the drugs; every column must be numeric."""
        text = [str(c) for c in frame.columns if frame[c].dtype.kind not in "iufb"]
        if text:
            raise DataError(
                f"descriptor columns {text[:5]} are not numeric. Drop them, or set the drugs' "
                "names as the index."
            )
        return cls(
            tuple(str(name) for name in frame.index),
            tuple(str(c) for c in frame.columns),
            tuple(map(tuple, frame.to_numpy(dtype=float).tolist())),
            oracle=oracle,
        )

    @classmethod
    def rdkit(cls, smiles: Mapping[str, str]) -> "DescriptorTable":
        """RDKit's two-dimensional physico-chemical descriptors of SMILES strings.

        Descriptors that RDKit cannot compute for a molecule are set to 0, as in the released
        conditional-Monge code (code).

        Raises
        ------
        DataError : rdkit is not installed, or a SMILES string that it cannot read (names the drug).
        """
        try:
            from rdkit import Chem
            from rdkit.Chem import Descriptors
        except ImportError as error:
            raise DataError(
                "RDKit descriptors need the package rdkit: pip install rdkit. "
                "Or give a table of your own, see DescriptorTable.from_frame."
            ) from error
        columns = tuple(name for name, _ in Descriptors.descList)
        rows = []
        for name, text in smiles.items():
            molecule = Chem.MolFromSmiles(text)
            if molecule is None:
                raise DataError(f"RDKit cannot read the SMILES of {name!r}: {text!r}.")
            found = Descriptors.CalcMolDescriptors(molecule, missingVal=0.0)
            rows.append(tuple(float(found[c]) for c in columns))
        values = np.nan_to_num(np.array(rows), nan=0.0, posinf=0.0, neginf=0.0)
        return cls(tuple(smiles), columns, tuple(map(tuple, values.tolist())))

    def row(self, name: str) -> tuple[float, ...]:
        """Descriptors of one drug.

        Raises
        ------
        DataError : the table does not describe it.
        """
        if name not in self.names:
            some = ", ".join(repr(n) for n in self.names[:12])
            more = f" and {len(self.names) - 12} more" if len(self.names) > 12 else ""
            raise DataError(
                f"drug {name!r} is not in the table of descriptors, which holds {some}{more}. "
                "Add its row to the table, then train."
            )
        return self.values[self.names.index(name)]

    def standardised(self) -> "DescriptorTable":
        """Columns that vary at all over the table, each with mean 0 and standard deviation 1.

        Raises
        ------
        DataError : no column varies, so the table tells no drug from another.
        """
        values = np.array(self.values)
        spread = values.std(0)
        kept = np.flatnonzero(spread > FLAT)
        if not len(kept):
            raise DataError(f"none of the {len(self.columns)} descriptors varies between drugs.")
        values = (values[:, kept] - values[:, kept].mean(0)) / spread[kept]
        return DescriptorTable(
            self.names,
            tuple(self.columns[i] for i in kept),
            tuple(map(tuple, values.tolist())),
            oracle=self.oracle,
        )


def read_descriptors(
    path: str | os.PathLike[str], *, wanted: Sequence[str] = ()
) -> DescriptorTable:
    """A table of descriptors from a CSV file: drugs in the first column, a header line on top.

    Parameters
    ----------
    path : the file.
    wanted : drugs that must be described.

    Raises
    ------
    DataError : no such file, columns that are not numeric, NaN, duplicate or missing drugs.
    """
    import pandas as pd

    try:
        frame = pd.read_csv(path, index_col=0)
    except FileNotFoundError:
        raise DataError(f"no such file: {path}. Give a CSV with a row for each drug.") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as CSV: {error}") from error
    table = DescriptorTable.from_frame(frame)
    for name in wanted:
        table.row(name)
    return table
