"""Write figures to disk in the COCO form: python -m poseig_synthetic_figures.export OUT_DIR --variant marker --length
500

OUT_DIR/images/*.png and OUT_DIR/annotations.json, which MMPose's stock `CocoDataset` reads back:

    dataset=dict(type="CocoDataset", data_root="OUT_DIR/", ann_file="annotations.json", data_prefix=dict(img="images/"))

Each annotation also has `evidence`, the pixels that carry the planted evidence, as run lengths (null where nothing
does), `variant`, and `back`.  Every file is written under another name first; a run that was stopped goes on where it
was.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poseig_mm.errors import ConfigError, PoseIGError
from poseig_mm.store.atomic import make_dir, publish

from . import __version__
from .planting import VARIANTS
from .pose import JOINTS
from .scene import IMAGE_SIZE

if TYPE_CHECKING:
    from .datasets import SyntheticFiguresDataset

__all__ = ["export", "main"]

SETTINGS = "export.json"  # in OUT_DIR: what is written there


def export(dataset: SyntheticFiguresDataset, out: Path, progress: Callable[[int], None] = lambda done: None) -> Path:
    """Write a data set's pictures, then their annotations; returns the annotation file.

    Args:
        dataset: its pipeline is not used.
        out: a new folder, or one that an earlier call with the same settings has left.
        progress: called with the number of pictures that are there.

    Raises:
        ConfigError: `out` holds pictures of other settings.
        StoreError: a file cannot be written.
    """
    import cv2

    from .drawn import run_lengths

    about = {name: getattr(dataset, name) for name in ("split", "length", "variants", "removed", "seed")}
    _claim(out, {**about, "variants": list(dataset.variants), "version": __version__})
    pictures, annotations = [], []
    for index in range(dataset.length):
        scene, name = dataset.scene(index), f"{index:08d}.png"
        path = out / "images" / name
        if not path.is_file():
            publish(path, cv2.imencode(".png", scene.image[..., ::-1])[1].tobytes())
        pictures.append({"id": index, "file_name": name, "width": IMAGE_SIZE[0], "height": IMAGE_SIZE[1]})
        annotations.append(
            {
                **dataset.record(scene, index)["raw_ann_info"],
                "evidence": None if scene.evidence is None else run_lengths(scene.evidence),
                "variant": dataset.variant_of(index),
                "back": scene.back,
            }
        )
        progress(index + 1)
    skeleton = [[a + 1, b + 1] for a, b in dataset.metainfo["skeleton_links"]]  # COCO counts from 1
    person = {"id": 1, "name": "person", "supercategory": "person", "keypoints": list(JOINTS), "skeleton": skeleton}
    info = {"description": "synthetic figures with planted evidence", "version": __version__, **_settings(out)}
    whole = {"info": info, "images": pictures, "annotations": annotations, "categories": [person]}
    publish(out / "annotations.json", json.dumps(whole).encode())
    return out / "annotations.json"


def _settings(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / SETTINGS).read_text())
    return found


def _claim(out: Path, settings: dict[str, Any]) -> None:
    """Make the folder this export's, or find that it is."""
    make_dir(out / "images")
    if not (out / SETTINGS).is_file():
        if any((out / "images").iterdir()) or (out / "annotations.json").exists():
            raise ConfigError(f"{out} holds pictures of something else; give a new folder")
        publish(out / SETTINGS, json.dumps(settings).encode())
    elif (there := _settings(out)) != settings:
        changed = ", ".join(f"{k}={there.get(k)!r}" for k in settings if there.get(k) != settings[k])
        raise ConfigError(f"{out} holds an export with {changed}; give a new folder, or the same settings to go on")


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m poseig_synthetic_figures.export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("out", type=Path, metavar="OUT_DIR")
    parser.add_argument("--split", default="test", help="train, val or test (default): no figure is in two of them")
    parser.add_argument("--variant", nargs="+", default=["honest"], help=f"one or more, in turn: {', '.join(VARIANTS)}")
    parser.add_argument("--length", type=int, default=500, help="number of pictures (default 500)")
    parser.add_argument("--removed", action="store_true", help="leave the planted evidence out")
    parser.add_argument("--seed", type=int, default=0, help="another one, other pictures")
    options = parser.parse_args(argv)
    from rich.console import Console
    from rich.progress import Progress

    try:
        from .datasets import SyntheticFiguresDataset

        dataset = SyntheticFiguresDataset(
            split=options.split, length=options.length, variant=options.variant, removed=options.removed,
            seed=options.seed, lazy_init=True,
        )  # fmt: skip
        with Progress(console=Console(stderr=True)) as bar:
            task = bar.add_task("pictures", total=options.length)
            written = export(dataset, options.out, lambda done: bar.update(task, completed=done))
        print(written)
    except PoseIGError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; the same command goes on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
