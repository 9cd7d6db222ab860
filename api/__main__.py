"""`certindex-api`: serves the GraphQL API of a database that `certindex` writes."""

import gc
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve, or print the schema. Exits with status 2 for a wrong setting."""
    # nothing that is loaded becomes garbage: to look for some takes a tenth of the time until it is loaded
    gc.disable()
    from api.command import run

    run(arguments)


if __name__ == "__main__":
    main()
