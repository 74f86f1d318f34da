"""Each hook is implemented somewhere in this repository, and does in a run what its page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tiny import ROOT, write_run

from poseig_mm import cli, hookimpl, load_adapter
from poseig_mm.plugin.manager import PluginHost
from poseig_mm.plugin.registry import HOOKS
from poseig_mm.store import Store

TEMPLATE = ROOT / "plugins" / "template" / "poseig_template.py"
EXAMPLES = ROOT / "plugins" / "template" / "poseig_template_hooks.py"


def proofs() -> dict[str, tuple[str, str]]:
    """Hook -> (file that implements it, file that runs it), as docs/plugins.md has them."""
    page = (ROOT / "docs" / "plugins.md").read_text()
    rows = re.findall(r"^\| `(poseig_\w+)` \|.*\| `([\w/.]+)` \| `([\w/.]+)` \|$", page, re.MULTILINE)
    return {hook: (example, test) for hook, example, test in rows}


def test_every_hook_has_an_example_and_a_run() -> None:
    """The table of the guide has them all, in the order of specs.py."""
    assert list(proofs()) == list(HOOKS)


@pytest.mark.parametrize("hook", HOOKS)
def test_the_example_is_one(hook: str) -> None:
    """It implements the hook, and the test is there."""
    example, test = proofs()[hook]
    assert f"def {hook}(" in (ROOT / example).read_text()
    assert (ROOT / test).exists()


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The work dir of a run with the template and the examples, and with a plugin that fails at the second person."""
    folder = tmp_path_factory.mktemp("watched")
    broken = "from poseig_mm import hookimpl\n\n\n@hookimpl\ndef poseig_after_sample(sample):\n"
    (folder / "broken.py").write_text(f"{broken}    if sample.sample_id == '1-2':\n        raise ValueError('no')\n")
    made = write_run(folder / "data", {"indices": ["ci"]})
    plugins = [option for p in (TEMPLATE, EXAMPLES, f"{EXAMPLES}:Watch", folder / "broken.py") for option in ("-p", p)]
    arguments = [made.config, made.weights, "--work-dir", folder / "w", "--device", "cpu", "--watch", "2.5", *plugins]
    with pytest.MonkeyPatch.context() as patch:  # an older environment may still have the template installed
        patch.setattr("poseig_mm.plugin.registry.entry_points", lambda group: ())
        assert cli.main([*map(str, arguments)]) == 0
    return folder / "w"


def test_observers_see_the_options_the_start_each_sample_and_each_failure(watched: Path) -> None:
    """`poseig_add_cli`, `poseig_session_start`, `poseig_after_sample` and `poseig_on_error` of one plugin."""
    head, *lines = (watched / "watch.txt").read_text().splitlines()
    assert head == "far: more than 2.5 px"
    joints = Store(watched).joints()
    far = {i: int((rows["ci"].fill_nan(None) > 2.5).sum()) for (i,), rows in joints.group_by("sample_id")}
    assert sum(far.values()) > 0
    assert sorted(line for line in lines if "far" in line) == sorted(f"{i}: {n} joints far" for i, n in far.items())
    assert [line for line in lines if "far" not in line] == ["broken failed at after_sample: no"]


def test_groups_of_a_plugin_are_the_runs(watched: Path) -> None:
    """`poseig_datasets`: in the table, and in run.json."""
    store = Store(watched)
    assert set(store.joints()["group"]) == {"head", "arm", "leg"}
    assert store.groups is not None
    assert store.groups.parent_of[9] == 7


def test_a_head_may_name_its_adapter(tmp_path: Path) -> None:
    """`poseig_select_adapter`: the adapter that `head.poseig_adapter` names, else that of the head's class."""
    from poseig_mm.adapters.build_model import build_model
    from poseig_mm.adapters.heatmap import HeatmapAdapter

    class Other(HeatmapAdapter):
        name, head_types = "other", ("NobodysHead",)

    class Plugin:
        @hookimpl
        def poseig_register_adapters(self) -> list[Any]:
            return [Other]

    model = build_model(str(write_run(tmp_path).config))
    host = PluginHost(entry_points=False, plugins=[str(EXAMPLES), Plugin])
    assert load_adapter(model, host=host).name == "heatmap"
    model.head.poseig_adapter = "other"
    assert load_adapter(model, host=host).name == "other"
