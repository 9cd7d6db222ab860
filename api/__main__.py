"""`certindex-api`: serves the GraphQL API of a database that `certindex` writes."""

import gc
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Serves, exports, or prints the schema. Exits with status 2 for a wrong setting."""
    # imports leave no garbage, and looking for it takes a tenth of their time
    gc.disable()
    from api.command import run

    run(arguments)


if __name__ == "__main__":
    main()
