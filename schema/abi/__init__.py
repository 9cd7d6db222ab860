"""Solidity's ABI and Ethereum's hashes: event signatures, decoders of logs, keccak-256, RLP."""
