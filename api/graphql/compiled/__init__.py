"""The compiled executor: a document that comes again is turned into Python closures once, and run from then on.

graphql-core asks of every field of every object anew which type it has, which resolver, which arguments and which
fields below. All of that is the same for every request with the same document. Here it is worked out once:

1. `documents` keeps documents that were read and found valid. The first request of a document is executed by
   graphql-core, which validates it; the next one finds it here.
2. `compiler` makes a plan of the operation: for each object type a list of steps, one a field. A step reads an
   attribute or calls the same Strawberry resolver, and completes the value by its type. Fields are collected by
   graphql-core's own `collect_fields`, so that fragments, merged fields and their order are its doing; `@skip` and
   `@include` are settled then, and a plan holds for the values of the variables that they read.
3. `execution` runs a plan in waves, in one thread: all that need not wait is answered at once; the coroutines of a
   level run by turns, each until it waits for a loader, and when all wait, what they asked for is read, one statement a
   loader (`api.reading`); then the level below. There is no event loop and no task.

It answers only what has no errors. Whatever is out of the ordinary is left to graphql-core, which begins again with
fresh loaders: what the compiler does not know (introspection, field extensions, resolvers with unusual parameters),
variables that do not fit, a limit that is passed, a resolver that raises, a null where none may be. So errors
are exact, and they alone pay for it.

What it asks of resolvers: `info.path` is not told (a plan knows no list indexes), arguments are not changed in place
(they are made once a request, not once an object), a list is a list or a tuple, only `async def` is awaited, and a
resolver awaits nothing but loaders and `Context.runner`.
"""
