"""A client of the tools at `/mcp`, as agents have one."""

import asyncio
import json
from typing import Any

from mcp.client import Client
from mcp_types import CallToolResult

Json = dict[str, Any]

MODERN, LEGACY = "2026-07-28", "legacy"
"""The revisions of the protocol: that without a handshake, and those before it."""


class Agent:
    """Calls tools at an address. `calls` are the tools that were called."""

    def __init__(self, address: str, mode: str = MODERN) -> None:
        self._url = f"{address}/mcp"
        self._mode = mode
        self.calls: list[str] = []

    def call(self, tool: str, **arguments: Any) -> Json:
        """Returns the answer of a call, which must succeed."""
        text = self.text(tool, **arguments)
        answer: Json = json.loads(text)
        return answer

    def text(self, tool: str, **arguments: Any) -> str:
        result = self._call(tool, arguments)
        assert not result.is_error, result.content
        return _text(result)

    def refusal(self, tool: str, **arguments: Any) -> str:
        """Returns the message of a call, which must be refused."""
        result = self._call(tool, arguments)
        assert result.is_error, result.content
        return _text(result)

    def all_rows(self, tool: str, name: str, **arguments: Any) -> list[Json]:
        """Returns the rows of all pages."""
        rows: list[Json] = []
        cursor: Json = {}
        while True:
            page = self.call(tool, **arguments, **cursor)
            rows += page[name]
            if page["next"] is None:
                assert len(rows) == page["totalCount"]
                return rows
            cursor = {"skip" if tool == "fleet_report" else "after": page["next"]}

    def _call(self, tool: str, arguments: Json) -> CallToolResult:
        self.calls.append(tool)

        async def call() -> CallToolResult:
            async with Client(self._url, mode=self._mode) as client:
                return await client.call_tool(tool, arguments)

        return asyncio.run(call())


def _text(result: CallToolResult) -> str:
    (content,) = result.content
    assert content.type == "text"
    return content.text
