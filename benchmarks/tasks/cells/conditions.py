"""What was done to the cells of each treatment, by columns of `obs` and a table of the drugs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pushforward.datasets.cells import CellData
from pushforward.simulators.errors import DataError
from pushforward.surrogates.cells import (
    Chunk,
    Condition,
    DescriptorTable,
    Dose,
    Drugs,
    Label,
    Number,
    read_descriptors,
)

if TYPE_CHECKING:
    from pushforward.benchmarks.tasks.cells.config import CellsConfig

__all__ = ["chunks_of", "conditions_of", "drug_table"]


def conditions_of(data: CellData, config: "CellsConfig") -> dict[str, dict[str, Any]]:
    """What each treatment is: its drug and dose by the configured keys, else its label.

    Raises
    ------
    DataError : a missing column, a treatment whose cells name several drugs or doses, a dose that
        is no number.
    """
    obs = data.adata.obs
    keys = {"drug": config.drug_key, "dose": config.dose_key}
    named = {part: key for part, key in keys.items() if key is not None}
    for part, key in named.items():
        if key not in obs:
            raise DataError(
                f"no obs column {key!r} ({part}_key). Columns present: {list(obs.columns)}."
            )
    if not named:
        return {t: {"treatment": t} for t in data.treatments}
    found: dict[str, dict[str, Any]] = {}
    for treatment in data.treatments:
        cells = obs.iloc[data.rows(condition=treatment)]
        found[treatment] = {}
        for part, key in named.items():
            values = sorted({str(v) for v in cells[key].unique()})
            if len(values) > 1:
                raise DataError(
                    f"cells of condition {treatment!r} have several values in obs column "
                    f"{key!r}: {values[:5]}. A condition is one drug at one dose."
                )
            found[treatment][part] = values[0]
            if part == "dose":
                try:
                    found[treatment][part] = float(values[0])
                except ValueError:
                    raise DataError(
                        f"the dose of {treatment!r} in obs column {key!r} is {values[0]!r}, "
                        "which is no number. Give it in one unit, such as nM."
                    ) from None
    return found


def drug_table(data: CellData, config: "CellsConfig") -> DescriptorTable | None:
    """The descriptors of drugs: the configured CSV file, or `uns["descriptors"]` of the data.

    Raises
    ------
    DataError : a drug of the data is missing from the table, or what `DescriptorTable` refuses.
    """
    if config.drug_key is None:
        return None
    drugs = sorted({str(c["drug"]) for c in conditions_of(data, config).values()})
    if config.descriptors is not None:
        return read_descriptors(config.descriptors, wanted=drugs)
    stored = data.adata.uns.get("descriptors")
    if stored is None:
        return None
    table = DescriptorTable.from_frame(stored)
    for drug in drugs:
        table.row(drug)
    return table


def chunks_of(
    known: Sequence[Condition],
    asked: Condition,
    drugs: DescriptorTable | None,
    treatment: str,
    dose_curve: Literal["hill", "free"],
) -> list[Chunk]:
    """How conditions become numbers, from those that training knows.

    A dose scales the effect by Hill's curve or, with a free curve, is read by its standardised
    logarithm; a drug is read by its descriptors or else by its name, anything else by its name.

    Raises
    ------
    DataError : the condition asked for cannot be encoded, such as a drug that training lacks and
        no table describes, or a dose of 0.
    """
    chunks: list[Chunk] = []
    try:
        for key in asked:
            if key == "dose" and dose_curve == "free":
                chunks.append(Number.fit(key, known, transform="log"))
            elif key == "dose":
                chunks.append(Dose.fit(key, known))
            elif key == "drug" and drugs is not None:
                chunks.append(Drugs(key, drugs.standardised()))
            else:
                chunks.append(Label(key, tuple(sorted({str(c[key]) for c in known}))))
            chunks[-1].encode(asked)
    except DataError as error:
        raise DataError(
            f"conditional_map cannot be asked for {treatment!r}: {error} Unseen doses need "
            "--dose_key; unseen drugs need --drug_key and --descriptors, a CSV with a row for each."
        ) from error
    return chunks
