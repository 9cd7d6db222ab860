"""DID documents of devices, and their certificates as Verifiable Credentials."""
