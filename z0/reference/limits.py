"""The page of limits. Owns: which bounds are listed and why each is what it is; the values are read from the code."""

from typing import Final

from streams import door
from streams.app import HEARTBEAT_INTERVAL_S, SESSION_TIMEOUT_S, TICK_INTERVAL_S
from tables.store import BLOCK_CACHE_BYTES
from z0.client.frames import FRAME_BYTES_MAX, HELLO_BYTES_MAX
from z0.codec import NESTING_MAX
from z0.config import SECRET_BYTES_MAX, Config, variable
from z0.configs.book import READ_BYTES_MAX, REMEMBERED_BYTES_MAX
from z0.domain import config as configs
from z0.domain.appending import CHECK_WORK_MAX
from z0.domain.check import METERS_MAX
from z0.domain.commands import COMMAND_BYTES_MAX, TTL_MS_MAX
from z0.domain.decide import EVENT_TIME_FUTURE_MAX_MS, EVENT_TIME_PAST_MAX_MS
from z0.domain.state import CHARGES_MAX, COUNTERS_MAX, ENDED_MAX, GRANTS_MAX, HOLDS_MAX
from z0.log.deciding import EXPIRY_LEDGERS_MAX, ROUND_BYTES_MAX, ROUND_COMMANDS_MAX
from z0.log.entry import RETENTION_MS
from z0.log.index import CACHE_BYTES
from z0.log.producer import BATCH_BYTES_MAX
from z0.log.recovery import ACK_TIMEOUT_S, CLOCK_SKEW_MAX_MS
from z0.log.snapshotting import STEP_ENTITIES_MAX, STEP_PAUSE_MS
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
        table(head, _ledger()),
        "## One worker, per partition",
        table(head, _worker()),
        "## One worker's direct door",
        table(head, _door()),
        "## Time",
        table(head, _time()),
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


def _worker() -> list[Row]:
    default = Config()
    return [
        (_variable("live_entities_max"), f"{default.live_entities_max:,}", "about 2 KiB each; others are read from the tables"),
        (_variable("queue_commands_max"), f"{default.queue_commands_max:,}", "a third of a second of work; `overloaded`"),
        (_variable("queue_bytes_max"), _bytes(default.queue_bytes_max), "the same for large commands; `overloaded`"),
        ("commands in a round", f"{ROUND_COMMANDS_MAX:,}", "only with a backlog and nobody waiting at the direct door"),
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
