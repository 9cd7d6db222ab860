"""The receiver for Redis: appends to a Redis stream. Redis does not compare ids: readers drop duplicates."""

import asyncio
from typing import Any

from api.delivery.extras import extra
from api.delivery.messages import Message
from api.delivery.receivers import Outcome, failed, timed_out
from api.delivery.subscriptions import Subscription


class Redis:
    """A Redis stream. Its entries have the fields `id`, `type` and `body`."""

    def __init__(self, subscription: Subscription) -> None:
        library = extra("redis.asyncio", "redis", f"The receiver {subscription.shown_url}")
        self._errors = extra("redis.exceptions", "redis", f"The receiver {subscription.shown_url}")
        self._subscription = subscription
        self._client: Any = library.from_url(subscription.url, socket_connect_timeout=subscription.timeout)

    async def send(self, message: Message) -> Outcome:
        seconds, fields = self._subscription.timeout, {"id": message.id, "type": message.type, "body": message.body}
        try:
            async with asyncio.timeout(seconds):
                place = await self._client.xadd(
                    self._subscription.stream, fields, maxlen=self._subscription.max_length, approximate=True
                )
        except (TimeoutError, self._errors.TimeoutError):
            return timed_out(seconds)
        except (self._errors.RedisError, OSError) as error:
            return failed("redis", f"Redis failed: {error or type(error).__name__}")
        return Outcome(True, "ok", f"stored as {place.decode()}")

    async def close(self) -> None:
        await self._client.aclose()
