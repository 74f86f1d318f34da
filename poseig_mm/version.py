"""The version of this package, in a module of its own: what needs it need not import the package's public names."""

__version__ = "0.2.0"
