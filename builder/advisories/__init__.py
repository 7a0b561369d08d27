"""Advisories: which of the packages that somebody has are known to be vulnerable, by databases in OSV's format.

    file, folder, zip ─ reading ─▶ entries ─ entry ─▶ advisories ─ index ─▶ by package, in the store ─┐
    a service that speaks OSV's API ─ service ─────────────────────────────▶ by package ──────────────┴─ hits

Everything is judged by our own evaluation of the entries, whoever gave them. A database is foreign: whatever it says is
data that is checked, counted and limited.
"""
