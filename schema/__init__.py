"""What both sides share: domain facts, the ABI decoder, profiles, tables. Imports neither side."""
