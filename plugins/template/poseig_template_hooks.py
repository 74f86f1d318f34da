"""An example of each hook that no built-in implements; nothing loads it by itself.

`-p plugins/template/poseig_template_hooks.py` takes the functions below, `-p ...:Watch` the class.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poseig_mm import hookimpl
from poseig_mm.types import JointGroups

if TYPE_CHECKING:
    from mmengine.config import Config

    from poseig_mm.types import Sample

PARTS = ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
PARENTS = (-1, 0, 0, 1, 2, -1, -1, 5, 6, 7, 8, -1, -1, 11, 12, 13, 14)
HEAD_ARMS_LEGS = JointGroups(
    keypoint_names=("nose", *(f"{side}_{part}" for part in PARTS for side in ("left", "right"))),
    group_of=("head",) * 5 + ("arm",) * 6 + ("leg",) * 6,
    parent_of=PARENTS,
    flip_pairs=tuple((k, k + 1) for k in range(1, 17, 2)),
    skeleton=tuple((k, parent) for k, parent in enumerate(PARENTS) if parent >= 0),
)


@hookimpl
def poseig_datasets() -> dict[str, JointGroups]:
    """COCO's joints in other groups than the paper's trunk, branch and leaf."""
    return {"coco": HEAD_ARMS_LEGS}


@hookimpl
def poseig_select_adapter(model: Any) -> str | None:
    """A head may say itself which adapter it needs; others are left to their class."""
    return getattr(model.head, "poseig_adapter", None)


class Watch:
    """Writes down, while a run goes on, who is far off: one line a person and failure, in `watch.txt`."""

    def __init__(self) -> None:
        self.file: Path | None = None  # until a run begins

    @hookimpl
    def poseig_add_cli(self, parser: ArgumentParser) -> None:
        parser.add_argument("--watch", type=float, default=10.0, help="px beyond which a joint's map is far off")

    @hookimpl
    def poseig_session_start(self, config: Config, run_dir: Path) -> None:
        self.file = run_dir / "watch.txt"
        self.file.write_text(f"far: more than {config.cli_options.watch:g} px\n")

    @hookimpl
    def poseig_after_sample(self, sample: Sample, indices: Mapping[str, Any], config: Config) -> None:
        far = int((indices["ci"] > config.cli_options.watch).sum())  # (K,), NaN where there is no map
        self._note(f"{sample.sample_id}: {far} joints far")

    @hookimpl
    def poseig_on_error(self, error: BaseException, stage: str, plugin_name: str) -> None:
        self._note(f"{plugin_name} failed at {stage}: {error}")

    def _note(self, line: str) -> None:
        if self.file is not None:
            with self.file.open("a") as file:
                file.write(f"{line}\n")
