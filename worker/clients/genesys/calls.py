"""What handlers may ask of Genesys Cloud, whatever the dialect."""

from collections.abc import Mapping
from typing import Any

from worker.clients.genesys.api import Api
from worker.clients.genesys.dialect import Dialect


class Genesys:
    """The verbs. Each raises the error tree of `worker.errors`, and nothing else."""

    def __init__(self, api: Api, dialect: Dialect, *, actions_repeatable: bool = True) -> None:
        """`actions_repeatable`: False for data actions that write: no call is made twice.

        A message that comes back is another call.
        """
        self._api = api
        self._dialect = dialect
        self._actions_repeatable = actions_repeatable

    async def execute_data_action(
        self, action_id: str, inputs: Mapping[str, str]
    ) -> Mapping[str, Any] | None:
        """Return the data action's output; None when it knows no such customer."""
        call = self._dialect.execute_data_action(action_id, inputs)
        return await self._api.run(call, repeatable=self._actions_repeatable)

    async def customer_address(self, conversation_id: str) -> str | None:
        """Return the raw address (`tel:+1555...`) of a live conversation's customer, if known."""
        return await self._api.run(self._dialect.customer_address(conversation_id))
