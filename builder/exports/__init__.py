"""Outputs in foreign formats. One file each."""
