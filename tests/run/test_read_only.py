"""What plugins may only look at is as it was afterwards, whatever they do to it, and the one that did it is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import session, tables, tiny, write_plugin

from poseig_mm.errors import PluginError
from poseig_mm.indices.base import IndexInputs, compute_indices
from poseig_mm.indices.builtin import DiffusionIndex, ForegroundIndex
from poseig_mm.store import Store

WRITES = {
    "maps": "inputs.maps.zero_()",
    "maps by .data": "inputs.maps.data[:] = 5",
    "maps by numpy": "inputs.maps.numpy()[:] = 5",
    "maps as NaN": "inputs.maps.fill_(float('nan'))",
    "mask": "inputs.mask.fill_(True)",
    "keypoints": "inputs.keypoints.add_(3)",
    "prediction": "inputs.prediction.mul_(0)",
    "heatmaps": "inputs.heatmaps[0, 0, 0, 0] = 9",
    "visible": "inputs.visible.logical_not_()",
    "a field": "object.__setattr__(inputs, 'maps', inputs.maps * 0)",
    "the memory": "inputs.maps.data = inputs.maps.data * 0",
    "and raises": "inputs.maps.zero_(); raise ValueError('boom')",
    "and exits": "inputs.maps.zero_(); raise SystemExit(0)",
}


def _inputs() -> IndexInputs:
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(2, 3, 8, 6, generator=generator)
    points = torch.rand(2, 3, 2, generator=generator) * 5
    mask = torch.rand(2, 1, 8, 6, generator=generator) > 0.5
    heatmaps = torch.rand(1, 3, 8, 6, generator=generator).expand(2, -1, -1, -1)
    return IndexInputs(maps, torch.ones(2, 3).bool(), points, points.clone(), mask, None, heatmaps, points.clone())


class Writing(DiffusionIndex):
    """A plugin's, since it is not of this package."""

    name = "writing"

    def __init__(self, body: str) -> None:
        self.body = body

    def __call__(self, inputs: IndexInputs) -> torch.Tensor:
        exec(self.body, {"inputs": inputs})
        return torch.zeros(2, 3)


@pytest.mark.parametrize("how", WRITES)
def test_an_index_that_writes_fails_and_changes_nothing(how: str) -> None:
    """Indices after it see what those before it saw; the inputs are bit for bit as they were."""
    inputs, plain, reasons, errors = _inputs(), _inputs(), [[""] * 3] * 2, dict[str, BaseException]()
    values, codes = compute_indices(
        [Writing(WRITES[how]), DiffusionIndex(), ForegroundIndex()], inputs, reasons, on_error=errors.__setitem__
    )
    expected, _ = compute_indices([DiffusionIndex(), ForegroundIndex()], plain, reasons)
    for name, value in expected.items():
        assert torch.equal(values[name], value), name
    for name, value in vars(plain).items():
        now = getattr(inputs, name)
        assert now is value is None or torch.equal(now, value), name
    assert values["writing"].isnan().all()
    assert codes[0][0] == "writing_failed"
    if not how.startswith("and"):
        assert isinstance(errors["writing"], PluginError)
        assert "which it may only read" in str(errors["writing"])


OBSERVER = """
from poseig_mm import hookimpl

@hookimpl
def poseig_after_sample(sample, attribution, indices, config):
    {body}
"""
LOOKS = {
    "maps": "attribution.maps.zero_()",
    "maps by numpy": "attribution.maps.numpy()[...] = 5",
    "image": "sample.image.data.mul_(0)",
    "mask": "sample.mask.fill_(True)",
    "display": "sample.display[:] = 0",
    "display unlocked": "sample.display.setflags(write=True); sample.display[:] = 0",
    "warp unlocked": "sample.inverse_warp.setflags(write=True); sample.inverse_warp[:] = 0",
    "an index": "indices['di'].zero_()",
    "a new key": "indices['mine'] = indices['di']",
    "a key less": "del indices['di']",
    "a field": "object.__setattr__(attribution, 'maps', attribution.maps * 0)",
    "a field of the sample": "vars(sample)['keypoints'] = sample.keypoints * 0",
    "extra": "sample.extra['x'] = 1",
    "truth": "sample.keypoints.fill_(0)",
}


@pytest.fixture(scope="module")
def plain(tiny_files: tiny, tmp_path_factory: pytest.TempPathFactory) -> Store:
    return session(tiny_files, tmp_path_factory.mktemp("plain") / "w").run()


def _same(run: Store, plain: Store) -> None:
    assert tables(run) == tables(plain)
    for sample_id in plain.sample_ids:
        np.testing.assert_array_equal(run.map(sample_id), plain.map(sample_id))
        np.testing.assert_array_equal(run.display(sample_id), plain.display(sample_id))


@pytest.mark.parametrize("how", LOOKS)
def test_an_observer_that_writes_is_named_and_changes_nothing(
    tiny_files: tiny, tmp_path: Path, plain: Store, how: str
) -> None:
    """Tables, maps and pictures are those of a run without it."""
    path = write_plugin(tmp_path / "watcher.py", OBSERVER.format(body=LOOKS[how]))
    run = session(tiny_files, tmp_path / "w", plugins=[str(path)]).run()
    _same(run, plain)
    assert {(f.plugin, f.stage) for f in run.failures} == {("watcher", "after_sample")}


def test_a_study_that_writes_is_named_and_changes_nothing(tiny_files: tiny, tmp_path: Path, plain: Store) -> None:
    """The study before it and the store see what was there."""
    text = """
    from poseig_mm import hookimpl
    from poseig_mm.studies.base import Study

    class Greedy(Study):
        name = "greedy"
        title = "Greedy"

        def sample_rows(self, finding, context):
            finding.attribution.maps.zero_()
            finding.sample.keypoints.zero_()
            return [{"sample_id": finding.sample.sample_id, "x": 1}]

    @hookimpl
    def poseig_studies():
        return [Greedy()]
    """
    import textwrap

    path = write_plugin(tmp_path / "greedy_plugin.py", textwrap.dedent(text))
    run = session(tiny_files, tmp_path / "w", {"studies": ["greedy"]}, plugins=[str(path)]).run()
    _same(run, plain)
    assert {(f.plugin, f.stage) for f in run.failures} == {("greedy", "study")}
