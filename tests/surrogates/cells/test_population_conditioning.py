"""What conditioning on the population is for: effects that only the shape of a cloud tells."""

import pytest
import torch

from pushforward.surrogates.cells import (
    ChoiceOptions,
    FlowNetworkOptions,
    FlowOptions,
    fit_flow,
)
from pushforward.surrogates.training import Optimisation

pytestmark = pytest.mark.usefixtures("unchecked")


def population(a, seed, n=80):
    """A cloud stretched by √eᵃ along x and √e⁻ᵃ along y, moved by the treatment to y + 2 a."""
    g = torch.Generator().manual_seed(seed)
    stretch = torch.tensor([a, -a]).div(2).exp()
    control, other = (torch.randn(n, 2, generator=g) * stretch for _ in range(2))
    return control, other + torch.tensor([0.0, 2 * a])


def shifts(embedding):
    """Mean displacements along y predicted for unseen populations, a = 0.7 and a = -0.7."""
    training = {str(k): population(k / 5, seed=k + 10) for k in (-5, -3, -1, 1, 3, 5)}
    fitted = fit_flow(
        training,
        network=FlowNetworkOptions(
            embedding=embedding,
            width=32,
            layers=2,
            n_time=4,
            fourier=8,
            embedding_width=8,
            neighbours=5,
            embed_cells=50,
            ode_steps=3,
        ),
        options=FlowOptions(coupling="independent", batch_size=24, populations_per_step=6),
        optimisation=Optimisation(steps=100, learning_rate=0.01, schedule="cosine"),
        choice=ChoiceOptions(calibrate=False),
    )
    with torch.no_grad():
        clouds = (population(a, seed=1)[0] for a in (0.7, -0.7))
        return [(fitted.model(x) - x).mean(0)[1].item() for x in clouds]


@pytest.mark.parametrize("embedding", ["graph", "set"])
def test_an_unseen_shape_tells_its_effect(embedding):
    assert shifts(embedding) == pytest.approx([1.4, -1.4], abs=0.6)


def test_without_the_population_the_effects_cancel():
    """Plain flow matching sees positions alone, and the effects of the six sum to nothing."""
    assert shifts("none") == pytest.approx([0.0, 0.0], abs=0.6)
