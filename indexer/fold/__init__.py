"""Turns facts and open rows into rows. Does no I/O; its only clock is the block time."""
