"""A plugin file with small studies, one of which asks whatever a test puts into `questions`."""

__all__ = ["PLUGIN"]

PLUGIN = """
from dataclasses import dataclass

import torch

from poseig_mm.studies.base import Study
from poseig_mm.types import Section


@dataclass(frozen=True)
class Counting(Study):
    name = "counting"
    times: int = 5

    def sample_rows(self, finding, context):
        return [{"sample_id": finding.sample.sample_id, "i": i} for i in range(self.times)]

    def store_rows(self, store):
        return [{"sample_id": "all", "i": len(store)}]

    def section(self, store):
        return Section(self.name, "The study of counting", f"{len(store.study(self.name))} rows were counted")


class Plain(Study):
    name = "plain"

    def section(self, store):
        raise ValueError("no section today")


class Mixed(Study):
    name = "mixed"

    def sample_rows(self, finding, context):
        value = "two" if finding.sample.sample_id == "1-2" else 1
        return [{"sample_id": finding.sample.sample_id, "value": value}]


@dataclass(frozen=True)
class Tensors(Study):
    name = "tensors"
    of: str = "1-2"  # whose second row has a cell that no table holds
    whole: bool = False  # the same of the rows made in the end

    def sample_rows(self, finding, context):
        name = finding.sample.sample_id
        cell = torch.zeros(2) if name == self.of else 2.0
        return [{"sample_id": name, "x": 1.0}, {"sample_id": name, "x": cell}, {"sample_id": name, "x": 3.0}]

    def store_rows(self, store):
        return [{"sample_id": "all", "x": torch.zeros(2) if i == 1 else i} for i in range(3)] if self.whole else []


class Ask(Study):
    name = "ask"
    questions = {}

    def sample_rows(self, finding, context):
        if finding.sample.sample_id == "2-3":
            return []
        return [{"sample_id": finding.sample.sample_id, "question": name, "answer": str(ask(finding, context))}
                for name, ask in self.questions.items()]


@hookimpl
def poseig_studies():
    return [Counting(), Plain(), Mixed(), Tensors(), Ask()]
"""
