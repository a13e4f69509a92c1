import anndata
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from pushforward.simulators.cells import ConvexResponse, DrugScreen, PerturbedPopulations
from pushforward.simulators.errors import DataError


def test_response_is_the_gradient_of_its_potential():
    rng = np.random.default_rng(0)
    response = ConvexResponse(rng.normal(size=(3, 4)), rng.normal(size=3), 0.7)
    z, h = rng.normal(size=(5, 4)), 1e-5
    for axis in range(4):
        step = h * np.eye(4)[axis]
        slope = (response.potential(z + step) - response.potential(z - step)) / (2 * h)
        np.testing.assert_allclose(response(z)[:, axis], slope, atol=1e-8)


def test_each_type_is_moved_by_its_own_slope():
    rng = np.random.default_rng(1)
    centres = 8.0 * np.eye(3, 5)
    response = ConvexResponse.tangent(centres, rng.uniform(0.5, 1, 5), rng.normal(size=5), 1.0)
    np.testing.assert_allclose(response(centres) - centres, response.slopes, atol=1e-5)


def test_noise_free_map_is_optimal():
    """Exact assignment between control cells and their images is the identity (Brenier)."""
    cells = PerturbedPopulations(n_cells=150, measurement="none").simulate(seed=3)
    control = cells.X[(cells.obs["condition"] == "ctrl").to_numpy()]
    image = PerturbedPopulations.optimal_map(cells, control)
    cost = ((control[:, None] - image[None]) ** 2).sum(-1)
    _, column = linear_sum_assignment(cost)
    np.testing.assert_array_equal(column, np.arange(len(control)))
    assert np.linalg.norm(image - control, axis=1).mean() > 1.0


def test_treated_cells_follow_the_law_of_mapped_controls():
    cells = PerturbedPopulations(n_populations=1, n_cells=4000, measurement="none").simulate(seed=0)
    control = (cells.obs["condition"] == "ctrl").to_numpy()
    mapped = PerturbedPopulations.optimal_map(cells, cells.X[control])
    treated = cells.X[~control]
    error = np.abs(mapped.mean(0) - treated.mean(0))
    noise = np.sqrt(mapped.var(0) / 4000 + treated.var(0) / 4000)
    assert (error < 5 * noise + 1e-9).all()


def test_counts_have_the_stated_mean_and_dispersion():
    config = PerturbedPopulations(n_populations=1, n_cells=3000, n_types=1, dispersion=0.5)
    cells = config.simulate(seed=0)
    counts = cells.X.toarray()
    assert (counts == np.round(counts)).all()
    assert (counts >= 0).all()
    np.testing.assert_allclose(np.median(counts.sum(1)), 3000, rtol=0.05)
    mean, variance = counts.mean(0), counts.var(0)
    assert (variance > mean).mean() > 0.95


def test_seeds_repeat_and_differ():
    config = PerturbedPopulations(n_cells=20)
    first, again, other = (config.simulate(seed=s).X.toarray() for s in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_cells": 0}, "n_cells = 0 must be at least 1"),
        ({"n_genes": 4}, "n_genes = 4 < n_latent = 8"),
        ({"measurement": "photo"}, "measurement = 'photo'"),
        ({"treatments": ("ctrl",)}, "none of them 'ctrl'"),
    ],
)
def test_wrong_configurations_are_refused(options, message, unchecked):
    with pytest.raises(DataError, match=message):
        PerturbedPopulations(**options)


def screen(**options):
    return DrugScreen(**{"n_drugs": 4, "n_cells": 40, "n_control": 60, **options})


def test_every_condition_of_a_screen_is_optimal_and_grows_with_the_dose():
    """Exact assignment is the identity (Brenier); Hill's curve is monotone and halves at κ."""
    cells = screen().simulate(seed=1)
    z = cells.obsm["latent"][(cells.obs["drug"] == "control").to_numpy()]
    for drug in ("drug_00", "drug_03"):
        sizes = []
        for dose in (10.0, 1000.0, 1e9):
            image = DrugScreen.optimal_map(cells, z, drug=drug, dose=dose)
            _, column = linear_sum_assignment(((z[:, None] - image[None]) ** 2).sum(-1))
            np.testing.assert_array_equal(column, np.arange(len(z)))
            sizes.append(np.linalg.norm(image - z, axis=1))
        assert (sizes[0] < sizes[1]).all()
        assert (sizes[1] < sizes[2]).all()
        half = DrugScreen.optimal_map(
            cells, z, drug=drug, dose=cells.uns["truth"]["half_dose"][drug]
        )
        np.testing.assert_allclose(np.linalg.norm(half - z, axis=1), sizes[2] / 2, rtol=1e-3)


def test_one_hit_suffices_in_a_screen_of_that_law():
    """1 − 2^(−a/κ): half at κ, three quarters at 2κ, of the effect that Hill's curve tends to."""
    one, hill = (screen(dose_curve=c).simulate(seed=1) for c in ("one_hit", "hill"))
    z = one.obsm["latent"][(one.obs["drug"] == "control").to_numpy()]
    half_dose = one.uns["truth"]["half_dose"]["drug_01"]
    full = DrugScreen.optimal_map(hill, z, drug="drug_01", dose=1e12) - z
    for ratio, share in ((1, 0.5), (2, 0.75), (1e-3, 1 - 2**-1e-3)):
        moved = DrugScreen.optimal_map(one, z, drug="drug_01", dose=ratio * half_dose) - z
        np.testing.assert_allclose(moved, share * full, rtol=1e-5, atol=1e-6)


def test_a_screen_is_labelled_as_screens_are_and_survives_its_file(tmp_path):
    made = screen(doses=(1.0, 0.5)).simulate(seed=0)
    made.write_h5ad(tmp_path / "s.h5ad")
    cells = anndata.read_h5ad(tmp_path / "s.h5ad")
    assert set(cells.obs["condition"]) == {
        "control",
        *(f"drug_0{i}-{dose}" for i in range(4) for dose in ("1", "0.5")),
    }
    control = cells.obs["drug"] == "control"
    assert set(cells.obs["dose"][control]) == {0.0}
    assert (cells.obs.groupby("condition", observed=True).size() >= 3 * 40).all()
    assert list(cells.uns["descriptors"].index) == [f"drug_0{i}" for i in range(4)]
    z = cells.obsm["latent"][control.to_numpy()]
    a, b = (DrugScreen.optimal_map(c, z, drug="drug_02", dose=1.0) for c in (made, cells))
    np.testing.assert_allclose(a, b)


def test_descriptors_tell_what_drugs_do_or_nothing():
    """A linear fit of the effects on the table: exact but for its noise, or as poor as chance."""

    def unexplained(kind):
        cells = screen(n_drugs=60, n_cells=1, n_control=1, descriptors=kind).simulate(seed=0)
        table = np.column_stack([cells.uns["descriptors"].to_numpy(), np.ones(60)])
        drift = np.array(list(cells.uns["truth"]["drift"].values()))
        rest = drift - table @ np.linalg.lstsq(table, drift, rcond=None)[0]
        return (rest**2).sum() / ((drift - drift.mean(0)) ** 2).sum()

    assert unexplained("signal") < 0.05
    assert unexplained("noise") > 0.7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_drugs": 0}, "n_drugs = 0 must be at least 1"),
        ({"doses": (0.0, 1.0)}, "all above 0 .0 is the control."),
        ({"doses": (1.0, 1.0)}, "each once"),
        ({"n_genes": 2}, "n_genes = 2 < n_latent = 6"),
        ({"descriptors": "smell"}, "descriptors = 'smell'"),
        ({"dose_curve": "hook"}, "dose_curve = 'hook'"),
        ({"measurement": "photo"}, "measurement = 'photo'"),
    ],
)
def test_wrong_screens_are_refused(options, message, unchecked):
    with pytest.raises(DataError, match=message):
        DrugScreen(**options)


def test_unknown_answers_are_refused():
    cells = screen().simulate(seed=0)
    with pytest.raises(DataError, match="no known response to 'aspirin'"):
        DrugScreen.optimal_map(cells, np.zeros((1, 6)), drug="aspirin", dose=1.0)
