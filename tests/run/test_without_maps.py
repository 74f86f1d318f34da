"""A run without maps (attribution method 'none'): the errors of any other run, at the price of one forward pass."""

from __future__ import annotations

import math
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from tiny import IDS, run, session, tiny, visible, write_run

from poseig_mm import Session, attribute, load_adapter
from poseig_mm.checks import Check
from poseig_mm.errors import ConfigError
from poseig_mm.run.calibration import scale_on
from poseig_mm.run.dry_run import dry_run
from poseig_mm.run.open import Plugins, batch_size, load_config
from poseig_mm.settings import Settings
from poseig_mm.store import Store
from poseig_mm.summary.pck import with_pck

NONE: dict[str, Any] = {"attribution": {"method": "none"}, "indices": []}


@pytest.fixture(scope="module")
def store(tiny_files: tiny, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A run without maps over the tiny files."""
    return run(tiny_files, tmp_path_factory.mktemp("none"), NONE)


def test_errors_and_predictions_are_those_of_a_run_with_maps(store: Store, tiny_store: Store) -> None:
    """To the bit, or as near as convolutions of another batch size are; whatever is no map's is the same."""
    assert store.sample_ids == tiny_store.sample_ids == IDS
    columns = ("gt_x", "gt_y", "pred_x", "pred_y", "epe")
    here, there = (s.joints().select(columns).to_numpy() for s in (store, tiny_store))
    np.testing.assert_allclose(here, there, rtol=1e-5, atol=1e-5)
    assert np.isfinite(here[store.joints()["visible"].to_numpy()]).all()
    same = ("sample_id", "image_id", "joint", "joint_name", "group", "visible", "unit")
    assert store.joints().select(same).equals(tiny_store.joints().select(same))
    assert store.samples()["mepe"].to_list() == pytest.approx(tiny_store.samples()["mepe"].to_list(), rel=1e-5)


def test_nothing_is_there_of_maps(store: Store) -> None:
    """No gradient, no number of a map, no map, no picture, no relation; each joint says why."""
    joints = store.joints()
    numbers = ("di", "fi", "li", "target_start", "target_end", "residual", "map_error", "mass_in_padding", "fi_input")
    assert all(joints[name].is_nan().all() for name in (*numbers, "epe_soft", "map_error_2px", "di_error"))
    assert set(joints["evaluations"]) == {0}
    assert set(store.samples()["evaluations"]) == {0}
    assert not joints["converged"].any()
    assert dict(joints.select("visible", "reason").unique().iter_rows()) == {True: "no_map", False: "not_visible"}
    assert len(store.relations()) == 0
    assert all(store.map(i) is None and store.display(i) is None for i in IDS)
    assert not [f for name in ("maps", "signed", "displays", "relations") for f in (store.path / name).glob("*")]
    assert set(store.samples()["mask_source"]) == {"none"}
    assert store.run["indices"] == []
    assert "indices" not in store.run["timings"]
    assert store.run["acceleration"]["backward"] == "autograd"


def test_a_box_fills_its_input_but_for_the_margin(store: Store) -> None:
    """The longer side times 1.25, MMPose's margin, is 64 px wide in the input: PCK's limit is 0.05 of 51.2 px."""
    assert store.samples()["box_side"].to_list() == pytest.approx([64 / 1.25] * 3, rel=1e-4)
    found = with_pck(store.joints(), store.samples(), 0.5).filter("visible")
    assert found["pck"].to_list() == [float(epe < 25.6) for epe in found["epe"]]
    assert set(found["pck"]) == {0.0, 1.0}


def test_a_person_costs_one_forward_pass(tiny_files: tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All three at once, and no gradient is taken of anything after the preflight."""
    own = session(tiny_files, tmp_path, NONE)
    passed: list[int] = []
    loop = own._loop

    def counted(*args: Any) -> Any:
        made = loop(*args)
        model = made.context.adapter.model
        model.backbone.register_forward_hook(lambda module, given, result: passed.append(len(given[0])))

        def refused(*args: Any, **kwargs: Any) -> Any:
            raise AssertionError("a gradient was taken")

        monkeypatch.setattr(torch.autograd, "grad", refused)
        monkeypatch.setattr(torch.Tensor, "backward", refused)
        return made

    monkeypatch.setattr(own, "_loop", counted)
    assert len(own.run()) == 3
    assert passed == [3]


def test_the_maps_of_the_function_take_no_memory(tiny_files: tiny) -> None:
    """NaN of the shape of maps, in the memory of one number."""
    adapter = load_adapter(str(tiny_files.config), tiny_files.weights)
    truth = torch.full((2, 17, 2), 20.0)
    truth[1, 3] = math.nan
    found = attribute(adapter, torch.zeros(2, 3, 64, 64), truth, method="none")
    assert found.maps.shape == (2, 17, 64, 64)
    assert found.maps.untyped_storage().nbytes() == 4
    assert found.maps[0, 0, 0, 0].isnan()
    assert [found.reasons[1][k] for k in (2, 3)] == ["no_map", "not_visible"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"indices": ["di"]}, "diagnosis.indices names di, but diagnosis.attribution.method is 'none'"),
        ({"attribution": {"signed": True}}, "signed is True, but .* 'none'"),
        ({"attribution": {"epe_to": "reference"}}, "epe_to is 'reference', .* 'none'"),
        ({"store": {"maps": "worst"}}, "store.maps is 'worst', but .* 'none'"),
        ({"store": {"maps": "pooled"}}, "store.maps is 'pooled', but .* 'none'"),
    ],
)
def test_what_contradicts_it_is_an_error(given: dict[str, Any], message: str) -> None:
    """Whatever is read off a map; how a map would be made has no effect."""
    attribution = {"method": "none", **given.get("attribution", {})}
    with pytest.raises(ConfigError, match=message):
        Settings.parse({**given, "attribution": attribution})
    Settings.parse({"attribution": {"method": "none", "quadrature": "midpoint", "nodes": 1}})


def test_what_it_means_for_other_settings() -> None:
    """No maps are stored, no masks are made unless asked for, and a preset has no effect; the config is the same."""
    settings = Settings.parse({"attribution": {"method": "none", "preset": "published"}})
    assert (settings.store.maps, settings.samples.mask, settings.studies) == ("none", "none", ())
    assert (settings.attribution.preset, settings.attribution.epe_to, settings.attribution.beta) == (
        None,
        "truth",
        None,
    )
    assert Settings.parse(settings.as_config()) == settings
    asked = Settings.parse({"attribution": {"method": "none"}, "samples": {"mask": "joints"}, "store": {"maps": "all"}})
    assert (asked.samples.mask, asked.store.maps) == ("joints", "none")
    assert Settings.parse({}).store.maps == "all"


def test_settings_without_maps_keep_the_persons_and_the_decoding() -> None:
    """From any settings: what says which persons, and how a prediction is made, stays."""
    given = Settings.parse(
        {
            "attribution": {"preset": "published", "dtype": "float64", "output": "heatmaps", "signed": True},
            "indices": ["di"],
            "samples": {"limit": 5, "seed": 2, "split": "val", "batch_size": 3},
            "studies": ["sanity", {"type": "error_kinds", "sigma": 0.1}],
            "store": {"maps": "worst"},
            "plugins": ["a.py"],
        }
    )
    found = given.without_maps(["error_kinds", "groups"])
    assert not found.attribution.has_maps
    assert (found.attribution.dtype, found.attribution.output) == ("float64", "heatmaps")
    assert found.studies == (("error_kinds", {"sigma": 0.1}), ("groups", {}))
    assert (found.samples.limit, found.samples.seed, found.samples.split) == (5, 2, "val")
    assert (found.samples.batch_size, found.samples.mask, found.plugins) == (None, "none", ("a.py",))


def test_studies_that_need_maps_are_refused(tiny_files: tiny, tmp_path: Path) -> None:
    """Before a model is built; the others run."""
    studies = ["sanity", "error_kinds", "easy_hard", "groups", "inversion"]
    with pytest.raises(ConfigError, match=r"names sanity, easy_hard, which need maps, but .* 'none'"):
        session(tiny_files, tmp_path, {**NONE, "studies": studies})
    store = run(tiny_files, tmp_path, {**NONE, "studies": ["error_kinds", "groups", "inversion"]})
    assert not store.failures
    assert set(store.studies) >= {"error_kinds", "groups"}


def test_inversions_are_the_same_without_their_maps(tiny_files: tiny, tmp_path: Path) -> None:
    """Every pair is found; a contrastive map is not made, and the reason says so."""
    studies = {"studies": [{"type": "inversion", "epsilon": 25.0}]}
    with_maps = run(tiny_files, tmp_path / "maps", studies).study("inversion")
    without = run(tiny_files, tmp_path / "none", {**NONE, **studies})
    assert not without.failures
    rows, same = without.study("inversion"), ["sample_id", "joint", "other", "kind", "swap"]
    assert len(rows) > 0
    assert rows.select(same).rows() == with_maps.select(same).rows()
    assert set(rows["reason"]) == {"no_map"}
    assert rows["mass_wrong"].is_nan().all()
    assert not without.pictures("inversion")


def test_an_interrupted_run_goes_on(tiny_files: tiny, tmp_path: Path, store: Store) -> None:
    """With the same settings; a run of maps does not go on without them."""
    work_dir, one = tmp_path / "w", {**NONE, "samples": {"batch_size": 1}}

    def stop(progress: Any) -> None:
        if progress.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tiny_files, work_dir, one, on_progress=stop)
    assert 0 < len(Store(work_dir)) < 3
    with pytest.raises(Exception, match="attribution"):
        run(tiny_files, work_dir, resume=True)
    done = run(tiny_files, work_dir, one, resume=True)
    assert done.sample_ids == IDS
    assert done.joints()["epe"].to_list() == pytest.approx(store.joints()["epe"].to_list(), rel=1e-5, nan_ok=True)


def test_a_dry_run_tries_one_batch(tmp_path: Path, mmpose_ready: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the run itself computes them: up to 32 persons at once."""
    made = write_run(tmp_path / "files", {"attribution": {"method": "none"}, "indices": []})
    tried: list[Settings] = []

    def noted(*args: Any, settings: Settings, **options: Any) -> Session:
        tried.append(settings)
        return Session(*args, settings=settings, **options)

    monkeypatch.setattr("poseig_mm.run.dry_run.Session", noted)
    found = dry_run(load_config(made.config), str(made.weights), device="cpu", plugins=Plugins(entry_points=False))
    assert (found.persons, found.tried) == (3, 3)
    assert found.seconds > 0
    assert (tried[0].samples.limit, tried[0].samples.batch_size, tried[0].attribution.method) == (32, None, "none")


@pytest.mark.parametrize(("level", "shown"), [("stop", "warning"), ("warning", "ok"), ("ok", "ok")])
def test_no_decoding_that_no_map_explains_stops_it(
    tiny_files: tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: str, shown: str
) -> None:
    """`--check`: how the differentiable decoding agrees is told; nothing is written."""
    check = Check("agreement", level, "as it is found", "do this")  # type: ignore[arg-type]
    monkeypatch.setattr("poseig_mm.run.preflight.agreement_check", lambda *args, **options: check)
    for given, expected in ((NONE, shown), (None, level)):
        checks = {check.name: check for check in session(tiny_files, tmp_path / "w", given).check()}
        assert (checks["agreement"].level, checks["agreement"].found) == (expected, "as it is found")
    assert not (tmp_path / "w").exists()


def test_no_scale_is_made_for_a_likelihood_that_is_not_used() -> None:
    """In mm too, whose likelihood has none that a model without errors could give."""
    explainer: Any = SimpleNamespace(
        adapter=SimpleNamespace(unit="mm"), settings=Settings.parse({"attribution": {"method": "none"}}).attribution
    )
    persons: Any = [object()]
    assert scale_on(persons, explainer, None) == {}


@pytest.mark.parametrize(
    ("asked", "device", "maps", "expected"),
    [(None, "cpu", False, 32), (None, "cuda", False, 128), (4, "cuda", False, 4), (None, "cpu", True, 1)],
)
def test_batches_are_larger(tiny_files: tiny, asked: int | None, device: str, maps: bool, expected: int) -> None:
    """Unless a size is given."""
    adapter = load_adapter(str(tiny_files.config), tiny_files.weights)
    assert batch_size(asked, adapter, device, maps=maps) == expected
    adapter.one_image = True
    assert batch_size(None, adapter, device, maps=maps) == 1


def test_float64_is_measured_too(tiny_files: tiny, tmp_path: Path, store: Store) -> None:
    """The errors of the model in double precision."""
    double = run(tiny_files, tmp_path, {"attribution": {"method": "none", "dtype": "float64"}, "indices": []})
    assert visible(double)["epe"].to_list() == pytest.approx(visible(store)["epe"].to_list(), abs=1e-2)


def test_the_report_has_errors_and_says_once_that_there_are_no_maps(tiny_files: tiny, tmp_path: Path) -> None:
    """Tables of EPE by group and joint; no section, card, warning or empty table of what is read off maps."""
    studies = ["error_kinds", "groups", {"type": "inversion", "epsilon": 25.0}]
    store = run(tiny_files, tmp_path, {**NONE, "report": {"enabled": True}, "studies": studies})
    assert not store.failures
    page = (tmp_path / "report" / "index.html").read_text()
    sections = [
        "conclusions",
        "overview",
        "errors",
        "groups",
        "inversion",
        "error_kinds",
        "failures",
        "setup",
        "provenance",
    ]
    assert re.findall(r'<section[^>]* id="([^"]+)"', page) == sections
    text = re.sub(r"<[^>]+>|\s+", " ", page.partition('id="provenance"')[0])
    assert text.count("No maps were asked for") == 1
    for word in (
        "How trustworthy",
        "exp_l2",
        "No person has a mask",
        "contrastive",
        "RI ",
        "map error",
        "Indices of the joints",
        "no_map",
        "tolerance",
    ):
        assert word not in text, word
    for caption in ("Per group: mean", "Per joint: mean", "Inversions by pair", "Kinds by group", "OKS, and AP"):
        assert caption in text, caption
    group = store.joints().filter(pl.col("visible") & (pl.col("group") == "leaf"))["epe"].mean()
    assert f"{group:.2f}" in text
    assert not list((tmp_path / "report" / "assets").glob("gallery/*"))
