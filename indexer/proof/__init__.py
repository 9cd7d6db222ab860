"""The parts of a log's proof: receipts, the receipts trie, the block header. Pure: no database, no network."""
