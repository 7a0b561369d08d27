"""A year of bumps of the scientific list, each as a branch that is merged: `python -m tests.e2e.rehearsal FOLDER`."""
