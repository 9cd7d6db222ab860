"""Writes the tables that the documentation takes from the code: python -m scripts.documentation"""

from scripts.documentation.tables import REPOSITORY, TABLES, with_tables

for page in TABLES:
    path = REPOSITORY / page
    path.write_text(with_tables(page, path.read_text()))
