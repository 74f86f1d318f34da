"""DexYCB as MMPose data sets read it: its own folders and its own splits, with joints in space, camera and masks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poseig_mm.errors import ConfigError, DataError, did_you_mean

from .hand_camera import intrinsics
from .hand_entries import HandDataset, hand_entry

from mmpose.registry import DATASETS  # isort: skip  (hand_entries prepares the environment)

__all__ = ["SERIALS", "SUBJECTS", "DexYCBDataset", "members"]

_DATES = (709, 813, 820, 903, 908, 918, 928, 1002, 1015, 1022)  # of 2020
SUBJECTS = tuple(f"2020{date:04d}-subject-{i:02d}" for i, date in enumerate(_DATES, 1))
SERIALS = ("836212060125", "839512060362", "840412060917", "841412060263",
           "932122060857", "932122060861", "932122061900", "932122062010")  # fmt: skip
SEQUENCES = 100  # of each subject
SETUPS, SPLITS = ("s0", "s1", "s2", "s3"), ("train", "val", "test")
SIZE = (640, 480)
HAND = 255  # in `seg`; 1 to 21 are objects
ABSENT = -1  # all of `joint_3d`, where there is no hand
METRES = 1000.0  # mm
Members = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]


def members(setup: str, split: str) -> Members:
    """What belongs to a split, by position: subjects (of `SUBJECTS`), sorted sequences of each, cameras (of `SERIALS`).

    s0: every fifth sequence is held out, subjects 1 and 2 for validation; s1: subjects; s2: cameras; s3: grasped
    objects, of which each has five sequences in a row.  As Chao et al. (CVPR 2021) define them.

    Raises:
        ConfigError: an unknown setup or split.

    >>> members("s0", "val")[:2]
    ((0, 1), (4, 9, 14, 19, 24, 29, 34, 39, 44, 49, 54, 59, 64, 69, 74, 79, 84, 89, 94, 99))
    >>> members("s2", "test")[2], members("s1", "test")[0]
    ((7,), (7, 8))
    """
    for given, known, what in ((setup, SETUPS, "setup"), (split, SPLITS, "split")):
        if given not in known:
            raise ConfigError(f"there is no {what} {given!r} of DexYCB; {did_you_mean(given, known)}")
    subjects, sequences, serials = list(range(10)), list(range(SEQUENCES)), list(range(8))
    if setup == "s0":
        subjects = {"train": subjects, "val": [0, 1], "test": subjects[2:]}[split]
        sequences = [i for i in sequences if (i % 5 == 4) == (split != "train")]
    elif setup == "s1":
        subjects = {"train": [0, 1, 2, 3, 4, 5, 9], "val": [6], "test": [7, 8]}[split]
    elif setup == "s2":
        serials = {"train": serials[:6], "val": [6], "test": [7]}[split]
    else:
        part = {3: "val", 19: "val", 7: "test", 11: "test", 15: "test"}
        sequences = [i for i in sequences if part.get(i // 5, "train") == split]
    return tuple(subjects), tuple(sequences), tuple(serials)


@DATASETS.register_module()
class DexYCBDataset(HandDataset):
    """DexYCB (Chao et al., CVPR 2021): hands that grasp objects, 640 x 480; entries: see `HandDataset`.

    Files read, with S the camera: `SUBJECT/SEQUENCE/meta.yml`; `SUBJECT/SEQUENCE/S/color_%06d.jpg` and
    `labels_%06d.npz` (`joint_3d`, `joint_2d`; masks: `seg` == 255); `calibration/intrinsics/S_640x480.yml`.  Frames
    without a hand are left out.  Left hands stay left hands: `MirrorLeftHands` of the pipeline makes right ones of
    them.  Opening it reads the joints of every frame, which takes minutes for a whole split; `stride` and `subjects`
    make it less.

    Args:
        data_root: with the folders above.
        setup: 's0' (unseen sequences), 's1' (subjects), 's2' (cameras) or 's3' (grasped objects).
        split: 'train', 'val' or 'test'.
        subjects: numbers, 1 to 10: only these, where not all are there; None: all of the split.
        stride: every n-th frame of a sequence.
        masks: read the masks.
        others: see `HandDataset`.
    """

    NAME = "dexycb"
    SOURCE = "DexYCB is at https://dex-ycb.github.io (CC BY-NC 4.0)."

    def __init__(
        self,
        data_root: str,
        setup: str = "s0",
        split: str = "test",
        subjects: Sequence[int] | None = None,
        stride: int = 1,
        masks: bool = True,
        **others: Any,
    ) -> None:
        whose, self.sequences, self.serials = members(setup, split)
        unknown = [n for n in subjects or () if n - 1 not in whose]
        if unknown or (subjects is not None and not len(subjects)):
            raise ConfigError(
                f"subjects of DexYCB {setup} {split} are {[n + 1 for n in whose]}; got {list(subjects or ())}"
            )
        if stride < 1:
            raise ConfigError(f"stride is {stride}; expected at least 1: every frame")
        self.setup, self.split, self.stride = setup, split, stride
        self.subjects = tuple(i for i in whose if subjects is None or i + 1 in subjects)
        super().__init__(data_root, masks, **others)

    def load_data_list(self) -> list[dict[str, Any]]:
        """An entry a hand: by sequence, then by camera, then by frame."""
        cameras = {i: self._camera(SERIALS[i]) for i in self.serials}
        entries = []
        for subject in self.subjects:
            for sequence in self._sequences(SUBJECTS[subject]):
                meta = self._yaml(sequence / "meta.yml", ("num_frames", "mano_sides"))
                for i in self.serials:
                    for frame in range(0, int(meta["num_frames"]), self.stride):
                        entry = self._entry(sequence / SERIALS[i], frame, cameras[i], meta["mano_sides"][0])
                        entries += [entry] if entry else []
        return entries

    def _sequences(self, subject: str) -> list[Path]:
        folder = self.need(self.folder / subject, "`subjects` names those that are there, e.g. subjects=[1, 2]")
        found = sorted(path for path in folder.iterdir() if path.is_dir())
        if len(found) != SEQUENCES:
            raise DataError(
                f"{self.NAME}: {folder} holds {len(found)} sequences; expected {SEQUENCES}: splits count them, and "
                f"would be others. Unpack {subject} anew, or leave it out with `subjects`. {self.SOURCE}"
            )
        return [found[i] for i in self.sequences]

    def _entry(self, folder: Path, frame: int, camera: NDArray[Any], side: str) -> dict[str, Any] | None:
        joints, pixels = self._labels(folder, frame, "joint_3d", "joint_2d")
        if (joints == ABSENT).all():
            return None
        path = self.need(folder / f"color_{frame:06d}.jpg")
        name = "_".join([*folder.parts[-3:], f"{frame:06d}"])
        entry = hand_entry(path, name, joints.reshape(-1, 3) * METRES, pixels.reshape(-1, 2), camera, SIZE, str(side))
        return {**entry, "frame": frame}

    def _labels(self, folder: Path, frame: int, *names: str) -> list[NDArray[Any]]:
        path = self.need(folder / f"labels_{frame:06d}.npz")
        try:
            with np.load(path) as labels:
                return [np.asarray(labels[name]) for name in names]
        except Exception as error:  # zipfile's, zlib's and NumPy's own
            detail = f"{path} has no {', '.join(names)} that can be read ({type(error).__name__}: {error})"
            raise DataError(f"{self.NAME}: {detail}. Unpack {folder.parts[-3]} anew. {self.SOURCE}") from error

    def _camera(self, serial: str) -> NDArray[Any]:
        path = self.folder / "calibration" / "intrinsics" / f"{serial}_{SIZE[0]}x{SIZE[1]}.yml"
        color = self._yaml(path, ("color",))["color"]
        return intrinsics(*(float(color[name]) for name in ("fx", "fy", "ppx", "ppy")))

    def _yaml(self, path: Path, keys: Sequence[str]) -> dict[str, Any]:
        import yaml  # type: ignore[import-untyped]

        try:
            found = yaml.safe_load(self.need(path).read_text())
        except yaml.YAMLError as error:
            raise DataError(f"{self.NAME}: {path} is no YAML ({error}). Unpack it anew. {self.SOURCE}") from error
        missing = [key for key in keys if not isinstance(found, dict) or key not in found]
        if missing:
            raise DataError(f"{self.NAME}: {path} has no {missing[0]!r}. Unpack it anew. {self.SOURCE}")
        return dict(found)

    def mask_of(self, info: dict[str, Any]) -> NDArray[np.bool_]:
        """The hand's pixels (480, 640)."""
        (labels,) = self._labels(Path(info["img_path"]).parent, info["frame"], "seg")
        return np.asarray(labels == HAND)
