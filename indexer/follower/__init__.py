"""Following a chain until stopped: `Follower` runs the loops, each in a module of its own.

`steps` takes one step after another, `verification` verifies final blocks, `heads` listens for new heads; they work
while this process holds the `lease`. `startup` waits for a provider first.
"""

from indexer.follower.follower import Follower
from indexer.follower.startup import follow

__all__ = ["Follower", "follow"]
