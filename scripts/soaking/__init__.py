"""The soak: two indexers on one database, a chain that grows and reorgs, and providers that misbehave.

One indexer after the other is killed or suspended, and started or resumed again. At the end the rows must equal those
of an index that nothing disturbed, and the events those of the chain.
"""
