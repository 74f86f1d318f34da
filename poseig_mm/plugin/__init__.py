"""The plugin host: markers, hook specifications, loading, catalog."""
