"""A plugin file with small studies, one of which asks whatever a test puts into `questions`."""

__all__ = ["PLUGIN"]

PLUGIN = """
from dataclasses import dataclass

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
    return [Counting(), Plain(), Mixed(), Ask()]
"""
