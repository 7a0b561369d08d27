"""A program of its own that makes a sandbox and becomes what runs in it: `start.py` starts it, `main.py` is its course.

All but `start.py` runs in there, with the standard library only. The order follows namespaces(7), user_namespaces(7),
pivot_root(2) and mount(2).
"""
