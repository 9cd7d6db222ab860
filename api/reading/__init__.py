"""One state of the database: snapshots, loaders, and what notices that it has changed."""
