"""Executors: how the stale actions of a plan are performed. One file each."""
