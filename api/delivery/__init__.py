"""Delivery: a process that sends the change feed to webhooks, NATS and Redis. It writes its own state, not the index.

- `command`: the command line, `certindex deliver`
- `subscriptions`: the file that names the receivers
- `feed`: pages of the change feed, and where a subscription starts
- `messages`: a page becomes messages with ids, sequence numbers and bodies
- `state`: what is stored of each subscription: position, outbox, attempts
- `delivery`: the loop of one subscription; `sender`: the process that runs them all
- `webhook`, `nats`, `redis`: the kinds of receivers; `addresses`: which hosts a webhook may reach
"""
