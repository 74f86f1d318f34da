"""Scores of maps against known evidence."""

from __future__ import annotations

import pytest
import torch

from benchmarks.planted.known_evidence import area_share, auroc, mass_share, peak_share
from poseig_mm.errors import ShapeError

EVIDENCE = torch.tensor([[True, True, False], [False, False, False]])


def test_auroc_counts_pairs() -> None:
    """By hand: of 2 x 4 pairs, 0.5 beats 3 and ties with 1, 0.1 beats 1 and ties with 1: 3.5 + 1.5 of 8."""
    found = auroc(torch.tensor([[0.5, 0.1, 0.5], [0.1, 0.0, 0.3]]), EVIDENCE)
    assert found.item() == (3.5 + 1.5) / 8


@pytest.mark.parametrize(("values", "wanted"), [([[1, 2, 0], [0, 0, 0]], 1.0), ([[0, 0, 1], [2, 1, 1]], 0.0)])
def test_auroc_of_a_perfect_and_of_an_inverted_map(values: list[list[int]], wanted: float) -> None:
    """All of the evidence above all of the rest, and below it."""
    assert auroc(torch.tensor(values, dtype=torch.float64), EVIDENCE).item() == wanted


def test_auroc_is_that_of_pairwise_comparison() -> None:
    """Against the definition, on values with many ties, for several maps at once."""
    generator = torch.Generator().manual_seed(0)
    maps = torch.randint(0, 5, (3, 2, 6, 7), generator=generator).double()
    evidence = torch.rand(3, 1, 6, 7, generator=generator) < 0.3
    found = auroc(maps, evidence)
    for b in range(3):
        for k in range(2):
            a, e = maps[b, k], evidence[b, 0]
            inside, outside = a[e][:, None], a[~e][None]
            wanted = ((inside > outside).double() + 0.5 * (inside == outside)).mean()
            assert found[b, k].item() == pytest.approx(wanted.item(), abs=1e-12)


def test_a_constant_map_is_chance() -> None:
    """Every score of a map without contrast is what the area gives; AUROC a half."""
    flat = torch.full((2, 3), 0.7)
    assert auroc(flat, EVIDENCE).item() == 0.5
    assert mass_share(flat, EVIDENCE).item() == pytest.approx(area_share(EVIDENCE).item(), abs=1e-7)
    assert peak_share(flat, EVIDENCE).item() == pytest.approx(area_share(EVIDENCE).item())


def test_mass_and_peak_by_hand() -> None:
    """5 of 8.5 of the mass lie on the evidence; the largest pixel lies beside it, then on it, then both."""
    maps = torch.tensor([[2.0, 3.0, 0.0], [3.5, 0.0, 0.0]])
    assert mass_share(maps, EVIDENCE).item() == pytest.approx(5 / 8.5)
    assert peak_share(maps, EVIDENCE).item() == 0.0
    assert peak_share(maps.where(maps < 3.5, 1.0), EVIDENCE).item() == 1.0
    assert peak_share(maps.where(maps < 3.5, 3.0), EVIDENCE).item() == 0.5


@pytest.mark.parametrize("score", [auroc, mass_share, peak_share])
def test_what_has_no_score_is_nan(score: object) -> None:
    """A map of zeros, one with a NaN, and evidence that is nowhere or everywhere."""
    good, rows = torch.rand(2, 3), []
    rows.append(score(torch.zeros(2, 3), EVIDENCE))  # type: ignore[operator]
    rows.append(score(good.masked_fill(EVIDENCE, torch.nan), EVIDENCE))  # type: ignore[operator]
    rows.append(score(good, torch.zeros(2, 3, dtype=torch.bool)))  # type: ignore[operator]
    rows.append(score(good, torch.ones(2, 3, dtype=torch.bool)))  # type: ignore[operator]
    assert torch.stack(rows).isnan().all()
    assert score(good, EVIDENCE).isfinite()  # type: ignore[operator]


def test_sizes_that_do_not_fit_are_refused() -> None:
    """Another size, or evidence as numbers."""
    with pytest.raises(ShapeError, match="expected"):
        auroc(torch.rand(2, 3), torch.zeros(3, 2, dtype=torch.bool))
    with pytest.raises(ShapeError, match="bool"):
        auroc(torch.rand(2, 3), torch.zeros(2, 3))
