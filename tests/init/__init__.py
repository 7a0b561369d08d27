"""The overlays' /init and start scripts, run for real in namespaces."""
