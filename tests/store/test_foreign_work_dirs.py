"""A work dir from somebody else: whatever stands in it, nothing outside of it is read, written or deleted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_samples import IDENTITY, make_record

from poseig_mm.errors import StoreError
from poseig_mm.store import Store, StoreWriter
from poseig_mm.store.file_names import check_plain_name, file_stem

MANIFEST = "poseig_mm.part"


def _run(path: Path, maps: str = "worst") -> Path:
    with StoreWriter(path, identity=IDENTITY, maps=maps, worst=1) as writer:
        writer.write([make_record("a", mepe=2.0)])
        writer.write([make_record("b", mepe=1.0)])
    return path


def _rewrite(run: Path, change: Any) -> None:
    """The first part's samples with other columns or another manifest."""
    path = run / "samples" / "part-r000-00000.parquet"
    manifest, frame = json.loads(pl.read_parquet_metadata(path)[MANIFEST]), pl.read_parquet(path)
    frame = change(frame, manifest)
    frame.write_parquet(path, metadata={MANIFEST: json.dumps(manifest)})


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    path = tmp_path / "precious" / "part-r000-00000.safetensors"
    path.parent.mkdir()
    path.write_bytes(b"precious")
    return path


NAMES = [
    "../precious/part-r000-00000.safetensors",
    "maps/../../precious/part-r000-00000.safetensors",
    "{absolute}",
    "maps/../run.json",
    "run.json",
    "config.py",
    "../../..",
    "",
    "maps\\..\\run.json",
    "maps/part-r000-00001.safetensors",  # another part's
    "displays/part-r000-00000-000.safetensors",
]


@pytest.mark.parametrize("maps", ["worst", "all"])
@pytest.mark.parametrize("name", NAMES)
def test_a_maps_file_of_another_name_is_not_deleted_on_resume(
    tmp_path: Path, precious: Path, name: str, maps: str
) -> None:
    """The part does not count, which is said; its person is computed again."""
    run = _run(tmp_path / "w", maps)
    name = name.format(absolute=precious)
    _rewrite(run, lambda frame, _: frame.with_columns(maps_file=pl.lit(name)))
    before = (run / "run.json").read_bytes()
    assert [f.stage for f in Store(run).failures] == ["store"]
    with StoreWriter(run, identity=IDENTITY, maps=maps, worst=1, resume=True) as writer:
        assert sorted(writer.done) == ["b"]
    assert precious.read_bytes() == b"precious"
    assert (run / "run.json").exists()
    assert before


@pytest.mark.parametrize("name", [*NAMES[:8], "/dev/zero", "joints/part-r000-00001.parquet"])
def test_a_manifest_cannot_name_other_files(tmp_path: Path, precious: Path, name: str) -> None:
    """They would be opened to check them: an endless device would be read for ever."""
    run = _run(tmp_path / "w")

    def change(frame: pl.DataFrame, manifest: dict[str, Any]) -> pl.DataFrame:
        manifest["files"][name.format(absolute=precious)] = [0, 0]
        return frame

    _rewrite(run, change)
    assert Store(run).sample_ids == ("b",)


@pytest.mark.parametrize("folder", ["maps", "joints", "samples", "displays", "signed", "studies", "studies/s"])
def test_a_folder_that_leads_out_is_refused(tmp_path: Path, precious: Path, folder: str) -> None:
    """Files of our own pattern there are another run's."""
    run = _run(tmp_path / "w")
    shutil.rmtree(run / folder, ignore_errors=True)
    (run / folder).symlink_to(precious.parent)
    with pytest.raises(StoreError, match="leads out of the work dir"):
        Store(run)
    with pytest.raises(StoreError, match="leads out of the work dir"):
        StoreWriter(run, identity=IDENTITY, maps="worst", worst=1, resume=True)
    assert precious.read_bytes() == b"precious"


def test_a_work_dir_may_itself_be_a_link(tmp_path: Path) -> None:
    """That one the user has chosen."""
    _run(tmp_path / "w")
    (tmp_path / "link").symlink_to(tmp_path / "w")
    assert Store(tmp_path / "link").map("a") is not None


@pytest.mark.parametrize("name", [".run.json.tmp", "failures.jsonl", ".lock-r000"])
def test_a_file_that_is_a_link_is_not_written_through(tmp_path: Path, precious: Path, name: str) -> None:
    """Neither truncated nor appended to."""
    run = _run(tmp_path / "w")
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(precious)
    try:
        with StoreWriter(run, identity=IDENTITY, maps="worst", worst=1, resume=True) as writer:
            writer.write([make_record("c")])
    except StoreError:
        pass
    assert precious.read_bytes() == b"precious"


def test_pictures_of_a_study_come_from_its_folder(tmp_path: Path, precious: Path) -> None:
    """A name that is no plain one is refused; a link to a file elsewhere is left out."""
    run = _run(tmp_path / "w")
    folder = run / "pictures" / "s"
    folder.mkdir(parents=True)
    (folder / "a.jpg").write_bytes(b"")
    (folder / "b.jpg").symlink_to(precious)
    assert [p.name for p in Store(run).pictures("s")] == ["a.jpg"]
    with pytest.raises(StoreError, match="plain file name"):
        Store(run).pictures("../../precious")


@given(st.text(max_size=300), st.text(max_size=300))
def test_two_texts_have_two_file_stems(a: str, b: str) -> None:
    """Also where file names ignore case; each is a plain file name."""
    assert (file_stem(a).lower() == file_stem(b).lower()) == (a == b)
    assert len(check_plain_name(file_stem(a), "it")) <= 100


@pytest.mark.parametrize(
    "ids", [("img/1-1", "img_1-1"), ("A", "a"), ("a b", "a_b"), ("..", "."), ("", "_"), ("関", "節")]
)
def test_samples_of_like_names_have_their_own_files(ids: tuple[str, str]) -> None:
    """Pictures of one were shown under the other's name."""
    assert len({file_stem(i).lower() for i in ids}) == 2
    assert all(check_plain_name(file_stem(i), "it") for i in ids)
