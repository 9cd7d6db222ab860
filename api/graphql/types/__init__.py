"""The object types, one file for each subject."""
