"""Values of our scalars for schemathesis, and our check of every response. SCHEMATHESIS_HOOKS names this module.

The checks of schemathesis ignore `extensions.code`. Here a response fails if its status is 500 or more, or if one of
its errors has none of the codes below.
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
"""Codes with which a valid document may be refused because of the values of its scalars."""

SCALARS = {
    "BigInt": st.integers(-(2**70), 2**256).map(str) | st.integers(0, 200).map(str),
    "Address": st.binary(min_size=20, max_size=20).map(lambda value: f"0x{value.hex()}"),
    "Bytes": st.binary(max_size=8).map(lambda value: f"0x{value.hex()}"),
    "Bytes32": st.binary(min_size=32, max_size=32).map(lambda value: f"0x{value.hex()}"),
    "DateTime": st.datetimes().map(lambda value: f"{value.isoformat()}Z"),
}

for name, values in SCALARS.items():
    schemathesis.graphql.scalar(name, values.map(nodes.String))


@schemathesis.check  # type: ignore[untyped-decorator]  # untyped library
def every_refusal_has_a_code(context: Any, response: Any, case: Any) -> None:
    assert response.status_code < 500, f"status {response.status_code}"
    answer = response.json()
    for error in answer.get("errors", ()):
        code = error.get("extensions", {}).get("code")
        assert code in CODES, f"{code}: {error['message']}"
    if "errors" not in answer:
        assert answer["data"] is not None
