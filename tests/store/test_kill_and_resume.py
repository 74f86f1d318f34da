"""A run killed anywhere, resumed, ends like one that was not killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from store_samples import IDENTITY, make_record

from poseig_mm.store import Store, StoreWriter

HERE = Path(__file__).parents[1] / "helpers"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(("mode", "first", "step"), [("worst", 0, 4), ("all", 1, 7)])  # 0, 1 is every one
def test_killed_at_every_file_operation(tmp_path: Path, mode: str, first: int, step: int) -> None:
    """SIGKILL before any file operation (a write: in its middle), also while a resumed run cleans up: flushed batches
    are there, no half batch counts, and the resumed run's tables, maps, counts and files equal an uninterrupted run's.

    """
    command = [sys.executable, str(HERE / "kill_driver.py"), str(tmp_path), mode, str(first), str(step)]
    environment = os.environ | {"POLARS_MAX_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout)
    assert result["operations"] > 100  # the hook is in the way of what the writer does
    assert result["runs"] > 100 / step
    assert not result["wrong"], json.dumps(result["wrong"][:2], indent=1)[:4000] + done.stderr[-3000:]
    assert result["expected"]["waste"] == []


WRITE_FOR_EVER = """
import sys
from store_samples import IDENTITY, make_record
from poseig_mm.store import StoreWriter
writer = StoreWriter(sys.argv[1], identity=IDENTITY)
for n in range(10**6):
    writer.write([make_record(f"{n}-{i}", size=(64, 48)) for i in range(2)])
    print(n, flush=True)
"""


def test_killed_from_outside_while_writing(tmp_path: Path) -> None:
    """kill -9 of a process that writes in the background loses at most the batches it had in its queue."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE_FOR_EVER, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=HERE
    )
    assert process.stdout is not None
    for _ in range(5):
        process.stdout.readline()
    time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    handed_over = 5 + len(process.stdout.read().splitlines())
    process.wait()
    process.stdout.close()
    store = Store(tmp_path)
    assert len(store) % 2 == 0
    assert len(store) >= 2 * (handed_over - 3)  # two in the queue, and one whose line was not printed yet
    with StoreWriter(tmp_path, identity=IDENTITY, resume=True) as writer:  # the lock of the dead process is free
        assert writer.done == set(store.sample_ids)
        writer.write([make_record("last")])
    store = Store(tmp_path)
    assert store.joints().select("sample_id", "joint").is_duplicated().sum() == 0
    assert "last" in store.sample_ids
    assert store.run["resumes"] == 1
