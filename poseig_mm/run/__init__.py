"""One diagnosis, from config to page: `session` wires the stages, `explainer` is the way to a map."""
