"""One state of the database: snapshots, reads, caches of counts, and the detection of changes."""
