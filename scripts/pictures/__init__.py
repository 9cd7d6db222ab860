"""Pictures of every page of the explorer: light, dark, and on a phone."""
