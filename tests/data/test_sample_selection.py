"""Which persons, in which order, under which ids."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from drawn_coordinates import BOX, BOXED, CROP, FLIP, LOAD, PACK, PIPELINES, dataset, person, source, write

from poseig_mm.data.entries import choose
from poseig_mm.errors import ConfigError
from poseig_mm.settings import Settings

pytestmark = pytest.mark.usefixtures("mmpose_ready")
ALL = ["1-11", "1-12", "2-13", "2-14", "3-15", "3-16"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six persons in three images."""
    people = [person(11 + i, 1 + i // 2, bbox=[BOX[0] + i, *BOX[1:]]) for i in range(6)]
    return write(tmp_path, people, images=(1, 2, 3))


def ids(folder: Path, **options: Any) -> Any:
    """Of a selection."""
    return source(dataset(folder), **options).ids()


def test_ids_are_image_and_annotation(folder: Path) -> None:
    """In the data set's order, and what is loaded has them."""
    found = source(dataset(folder))
    assert found.ids() == ALL
    assert len(found) == 6
    sample = found.load(3)
    assert (sample.sample_id, sample.image_id, sample.instance_id) == ("2-14", "2", "14")
    assert Path(sample.image_path) == folder / "2.png"


def test_ids_need_no_image(folder: Path) -> None:
    """A run that is resumed knows what is left before it reads anything."""
    for image in folder.glob("*.png"):
        image.unlink()
    assert ids(folder) == ALL


def test_a_limit_takes_the_first(folder: Path) -> None:
    """And a limit beyond the end takes all."""
    assert ids(folder, limit=2) == ALL[:2]
    assert ids(folder, limit=100) == ALL


def test_a_seed_shuffles_the_same_way_each_time(folder: Path) -> None:
    """Another seed otherwise; and a smaller limit takes a part of a larger one, so that a run can be extended."""
    shuffled = ids(folder, seed=3)
    assert sorted(shuffled) == ALL
    assert shuffled != ALL
    assert ids(folder, seed=3) == shuffled
    assert ids(folder, seed=4) != shuffled
    assert ids(folder, seed=3, limit=4) == shuffled[:4]


def test_named_ids_are_taken_in_their_order(folder: Path) -> None:
    """Each once, whatever the seed; the limit holds."""
    assert ids(folder, ids=["3-16", "1-11", "3-16"], seed=1) == ["3-16", "1-11"]
    assert ids(folder, ids=["3-16", "1-11"], limit=1) == ["3-16"]


def test_an_unknown_id_is_named_with_its_nearest(folder: Path) -> None:
    """A typo costs no run."""
    with pytest.raises(ConfigError, match=r"'1-21'.*did you mean '1-"):
        ids(folder, ids=["1-11", "1-21"])


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_refused(folder: Path, limit: int) -> None:
    """It would be a run over nobody, or all but the last."""
    with pytest.raises(ConfigError, match="limit"):
        ids(folder, limit=limit)


def test_an_unknown_kind_of_mask_is_refused(folder: Path) -> None:
    """With the nearest known one."""
    with pytest.raises(ConfigError, match=r"'instanc'.*did you mean 'instance'"):
        source(dataset(folder), mask="instanc")


def test_repeated_ids_become_unique(tmp_path: Path) -> None:
    """A data set whose annotations repeat: the first keeps its id, a later one has a number, and a note says so."""
    both = {"type": "ConcatDataset", "datasets": [dataset(tmp_path), dataset(tmp_path)]}
    write(tmp_path, [person(1), person(2)])
    found = source(both)
    assert found.ids() == ["1-1", "1-2", "1-1-2", "1-2-2"]
    assert any("2 entries repeat" in note for note in found.notes)
    assert found.load(2).sample_id == "1-1-2"
    assert found.load(2).instance_id == "1"


def test_random_transforms_draw_by_sample_not_by_turn(folder: Path) -> None:
    """Whatever was loaded before, and in whatever order; other samples draw otherwise."""
    rotated = dataset(folder, PIPELINES["rotated"])
    forward, backward = source(rotated), source(rotated)
    there = [forward.load(i).inverse_warp for i in range(6)]
    back = [backward.load(i).inverse_warp for i in reversed(range(6))][::-1]
    assert np.array_equal(there, back)
    turns = {round(float(np.arctan2(w[1, 0], w[0, 0])), 6) for w in there}
    assert len(turns) == 6
    assert any("RandomBBoxTransform" in note for note in forward.notes)
    other = source(rotated, seed=5)
    assert not np.allclose(other.load(other.ids().index("1-11")).inverse_warp, there[0])


def test_loading_leaves_the_random_generators_alone(folder: Path) -> None:
    """Python's, NumPy's and torch's: a run's own random numbers don't depend on the data."""
    found = source(dataset(folder, [LOAD, FLIP, BOXED, CROP, PACK]))
    random.seed(1), np.random.seed(1), torch.manual_seed(1)  # noqa: NPY002 - the global one is what is tested
    expected = random.random(), np.random.rand(), float(torch.rand(()))  # noqa: NPY002
    random.seed(1), np.random.seed(1), torch.manual_seed(1)  # noqa: NPY002
    found.load(0)
    assert (random.random(), np.random.rand(), float(torch.rand(()))) == expected  # noqa: NPY002


def test_the_fingerprint_follows_the_annotations(folder: Path) -> None:
    """Another annotation, another fingerprint; the selection has no part in it."""
    first = source(dataset(folder)).fingerprint()
    assert source(dataset(folder), limit=1).fingerprint() == first
    write(folder, [person(11 + i, 1 + i // 2) for i in range(6)], images=(1, 2, 3))
    assert source(dataset(folder)).fingerprint() != first


def test_the_published_persons_are_twenty_batches_of_val2017(folder: Path) -> None:
    """Batch 204 holds persons 3264 to 3279 of 6352, in the file's order; other data are refused with the reason."""
    everyone = [str(i) for i in range(6352)]
    chosen = choose(everyone, None, None, "published")
    assert len(set(chosen)) == 320
    assert chosen == sorted(chosen)
    assert set(range(3264, 3280)) < set(chosen)
    assert {i // 16 for i in chosen} == {
        *(204, 7, 174, 170, 128, 36, 165, 265, 324, 345, 286, 333, 332, 292, 295, 302, 226, 125, 2, 162)
    }
    assert choose(everyone, 3, None, "published") == [32, 33, 34]
    with pytest.raises(ConfigError, match=r"6352 persons of COCO val2017 .* got a data set of 6\. Take that file"):
        ids(folder, ids="published")


def test_a_text_in_the_place_of_ids_is_an_error() -> None:
    """But for the one that is known."""
    assert Settings.parse({"samples": {"ids": "published"}}).samples.ids == "published"
    with pytest.raises(ConfigError, match="ids is '1-11'; expected a list of sample ids, or 'published'"):
        Settings.parse({"samples": {"ids": "1-11"}})
