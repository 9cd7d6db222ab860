"""The compiled executor: it turns a document that is repeated into Python closures once, and runs those from then on.

For every field of every object, graphql-core determines anew the type, the resolver, the arguments and the fields
below. All of that is the same for every request with the same document. This package determines it once:

1. `documents` keeps documents that were parsed and validated. graphql-core executes the first request of a document
   and validates it; the next request finds it here.
2. `compiler` makes a plan of the operation: for each object type a list of steps, one for each field. A step reads an
   attribute or calls the same Strawberry resolver, and completes the value by its type. graphql-core's own
   `collect_fields` collects the fields, so that fragments, merged fields and their order are the same. It evaluates
   `@skip` and `@include` as well: a plan is valid for the values of the variables that they read.
3. `execution` runs a plan in waves, in one thread. It completes everything that need not wait, then runs the
   coroutines of a level in turn, each until it waits for a loader. When all wait, each loader reads its keys in one
   statement (`api.reading.batching`); then the next level begins. There is no event loop and no task.

It returns only responses without errors. In every other case graphql-core executes the request again with new
loaders: what the compiler does not support (introspection, field extensions, resolvers with unusual parameters),
variables of a wrong type, an exceeded limit, a resolver that raises, a null in a non-null field. So errors are exact,
and only requests with errors pay for that.

Requirements for resolvers: they do not read `info.path` (a plan has no list indexes), they do not change their
arguments (which are made once a request, not once an object), they return lists as list or tuple, only `async def` is
awaited, and they await nothing but loaders and `Context.runner`.
"""
