"""Writes what the documentation lists from its declarations: python -m scripts.documentation"""

from scripts.documentation.settings import README, with_tables

README.write_text(with_tables(README.read_text()))
