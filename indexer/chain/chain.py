"""The chain as the indexer sees it: headers and logs, checked before they are used.

A provider may lag, prune, cut short or mix backends. What can be checked against the request or a header is checked
here; an answer that contradicts itself is requested from another provider, and never passed on.
"""

from collections.abc import Collection

from indexer.chain.checked_calls import CheckedCalls
from indexer.chain.headers import Headers
from indexer.chain.log_filter import LogFilter
from indexer.chain.logs import Logs
from indexer.rpc.providers import Providers


class Chain:
    """Headers and logs of one chain, for the watched contracts. Its methods are those of `Headers` and `Logs`.

    The rules of the network with the id `chain_id` apply; 0 is none of the networks that have rules of their own.
    With `final_by_depth`, the depth counts even if the providers know the tag `finalized`. Without `trust_bloom`,
    nothing is concluded from the headers' blooms.
    Each list of logs is read `answers` times and must be the same each time; with a `quorum`, from that many different
    hosts. Everything raises TryAgain for answers that do not fit together.
    """

    def __init__(
        self,
        providers: Providers,
        addresses: Collection[bytes],
        *,
        chain_id: int = 0,
        finality_depth: int,
        final_by_depth: bool = False,
        trust_bloom: bool = True,
        concurrency: int = 8,
        answers: int = 1,
        quorum: int = 1,
    ) -> None:
        self.providers = providers
        calls = CheckedCalls(providers, concurrency)

        headers = Headers(calls, finality_depth, by_depth=final_by_depth, trust_bloom=trust_bloom)
        self.heads = headers.heads
        self.header = headers.header
        self.headers = headers.headers
        self.check_links = headers.check_links
        self.check_no_other_has = headers.check_no_other_has

        filter = LogFilter(chain_id, addresses)
        self.watch = filter.watch
        logs = Logs(calls, headers, filter, answers=max(answers, quorum), quorum=quorum)
        self.range_logs = logs.range_logs
        self.block_logs = logs.block_logs
        self.confirm = logs.confirm
        self.may_hold_ours = logs.may_hold_ours
        self.check_history = logs.check_history
        self.disagreements = logs.disagreements
