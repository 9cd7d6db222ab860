"""What schemathesis is told of this schema, and how it judges every answer: SCHEMATHESIS_HOOKS names this module.

Its own checks know nothing of `extensions.code`: here an answer with a status of 500 or more, or an error without one
of the codes, is a failure.
"""

from typing import Any

import schemathesis
from hypothesis import strategies as st
from schemathesis.graphql import nodes

CODES = {
    "GRAPHQL_VALIDATION_FAILED",
    "BAD_USER_INPUT",
    "MAX_COST_EXCEEDED",
    "MAX_DEPTH_EXCEEDED",
    "TIMEOUT",
    "NOT_READY",
}
"""What a document may be refused with that is right but for the values of its scalars."""

SCALARS = {
    "BigInt": st.integers(-(2**70), 2**256).map(str) | st.integers(0, 200).map(str),
    "Address": st.binary(min_size=20, max_size=20).map(lambda found: f"0x{found.hex()}"),
    "Bytes": st.binary(max_size=8).map(lambda found: f"0x{found.hex()}"),
    "Bytes32": st.binary(min_size=32, max_size=32).map(lambda found: f"0x{found.hex()}"),
    "DateTime": st.datetimes().map(lambda found: f"{found.isoformat()}Z"),
}

for name, values in SCALARS.items():
    schemathesis.graphql.scalar(name, values.map(nodes.String))


@schemathesis.check  # type: ignore[untyped-decorator]  # it has no types
def every_refusal_has_a_code(context: Any, response: Any, case: Any) -> None:
    assert response.status_code < 500, f"status {response.status_code}"
    answer = response.json()
    for error in answer.get("errors", ()):
        code = error.get("extensions", {}).get("code")
        assert code in CODES, f"{code}: {error['message']}"
    if "errors" not in answer:
        assert answer["data"] is not None
