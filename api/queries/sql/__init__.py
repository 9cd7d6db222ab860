"""How a SELECT is made, whatever its subject.

- `scope`, `as_of`: the point of a chain at which rows are read
- `keys`, `prepared`: many objects in one statement, and statements that are compiled once
- `filters`, `fields`, `times`: from a filter to a condition
- `listings`: what a list is, and its orders
- `pages`: pages, counts and ids of a listing
- `identities`, `ordered_joins`: an identity joined with what changes about it
"""
