"""Ranks of one run: the same tables whatever their number; one that is killed loses its own unwritten persons only."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from ranks import run_ranks
from tiny import run, tables, tiny, write_plugin, write_run

from poseig_mm import Shard
from poseig_mm.store import Store

PERSONS = 7  # no multiple of 2 or 3: a sampler that pads would repeat some


def _more(annotations: dict[str, Any]) -> None:
    third = annotations["annotations"][2]
    for number in range(4, PERSONS + 1):
        another = copy.deepcopy(third)
        another["id"] = number
        another["keypoints"][0] += number  # another place of the nose, another row
        annotations["annotations"].append(another)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, mmpose_ready: None) -> tiny:
    return write_run(tmp_path_factory.mktemp("data"), annotate=_more)


@pytest.fixture(scope="module")
def alone(made: tiny, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The run of one process."""
    return run(made, tmp_path_factory.mktemp("alone") / "w")


def _ids(work_dir: Path) -> dict[str, list[str]]:
    """Sample ids by the rank that wrote them, from the parts themselves: nothing is left out as repeated."""
    import polars as pl

    found: dict[str, list[str]] = {}
    for path in sorted((work_dir / "samples").glob("part-*.parquet")):
        rank = path.stem.split("-")[1]
        found.setdefault(rank, []).extend(pl.read_parquet(path, glob=False)["sample_id"].to_list())
    return found


@pytest.mark.parametrize("ranks", [2, 3])
def test_tables_do_not_depend_on_the_number_of_ranks(made: tiny, alone: Store, tmp_path: Path, ranks: int) -> None:
    """Every person once, in as equal shares as can be, and the merged tables are those of one process."""
    assert run_ranks(ranks, made.config, made.weights, "--work-dir", tmp_path / "w") == [0] * ranks
    written = _ids(tmp_path / "w")
    everybody = [sample for ids in written.values() for sample in ids]
    assert len(everybody) == len(set(everybody)) == PERSONS
    assert max(map(len, written.values())) - min(map(len, written.values())) <= 1
    assert tables(Store(tmp_path / "w")) == tables(alone)


@pytest.mark.parametrize("ranks", [3])
def test_a_killed_rank_loses_nothing_of_the_others(
    made: tiny, alone: Store, tmp_path: Path, ranks: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """Rank 1 of 2 is killed at its second person; another number of ranks goes on, with what is missing alone."""
    killer = write_plugin(
        tmp_path / "killer.py",
        "import os, signal\nseen = []\n\n\n@hookimpl\ndef poseig_after_sample(sample):\n    "
        "seen.append(sample.sample_id)\n"
        "    if os.environ['RANK'] == '1' and len(seen) == 2:\n        os.kill(os.getpid(), signal.SIGKILL)\n",
    )
    work_dir = tmp_path / "w"
    codes = run_ranks(2, made.config, made.weights, "--work-dir", work_dir, "-p", killer)
    assert codes[1] == -9
    assert codes[0] == 1  # it has waited in vain, and says so
    said = capfd.readouterr().err
    assert "error: rank 1 has gone: " in said
    assert "again with --resume" in said
    assert "gloo" not in said.split("error: rank 1")[1]
    left = _ids(work_dir)
    kept = [sample for ids in left.values() for sample in ids]
    assert len(left["r000"]) == 4  # rank 0 has written its whole share: 7 persons, every second one
    assert 4 <= len(kept) < PERSONS
    assert json.loads((work_dir / "run.json").read_text())["status"] == "failed"

    noted = tmp_path / "noted"
    noted.mkdir()
    note = write_plugin(
        tmp_path / "note.py",
        f"from pathlib import Path\n\n\n@hookimpl\ndef poseig_after_sample(sample):\n"
        f"    Path({str(noted)!r}, sample.sample_id).touch()\n",
    )
    assert run_ranks(ranks, made.config, made.weights, "--work-dir", work_dir, "--resume", "-p", note) == [0] * ranks
    assert {p.name for p in noted.iterdir()} == set(alone.sample_ids) - set(kept)
    assert tables(Store(work_dir)) == tables(alone)
    assert Store(work_dir).run["status"] == "complete"


def test_jobs_without_a_process_group_own_their_persons(made: tiny, alone: Store, tmp_path: Path) -> None:
    """Rank i of n, at any time, also twice: the same persons; a last call without a rank makes the report of all."""
    shares = {}
    for rank in (1, 0, 1):  # another scheduler's order, and one that is tried again
        run(made, tmp_path / "w", shard=Shard(rank, 2), resume=True)
        shares[rank] = _ids(tmp_path / "w")[f"r{rank:03d}"]
    assert shares[0] == list(alone.sample_ids[::2])
    assert shares[1] == list(alone.sample_ids[1::2])
    store = run(made, tmp_path / "w", resume=True)
    assert tables(store) == tables(alone)
    assert store.run["status"] == "complete"


def test_a_process_without_a_person_may_end_first(made: tiny, alone: Store, tmp_path: Path) -> None:
    """More processes than persons, and the last of them is the first to be done: there is a work dir, and no error."""
    store = run(made, tmp_path / "w", shard=Shard(PERSONS, PERSONS + 1), resume=True)
    assert len(store) == 0
    for rank in range(PERSONS):
        run(made, tmp_path / "w", shard=Shard(rank, PERSONS + 1), resume=True)
    assert tables(run(made, tmp_path / "w", resume=True)) == tables(alone)


def test_more_ranks_than_persons(made: tiny, alone: Store, tmp_path: Path) -> None:
    """Of a launcher: those without a person wait for the others."""
    arguments = ("--work-dir", tmp_path / "w", "--limit", "1")
    assert run_ranks(3, made.config, made.weights, *arguments) == [0] * 3
    store = Store(tmp_path / "w")
    assert store.sample_ids == alone.sample_ids[:1]
    assert store.run["status"] == "complete"
