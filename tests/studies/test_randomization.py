"""The study of model randomisation: its stages, rows and strips, that it leaves no trace, and its section."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from study_toy import ToyContext, net, net_finding
from toy_context import toy_store

from poseig_mm.errors import ConfigError
from poseig_mm.functional.maps import person_of
from poseig_mm.functional.path_attribution import path_attribution
from poseig_mm.functional.quadrature import RULES
from poseig_mm.store.older_runs import filled_in
from poseig_mm.studies.choice import chosen_joints
from poseig_mm.studies.randomization.reinitialise import reinitialise
from poseig_mm.studies.randomization.similarity import rank_correlation
from poseig_mm.studies.randomization.study import QUADRATURES, Randomization
from poseig_mm.types import Section

FAST: dict[str, Any] = {"step": 2, "nodes": 3, "quadrature": "midpoint"}


def rows_of(study: Randomization, sample_id: str = "7-1") -> tuple[list[Mapping[str, Any]], ToyContext]:
    context = ToyContext(net())
    return list(study.sample_rows(net_finding(context, sample_id), context)), context


def weights(context: ToyContext) -> dict[str, bytes]:
    return {n: t.numpy().tobytes() for n, t in context.adapter.model.state_dict().items()}


def stages(rows: Sequence[Mapping[str, Any]]) -> list[tuple[int, int, int, str]]:
    return list(dict.fromkeys((r["stage"], r["first_layer"], r["layers"], r["last_layer"]) for r in rows))


def test_stages_go_from_the_output_to_the_input() -> None:
    """Every `step` layers, the last group being what is left; the other order the other way round."""
    rows, _ = rows_of(Randomization(**FAST))
    assert stages(rows) == [(0, 0, 0, ""), (1, 1, 2, "middle"), (2, 1, 3, "stem")]
    assert {r["total_layers"] for r in rows} == {3}
    rows, _ = rows_of(Randomization(**FAST, order="input"))
    assert stages(rows) == [(0, 0, 0, ""), (1, 1, 2, "middle"), (2, 1, 3, "last")]


def test_a_stage_has_the_numbers_of_the_randomised_model() -> None:
    """DI, EPE and rank correlation of stage 1 are those of a model re-initialised by hand."""
    rows, _ = rows_of(Randomization(**FAST))
    context = ToyContext(net())
    about = net_finding(context).sample
    arguments: dict[str, Any] = {"path": "linear", "quadrature": "midpoint", "nodes": 3}
    original = path_attribution(context.adapter.model, about.image[None], about.keypoints[None], **arguments)
    original = person_of(original, 0)
    for name in ("last", "middle"):
        reinitialise(context.adapter.model, name, context.seed)
    changed = path_attribution(context.adapter.model, about.image[None], about.keypoints[None], **arguments)
    changed = person_of(changed, 0)
    row = next(r for r in rows if r["stage"] == 1 and r["joint"] == 1)
    assert row["di"] == pytest.approx(float(context.indices(about, changed)["di"][1]))
    assert row["rank_correlation"] == pytest.approx(float(rank_correlation(original.maps, changed.maps)[1]))
    assert changed.soft_coords is not None
    assert row["epe_soft"] == pytest.approx(float((changed.soft_coords[1] - about.keypoints[1]).norm()))
    assert 0 < abs(row["rank_correlation"]) < 0.999


def test_stage_0_is_compared_with_the_runs_own_map() -> None:
    """The toy run has 4 nodes: the same quadrature gives 1, another one less."""
    same, _ = rows_of(Randomization(step=2, nodes=4, quadrature="midpoint"))
    other, _ = rows_of(Randomization(step=2, nodes=2, quadrature="midpoint"))
    first = [r["rank_correlation"] for r in same if r["stage"] == 0]
    assert first == pytest.approx([1.0, 1.0])
    assert all(r["rank_correlation"] < 1 - 1e-6 for r in other if r["stage"] == 0)


def test_independent_groups_start_from_the_original() -> None:
    """Stage 2 alone re-initialises `stem`: the others have their own weights again."""
    rows, _ = rows_of(Randomization(**FAST, independent=True))
    assert stages(rows) == [(0, 0, 0, ""), (1, 1, 2, "middle"), (2, 3, 3, "stem")]
    context = ToyContext(net())
    about = net_finding(context).sample
    reinitialise(context.adapter.model, "stem", context.seed)
    changed = context.attribute(about, quadrature="midpoint", nodes=3)
    row = next(r for r in rows if r["stage"] == 2 and r["joint"] == 0)
    assert row["di"] == pytest.approx(float(context.indices(about, changed)["di"][0]))


@pytest.mark.parametrize("independent", [False, True])
@pytest.mark.parametrize("error", [None, RuntimeError, KeyboardInterrupt])
def test_the_model_survives_the_study(
    error: type[BaseException] | None, independent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit, and the random state with it, also when a stage fails or the user stops the run."""
    context = ToyContext(net())
    found = net_finding(context)
    before, state, attribute = weights(context), torch.get_rng_state(), context.attribute
    changed: list[bool] = []

    def attribute_or_fail(*args: Any, **changes: Any) -> Any:
        changed.append(weights(context) != before)
        if error is not None and len(changed) == 3:
            raise error
        return attribute(*args, **changes)

    monkeypatch.setattr(context, "attribute", attribute_or_fail)
    study = Randomization(**FAST, independent=independent)
    if error is None:
        study.sample_rows(found, context)
    else:
        with pytest.raises(error):
            study.sample_rows(found, context)
    assert changed == [False, True, True]
    assert weights(context) == before
    assert torch.equal(torch.get_rng_state(), state)


def test_samples_take_part_by_their_id_alone() -> None:
    """crc32('a') is odd, crc32('b') too, crc32('c') even ...: every second takes part, the same whatever came
    before.
    """
    import zlib

    for sample_id in ("a", "b", "c", "7-1", "12-3"):
        rows, _ = rows_of(Randomization(**FAST, every=2), sample_id)
        assert bool(rows) == (zlib.crc32(sample_id.encode()) % 2 == 0)


def test_a_strip_shows_every_stage() -> None:
    """One picture a sample: three panels of 256 px and gaps; none with strips=0."""
    _, context = rows_of(Randomization(**FAST))
    ((stem, image),) = context.pictures.items()
    assert stem.startswith("7-1--")
    assert image.width == 3 * 256 + 2 * 6
    assert rows_of(Randomization(**FAST, strips=0))[1].pictures == {}


def test_a_joint_without_a_map_is_nan_with_a_reason() -> None:
    """A stage whose gradient vanishes; other numbers of that stage stay."""
    context = ToyContext(net(), lambda s, c: torch.stack([torch.full((24, 24), math.nan), torch.rand(24, 24)]))
    found = net_finding(context)
    rows = Randomization(**FAST).sample_rows(found, context)
    gone = [r for r in rows if r["joint"] == 0]
    assert len(gone) == 3
    assert all(math.isnan(r["ssim"]) and r["reason"].startswith("zero_map") for r in gone)
    assert all(math.isfinite(r["ssim"]) and not r["reason"] for r in rows if r["joint"] == 1)


@pytest.mark.parametrize(
    "settings",
    [
        {"order": "up"},
        {"step": 0},
        {"layers": "all"},
        {"nodes": 1.5},
        {"every": 0},
        {"quadrature": "simpson"},
        {"joints": 0},
        {"attribution": "slow"},
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any]) -> None:
    """With the setting's name."""
    with pytest.raises(ConfigError, match=next(iter(settings))):
        Randomization(**settings)


def test_the_quadratures_are_those_there_are() -> None:
    """The list that is checked without torch."""
    assert set(QUADRATURES) == {*RULES, "adaptive"}


# ---- the section -----------------------------------------------------------------------------------------------------


def section_of(rows: list[dict[str, Any]], run: dict[str, Any] | None = None) -> Section:
    store = toy_store("randomization", rows, run=filled_in(run or {}))
    section = Randomization().section(store)  # type: ignore[arg-type]
    assert section is not None
    return section


def table(
    persons: int, *, di: float, rank: float, layers: Sequence[int] = (0, 2, 3), response: float = 0.5
) -> list[dict[str, Any]]:
    """Made-up rows: DI changes by `di` from the first to the last stage, FI by the opposite of a tenth."""
    rows = []
    for i in range(persons):
        for s, last in enumerate(layers):
            share = s / (len(layers) - 1)
            jitter = 0.01 * math.sin(7 * i + s)
            rows.append({
                "sample_id": f"{i}-1", "joint": 0, "joint_name": "nose", "stage": s, "first_layer": min(s, 1),
                "layers": last, "total_layers": layers[-1], "last_layer": "x", "di": 20 + di * share + jitter,
                "fi": 2 - 0.1 * di * share + jitter, "li": 3.0 + jitter, "rank_correlation": rank + jitter,
                "ssim": 0.5 + jitter, "ssim_chance": 0.1, "epe_soft": 5.0, "unit": "px",
                "response": response if s else 1.0, "reason": "",
                "order": "output", "independent": False, "kind": "conv",
            })  # fmt: skip
    return rows


def lead(*args: Any, **settings: Any) -> str:
    return section_of(table(*args, **settings)).lead


def test_the_lead_says_which_way_the_indices_go() -> None:
    """Up and down as in the paper, or the other way, or no clear change."""
    assert "DI rises as in the paper; FI falls as in the paper." in lead(10, di=5.0, rank=0.2)
    assert "DI falls, the other way than in the paper; FI rises, the other way" in lead(10, di=-5.0, rank=0.2)
    assert "DI shows no clear change" in lead(10, di=0.0, rank=0.2)


def test_the_lead_says_whether_maps_change() -> None:
    """Rank correlation below or above one half, decided by its interval."""
    assert "change with the weights" in lead(10, di=5.0, rank=0.2)
    assert "stay much alike" in lead(10, di=5.0, rank=0.9)
    assert "do not decide" in lead(10, di=5.0, rank=0.5)


def test_a_model_that_no_longer_sees_the_image_is_said_so() -> None:
    """Its likelihood changes by less than a thousandth of what it did from baseline to image."""
    assert "hardly sees the image" in lead(8, di=5.0, rank=0.2, response=1e-6)
    assert "hardly sees the image" not in lead(8, di=5.0, rank=0.2, response=0.01)


def test_few_persons_are_not_tested() -> None:
    """Seven: the differences are shown, no direction is claimed."""
    text = lead(7, di=5.0, rank=0.2)
    assert "Too few persons" in text
    assert "rises" not in text


def test_published_figures_stand_beside_the_papers_model_alone() -> None:
    """SB-R50 on COCO with 54 layers in stages of nine; anything else has no such columns."""
    paper = {
        "dataset": {"name": "coco"},
        "model": {"adapter": "heatmap", "backbone": "ResNet", "random_weights": False},
    }
    nines = range(0, 55, 9)

    def columns(run: dict[str, Any], layers: Sequence[int] = nines) -> tuple[str, ...]:
        return section_of(table(8, di=5, rank=0.2, layers=layers), run).blocks[0].columns  # type: ignore[union-attr]

    assert columns(paper)[-2:] == ("DI, published", "FI, published")
    for other in (
        columns(paper, range(0, 51, 10)),
        columns({**paper, "dataset": {"name": "mpii"}}),
        columns({**paper, "model": {**paper["model"], "backbone": "HRNet"}}),
        columns({**paper, "model": {**paper["model"], "random_weights": True}}),
    ):
        assert not any("published" in c for c in other)


def test_a_whole_run_with_the_study(tiny_files: Any, tmp_path: Path) -> None:
    """Rows of every sample and visible joint; the run's own numbers are those of a run without it; a section with
    strips.
    """
    from tiny import run, tables

    plain = run(tiny_files, tmp_path / "plain")
    store = run(
        tiny_files, tmp_path / "work", {"studies": [{"type": "randomization", "step": 3, "attribution": "run"}]}
    )
    rows = store.study("randomization")
    assert store.failures == ()
    assert tables(store) == tables(plain)
    assert rows["sample_id"].n_unique() == 3
    first = rows.filter(pl.col("stage") == 0)
    assert first["rank_correlation"].to_list() == pytest.approx([1.0] * len(first), abs=1e-3)
    last = rows.filter(pl.col("stage") == rows["stage"].max())
    assert (last["layers"] == last["total_layers"]).all()
    assert last["rank_correlation"].max() < 0.999
    section = Randomization().section(store)
    assert section is not None
    assert len(section.blocks[-1].images) == 3  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("settings", "how"),
    [
        ({}, {"quadrature": "adaptive", "nodes": 8, "max_nodes": 8}),
        ({"quadrature": "midpoint", "nodes": 16}, {"quadrature": "midpoint", "nodes": 16}),
        ({"attribution": "run", "nodes": 16}, {}),
    ],
)
def test_maps_to_compare_are_quick_unless_told_otherwise(settings: dict[str, Any], how: dict[str, Any]) -> None:
    """One pass of 8 gradients; another rule; or the run's own settings."""
    context = ToyContext(net())
    found = net_finding(context)
    context.calls.clear()
    asked: list[dict[str, Any]] = []
    made = found.attribution
    context._maps = lambda _, changes: asked.append(changes) or made.maps  # type: ignore[func-returns-value]
    Randomization(step=2, **settings).sample_rows(found, context)
    assert len(asked) == 3  # stages
    names = list(context.groups.keypoint_names)
    assert all(changes == {"changed_model": True, "joints": names, **how} for changes in asked)


def test_some_joints_of_a_person_take_part() -> None:
    """As many as are asked for, the same at every stage; which, the person's name says."""
    rows, context = rows_of(Randomization(**FAST, joints=1))
    assert len(rows) == 3
    assert {r["joint"] for r in rows} == set(chosen_joints(net_finding(context), 1))
    other, _ = rows_of(Randomization(**FAST))
    assert {r["joint"] for r in other} == {0, 1}
