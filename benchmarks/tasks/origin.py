"""Where a forecast came from: what its file says of the model that made it."""

import os
from pathlib import Path

from pushforward.simulators.provenance import provenance
from pushforward.surrogates.blocks import Surrogate

__all__ = ["model_origin"]


def model_origin(model: Surrogate, folder: str | os.PathLike[str]) -> dict[str, str]:
    """Attributes of a file: version, command, hash of the configuration, the model and its folder.

    Parameters
    ----------
    model : that made the forecast.
    folder : it was loaded from; its last name is kept.
    """
    name = type(model).__name__
    about = provenance(configuration={"model": name, "configuration": model.configuration()})
    return {**about, "model": name, "model_folder": Path(folder).name}
