"""What a study is given of a run: its settings, its own way of making maps, a place for rows, pictures and a section.

One run of a plugin study (`ASK`) looks at everything while the run's model is at hand; the tests read what it noted.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from PIL import Image
from studies_of_a_plugin import PLUGIN
from tiny import IDS, run, session, tiny, write_plugin

from poseig_mm.errors import ConfigError
from poseig_mm.settings import Settings
from poseig_mm.store import Store
from poseig_mm.studies.base import StudyContext
from poseig_mm.types import Finding

Question = Callable[[Finding, StudyContext], Any]


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file with the studies above."""
    return str(write_plugin(tmp_path_factory.mktemp("plugin") / "asking.py", PLUGIN))


@pytest.fixture
def ask(tiny_files: tiny, tmp_path: Path, plugin: str) -> Callable[..., dict[str, Any]]:
    """`ask(question, settings)`: what a question put during a run answers, by sample; an error comes up here."""

    def put(question: Question, settings: dict[str, Any] | None = None, made: tiny = tiny_files) -> dict[str, Any]:
        found: dict[str, Any] = {}
        errors = []

        def noted(finding: Finding, context: StudyContext) -> None:
            try:
                found[finding.sample.sample_id] = question(finding, context)
            except Exception as error:
                errors.append(error)

        made_session = session(made, tmp_path / "w", {"studies": ["ask"], **(settings or {})}, plugins=[plugin])
        made_session.studies[0].questions = {"it": noted}  # type: ignore[attr-defined]
        made_session.run()
        if errors:
            raise errors[0]
        return found

    return put


def joints_with_a_map(finding: Finding) -> torch.Tensor:
    """(K,) bool."""
    return torch.tensor([not reason for reason in finding.attribution.reasons])


def distance(a: torch.Tensor, b: torch.Tensor) -> float:
    """Largest difference of two tensors that are NaN in the same places."""
    assert torch.equal(a.isnan(), b.isnan())
    return float((a - b).nan_to_num().abs().max())


# ---- settings --------------------------------------------------------------------------------------------------------


def test_settings_reach_the_study(tiny_files: tiny, tmp_path: Path, plugin: str) -> None:
    """`dict(type=..., times=2)` changes a field; a bare name leaves the default."""
    for studies, times in (([{"type": "counting", "times": 2}], 2), (["counting"], 5)):
        store = run(tiny_files, tmp_path / str(times), {"studies": studies}, plugins=[plugin])
        assert store.study("counting").filter(pl.col("sample_id") == "1-1")["i"].to_list() == list(range(times))


@pytest.mark.parametrize(
    ("studies", "message"),
    [
        ([{"type": "counting", "time": 2}], "study 'counting' has no setting 'time'; did you mean 'times'"),
        ([{"type": "plain", "time": 2}], "study 'plain' has no setting 'time'; it has none"),
        (["countin"], "'countin'.*did you mean 'counting'"),
    ],
)
def test_what_a_study_does_not_know(
    tiny_files: tiny, tmp_path: Path, plugin: str, studies: list[Any], message: str
) -> None:
    """An unknown study or setting is an error with the nearest name, before anything is written."""
    with pytest.raises(ConfigError, match=message):
        session(tiny_files, tmp_path / "w", {"studies": studies}, plugins=[plugin])
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize(
    ("studies", "message"),
    [
        (["a", {"type": "a", "times": 2}], "names 'a' twice"),
        ("counting", "studies is 'counting'; expected a list"),
        ({"type": "counting"}, "expected a list"),
        ([1], "holds 1; expected a name or dict"),
        ([{"times": 2}], "expected a name or dict"),
        ([{"type": 3}], "expected a name or dict"),
    ],
)
def test_studies_of_another_form(studies: Any, message: str) -> None:
    """`diagnosis.studies` is a list of names and dicts with a type, each study once."""
    with pytest.raises(ConfigError, match=message):
        Settings.parse({"studies": studies})


# ---- maps ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"attribution.compute": "fast", "samples.batch_size": 2}])
def test_the_maps_of_the_context_are_the_runs(ask: Callable[..., Any], settings: dict[str, Any]) -> None:
    """Nothing changed: the same maps, targets and reasons as in the finding, on whatever the run computes."""

    def compare(finding: Finding, context: StudyContext) -> tuple[float, bool]:
        found, own = context.attribute(finding.sample), finding.attribution
        assert found.maps.shape == own.maps.shape
        assert found.reasons == own.reasons
        assert distance(found.target_end, own.target_end) < 1e-5
        return distance(found.maps, own.maps), bool(joints_with_a_map(finding).any())

    answers = ask(compare, settings)
    assert list(answers) == list(IDS[:2])
    assert all(far < 1e-5 and any_map for far, any_map in answers.values())


def test_another_image_takes_the_place_of_the_samples(ask: Callable[..., Any]) -> None:
    """The map of a mirrored image differs; truth and visibility stay the sample's."""

    def compare(finding: Finding, context: StudyContext) -> Any:
        found = context.attribute(finding.sample, image=finding.sample.image.flip(-1))
        return distance(found.maps, finding.attribution.maps), found.reasons == finding.attribution.reasons

    assert all(far > 0.05 and same for far, same in ask(compare).values())


CHANGES: list[dict[str, Any]] = [
    {"method": "gradient"},
    {"path": "linear"},
    {"path": "linear", "path_settings": {"baseline": "white"}},
    {"reference": "left_shoulder"},
    {"contrast": "left_shoulder"},
    {"likelihood": "neg_squared_l2"},
    {"likelihood_settings": {"alpha": 0.9}},
    {"nodes": 5},
]


def test_a_change_by_name_changes_the_map(ask: Callable[..., Any]) -> None:
    """Each setting of `diagnosis.attribution` that makes another map does so here too, and only for this call."""

    def compare(finding: Finding, context: StudyContext) -> list[float]:
        k = int(joints_with_a_map(finding).nonzero()[-1])  # not left_shoulder, whose map a contrast with itself empties
        own = finding.attribution.maps[k]
        changed = [context.attribute(finding.sample, **changes).maps[k] for changes in CHANGES]
        return [*(distance(c, own) for c in changed), distance(context.attribute(finding.sample).maps[k], own)]

    for *far, back in ask(compare).values():
        assert [c for c, d in zip(CHANGES, far, strict=True) if d < 1e-3] == []
        assert back < 1e-5


def test_joints_by_name(ask: Callable[..., Any]) -> None:
    """Only the joint that is named has a map, and it is the run's."""

    def compare(finding: Finding, context: StudyContext) -> tuple[list[int], float]:
        found = context.attribute(finding.sample, joints=["left_shoulder"])
        there = [k for k, reason in enumerate(found.reasons) if not reason]
        return there, distance(found.maps[5], finding.attribution.maps[5])

    assert all(there == [5] and far < 1e-5 for there, far in ask(compare).values())


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"node": 3}, "diagnosis.attribution.node is unknown; did you mean 'nodes'"),
    ({"method": "gradien"}, "did you mean 'gradient'"),
    ({"path": "liner"}, "did you mean 'linear'"),
    ({"reference": "third_hand"}, "third_hand"),
    ({"joints": ["third_hand"]}, "third_hand"),
    ({"quadrature": "midpont"}, "did you mean 'midpoint'"),
    ({"nodes": 0}, "nodes is 0"),
    ({"nodes": "many"}, "nodes is 'many'"),
    ({"compute": "slow"}, "compute is 'slow'"),
    ({"path": "linear", "path_settings": {"base": "white"}}, "base"),
    ({"beta": 3.0}, "beta is the run's"),
    ({"dtype": "float64"}, "dtype is the run's"),
    ({"locality": "published"}, "locality is the run's"),
]


def test_a_change_that_the_settings_refuse(ask: Callable[..., Any]) -> None:
    """Misspelt, of another type or out of range: a ConfigError; so is what one call cannot change, never ignored."""

    def try_all(finding: Finding, context: StudyContext) -> int:
        for changes, message in REFUSED:
            with pytest.raises(ConfigError, match=message):
                context.attribute(finding.sample, **changes)
        return len(REFUSED)

    assert list(ask(try_all).values()) == [len(REFUSED)] * 2


def test_settings_of_another_path_or_likelihood_are_dropped(ask: Callable[..., Any]) -> None:
    """A run with the published preset: another path or alpha does not meet the preset's own path settings and alpha."""

    def compare(finding: Finding, context: StudyContext) -> list[float]:
        def target(**changes: Any) -> float:
            return float(context.attribute(finding.sample, nodes=2, **changes).target_end.nansum())

        context.attribute(finding.sample, nodes=2, path="linear")
        own = target(likelihood="exp_l2")
        return [target() - own, target(likelihood_settings={"alpha": 0.3 / 4}) - own,
                target(likelihood_settings={"alpha": 5.0}) - own, target(alpha_per_heatmap_px=20.0) - own]  # fmt: skip

    for same, alpha, larger, by_heatmap in ask(compare, {"attribution": {"preset": "published"}}).values():
        assert (same, alpha) == (0, pytest.approx(0, abs=1e-6))
        assert larger < -1e-6
        assert by_heatmap == pytest.approx(larger)


def test_a_baseline_given_as_a_tensor(ask: Callable[..., Any]) -> None:
    """Two images that print alike are two baselines."""

    def compare(finding: Finding, context: StudyContext) -> float:
        first = torch.zeros(3, 64, 64)
        second = first.clone()
        second[:, 30:34, 30:34] = 3.0  # where the printed form of a large tensor shows dots
        a, b = (
            context.attribute(finding.sample, path="linear", path_settings={"baseline": t}).maps
            for t in (first, second)
        )
        return distance(a, b)

    assert all(far > 1e-3 for far in ask(compare).values())


def test_a_changed_model(ask: Callable[..., Any]) -> None:
    """With `changed_model` the weights as they are now make the map; without, the copy of the run's beginning."""

    def compare(finding: Finding, context: StudyContext) -> tuple[float, float, float]:
        own = finding.attribution.maps
        weight = context.adapter.head.final_layer.weight
        kept = weight.detach().clone()
        with torch.no_grad():
            weight.copy_(kept.flip(0))  # the joints' channels in the reverse order
            changed = context.attribute(finding.sample, changed_model=True).maps  # gradients, whatever the block says
            copied = context.attribute(finding.sample).maps
            weight.copy_(kept)
        back = context.attribute(finding.sample, changed_model=True).maps
        return distance(changed, own), distance(copied, own), distance(back, own)

    for changed, copied, back in ask(compare, {"attribution.compute": "fast"}).values():
        assert changed > 0.05
        assert copied < 1e-5
        assert back < 0.02  # the model as it is, against its copy with batch norms folded


# ---- predictions and indices -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [2, 8])
def test_predictions_whatever_the_batch(ask: Callable[..., Any], chunk: int) -> None:
    """`predict` and `coordinates` give what the adapter gives one by one, on the CPU, without gradient."""

    def compare(finding: Finding, context: StudyContext) -> tuple[float, float]:
        image = finding.sample.image
        images = torch.stack([image, image.flip(-1), image.flip(-2), 0.5 * image, image])
        predicted, coords = context.predict(images), context.coordinates(images)
        one_by_one = torch.cat([context.adapter.predict(i[None]) for i in images])
        soft = torch.cat([context.adapter(i[None]).coords for i in images]).detach()
        assert not predicted.requires_grad
        assert not coords.requires_grad
        return distance(predicted, one_by_one), distance(coords, soft)

    for predicted, coords in ask(compare, {"attribution.chunk": chunk}).values():
        assert predicted < 1e-4
        assert coords < 0.02  # px; the rounding of a batch, through a soft-argmax of beta 160


@pytest.mark.parametrize("locality", ["exact", "published", "person"])
def test_the_indices_of_the_context_are_the_runs(ask: Callable[..., Any], locality: str) -> None:
    """Of the finding's own maps: every index by name, NaN where the run's is."""

    def compare(finding: Finding, context: StudyContext) -> dict[str, float]:
        found = context.indices(finding.sample, finding.attribution)
        assert found.keys() == finding.indices.keys()
        return {name: distance(value, finding.indices[name]) for name, value in found.items()}

    for answer in ask(compare, {"attribution.locality": locality}).values():
        assert answer.keys() == {"di", "fi", "li", "ri"}
        assert max(answer.values()) < 1e-5


# ---- rows, pictures, sections ----------------------------------------------------------------------------------------


def test_pictures_come_back_from_the_store(ask: Callable[..., Any], tmp_path: Path) -> None:
    """By study, sorted by name; one of the same name is replaced."""

    def save(finding: Finding, context: StudyContext) -> None:
        for study, stem, side in (("ask", "b", 4), ("ask", "a", 2), ("other", "c", 2), ("ask", "b", 6)):
            context.save_picture(study, stem, Image.new("RGBA", (side, 2)))

    ask(save)
    found = Store(tmp_path / "w").pictures("ask")
    assert [p.stem for p in found] == ["a", "b"]
    assert [Image.open(p).width for p in found] == [2, 6]
    assert Store(tmp_path / "w").pictures("nobody") == []


def test_sections_and_timings(tiny_files: tiny, tmp_path: Path, plugin: str) -> None:
    """A study's section is on the page; one that raises is a line among the failures; each has its seconds."""
    settings = {"studies": ["counting", "plain"], "report": {"enabled": True}}
    store = run(tiny_files, tmp_path / "w", settings, plugins=[plugin])
    page = (tmp_path / "w" / "report" / "index.html").read_text()
    assert "The study of counting" in page
    assert "16 rows were counted" in page
    assert "no section today" in page
    assert store.run["status"] == "complete"
    assert {"study counting", "study plain"} <= store.run["timings"].keys()
    assert store.run["timings"]["study counting"] > 0


def test_a_resumed_run_neither_loses_nor_repeats_rows(tiny_files: tiny, tmp_path: Path, plugin: str) -> None:
    """Interrupted after the first person, then after none: the table is that of an unbroken run."""
    settings = {"studies": [{"type": "counting", "times": 2}]}

    def stop(progress: Any) -> None:
        if progress.done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tiny_files, tmp_path / "w", settings, plugins=[plugin], on_progress=stop)
    assert Store(tmp_path / "w").study("counting").rows() == [("1-1", 0), ("1-1", 1)]
    run(tiny_files, tmp_path / "w", settings, plugins=[plugin], resume=True)
    store = run(tiny_files, tmp_path / "w", settings, plugins=[plugin], resume=True)
    whole = run(tiny_files, tmp_path / "whole", settings, plugins=[plugin])
    expected = [(i, j) for i in IDS for j in (0, 1)] + [("all", 3)]
    assert sorted(store.study("counting").rows()) == sorted(whole.study("counting").rows()) == sorted(expected)


def test_a_resumed_run_has_the_same_settings_of_studies(tiny_files: tiny, tmp_path: Path, plugin: str) -> None:
    """Rows of other settings are never put together."""
    run(tiny_files, tmp_path / "w", {"studies": [{"type": "counting", "times": 2}]}, plugins=[plugin])
    with pytest.raises(OSError, match="settings"):
        run(tiny_files, tmp_path / "w", {"studies": ["counting"]}, plugins=[plugin], resume=True)


@pytest.mark.parametrize("name", ["../x", "a/b", "..", "", "a\\b", "/tmp/x", ".hidden", "a\0b", "x" * 300])
def test_pictures_stay_in_their_folder(tmp_path: Path, name: str) -> None:
    """Neither the study's name nor the picture's leads elsewhere; nothing is written."""
    from types import SimpleNamespace

    from poseig_mm.errors import StoreError
    from poseig_mm.run.context import RunContext

    context: Any = SimpleNamespace(pictures=tmp_path / "w" / "pictures")
    for study, stem in (("s", name), (name, "p")):
        with pytest.raises(StoreError, match="plain file name"):
            RunContext.save_picture(context, study, stem, Image.new("RGB", (1, 1)))
    assert not list(tmp_path.rglob("*.jpg"))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "w" / "pictures").mkdir(parents=True)
    (tmp_path / "w" / "pictures" / "s").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="leads out"):
        RunContext.save_picture(context, "s", "p", Image.new("RGB", (1, 1)))
