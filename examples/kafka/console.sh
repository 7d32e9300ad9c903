#!/bin/sh
# Commands from a shell: Kafka's own console producer, key and value with a tab between them.
#
#   examples/kafka/console.sh acme [127.0.0.1:19092]
#
# Java's default partitioner is the ledger's. Clients on librdkafka (kcat, confluent-kafka) should be told
# `partitioner=murmur2_random`; what lands on another partition all the same is forwarded, and counted.
set -eu
tenant=${1:?usage: console.sh TENANT [SERVERS]}
servers=${2:-127.0.0.1:${Z0_KAFKA_PORT:-19092}}
z0=${Z0:-"$(dirname "$0")/../../.venv/bin/z0"}
ledger=account_acct_console-example
to="\"tenant_id\": \"tenant_$tenant\", \"ledger_id\": \"$ledger\""

{
    printf '%s\t{"op": "create_entity", "id": "console/create", %s}\n' "$ledger" "$to"
    printf '%s\t{"op": "add_budget", "id": "console/deposit", "amount": "10", "currency": "USD", %s}\n' "$ledger" "$to"
    printf '%s\t{"op": "deduct_budget", "id": "console/spend", "amount": "0.25", "currency": "USD", %s}\n' "$ledger" "$to"
} | "$z0" kafka-tool ConsoleProducer --bootstrap-server "$servers" --topic z0.commands \
    --property parse.key=true --producer-property acks=all --producer-property enable.idempotence=true
