"""One declaration a field, one plan a document: how the types of the schema become SQL and JSON text.

- `fields`: the five kinds of fields, and what a type declares
- `resolving`: graphql-core executes the declarations, one batch function for all objects at a time
- `compiling`: an operation becomes a tree of levels, each with the columns that it needs
- `levels`: what a level is, and the functions that it generates
- `run`: reads the levels from the root to the leaves, one statement a level
- `write`: writes them as JSON text, from the leaves to the root
- `documents`, `operations`: what is kept of a document: its parsed text, its prices, its plans

A plan returns only responses without errors. In every other case graphql-core executes the request again, so that
errors are exact: introspection, a refusal, a null in a non-null field.
"""
