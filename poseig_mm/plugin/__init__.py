"""The plugin host: hook specifications, kinds of entries, loading, catalog, failures that are survived."""
