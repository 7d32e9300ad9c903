"""The page of limits. Owns: which bounds are listed and why each is what it is; the values are read from the code."""

from typing import Final

from api import auth, decisions, items, reads, views
from api import configs as config_pages
from api import facts as fact_pages
from sinks.archive.sealing import RANGE_BYTES_MAX
from sinks.policy import BatchLimit
from streams import door
from streams.app import COMMIT_TIMEOUT_S, HEARTBEAT_INTERVAL_S, SESSION_TIMEOUT_S, TICK_INTERVAL_S
from streams.host import RELEASE_TIMEOUT_S
from streams.reading import TAKEN_MAX
from tables.store import BLOCK_CACHE_BYTES
from z0.client.direct import CONNECT_TIMEOUT_S
from z0.client.frames import FRAME_BYTES_MAX, HELLO_BYTES_MAX
from z0.codec import NESTING_MAX
from z0.config import SECRET_BYTES_MAX, Config, variable
from z0.configs.book import PINNED_MAX, READ_BYTES_MAX, REMEMBERED_BYTES_MAX
from z0.domain import config as configs
from z0.domain.appending import CHECK_WORK_MAX
from z0.domain.check import METERS_MAX, NAME_CHARS_MAX, QUANTITY_DIGITS_MAX
from z0.domain.commands import COMMAND_BYTES_MAX, TTL_MS_MAX
from z0.domain.decide import EVENT_TIME_FUTURE_MAX_MS, EVENT_TIME_PAST_MAX_MS
from z0.domain.expiry import EXPIRIES_PER_FACT_MAX
from z0.domain.ids import COMMAND_ID_BYTES_MAX, ID_BYTES_MAX
from z0.domain.money import DECIMALS, WHOLE_DIGITS_MAX
from z0.domain.state import CHARGES_MAX, COUNTERS_MAX, ENDED_MAX, GRANTS_MAX, HOLDS_MAX
from z0.imports.lines import ROW_CHARS_MAX
from z0.imports.tables import ROWS_MAX
from z0.log.deciding import EXPIRY_LEDGERS_MAX, ROUND_BYTES_MAX, ROUND_COMMANDS_MAX
from z0.log.engine import INDEX_ENTRIES_MAX, INDEX_PAUSE_S, INDEX_ROUNDS_MAX, RECLAIM_PAUSE_MAX_S
from z0.log.entry import RETENTION_MS
from z0.log.following import RETRY_MAX_S
from z0.log.index import CACHE_BYTES, WRITE_BUFFER_BYTES, WRITE_BUFFERS
from z0.log.kafka import READ_BATCH, READ_STALL_S
from z0.log.producer import BATCH_BYTES_MAX, REQUEST_BYTES_MAX, STOP_TIMEOUT_S
from z0.log.recovery import ACK_TIMEOUT_S, CLOCK_SKEW_MAX_MS, INDEX_BATCH, RELIEF_ENTITIES
from z0.log.snapshotting import PASS_STEPS_MAX, STEP_ENTITIES_MAX, STEP_PAUSE_MS
from z0.reference.text import page, table

INTRO: Final = """Everything that could grow has a bound, so that memory, an answer and a recovery have one too. Bounds with a
variable are settings ([settings.md](settings.md)); the others are part of the program, as others are derived from them."""
DAY_MS: Final = 24 * 3600 * 1000
Row = tuple[str, str, str]


def limits_page() -> str:
    """`limits.md`."""
    head = ("bound", "value", "why this value, and what happens there")
    return page(
        "Limits",
        INTRO,
        "## One ledger",
        table(head, [*_ledger(), *_words()]),
        "## One worker, per partition",
        table(head, [*_worker(), *_inner()]),
        "## One worker's direct door",
        table(head, _door()),
        "## The HTTP API",
        table(head, _api()),
        "## Copies and imports",
        table(head, _copies()),
        "## Time",
        table(head, [*_time(), *_waits()]),
        "## Configs",
        table(head, _configs()),
    )


def _ledger() -> list[Row]:
    return [
        ("open reservations", f"{HOLDS_MAX:,}", "with the longest ids its snapshot still fits one record; `too_many_holds`"),
        ("unsettled charges", f"{CHARGES_MAX:,}", "the same snapshot; `too_many_charges`"),
        ("users with a role", f"{GRANTS_MAX:,}", "more belong into a group of the caller's own; `too_many_grants`"),
        ("counters of limits", f"{COUNTERS_MAX}", "four times the limits in force: only those of gone limits are forgotten"),
        ("closed reservations remembered", f"{ENDED_MAX}", "for late confirms; the HTTP API finds older ones in Postgres"),
        ("meters in one usage", f"{METERS_MAX}", "each costs a multiplication in the ledger's only writer; `malformed`"),
        ("one command", _bytes(COMMAND_BYTES_MAX), "a round of large ones still ends in milliseconds; `too_large`"),
        ("brackets open at once in a command", f"{NESTING_MAX}", "every reader must read it back, whoever calls it; `malformed`"),
        (
            "one record batch",
            _bytes(BATCH_BYTES_MAX),
            "`max.message.bytes` of the topics; one command's facts stay below",
        ),
    ]


def _words() -> list[Row]:
    return [
        (
            "an entity's id",
            f"{ID_BYTES_MAX - 8} bytes behind its prefix",
            "three UUIDs fit; it is on every fact; `bad_ledger_id`",
        ),
        ("a command's id", f"{COMMAND_ID_BYTES_MAX} bytes", "five UUIDs fit; the index keeps each for 35 days; `bad_command_id`"),
        (
            "an amount",
            f"{WHOLE_DIGITS_MAX} digits, and {DECIMALS} decimals",
            "the stores' numeric(38,12); `bad_amount`, and a sum `amount_overflow`",
        ),
        ("a quantity in a usage", f"{QUANTITY_DIGITS_MAX} digits", "its product with any price is exact; `bad_amount`"),
        ("reservations in one fact of expiry", f"{EXPIRIES_PER_FACT_MAX}", "it stays under 256 KiB; the next fact has the next"),
    ]


def _worker() -> list[Row]:
    default = Config()
    return [
        (_variable("live_entities_max"), f"{default.live_entities_max:,}", "about 2 KiB each; others are read from the tables"),
        (_variable("queue_commands_max"), f"{default.queue_commands_max:,}", "a third of a second of work; `overloaded`"),
        (_variable("queue_bytes_max"), _bytes(default.queue_bytes_max), "the same for large commands; `overloaded`"),
        ("commands in a round", f"{ROUND_COMMANDS_MAX:,}", "20 to 40 ms; only with a backlog and nobody at the direct door"),
        ("bytes in a round", _bytes(ROUND_BYTES_MAX), "a batch of this size is acked in milliseconds"),
        ("batches in flight", "1, and 1 decided", "one more would add latency and bring nothing: deciding is the bottleneck"),
        ("ledgers expired in a round", f"{EXPIRY_LEDGERS_MAX}", "10 ms; the next round takes the next"),
        (
            "ledgers with an open reservation",
            "as many as there are",
            "each has an entry of 200 bytes in memory, also outside the live ones, so that it expires in time: 191 MiB for a "
            "million, and at most as much again for entries that no longer count",
        ),
        (
            "snapshots in a step",
            f"{STEP_ENTITIES_MAX} every {STEP_PAUSE_MS} ms",
            "a fifth of its time while a pass runs",
        ),
        ("index cache", _bytes(CACHE_BYTES), "nearly every look-up is for an id never seen, and filters answer those"),
        ("table cache", _bytes(BLOCK_CACHE_BYTES), "per table; the library's default is 2 GiB"),
    ]


def _inner() -> list[Row]:
    buffers = f"{WRITE_BUFFERS} of {_bytes(WRITE_BUFFER_BYTES)}"
    return [
        ("write buffers, of the index and of each table", buffers, "one is written, one waits for it, one is filled"),
        (
            "ids that wait to be written to the index",
            f"{INDEX_ENTRIES_MAX}, of at most {INDEX_ROUNDS_MAX} rounds, for {INDEX_PAUSE_S * 1000:.0f} ms of quiet",
            "a write costs 40 us and the interpreter's lock; until then they are known in memory",
        ),
        ("a pass of snapshots", f"{PASS_STEPS_MAX} steps", "it ends within a second; steps get larger where more is dirty"),
        ("commands taken from a fetch at once", f"{TAKEN_MAX:,}", "1 ms, in which callers of the direct door wait, too"),
        ("records of the log that a reader holds", f"{READ_BATCH:,}", "some megabytes"),
        ("ids that a replay writes at once", f"{INDEX_BATCH:,}", "about 2 MiB until then"),
        (
            "snapshots that a replay writes at once",
            f"{RELIEF_ENTITIES:,}",
            "about 2 MiB; when memory is full of what it has changed",
        ),
        ("a request for the broker, of all partitions", _bytes(REQUEST_BYTES_MAX), "a broker takes 100 MiB"),
    ]


def _door() -> list[Row]:
    return [
        ("clients", f"{door.CLIENTS_MAX}", "a process that asks has one connection; one more is told so and sent away"),
        ("a hello", _bytes(HELLO_BYTES_MAX), "all that is kept of who has not said it; sent away"),
        (_variable("door_secret"), f"{SECRET_BYTES_MAX:,} bytes", "it goes in the hello; a worker or client does not start"),
        ("a hello is waited for", f"{door.HELLO_TIMEOUT_S:.0f} s", "it is the first thing a client sends; sent away"),
        ("who is sent away leaves", f"within {door.LEAVE_TIMEOUT_S:.0f} s", "time to read why; then it is cut off"),
        ("one frame", _bytes(FRAME_BYTES_MAX), "clients send a sixteenth, or one command alone; sent away"),
        (
            "answers a client has not read",
            _bytes(door.UNREAD_PAUSE_BYTES),
            "one full frame; nothing more is taken from that client until it reads",
        ),
        (
            "the same, from earlier turns",
            _bytes(door.UNREAD_BYTES_MAX),
            "what was taken is still answered; beyond this they are dropped and the worker hangs up; the client asks again",
        ),
        (
            "the same, of all clients",
            _bytes(door.UNREAD_BY_ALL_BYTES_MAX),
            f"beyond this the worker hangs up on who has more than {_bytes(door.UNREAD_SHARE_BYTES)} of it",
        ),
    ]


def _api() -> list[Row]:
    default = Config()
    pages = sorted({fact_pages.PAGE_MAX, config_pages.PAGE_MAX, views.PAGE_MAX})
    return [
        ("commands in one batch", f"{items.COMMANDS_MAX:,}", "a fiftieth of a second of deciding; more bring no higher rate"),
        (_variable("body_bytes_max"), f"{default.body_bytes_max:,} bytes", "a full batch of usual commands; `too_large`"),
        (
            "entries on a page",
            ", ".join(f"{most:,}" for most in pages),
            "half a megabyte of usual facts, 32 MiB of the largest configs",
        ),
        ("keys remembered", f"{auth.REMEMBERED_MAX:,}", "the one that was not used for longest goes, and is looked up again"),
        ("a revoked key works for", f"at most {auth.REMEMBERED_MS // 1000} s", "without a memory each request would be two"),
        ("connections to Postgres", f"{reads.POOL_MAX}", "queries of a millisecond each: thousands a second"),
        ("Postgres is waited for", f"{reads.ASK_TIMEOUT_S:.0f} s", "its answers take milliseconds; `reads_unavailable`"),
        ("it is waited for up to the ledger's head", f"{fact_pages.WAIT_S:.0f} s", "then the answer says how far it is"),
        ("receipts made at once", f"{decisions.AT_ONCE}", "each folds its ledger from the first fact; others wait"),
        ("a receipt takes", f"at most {decisions.LONGEST_S:.0f} s", "about two million facts; `z0 explain` has no such bound"),
    ]


def _copies() -> list[Row]:
    default, batch = Config(), BatchLimit()
    return [
        (_variable("sink_batch_rows_max"), f"{default.sink_batch_rows_max:,}", "one transaction of a store takes about a second"),
        ("a sink's batch", _bytes(batch.bytes_max), "what it holds in memory, as a fact may have 256 KiB"),
        ("records that a sink decodes at once", f"{batch.poll_rows_max:,}", "15 ms, in which nothing else goes on"),
        ("a range of the archive", _bytes(RANGE_BYTES_MAX), "of each partition; ended early rather than held in memory"),
        ("a row of an import", f"{ROW_CHARS_MAX:,} characters", "four times the longest command; a bad row"),
        ("rows of a table beside a mapping", f"{ROWS_MAX:,}", "it is held in memory; the import does not start"),
    ]


def _time() -> list[Row]:
    return [
        (
            "command ids are kept",
            f"{RETENTION_MS // DAY_MS} days",
            "longer than any queue keeps a command; then free again. A lost index is rebuilt from the facts of that time: 18 "
            "minutes for 100 million of them at 91,700 a second (`z0 bench recovery`)",
        ),
        ("a reservation lasts", f"at most {TTL_MS_MAX // DAY_MS} days", "`malformed`; a budget config may say less"),
        (
            "an expiry is late by",
            f"at most {TICK_INTERVAL_S} s",
            "the worker's timer, and one round; at once where it is asked; 100,000 ledgers due at once take 1.4 s of deciding",
        ),
        (
            "event time",
            f"{EVENT_TIME_PAST_MAX_MS // DAY_MS} days back, {EVENT_TIME_FUTURE_MAX_MS // DAY_MS} ahead",
            "`timestamp_out_of_bounds`",
        ),
        ("an ack is waited for", f"{ACK_TIMEOUT_S:.0f} s", "then the epoch is dead and the next claim tells what landed"),
        ("clocks may differ", f"{CLOCK_SKEW_MAX_MS / 1000:.0f} s", "from the broker's; beyond it the partition is given up"),
        (
            "a silent worker is replaced after",
            f"{SESSION_TIMEOUT_S:.0f} s",
            f"heartbeats come every {HEARTBEAT_INTERVAL_S:.0f} s",
        ),
    ]


def _waits() -> list[Row]:
    return [
        (
            _variable("command_timeout_ms"),
            f"{Config().command_timeout_ms / 1000:.0f} s",
            "for a decision; then 504, and the same id again",
        ),
        ("an owner is connected to within", f"{CONNECT_TIMEOUT_S:.0f} s", "then whoever owns the partition now is asked"),
        (
            "a partition is claimed again after",
            f"at most {RECLAIM_PAUSE_MAX_S:.0f} s",
            "doubled while no round succeeds, from half a second",
        ),
        (
            "a leader that says nothing to a reader",
            f"{READ_STALL_S:.0f} s",
            "longer than an election takes; then the reader hears of it",
        ),
        (
            "Kafka is asked again after",
            f"at most {RETRY_MAX_S * 1.5:.0f} s",
            "by who follows configs and owners; doubled, with jitter",
        ),
        (
            "a worker that ends takes",
            f"{RELEASE_TIMEOUT_S:.0f} s for snapshots, {STOP_TIMEOUT_S:.0f} s for acks, {COMMIT_TIMEOUT_S:.0f} s for the group",
            "each at most; what it left out stands in the log",
        ),
    ]


def _configs() -> list[Row]:
    limits = ", ".join(f"{scope} {count}" for scope, count in configs.LIMITS_MAX.items())
    checks = ", ".join(f"{scope} {count}" for scope, count in configs.CHECKS_MAX.items())
    return [
        ("settings of one version", _bytes(configs.SETTINGS_BYTES_MAX), "every worker keeps every version; `bad_config`"),
        (
            "versions of one config",
            f"{configs.VERSIONS_MAX:,}, and {configs.OFF_VERSIONS_MAX} more of `{{}}`",
            "one an hour for a year; its ledger counts them; `bad_config`, and another config goes on",
        ),
        (
            "versions of one tenant together",
            _bytes(configs.TENANT_BYTES_MAX),
            f"each counts its JSON and {_bytes(configs.VERSION_BYTES)}, which is what it takes in a worker's memory at most; the "
            "platform's are a tenant's too; `bad_config`, but for `{}` at once where something is in force",
        ),
        (
            "versions of all tenants together",
            _bytes(configs.ALL_BYTES_MAX),
            "half of what a worker takes with a million entities; the platform's are beside it; the same outcome; the sink that "
            "copies them keeps a digest of each, 200 bytes",
        ),
        (
            "versions of one config that are to come",
            str(configs.TO_COME_MAX),
            "a config that is written is compared with all of them; `bad_config`; one that takes effect at once replaces them",
        ),
        (
            "settings kept as values, by their text",
            _bytes(READ_BYTES_MAX),
            "values take up to 19 times their text; others are read again when they are asked for",
        ),
        (
            "prices of older versions remembered",
            f"{PINNED_MAX:,}",
            "retries under an older price come in bunches, of the same few versions; then they are read again",
        ),
        ("a config's name", f"{NAME_CHARS_MAX} characters", "a line for people; `malformed`"),
        (
            "policies remembered, by the text of their configs",
            _bytes(REMEMBERED_BYTES_MAX),
            "20,000 entities with configs of their own; then all are put together anew",
        ),
        ("limits for one entity", limits, "a decision passes each of them"),
        ("invariants for one entity", checks, "each fact of that type is handed to each of them"),
        (
            "configs of one type and scope for one entity",
            str(configs.CONFIGS_PER_TARGET_MAX),
            "their versions stand on every fact",
        ),
        ("meters of a pricing config", str(configs.METERS_MAX), "price lists have dozens"),
        ("decimals of a price", str(configs.PRICE_DECIMALS_MAX), "published ones have up to 24; only the product is rounded"),
        ("roles of an access config", str(configs.ROLES_MAX), "more are better grouped"),
        ("candidates of a routing config", str(configs.CANDIDATES_MAX), "a caller tries them one after the other"),
        (
            "a JSON Schema",
            f"{configs.SCHEMA_NODES_MAX} objects, {configs.SCHEMA_DEPTH_MAX} deep, a weight of {configs.SCHEMA_WEIGHT_MAX:,}",
            "one for each value in it, and more for what hides its cost: places of a pattern as often as they are repeated, "
            "`\\p{...}` and numbers with decimals 64, `multipleOf` 1,024, `unevaluated...` four times what is beside it; "
            "`bad_config`",
        ),
        (
            "what a fact is asked by all its invariants",
            f"{CHECK_WORK_MAX:,}: its bytes times their weight",
            "a second at most, paid by the ledger's only writer; what is beyond it counts as broken; a fact of 4 KiB may be "
            "asked by the heaviest schema",
        ),
    ]


def _variable(name: str) -> str:
    return f"`{variable(name)}`"


def _bytes(count: int) -> str:
    return f"{count // 1024:,} KiB" if count < 1024 * 1024 else f"{count / (1024 * 1024):g} MiB"
