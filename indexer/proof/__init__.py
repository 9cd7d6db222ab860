"""What a log's proof is made of: receipts, the receipts trie, the block header. Pure: no database, no network."""
