"""The commands of `certindex`, one file each."""
