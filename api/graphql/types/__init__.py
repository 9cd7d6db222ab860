"""The object types, one file a subject."""
