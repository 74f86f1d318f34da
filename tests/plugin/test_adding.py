"""What a plugin has to write to add something: one file, which these tests write, load and run on the tiny run."""

from __future__ import annotations

import ast
import contextlib
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from tiny import ROOT, run, write_run

from poseig_mm import cli
from poseig_mm.comparison import comparison_sections, open_runs
from poseig_mm.errors import ConfigError
from poseig_mm.plotting.intervals import Panel, interval_panels
from poseig_mm.plugin.manager import BUILTINS, PluginHost
from poseig_mm.report.index_section import indices_section
from poseig_mm.store import Store
from poseig_mm.summary.measures import measures
from poseig_mm.types import Picture, Section, Table

INDEX = '''
from poseig_mm import hookimpl
from poseig_mm.indices import Index


class UpperHalf(Index):
    """Share of a joint's map in the upper half of the input."""

    name, title, unit, range = "upper", "Upper half", "%", (0.0, 100.0)
    meaning = "upper half: 50 no preference"
    neutral = 50.0

    def __call__(self, inputs):
        maps = inputs.maps
        return 100 * maps[..., : maps.shape[-2] // 2, :].sum((-2, -1)) / maps.sum((-2, -1))


@hookimpl
def poseig_indices():
    return [UpperHalf()]
'''
STUDY = '''
from dataclasses import dataclass
from typing import ClassVar

from matplotlib.figure import Figure

from poseig_mm import Section, hookimpl
from poseig_mm.studies import Study
from poseig_mm.types import Picture, Table


@dataclass(frozen=True)
class Shift(Study):
    """How far the prediction follows when the image goes to the right."""

    name: ClassVar[str] = "shift"
    px: int = 8

    def sample_rows(self, finding, context):
        moved = context.predict(finding.sample.image.roll(self.px, dims=-1)[None])[0]
        step = (moved - finding.prediction.cpu())[:, 0].tolist()
        visible = finding.sample.visible.nonzero().flatten().tolist()
        return [{"sample_id": finding.sample.sample_id, "joint": k, "step": step[k]} for k in visible]

    def section(self, store):
        rows = store.study(self.name)
        figure = Figure()
        figure.add_subplot().hist(rows["step"])
        mean = Table("Mean step.", ("joints", "step (px)"), ((len(rows), rows["step"].mean()),))
        return Section(self.name, "Does it follow?", blocks=(mean, Picture("steps", "Steps.", figure)))


@hookimpl
def poseig_studies():
    return [Shift()]
'''
ADAPTER = '''
from mmengine.structures import InstanceData
from mmpose.models.heads import BaseHead
from mmpose.registry import MODELS
import torch

from poseig_mm import hookimpl
from poseig_mm.adapters.base import CoordinateAdapter
from poseig_mm.types import Coordinates


@MODELS.register_module()
class MeanHead(BaseHead):
    """Joint k lies where channel k has its mean, on the diagonal of the input."""

    def __init__(self):
        super().__init__()
        self.input_size, self.num_joints = (64, 64), 17
        self.mix = torch.nn.Conv2d(8, 17, 1)

    def forward(self, feats):
        return 64 * self.mix(feats[-1]).mean((-2, -1)).sigmoid()[..., None].expand(-1, -1, 2)  # (B, K, 2) input px

    def predict(self, feats, batch_data_samples, test_cfg=None):
        return [InstanceData(keypoints=k[None].numpy()) for k in self.forward(feats).detach()]

    def loss(self, *args, **kwargs):
        raise NotImplementedError


class MeanAdapter(CoordinateAdapter):
    name, head_types = "mean", ("MeanHead",)

    def decode(self, output):
        return Coordinates(output)


@hookimpl
def poseig_register_adapters():
    return [MeanAdapter]
'''
RUNS = ("one", "other")


@pytest.fixture(scope="module")
def index_plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of a tiny model with an index of a plugin of one file, `one` and `other`, each with what the terminal
    showed.
    """
    folder = tmp_path_factory.mktemp("index")
    (folder / "upper.py").write_text(INDEX)
    made = write_run(folder / "data", {"indices": ["fi", "upper"], "report": {"enabled": True}})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "200")
        for name in RUNS:
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                arguments = [made.config, made.weights, "--work-dir", folder / name, "-p", folder / "upper.py"]
                assert cli.main([*map(str, arguments), "--device", "cpu"]) == 0
            (folder / f"{name}.txt").write_text(said.getvalue())
    return folder


def dashed_lines(sections: list[Section], title: str) -> list[float]:
    """Where panels called `title` have their line of no preference, over all figures of the sections."""
    places = []
    for section in sections:
        for block in section.blocks:
            if isinstance(block, Picture) and not isinstance(block.figure, Path):
                for axis in block.figure.axes:
                    lines = [line for line in axis.lines if line.get_color() == "#444"]
                    if title == axis.get_title(loc="left"):
                        ends = [np.ravel(line.get_data()).tolist() for line in lines]
                        places += [x if x == x2 else y for x, x2, y, _ in ends]
    return places


def test_an_index_of_a_plugin_is_a_column(index_plugin: Path) -> None:
    """With its numbers, and what it says of itself in run.json."""
    store = Store(index_plugin / "one")
    values = store.joints()["upper"].drop_nans()
    assert len(values) == 10  # the visible joints of the tiny run
    assert values.is_between(0, 100).all()
    (about,) = [about for about in store.run["indices"] if about["name"] == "upper"]
    assert about["meaning"] == "upper half: 50 no preference"
    assert (about["title"], about["unit"], about["neutral"], about["kind"]) == ("Upper half", "%", 50.0, "joint")


def test_an_index_of_a_plugin_is_on_the_page_as_fi_is(index_plugin: Path) -> None:
    """The same cards, tables and lines of no preference."""
    store = Store(index_plugin / "one")
    found = {m.name: m for m in measures(store, store.joints())}
    assert list(found) == ["epe", "fi", "upper"]
    assert (found["upper"].meaning, found["upper"].neutral) == ("upper half: 50 no preference", 50.0)
    sections = [indices_section(store)]
    assert dashed_lines(sections, "FI") == [1.0, 1.0]
    assert dashed_lines(sections, "Upper half (%)") == [50.0, 50.0]
    page = (index_plugin / "one" / "report" / "index.html").read_text()
    heads = [len(re.findall(rf">{re.escape(title)}</th>", page)) for title in ("FI", "Upper half (%)")]
    assert heads == [2, 2]  # per group, and per joint
    assert "upper half: 50 no preference" in page
    assert "foreground: 1 no preference" in page


def test_an_index_of_a_plugin_is_in_the_terminal_as_fi_is(index_plugin: Path) -> None:
    """A column of the summary, with its unit."""
    said = (index_plugin / "one.txt").read_text()
    (head,) = [line for line in said.splitlines() if "group" in line]
    columns = [cell.strip() for cell in re.split("[┃│|]", head) if cell.strip()]
    assert columns == ["group", "EPE (px)", "FI", "Upper half (%)", "residual", "map error"]


def test_an_index_of_a_plugin_is_compared_as_fi_is(
    index_plugin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the tables of two runs, and with its line of no preference (drawn where it is near the means)."""
    references: dict[str, set[float | None]] = {}

    def drawn(panels: list[Panel], *rest: Any) -> Figure:
        for panel in panels:
            references.setdefault(panel.title, set()).add(panel.reference)
        return interval_panels(panels, *rest)

    monkeypatch.setattr("poseig_mm.comparison.difference_tables.interval_panels", drawn)
    sections = comparison_sections(open_runs([index_plugin / name for name in RUNS]), tmp_path)
    assert 1.0 in references["FI"]
    assert 50.0 in references["Upper half (%)"]
    rows = [row[0] for s in sections for table in s.blocks if isinstance(table, Table) for row in table.rows]
    assert 0 < rows.count("FI") == rows.count("Upper half (%)")


def test_a_study_with_a_figure(tmp_path: Path) -> None:
    """One file: its table, its section on the page and its figure for papers."""
    (tmp_path / "shift.py").write_text(STUDY)
    asked = {"plugins": [str(tmp_path / "shift.py")], "studies": [{"type": "shift", "px": 4}]}
    store = run(write_run(tmp_path / "data", {**asked, "report": {"enabled": True}}), tmp_path / "w")
    assert store.failures == ()
    steps = store.study("shift")["step"]
    assert len(steps) == int(store.joints()["visible"].sum())
    assert steps.abs().max() > 0
    page = (tmp_path / "w" / "report" / "index.html").read_text()
    assert "Does it follow?" in page
    assert f"{steps.mean():.2f}".replace("-", "\u2212") in page
    for file in ("figures/shift-steps.pdf", "report/assets/figures/shift-steps.svg"):
        assert (tmp_path / "w" / file).stat().st_size > 1000


def test_a_head_adapter(tmp_path: Path) -> None:
    """One file: a head of one's own, and the adapter that makes it explainable."""
    (tmp_path / "mean_head.py").write_text(ADAPTER)
    made = write_run(tmp_path / "data", {"plugins": [str(tmp_path / "mean_head.py")]})
    with made.config.open("a") as file:
        file.write("model['head'] = dict(type='MeanHead')\n")
    made.weights = None  # type: ignore[assignment]  # they are another head's; it runs with random ones
    store = run(made, tmp_path / "w")
    assert store.failures == ()
    assert (store.run["model"]["adapter"], store.run["agreement"]["mean_distance"]) == ("mean", 0.0)
    joints = store.joints().filter("visible")
    assert joints["pred_x"].to_list() == joints["pred_y"].to_list()
    assert joints["epe"].to_list() == pytest.approx(joints["epe_soft"].to_list())
    assert joints["di"].is_between(0, 100).all()


def test_an_attribution_method_with_a_setting(tmp_path: Path) -> None:
    """One file, the one of docs/plugins.md; its setting arrives, and a misspelt one is an error."""
    page = (ROOT / "docs" / "plugins.md").read_text()
    body = page.split("<!-- file: blurred_gradient.py -->\n```python\n")[1].split("```")[0]
    (tmp_path / "blurred_gradient.py").write_text(body)
    made = write_run(tmp_path / "data", {"plugins": [str(tmp_path / "blurred_gradient.py")]})
    maps = {}
    for name, settings in {"plain": {"width": 1}, "wide": {"width": 5}}.items():
        asked = {"attribution.method": "blurred_gradient", "attribution.method_settings": settings}
        store = run(made, tmp_path / name, asked)
        assert store.failures == ()
        maps[name] = np.nan_to_num(store.map("1-1"))
    gradient = np.nan_to_num(run(made, tmp_path / "gradient", {"attribution.method": "gradient"}).map("1-1"))
    assert np.allclose(maps["plain"], gradient, atol=1e-3)
    assert np.abs(np.diff(maps["wide"])).mean() < 0.5 * np.abs(np.diff(gradient)).mean()
    with pytest.raises(ConfigError, match="widht"):
        run(made, tmp_path / "misspelt", {**asked, "attribution.method_settings": {"widht": 5}})


# A built-in is its own file and a line of its room's plugin.py: no other room knows it by name.  What is left:
KNOWN_ELSEWHERE = {
    "store/older_runs.py": "what runs of before did not say of themselves",
    "studies/published_indices.py": "numbers of the paper",
    "studies/groups/section.py": "numbers of the paper",
    "studies/randomization/section.py": "numbers of the paper",
    "studies/inversion/rows.py": "a study of this one index",
    "studies/inversion/pull_tables.py": "a study of this one index",
    "studies/baselines/rows.py": "a column of its own",
    "studies/baselines/section.py": "a column of its own",
    "studies/published_procedure/section.py": "numbers of the paper",
    "summary/padding.py": "FI over the image beside fi_input, which is one of every run",
}


def strings(path: Path) -> set[str]:
    """The string constants of a module."""
    nodes = ast.walk(ast.parse(path.read_text()))
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def test_a_built_in_index_is_known_to_its_own_room_alone() -> None:
    """So adding one touches its file and indices/plugin.py; each exception is still one."""
    names = set(PluginHost(entry_points=False).catalog.indices)
    package = ROOT / "poseig_mm"
    knowing = {str(path.relative_to(package)) for path in package.rglob("*.py") if strings(path) & names}
    assert {path for path in knowing if not path.startswith("indices/")} == set(KNOWN_ELSEWHERE)


def test_a_built_in_study_is_known_to_its_own_room_alone() -> None:
    """As above; 'groups' is also what the groups of joints are called in run.json and in figures, and the preset
    'published' switches a study of its own on.
    """
    names = set(PluginHost(entry_points=False).catalog.studies) - {"groups", "published_procedure"}
    package = ROOT / "poseig_mm"
    knowing = {path.relative_to(package).parts[0] for path in package.rglob("*.py") if strings(path) & names}
    assert knowing == {"studies"}


@pytest.mark.parametrize("room", ["adapters", "attribution", "indices", "studies", "treatments", "report"])
def test_built_ins_are_imported_by_their_room_alone(room: str) -> None:
    """The host knows a room by one dotted name, and its modules by no name."""
    assert f"poseig_mm.{room}.plugin" in BUILTINS
    host = [path for path in (ROOT / "poseig_mm" / "plugin").glob("*.py")]
    names = {name for path in host for name in strings(path) if name.startswith(f"poseig_mm.{room}.")}
    assert names == {f"poseig_mm.{room}.plugin"}
