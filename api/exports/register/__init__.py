"""The whole register as a folder of files, with a manifest: `certindex-api export`."""
