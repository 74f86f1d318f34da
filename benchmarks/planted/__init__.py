"""The parts of `benchmarks.planted_evidence`: figures and models, maps and their scores, diagnoses, the page."""
