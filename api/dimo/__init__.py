"""`POST /query`: the GraphQL schema of DIMO's identity API, so that its clients change nothing but the URL.

Types, fields, arguments and nullability are those of that API; the values come from the same relations and listings as
those of `/graphql`. What no watched contract carries is in `absent.py`: null, or an empty list.
"""
