"""A study as tables, figures, text and files."""
