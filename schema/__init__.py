"""What things look like: domain facts, the ABI decoder, profiles, tables. Pure, but for the engine in `database`."""
