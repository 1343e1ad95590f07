"""What operators have for all gateways at once, over ``ctl:operators``: notices, bans, disconnecting an agent.

    notice <payload as JSON>    everybody who is connected is told, as the event ``operator_notice``
    bans                        they have changed
    disconnect <agent id>       whoever plays or follows the agent is closed; it may come back

A message that is lost costs a notice, or the two seconds until bans are looked at anyway.
"""

from __future__ import annotations

from typing import Final

import orjson
import structlog

from api.accounts.bans import BanList
from api.ids import is_agent_id, new_trace_id
from api.sockets.connections import Connections
from streaming import keys
from streaming.entry import SharedEvent
from streaming.hub import Hub, Subscription
from streaming.shared_clock import now_ms

log = structlog.get_logger(__name__)

NOTICE_KIND: Final = "operator_notice"


class OperatorOrders:
    """Carries them out for the connections of this gateway."""

    def __init__(self, hub: Hub, connections: Connections, bans: BanList) -> None:
        self._hub = hub
        self._connections = connections
        self._bans = bans
        self._control: Subscription | None = None

    def start(self) -> None:
        """Begin to listen; needs a running loop."""
        self._bans.on_change = lambda: self._connections.close_barred(self._bans.bars)
        self._connections.bars = self._bans.bars
        self._connections.close_barred(self._bans.bars)
        self._control = self._hub.listen(keys.OPERATORS_CHANNEL, self.heard)

    def close(self) -> None:
        """Stop."""
        self._bans.on_change = None
        if self._control is not None:
            self._control.close()

    def heard(self, message: bytes | None) -> None:
        """Take a message; None: some may have been lost."""
        what, _, rest = (message or b"bans").partition(b" ")
        if what == b"bans":
            self._bans.look_now()
        elif what == b"disconnect":
            agent_id = rest.decode("ascii", "replace")
            if is_agent_id(agent_id):
                self._connections.close_agent(agent_id)
        elif what == b"notice":
            self._tell(rest)

    def _tell(self, payload: bytes) -> None:
        try:
            fields = orjson.loads(payload)
        except orjson.JSONDecodeError:
            log.warning("operator_notice_unreadable")
            return
        self._connections.tell(SharedEvent(NOTICE_KIND, orjson.dumps(fields), now_ms(), new_trace_id()))
