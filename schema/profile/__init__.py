"""Profiles: which events of a contract are which facts."""
