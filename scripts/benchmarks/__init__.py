"""What stackbuild promises, measured. Each module holds the rows of one subject; `ROWS` maps a row's name to it."""
