"""Whole builds, judged by real tools. One store for all of them, made once a session."""
