"""What foreign code tries in the sandbox, and what carries it there."""
