"""Treatments: changes of a model that its diagnosis calls for, each beside controls, and the page on what they did."""
