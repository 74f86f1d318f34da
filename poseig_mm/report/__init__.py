"""The report: sections to a page and figures, from the store alone."""
