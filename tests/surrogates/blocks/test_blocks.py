import json

import pytest
import torch

from pushforward.simulators.errors import DataError
from pushforward.surrogates.blocks import MLP, Surrogate


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


class Affine(Surrogate):
    def __init__(self, n: int):
        super().__init__()
        self.n = n
        self.net = MLP(n, n, hidden=(), generator=seeded())

    def configuration(self):
        return {"n": self.n}

    def forward(self, x):
        return self.net(x)


class Other(Affine):
    pass


def test_mlp_without_hidden_layers_is_affine():
    net = MLP(3, 2, hidden=(), generator=seeded())
    layer = net.layers[0]
    x = torch.randn(7, 3, generator=seeded(1))
    torch.testing.assert_close(net(x), x @ layer.weight.T + layer.bias)


def test_mlp_is_built_from_its_generator_alone():
    before = torch.random.get_rng_state()
    a, b = (MLP(3, 2, generator=seeded()) for _ in range(2))
    assert torch.equal(before, torch.random.get_rng_state())
    for p, q in zip(a.parameters(), b.parameters(), strict=True):
        assert torch.equal(p, q)
    other = MLP(3, 2, generator=seeded(1))
    assert not torch.equal(a.layers[0].weight, other.layers[0].weight)


def test_every_parameter_matters():
    net = MLP(3, 2, hidden=(8, 8), generator=seeded())
    net(torch.randn(16, 3, generator=seeded(1))).square().sum().backward()
    for name, p in net.named_parameters():
        assert p.grad.abs().max() > 0, name


def test_saved_model_loads_equal(tmp_path):
    model = Affine(4)
    model.save(tmp_path / "m")
    loaded = Affine.load(tmp_path / "m")
    x = torch.randn(5, 4, generator=seeded(2))
    assert torch.equal(model(x), loaded(x))
    assert not loaded.training


def test_wrong_model_folders_are_refused(tmp_path):
    with pytest.raises(DataError, match="holds no saved model .model.json is missing"):
        Affine.load(tmp_path)
    Affine(4).save(tmp_path)
    with pytest.raises(DataError, match="holds a Affine, not a Other"):
        Other.load(tmp_path)
    description = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps({**description, "configuration": {"n": 5}}))
    with pytest.raises(DataError, match="do not fit Affine"):
        Affine.load(tmp_path)
    (tmp_path / "model.json").write_text(json.dumps({**description, "configuration": {"m": 5}}))
    with pytest.raises(DataError, match="do not fit Affine"):
        Affine.load(tmp_path)
    (tmp_path / "weights.safetensors").write_bytes(b"12345")
    with pytest.raises(DataError, match="is damaged"):
        Affine.load(tmp_path)
