"""What `benchmarks.fuzz` opens: each loader of things that come from a file, with well-formed seeds and mutations."""

from __future__ import annotations

import contextlib
import json
import pickle
import shutil
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests" / "helpers"), *map(str, sorted((ROOT / "plugins").glob("*")))]

import mutations  # noqa: E402
import weight_files  # noqa: E402

from poseig_mm.errors import CheckpointError, ConfigError, DataError, StoreError  # noqa: E402

IDENTITY = {"config": "c1", "model": "m1", "data": "d1"}


class Loader:
    """Makes an input in a folder, and opens it.

    Args:
        home: a folder for what inputs share.
    """

    errors: tuple[type[Exception], ...] = (CheckpointError,)
    allowed: frozenset[str] = frozenset()  # of `call_watch`

    def __init__(self, home: Path) -> None:
        self.home = home

    def make(self, rng: Random, case: Path) -> None:
        """Write the mutated input; the seed itself where `rng` is None."""
        raise NotImplementedError

    def seeds(self, case: Path) -> None:
        """Write the input as it was."""
        raise NotImplementedError

    def open(self, case: Path) -> None:
        """Read it as the product does."""
        raise NotImplementedError


class Weights(Loader):
    """Checkpoints of one format."""

    format = ""

    def seeds(self, case: Path) -> None:
        (case / "w.pth").write_bytes(weight_files.weight_files()[self.format])

    def make(self, rng: Random, case: Path) -> None:
        (case / "w.pth").write_bytes(weight_files.MUTATED[self.format](rng))

    def open(self, case: Path) -> None:
        from poseig_mm.adapters.checkpoints import read_checkpoint

        weights, _ = read_checkpoint(case / "w.pth")
        for value in weights.values():
            value.clone()


class Zip(Weights):
    """Of torch.save."""

    format = "zip"


class Legacy(Weights):
    """Of torch.save before 1.6."""

    format = "legacy"


class Safetensors(Weights):
    """Of safetensors."""

    format = "safetensors"


class Pickles(Loader):
    """MANO's and HandMesh's, of `plugins/hand_models`."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.files = {"mano": _mano_pickles(), "transform": [pickle.dumps(_transform(), p) for p in (0, 2, 5)]}
        self.all = [content for files in self.files.values() for content in files]

    def seeds(self, case: Path) -> None:
        for name, contents in self.files.items():
            (case / f"{name}.pkl").write_bytes(contents[0])

    def make(self, rng: Random, case: Path) -> None:
        name = rng.choice(sorted(self.files))
        content = mutations.mutated_pickle(rng, rng.choice(self.files[name]), rng.choice(self.all))
        (case / f"{name}.pkl").write_bytes(content)

    def open(self, case: Path) -> None:
        from poseig_hand_models.mano_file import read_mano
        from poseig_hand_models.topology import read_transform

        if (case / "mano.pkl").exists():
            read_mano(case / "mano.pkl")
        if (case / "transform.pkl").exists():
            read_transform(case / "transform.pkl").upsampling()


def _mano_pickles() -> list[bytes]:
    import numpy as np
    from scipy import sparse

    rng, vertices = np.random.default_rng(0), 5
    numbers = {"v_template": (vertices, 3), "posedirs": (vertices, 3, 2), "hands_mean": (45,)}

    def dump(kind: Any) -> list[bytes]:
        flat = kind("Ch", x=rng.random(7 + vertices * 30), _dirty_vars=set(), _itr=None)
        content = {
            **{name: rng.random(shape) for name, shape in numbers.items()},
            "shapedirs": kind("Select", a=flat, idxs=np.arange(7, len(flat.x)), preferred_shape=(vertices, 3, 10)),
            "J_regressor": sparse.csc_matrix(rng.random((16, vertices))),
            "weights": kind("Ch", x=rng.random((vertices, 16))),
            "f": np.array([[0, 1, 2], [2, 3, 4]], dtype=np.uint32),
            "kintree_table": np.stack([np.arange(16) - 1, np.arange(16)]).astype(np.uint32),
            "bs_style": "lbs",
        }
        return [pickle.dumps(content, protocol) for protocol in (0, 2, 4)]

    found: list[bytes] = weight_files.with_chumpy(dump)
    return found


def _transform() -> dict[str, Any]:
    import numpy as np
    from scipy import sparse

    return {
        "vertices": [np.eye(4, 3), np.eye(2, 3)],
        "face": [np.array([[0, 1, 2], [1, 2, 3]]), np.array([[0, 1, 0]])],
        "up_transform": [sparse.coo_matrix(np.ones((4, 2)))],
        "down_transform": [sparse.csr_matrix(np.ones((2, 4)))],
    }


class Tflite(Loader):
    """A network of MediaPipe's wheel, of `plugins/mediapipe_models`."""

    errors = (CheckpointError, ConfigError)

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        from poseig_mediapipe_models.wheel import network_file

        self.whole = network_file("hand_lite").read_bytes()
        self.structure = (*range(64), *range(len(self.whole) - 60_000, len(self.whole)))  # not weights

    def seeds(self, case: Path) -> None:
        (case / "w.tflite").write_bytes(self.whole)

    def make(self, rng: Random, case: Path) -> None:
        content = bytearray(self.whole)
        if rng.random() < 0.1:
            content = bytearray(mutations.mutated_bytes(rng, self.whole, self.whole))
        for _ in range(rng.choice((1, 2, 5, 20))):
            at, width = rng.choice(self.structure), rng.choice((1, 2, 4))
            number = rng.choice((*mutations.NUMBERS, rng.getrandbits(32), content[at] + 1 if at < len(content) else 0))
            content[at : at + width] = (number % 2 ** (8 * width)).to_bytes(width, "little")
        (case / "w.tflite").write_bytes(content)

    def open(self, case: Path) -> None:
        from poseig_mediapipe_models.network import load_network

        load_network("hand_lite", ("landmarks",), str(case / "w.tflite"))


class Annotations(Loader):
    """COCO files and the images that they name, as a `SampleSource` reads them."""

    errors = (DataError, ConfigError)
    # MMEngine keeps entries as pickles of its own making; its and MMPose's parts are imported as they are needed.
    allowed = frozenset({"pickle.find_class", "compile", "exec", "code.__new__"})

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        from poseig_mm.compat import prepare_environment

        prepare_environment()
        import cv2
        import numpy as np
        from drawn_coordinates import person, preprocessor, write

        cv2.setNumThreads(1)
        two = [[70.0, 80.0, 90.0, 80.0, 90.0, 110.0], [75.0, 60.0, 80.0, 60.0, 80.0, 70.0]]
        counted = {"size": [160, 200], "counts": [6500, 3000, 22500]}
        people = [person(1), person(2, 2, segmentation=two), person(3, 2, segmentation=counted)]
        write(home, people, images=(1, 2))
        self.whole, self.preprocess, self.numpy = (home / "persons.json").read_bytes(), preprocessor(), np

    def seeds(self, case: Path) -> None:
        (case / "persons.json").write_bytes(self.whole)

    def make(self, rng: Random, case: Path) -> None:
        (case / "persons.json").write_bytes(mutations.mutated_json(rng, self.whole))

    def open(self, case: Path) -> None:
        from drawn_coordinates import dataset, source

        wanted = dataset(self.home, ann_file=str(case / "persons.json"))
        mask = ("instance", "union", "joints")[(case / "persons.json").stat().st_size % 3]
        samples = source(wanted, self.preprocess, mask=mask)
        samples.annotated(), samples.fingerprint()
        for i in range(len(samples)):
            with contextlib.suppress(DataError):
                samples.load(i)


class Metainfo(Annotations):
    """The metainfo of a data set, a Python file of data; as code it can do all, so that its values are mutated."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        from mmengine.config import Config
        from mmpose.datasets.datasets import CocoDataset

        path = Path(CocoDataset.METAINFO["from_file"])
        if not path.is_file():
            import mmpose

            path = Path(mmpose.__file__).parent / ".mim" / path
        self.info = Config.fromfile(str(path)).dataset_info.to_dict()

    def seeds(self, case: Path) -> None:
        (case / "info.py").write_text(f"dataset_info = {self.info!r}\n")

    def make(self, rng: Random, case: Path) -> None:
        tree = mutations.mutated_tree(rng, self.info)
        text = repr(tree).replace("nan", "float('nan')").replace("inf,", "float('inf'),")
        (case / "info.py").write_text(f"dataset_info = {text}\n", errors="backslashreplace")

    def open(self, case: Path) -> None:
        from drawn_coordinates import dataset, source

        samples = source(dataset(self.home, metainfo={"from_file": str(case / "info.py")}), self.preprocess)
        for i in range(len(samples)):
            with contextlib.suppress(DataError):
                samples.load(i)


class WorkDir(Loader):
    """A work dir as the store reads it, and as a run takes it up."""

    errors = (StoreError,)

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.run = home / "run"
        _write_run(self.run)

    def seeds(self, case: Path) -> None:
        shutil.copytree(self.run, case / "run")

    def make(self, rng: Random, case: Path) -> None:
        self.seeds(case)
        for _ in range(rng.choice((1, 1, 2))):
            _change_run(rng, case / "run")

    def open(self, case: Path) -> None:
        _read(case / "run")
        with contextlib.suppress(StoreError):
            _resume(case / "run")
        _read(case / "run")


class Reports(WorkDir):
    """A work dir as it is reported and compared."""

    errors = (StoreError, DataError, ConfigError)
    allowed = frozenset({"compile", "exec", "code.__new__"})  # of templates

    def make(self, rng: Random, case: Path) -> None:
        self.seeds(case)
        name = rng.choice(("run.json", "failures.jsonl", "joints", "samples", "relations", "studies", "maps"))
        _change_run(rng, case / "run", name)

    def open(self, case: Path) -> None:
        from poseig_mm.comparison.compare import compare
        from poseig_mm.report.build import build_report
        from poseig_mm.report.plugin import poseig_report_sections
        from poseig_mm.store import Store

        with contextlib.suppress(StoreError, DataError):
            store = Store(case / "run")
            build_report(store, poseig_report_sections(store, {}))
        compare([case / "run", self.run], case / "comparison")


def _write_run(path: Path) -> None:
    from store_samples import make_record
    from synthetic_store import RUN

    from poseig_mm.store import StoreWriter
    from poseig_mm.types import Failure

    names, groups = ("left_hip", "nose", "right_hip"), ("trunk", "leaf", "trunk")
    keypoints = {"names": names, "groups": groups, "parents": [-1, 0, 0], "skeleton": [[0, 1], [0, 2]],
                 "derived": False, "flip_pairs": [[0, 2]], "sigmas": [0.1, 0.1, 0.1]}  # fmt: skip
    columns = {"indices": ("di", "fi", "li"), "relations": ("ri",)}
    with StoreWriter(path, identity=IDENTITY, maps="all", **columns) as writer:
        writer.update_run(**{**RUN, "keypoints": keypoints})
        writer.write_study("toy", [{"sample_id": "a", "joint": 0, "value": 1.0}])
        for name, error in (("a", 2.0), ("b", 1.0)):
            record = make_record(name, mepe=error, indices=columns["indices"])
            for row in record.relations:
                row["ri"] = 1.0
            writer.write([record])
        writer.write_study("whole", [{"group": "trunk", "mean": 0.5}], replace_all=True)
        writer.record_failure(Failure("index", "it broke", "ValueError", "a", "ci"))


def _change_run(rng: Random, run: Path, name: str = "") -> None:
    """Change one file, its manifest mostly with it."""
    files = [p for p in sorted(run.rglob("*")) if p.is_file() and not p.name.startswith(".")]
    if name:
        files = [p for p in files if name in p.relative_to(run).parts] or files
    path = rng.choice(files)
    content = path.read_bytes()
    other = rng.choice(files).read_bytes()
    if rng.random() < 0.05:
        path.unlink()
    elif path.name == "run.json":
        path.write_bytes(mutations.mutated_json(rng, content))
    elif path.name == "failures.jsonl":
        path.write_bytes(b"\n".join(mutations.mutated_json(rng, line) for line in content.splitlines() * 2))
    elif path.suffix == ".parquet" and rng.random() < 0.7:
        _change_table(rng, path)
    elif path.suffix == ".safetensors" and rng.random() < 0.7:
        path.write_bytes(mutations.mutated_safetensors(rng, content, other))
    else:
        path.write_bytes(mutations.mutated_bytes(rng, content, other))
    if rng.random() < 0.8 and path.exists() and path.parent.name != "samples":
        _vouch_for(run, path)


def _change_table(rng: Random, path: Path) -> None:
    """Other columns, values, rows, or another manifest."""
    import polars as pl

    try:
        frame, metadata = pl.read_parquet(path), dict(pl.read_parquet_metadata(path))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):  # changed already
        return
    metadata = {key: value for key, value in metadata.items() if key == "poseig_mm.part"}
    name = rng.choice(frame.columns)
    kind = rng.choice(("drop", "rename", "cast", "null", "value", "rows", "manifest", "manifest"))
    with contextlib.suppress(pl.exceptions.PolarsError, TypeError, OverflowError):
        if kind == "drop":
            frame = frame.drop(name)
        elif kind == "rename":
            frame = frame.rename({name: rng.choice(("x", "", "../x", "sample_id", "joint"))})
        elif kind == "cast":
            kinds = (pl.String, pl.Int8, pl.Float32, pl.Boolean, pl.Binary, pl.Categorical, pl.List(pl.Float64))
            frame = frame.with_columns(pl.col(name).cast(rng.choice(kinds), strict=False))
        elif kind == "null":
            frame = frame.with_columns(pl.lit(None).cast(frame.schema[name]).alias(name))
        elif kind == "value":
            values = [v for v in mutations.VALUES if not isinstance(v, (list, dict))]
            frame = frame.with_columns(pl.lit(rng.choice(values)).alias(name))
        elif kind == "rows":
            frame = rng.choice((frame.head(0), pl.concat([frame, frame]), frame.reverse(), frame.head(1)))
        elif metadata:
            tree = json.loads(metadata["poseig_mm.part"])
            metadata["poseig_mm.part"] = json.dumps(mutations.mutated_tree(rng, tree))
    with contextlib.suppress(pl.exceptions.PolarsError, UnicodeError):
        frame.write_parquet(path, metadata=metadata)


def _vouch_for(run: Path, path: Path) -> None:
    """Its size and checksum into the manifest of its part."""
    import polars as pl

    name, samples = path.relative_to(run).as_posix(), run / "samples" / f"{path.stem}.parquet"
    unreadable = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)
    with contextlib.suppress(*unreadable, KeyError, ValueError, TypeError):
        frame, manifest = pl.read_parquet(samples), json.loads(pl.read_parquet_metadata(samples)["poseig_mm.part"])
        if name in manifest["files"]:
            manifest["files"][name] = [path.stat().st_size, zlib.crc32(path.read_bytes())]
            frame.write_parquet(samples, metadata={"poseig_mm.part": json.dumps(manifest)})


def _read(path: Path) -> None:
    """All that a store gives; what cannot be read is a StoreError of its own."""
    from poseig_mm.store import Store

    store = Store(path)
    reads: list[Callable[[], Any]] = [
        *(store.joints, store.samples, store.relations, lambda: store.failures, lambda: store.groups),
        *(lambda: store.has_maps, lambda: store.pictures("toy")),
        *(lambda name=name: store.study(name) for name in store.studies),  # type: ignore[misc]
    ]
    for name in store.sample_ids:
        reads += [lambda name=name, get=get: get(name) for get in (store.map, store.signed_map, store.display)]  # type: ignore[misc]
    for read in reads:
        with contextlib.suppress(StoreError):
            read()


def _resume(path: Path) -> None:
    from store_samples import make_record

    from poseig_mm.store import StoreWriter

    columns = {"indices": ("di", "fi", "li"), "relations": ("ri",)}
    with StoreWriter(path, identity=IDENTITY, maps="all", resume=True, **columns) as writer:
        records = [make_record(name, indices=columns["indices"]) for name in ("a", "b", "c")]
        for record in records:
            for row in record.relations:
                row["ri"] = 1.0
        writer.write([record for record in records if record.sample_id not in writer.done])


LOADERS: dict[str, type[Loader]] = {
    **{"zip": Zip, "legacy": Legacy, "safetensors": Safetensors, "pickles": Pickles, "tflite": Tflite},
    **{"annotations": Annotations, "metainfo": Metainfo, "work_dir": WorkDir, "report": Reports},
}
