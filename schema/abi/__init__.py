"""The encodings of the chain: event signatures, ABI data, RLP, Keccak-256."""
