"""
Commands straight to Kafka: an account, some money, a reservation, its settlement. Needs only aiokafka and a stack that is up.

    python examples/kafka/produce.py acme [127.0.0.1:19092]

The key is the ledger id, so that the commands of one ledger stay in order. The id makes a command safe to send twice.
Outcomes are facts on `z0.facts` that carry the command's id; what fits no ledger goes to `z0.dead-letters`.
"""

import asyncio
import json
import sys
from typing import Any

from aiokafka import AIOKafkaProducer


def commands(tenant: str) -> list[dict[str, Any]]:
    """Four commands on one ledger; amounts are decimal strings, never numbers."""
    to = {"tenant_id": f"tenant_{tenant}", "ledger_id": "account_acct_kafka-example"}
    return [
        {"op": "create_entity", "id": "example/create", **to},
        {"op": "add_budget", "id": "example/deposit", "amount": "10", "currency": "USD", **to},
        {"op": "reserve", "id": "example/reserve", "amount": "2.50", "currency": "USD", **to},
        {"op": "confirm", "id": "example/confirm", "reservation_id": "example/reserve", "amount": "1.999999999999", **to},
    ]


async def main(tenant: str, servers: str = "127.0.0.1:19092") -> None:
    """Send them all and wait until the broker has them."""
    async with AIOKafkaProducer(bootstrap_servers=servers, acks="all", enable_idempotence=True) as producer:
        for command in commands(tenant):
            value, key = json.dumps(command).encode(), command["ledger_id"].encode()
            record = await producer.send_and_wait("z0.commands", value, key=key)
            sys.stdout.write(f"{command['id']} -> {record.topic} {record.partition} {record.offset}\n")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
