"""Profiles: TOML files that map the events of contracts to facts."""
