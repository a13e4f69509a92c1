"""Configurations of all tasks: what they refuse, and what their hash counts."""

import dataclasses

import pytest

from pushforward.benchmarks.tasks.atmosphere.config import ATMOSPHERE_PRESETS
from pushforward.benchmarks.tasks.cells.config import CELLS_PRESETS
from pushforward.benchmarks.tasks.channel.config import CHANNEL_PRESETS
from pushforward.benchmarks.tasks.turbulence.config import TURBULENCE_PRESETS
from pushforward.simulators.errors import DataError

PRESETS = {
    "atmosphere": ATMOSPHERE_PRESETS,
    "cells": CELLS_PRESETS,
    "channel": CHANNEL_PRESETS,
    "turbulence": TURBULENCE_PRESETS,
}

BAD = {
    "atmosphere": [
        ({"models": ["sfmo"]}, "unknown model 'sfmo'. Did you mean 'sfno'?"),
        ({"unrolls": [1]}, "unrolls has 1 stages, unroll_steps 2"),
        ({"unroll_steps": [5, 0]}, "steps = 0 and unroll = 3"),
        ({"batch_size": 0}, "batch_size = 0"),
        ({"train_share": 0.97}, "leave something for testing"),
        ({"test_data": "a.nc"}, "needs data to train on"),
        ({"grid": [8]}, "must be rows and columns"),
        ({"fixer": "squeeze"}, "mode = 'squeeze'"),
    ],
    "cells": [
        ({"models": ["monge_mop"]}, "unknown model 'monge_mop'. Did you mean 'monge_map'?"),
        ({"split": "cell"}, "unknown split 'cell'"),
        ({"n_draws": 0}, "n_draws = 0 must be at least 1"),
        ({"select_every": -1}, "select_every = -1"),
    ],
    "channel": [
        ({"models": ["unet"]}, "unknown model 'unet'. Known: fno, ifactformer"),
        ({"les": ["smagorinsky"]}, "unknown sub-grid model 'smagorinsky'. Did you mean"),
        ({"size": "large"}, "unknown size 'large'"),
        ({"unrolls": [1]}, "unrolls has 1 stages, unroll_steps 2"),
        ({"unrolls": [], "unroll_steps": []}, "must match and be at least one"),
        ({"horizons": []}, "horizons"),
        ({"validate": True, "validation_runs": 0}, "validate needs"),
        ({"batch_size": 0}, "batch_size = 0"),
    ],
    "turbulence": [
        ({"coarse_cells": 12}, "12 cells do not divide the reference's 64"),
        ({"finite_volume": [8]}, "16 coarse cells do not divide 8"),
        ({"models": ["unet"]}, "unknown model 'unet'"),
        ({"unrolls": [1]}, "unrolls has 1 stages, unroll_steps 2"),
        ({"batch_size": 0}, "batch_size = 0"),
    ],
}


@pytest.mark.parametrize(
    ("task", "change", "message"),
    [
        pytest.param(task, change, message, id=f"{task}-{'-'.join(change)}")
        for task, rows in BAD.items()
        for change, message in rows
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_options_that_do_not_fit_are_refused(task, change, message):
    with pytest.raises(DataError, match=message):
        dataclasses.replace(PRESETS[task]["smoke"](), **change)


@pytest.mark.parametrize("task", PRESETS)
def test_seeds_and_models_of_a_sweep_share_a_hash_and_nothing_else_does(task):
    config = PRESETS[task]["smoke"]()
    assert set(config.SWEEP) <= set(config.plain())
    other_seeds = dataclasses.replace(config, seed=3, n_seeds=2)
    assert other_seeds.seeds == [3, 4]
    assert other_seeds.hash == config.hash
    sizes = {preset().hash for preset in PRESETS[task].values()}
    assert len(sizes) == len(PRESETS[task])
