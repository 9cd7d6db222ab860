"""The receiver for NATS: publishes to a JetStream stream, which drops a message whose id it has already."""

import asyncio
from typing import Any

from api.delivery.extras import extra
from api.delivery.messages import CONTENT_TYPE, Message
from api.delivery.receivers import Outcome, failed, reason_of, timed_out
from api.delivery.subscriptions import Subscription


class Nats:
    """A subject of JetStream. Connects for the first message, and again after any failure."""

    def __init__(self, subscription: Subscription) -> None:
        self._nats = extra("nats", "nats", f"The receiver {subscription.shown_url}")
        self._errors = extra("nats.js.errors", "nats", f"The receiver {subscription.shown_url}")
        self._subscription = subscription
        self._connection: Any = None
        self._cause: Exception | None = None

    async def send(self, message: Message) -> Outcome:
        seconds, self._cause = self._subscription.timeout, None
        try:
            async with asyncio.timeout(seconds):
                outcome = await self._publish(message)
        except TimeoutError:
            outcome = timed_out(seconds)
        except (self._errors.NoStreamResponseError, self._errors.ServiceUnavailableError):
            outcome = failed(
                "nats",
                f"no stream of JetStream takes the subject {self._subscription.subject}: create one. If the server has "
                "no JetStream, start it with nats-server -js",
            )
        except (self._nats.errors.Error, OSError, ValueError) as error:
            outcome = failed("nats", f"NATS failed: {reason_of(self._cause or error)}")
        if not outcome.delivered:
            await self.close()
        return outcome

    async def _publish(self, message: Message) -> Outcome:
        if self._connection is None or not self._connection.is_connected:
            self._connection = await self._nats.connect(
                self._subscription.url,
                allow_reconnect=False,
                max_reconnect_attempts=1,  # counts the tries of the first connection too
                reconnect_time_wait=0,
                error_cb=self._note,
                name="certindex",
            )
        headers = {"Nats-Msg-Id": message.id, "content-type": CONTENT_TYPE}
        stored = await self._connection.jetstream().publish(
            self._subscription.subject, message.body, timeout=self._subscription.timeout, headers=headers
        )
        return Outcome(True, "ok", f"stored in {stored.stream} as {stored.seq}")

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _note(self, error: Exception) -> None:
        """Keeps what failed: the library raises only that no server is left."""
        self._cause = error
