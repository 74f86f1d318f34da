"""Draws that hang on a hash, and random states that are given back."""

from __future__ import annotations

import random
import subprocess
import sys

import numpy as np
import pytest
import torch

from poseig_mm.seeding import noise_generator, random_states_kept, stable_hash


def draws() -> tuple[float, float, float]:
    """One number of each generator."""
    return random.random(), float(np.random.rand()), float(torch.rand(1))  # noqa: NPY002


def test_states_are_given_back_after_an_error() -> None:
    """Python's, NumPy's and torch's go on as if nothing had happened, seeded or not."""
    with random_states_kept(1):
        expected = draws()
    for seed in (None, 7):
        with random_states_kept(1):
            with pytest.raises(ZeroDivisionError), random_states_kept(seed):
                1 / int(draws()[0] < 0)
            assert draws() == expected


def test_a_seed_is_of_all_three() -> None:
    """The same seed begins the same three rows, another one others."""
    rows = []
    for seed in (5, 5, 6):
        with random_states_kept(seed):
            rows.append(draws())
    assert rows[0] == rows[1]
    assert not set(rows[0]) & set(rows[2])


def test_hashes_of_the_version_before() -> None:
    """Runs that were begun go on with the same draws: CRC-32 of texts, and Python's hash of three numbers."""
    assert stable_hash("scatter:a/0") == 0x74DF588D
    seeds = {noise_generator(*cell).initial_seed() for cell in ((0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0))}
    assert seeds == {hash(cell) % 2**63 for cell in ((0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0))}
    assert len(seeds) == 4


def test_choices_need_no_torch() -> None:
    """Reports and studies of tables choose by hashes alone."""
    code = "import sys, poseig_mm.seeding as s; s.stable_hash('a'); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
