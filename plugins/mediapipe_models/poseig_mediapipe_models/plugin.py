"""What this distribution gives to poseig_mm: the adapter of the hand in space, and a record of which weights a run
used.

The models themselves reach MMPose by the config's `custom_imports`; built-in adapters fit their heads, but for the hand
in space, whose adapter is here.  And a run
without a checkpoint file has nothing that says where its weights came from: that is written beside the run and shown.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poseig_mm.markers import hookimpl
from poseig_mm.types import Section, Table

if TYPE_CHECKING:
    from mmengine.config import Config

    from poseig_mm.adapters.base import CoordinateAdapter
    from poseig_mm.store.reader import Store

__all__ = ["PROVENANCE_FILE", "poseig_register_adapters", "poseig_report_sections", "poseig_session_start"]

PROVENANCE_FILE = "mediapipe_models.json"
NETWORK_OF = {"BlazePoseBackbone": "pose_full", "BlazeHandBackbone": "hand_full"}


@hookimpl
def poseig_register_adapters() -> Sequence[type[CoordinateAdapter]]:
    """For `BlazeHandWorldHead`."""
    from .world import BlazeHandWorldAdapter

    return (BlazeHandWorldAdapter,)


@hookimpl
def poseig_session_start(config: Config, run_dir: Path) -> None:
    """Where the model's backbone is one of ours: write file, SHA-256, wheel version and licence into the work dir."""
    from .wheel import provenance

    backbone: dict[str, Any] = (config.get("model") or {}).get("backbone") or {}
    kind = str(backbone.get("type", "")).rpartition(".")[2]
    if kind not in NETWORK_OF:
        return
    network = backbone.get("network") or NETWORK_OF[kind]
    record = provenance(network, backbone.get("weights", "mediapipe"))
    (Path(run_dir) / PROVENANCE_FILE).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


@hookimpl
def poseig_report_sections(store: Store) -> Sequence[Section]:
    """The same record as a table in the report."""
    path = Path(store.path) / PROVENANCE_FILE
    if not path.is_file():
        return ()
    record: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    table = Table("Where the weights came from", ("", "value"), tuple(record.items()))
    lead = "The model's weights were read from a file of the mediapipe wheel when the model was built; no checkpoint."
    return (Section("mediapipe_models", "Weights of MediaPipe's network", lead, (table,), order=960),)
