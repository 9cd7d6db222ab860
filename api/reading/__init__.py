"""One state of the database: snapshots, reads, and what notices that it has changed."""
