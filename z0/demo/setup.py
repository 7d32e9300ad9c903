"""Making the world. Owns: the order: tenants and keys by the operator, the rest over HTTP with those keys."""

from collections.abc import Mapping
from typing import Protocol

from z0.demo.http import Api
from z0.demo.world import World


class Operator(Protocol):
    """Who may make tenants and keys: what `z0 tenant create` and `z0 key create` do."""

    async def tenant(self, name: str) -> None: ...

    async def key(self, tenant_name: str) -> str: ...


async def make(world: World, operator: Operator, api: Api) -> Mapping[str, str]:
    """Make what is not there yet; gives a key for each tenant."""
    keys = {}
    for tenant in world.tenants:
        name = world.tenant_name(tenant)
        await operator.tenant(name)
        keys[tenant] = await operator.key(name)
        await api.batch(keys[tenant], world.creation(tenant))
    return keys
