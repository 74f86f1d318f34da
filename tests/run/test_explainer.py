"""How a map is made: a run, `attribute` and what a study asks mean the same by every setting; the model is left
alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from tiny import FAST, run, session, tiny, visible, write_plugin
from torch import Tensor

from poseig_mm import attribute, load_adapter
from poseig_mm.errors import ConfigError
from poseig_mm.functional.likelihood import LIKELIHOODS
from poseig_mm.functional.paths import LinearPath
from poseig_mm.functional.quadrature import RULES
from poseig_mm.store import Store


@pytest.fixture(scope="module")
def parts(tiny_files: tiny, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Tensor, Tensor]:
    """Adapter, image and truth of the first sample, made by hand."""
    own = session(tiny_files, tmp_path_factory.mktemp("parts"))
    adapter = load_adapter(str(tiny_files.config), tiny_files.weights)
    sample = own._samples(adapter).load(0)
    return adapter, sample.image[None], sample.keypoints[None]


VARIANTS: dict[str, dict[str, Any]] = {
    **{f"quadrature-{q}": {"quadrature": q} for q in (*RULES, "adaptive")},
    **{f"likelihood-{n}": {"likelihood": n} for n in LIKELIHOODS if n != "exp_l2"},
    "alpha": {"likelihood_settings": {"alpha": 0.2}},
    "alpha-heatmap": {"alpha_per_heatmap_px": 0.8},
    "blur": {"path_settings": {"sigma": 3.0, "kernel_size": 9}},
    "linear-black": {"path": "linear"},
    **{f"linear-{b}": {"path": "linear", "path_settings": {"baseline": b}} for b in ("white", "mean")},
    "power": {"power": 2.0},
    "noise": {"noise_std": 0.3, "noise_draws": 2, "seed": 4},
    "reference-joint": {"reference": "left_wrist"},
    "reference-prediction": {"reference": "prediction"},
    "contrast": {"contrast": "nose"},
    "joints": {"joints": ["left_wrist"]},
    "gradient": {"method": "gradient"},
    "random": {"method": "random"},
    "published": {"preset": "published", "nodes": 8},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_setting_means_the_same_to_a_run_and_to_the_function(
    tiny_files: tiny, tiny_store: Store, tmp_path: Path, parts: tuple[Any, Tensor, Tensor], name: str
) -> None:
    """The maps of the run are those that `attribute` gives with the same settings, and no longer the default ones."""
    adapter, image, truth = parts
    adapter.beta = tiny_store.run["agreement"]["beta"]
    given = VARIANTS[name] if "preset" in VARIANTS[name] else {**FAST, **VARIANTS[name]}
    store = run(tiny_files, tmp_path, {"attribution": given, "samples.limit": 1})
    expected = attribute(adapter, image, truth, **{"chunk": 3, **given}).maps[0].numpy()
    found, default = store.map("1-1"), tiny_store.map("1-1")
    assert found is not None
    assert default is not None
    np.testing.assert_allclose(found, expected, atol=2e-2)  # other chunks, other rounding, other ReLUs
    assert np.nanmean(np.abs(found - expected)) < 2e-4
    if name not in ("quadrature-midpoint", "joints"):
        assert np.nanmax(np.abs(found - default)) > 0.01


def test_black_and_white_are_those_of_the_pixels(tiny_files: tiny, parts: tuple[Any, Tensor, Tensor]) -> None:
    """`attribute` begins at (0 - mean) / std and (255 - mean) / std: the target there is that of such an image."""
    adapter, image, truth = parts
    with adapter.frozen():
        for baseline, value in (("black", 0.0), ("white", 255.0)):
            preprocessor = adapter.model.data_preprocessor
            flat = ((value - preprocessor.mean) / preprocessor.std).expand_as(image)
            expected = torch.exp(-0.075 * (adapter(flat).coords - truth).norm(dim=-1)).detach()
            found = attribute(adapter, image, truth, path="linear", path_settings={"baseline": baseline}, **FAST)
            assert found.target_start[truth.isfinite().all(-1)].tolist() == pytest.approx(
                expected[truth.isfinite().all(-1)].tolist(), abs=1e-5
            )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"tole": 0.1}, "attribution.tole is unknown; did you mean 'tol'"),
        ({"preset": "publishd"}, "did you mean 'published'"),
        ({"path": LinearPath(), "path_settings": {"baseline": "white"}}, "path_settings cannot be applied to a path"),
        ({"method": "gradient", "method_settings": {"steps": 3}}, "method 'gradient' has no setting 'steps'"),
    ],
)
def test_the_function_refuses_what_the_config_would(
    parts: tuple[Any, Tensor, Tensor], given: dict[str, Any], message: str
) -> None:
    """Unknown names, and settings beside what is made already."""
    with pytest.raises(ConfigError, match=message):
        attribute(*parts, **given)


METHOD = """
import torch
from poseig_mm.attribution.methods import path_ig


def scaled(adapter, images, keypoints, *, joints, factor=1.0):  # names two of the arguments, and one setting of its own
    made = path_ig(adapter, images, keypoints, joints=joints, quadrature="midpoint", nodes=2)
    return type(made)(**{**vars(made), "target_end": factor * torch.ones_like(made.target_end)})


@hookimpl
def poseig_attribution_methods():
    return {"scaled": scaled}
"""


def test_a_method_names_what_it_needs_and_has_settings_of_its_own(tiny_files: tiny, tmp_path: Path) -> None:
    """It gets those arguments alone; its settings come from the config, and a misspelt one is an error at once."""
    plugin = str(write_plugin(tmp_path / "scaled.py", METHOD))
    settings = {"attribution.method": "scaled", "samples.limit": 1}
    for own, expected in (({}, 1.0), ({"factor": 7.0}, 7.0)):
        store = run(
            tiny_files, tmp_path / str(expected), {**settings, "attribution.method_settings": own}, plugins=[plugin]
        )
        assert set(visible(store)["target_end"]) == {expected}
        assert store.run["settings"]["attribution"]["method_settings"] == own
    wrong = {**settings, "attribution.method_settings": {"factr": 1}}
    with pytest.raises(ConfigError, match="'scaled' has no setting 'factr' of its own; did you mean 'factor'"):
        run(tiny_files, tmp_path / "w", wrong, plugins=[plugin])
    assert not (tmp_path / "w").exists()


def test_the_quadrature_is_checked_at_the_start(tiny_files: tiny, tmp_path: Path) -> None:
    """With the nearest known one."""
    with pytest.raises(ConfigError, match="did you mean 'midpoint'"):
        session(tiny_files, tmp_path, {"attribution.quadrature": "midpont"})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"path": "blurr"}, "there is no path 'blurr'; did you mean 'blur'"),
        ({"path_settings": {"sgma": 3.0}}, "path_settings of path 'blur' do not fit.*sgma"),
        ({"path": "linear", "path_settings": {"baseline": "nowhere.png"}}, "nowhere.png"),
        ({"likelihood": "exp_l1"}, "there is no likelihood 'exp_l1'; did you mean 'exp_l2'"),
        ({"likelihood_settings": {"alhpa": 3.0}}, "likelihood_settings of likelihood 'exp_l2' do not fit.*alhpa"),
        ({"likelihood_settings": {"alpha": -1}}, "likelihood_settings of likelihood 'exp_l2': alpha is -1; expected"),
        ({"path_settings": {"sigma": -3}}, "path_settings of path 'blur': sigma is -3; expected above 0"),
        ({"method": "path_gi"}, "there is no attribution method 'path_gi'; did you mean 'path_ig'"),
        ({"reference": "noze"}, "'noze' is neither 'truth', 'prediction', 'quantised_target' nor a joint"),
        ({"contrast": "noze"}, "'noze' is neither"),
        ({"joints": ["nose", "noze"]}, r"joints names \['noze'\]"),
    ],
)
def test_a_wrong_name_is_an_error_before_the_first_sample(
    tiny_files: tiny, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    """Nothing is written."""
    with pytest.raises(ConfigError, match=message):
        run(tiny_files, tmp_path / "w", {f"attribution.{k}": v for k, v in settings.items()})
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize(
    ("given", "points"),
    [
        ({"reference": "prediction"}, lambda truth, found: (found, None)),
        ({"reference": "left_wrist"}, lambda truth, found: (truth[:, 9:10].expand_as(truth), None)),
        ({"contrast": "prediction"}, lambda truth, found: (truth, found)),
        ({"contrast": "nose"}, lambda truth, found: (truth, truth[:, :1].expand_as(truth))),
    ],
    ids=["prediction", "joint", "contrast-prediction", "contrast-joint"],
)
def test_reference_points(
    tiny_files: tiny,
    tiny_store: Store,
    tmp_path: Path,
    parts: tuple[Any, Tensor, Tensor],
    given: dict[str, str],
    points: Callable[[Tensor, Tensor], tuple[Tensor, Tensor | None]],
) -> None:
    """Truth, prediction or another joint, alone or as a contrast between two."""
    adapter, image, truth = parts
    adapter.beta = tiny_store.run["agreement"]["beta"]
    store = run(tiny_files, tmp_path, {"attribution": {**FAST, **given}, "samples.limit": 1})
    reference, contrast = points(truth, adapter.predict(image))
    shown = truth.isfinite().all(-1)
    expected = attribute(adapter, image, reference, contrast=contrast, joints=shown, chunk=3, **FAST)
    ends = visible(store)["target_end"].to_list()
    assert ends == pytest.approx(expected.target_end[shown].tolist(), abs=1e-5)
    found = store.map("1-1")
    assert found is not None
    np.testing.assert_allclose(found[shown[0]], expected.maps[0, shown[0]].numpy(), atol=2e-3)
    everywhere = given.get("reference") == "prediction"  # needs no label
    assert np.isfinite(found).all() == everywhere


def test_joints_are_chosen(tiny_files: tiny, tmp_path: Path) -> None:
    """Others are NaN and say that nobody asked."""
    store = run(tiny_files, tmp_path, {"attribution.joints": ["nose"], "samples.limit": 1})
    reasons = dict(visible(store).select("joint_name", "reason").rows())
    assert reasons == {"nose": "", "left_shoulder": "not_asked", "left_wrist": "not_asked", "right_ankle": "not_asked"}


def test_a_baseline_from_a_file(tiny_files: tiny, tiny_store: Store, tmp_path: Path) -> None:
    """Preprocessed as the model's input; the target at the path's start is that of the file."""
    adapter = load_adapter(str(tiny_files.config), tiny_files.weights)
    adapter.beta = tiny_store.run["agreement"]["beta"]
    file = str(tiny_files.folder / "2.png")
    given = {"path": "linear", "path_settings": {"baseline": file}}
    store = run(tiny_files, tmp_path, {"attribution": {**FAST, **given}, "samples.limit": 1})
    with adapter.frozen():
        coords = adapter(adapter.preprocess_file(file)).coords[0].detach()
    rows = visible(store)
    for row in rows.iter_rows(named=True):
        truth = torch.tensor([row["gt_x"], row["gt_y"]])
        expected = math.exp(-0.075 * float((coords[row["joint"]] - truth).norm()))
        assert row["target_start"] == pytest.approx(expected, abs=1e-4)


def test_the_published_preset_runs(tiny_files: tiny, tmp_path: Path) -> None:
    """50 cells, beta 10 as given, and the published weight of LI."""
    settings = {"attribution": {"preset": "published"}, "samples.limit": 1}
    store = run(tiny_files, tmp_path / "a", settings)
    assert set(visible(store)["evaluations"]) == {50}
    assert store.run["agreement"]["beta"] == store.run["model"]["beta"] == 10.0
    exact = run(
        tiny_files, tmp_path / "b", {"attribution": {"preset": "published", "locality": "exact"}, "samples.limit": 1}
    )
    assert visible(store)["di"].to_list() == visible(exact)["di"].to_list()
    assert visible(store)["li"].to_list() != pytest.approx(visible(exact)["li"].to_list(), rel=1e-3)


@pytest.mark.parametrize("method", ["gradient", "random"])
def test_other_methods(tiny_files: tiny, tiny_store: Store, tmp_path: Path, method: str) -> None:
    """The controls give maps of their own."""
    store = run(tiny_files, tmp_path, {"attribution.method": method, "samples.limit": 1})
    found, default = store.map("1-1"), tiny_store.map("1-1")
    assert np.nanmax(np.abs(found - default)) > 0.1  # type: ignore[operator]
    assert visible(store)["di"].is_finite().all()


def test_float64_agrees_with_float32(tiny_files: tiny, tiny_store: Store, tmp_path: Path) -> None:
    """And its residuals are not the same to the last digit: it was really computed in it."""
    store = run(
        tiny_files, tmp_path, {"attribution.dtype": "float64", "attribution.beta": tiny_store.run["agreement"]["beta"]}
    )
    for name in ("di", "fi", "li", "target_end"):
        a, b = (visible(s)[name].to_list() for s in (tiny_store, store))
        assert a == pytest.approx(b, rel=5e-2, abs=1e-4)
    exact = visible(store)["target_end"].to_list()
    assert exact != torch.tensor(exact).tolist()
    assert store.run["weights_hash"] == tiny_store.run["weights_hash"]


def test_batches_change_nothing(tiny_files: tiny, tiny_store: Store, tmp_path: Path) -> None:
    """Two persons at once give the rows of one by one."""
    store = run(tiny_files, tmp_path, {"samples.batch_size": 2})
    assert len(list((tmp_path / "samples").iterdir())) == 2
    a, b = (s.joints() for s in (tiny_store, store))
    for name in a.columns:
        if a[name].dtype == pl.Float64:
            np.testing.assert_allclose(a[name].to_numpy(), b[name].to_numpy(), rtol=1e-4, atol=1e-4, err_msg=name)
        else:
            assert a[name].to_list() == b[name].to_list(), name


# ---- the model is left alone -----------------------------------------------------------------------------------------


def state(model: torch.nn.Module) -> list[Any]:
    """Modes, gradient flags and weights."""
    flags = [m.training for m in model.modules()] + [p.requires_grad for p in model.parameters()]
    return [*flags, *(p.grad for p in model.parameters()), *(v.sum().item() for v in model.state_dict().values())]


@pytest.mark.parametrize("fails", [False, True])
def test_a_users_model_comes_back_as_it_was(tiny_files: tiny, parts: tuple[Any, Tensor, Tensor], fails: bool) -> None:
    """Mixed modes and flags, also after an error in the middle; parameters never get gradients."""
    _, image, truth = parts
    model = load_adapter(str(tiny_files.config), tiny_files.weights).model
    model.train()
    model.backbone.layer1.eval()
    next(model.parameters()).requires_grad_(False)
    before = state(model)
    adapter = load_adapter(model)
    calls: list[bool] = []

    def likelihood(coords: Tensor, reference: Tensor) -> Tensor:
        calls.append(model.training)
        if fails and len(calls) == 2:
            raise ZeroDivisionError
        return -(coords - reference).norm(dim=-1)

    if fails:
        with pytest.raises(ZeroDivisionError):
            attribute(adapter, image, truth, likelihood=likelihood, **FAST)
    else:
        attribute(adapter, image, truth, likelihood=likelihood, **FAST)
    assert set(calls) == {False}
    assert state(model) == before


def test_attribute_in_another_type(tiny_files: tiny, parts: tuple[Any, Tensor, Tensor]) -> None:
    """`dtype` says what to compute in."""
    _, image, truth = parts
    model = load_adapter(str(tiny_files.config), tiny_files.weights).model.double()
    found = attribute(load_adapter(model), image, truth, dtype=torch.float64, **FAST)
    assert found.maps.dtype == torch.float64
