"""
Random workloads. Owns: what clients of one seed do: holds, spending, transfers, repeats, misuse, by both doors.

Nothing here looks at a ledger: a flow may ask for what is not there, and the auditor knows what must come of it.
"""

from collections.abc import Callable
from random import Random
from typing import Any, Final

import msgspec
from msgspec import Raw

from z0.client.partitioner import partition_of
from z0.codec import encode_command
from z0.domain.commands import (
    AddBudget,
    Append,
    Command,
    Confirm,
    CreateEntity,
    DeductBudget,
    Read,
    Release,
    Reserve,
    UpdateEntity,
)
from z0.domain.entity import Changes, Status
from z0.sim import configured
from z0.sim.plan import Door, Flow, Step
from z0.sim.settings import usage

TENANT: Final = "tenant_1"
FOREIGN: Final = "tenant_2"
CURRENCIES: Final = ("USD", "USD", "EUR")
LONG_TTL_MS: Final = 3_600_000


class Workload:
    """Makes the flows of one seed."""

    def __init__(self, random: Random, partitions: int, until_ms: int) -> None:
        self._random = random
        self._partitions = partitions
        self._until_ms = until_ms
        self._ledgers = [f"account_acct_{n}" for n in range(random.randint(2, 5))]
        self._ids = 0
        self._configs = sorted(random.sample(range(len(configured.CONFIGS)), random.choice((0, 0, 2, 4, 6, 8))))
        # Under an access config who is nobody may do nothing; without a price no usage costs anything.
        self._named = 0.95 if configured.ACCESS & set(self._configs) else 0.3
        self._by_usage = 0.6 if configured.PRICING & set(self._configs) else 0.05
        self._sent: list[tuple[int, bytes]] = []  # (when, command): what may be repeated later

    def flows(self, count: int) -> tuple[Flow, ...]:
        """The ledgers' beginnings, then a random mixture."""
        flows = [flow for ledger in self._ledgers for flow in self._opening(ledger)]
        flows += [self._put_config(self._random.randrange(100, 900), number) for number in self._configs]
        kinds, weights = zip(*_KINDS, strict=True)
        for kind in self._random.choices(kinds, weights, k=count):
            at_ms = self._random.randrange(500, self._until_ms)
            flow: Flow = kind(self, at_ms)
            flows.append(flow)
            if flow.name != "transfer":  # repeated by another, out of its order, it would be money that nobody gave
                self._sent += [(at_ms, command) for step in flow.steps for command in step.commands]
        return tuple(sorted(flows, key=lambda flow: flow.at_ms))

    # Ways in -------------------------------------------------------------------------------------

    def _id(self, what: str) -> str:
        self._ids += 1
        return f"{what}{self._ids}"

    def _door(self) -> Door:
        return Door.KAFKA if self._random.random() < 0.4 else Door.DIRECT

    def _step(self, *commands: Command, door: Door | None = None, **more: Any) -> Step:
        return Step(tuple(encode_command(c) for c in commands), door or self._door(), **more)

    def _amount(self, most: int = 30) -> str:
        whole = self._random.randint(1, most)
        return self._random.choice((str(whole), f"{whole}.5", f"{whole}.000000000001"))

    def _base(self, what: str, ledger: str | None = None) -> dict[str, Any]:
        ledger = ledger or self._random.choice(self._ledgers)
        base = {"id": self._id(what), "tenant_id": TENANT, "ledger_id": ledger}
        return base | ({"user_id": self._random.choice(configured.USERS)} if self._random.random() < self._named else {})

    # Flows ---------------------------------------------------------------------------------------

    def _opening(self, ledger: str) -> list[Flow]:
        at_ms = self._random.randrange(0, 400)
        create = CreateEntity(**self._base("create", ledger))
        adds = [AddBudget(**self._base("add", ledger), amount="100", currency=c) for c in ("USD", "EUR")]
        grants = [configured.grant(self._random, self._base("grant", ledger), user) for user in configured.USERS]
        door = self._door()
        return [Flow(at_ms, f"open {ledger}", (self._step(create, door=door), self._step(*adds, *grants, door=door)))]

    def _hold(self, at_ms: int) -> Flow:
        """Reserve, and then one of: confirm it, in part, too much, twice, release it, come too late, forget it."""
        random = self._random
        ttl_ms = random.choice((None, LONG_TTL_MS, 300, 1_000, 3_000, 8_000))
        base = self._base("hold")
        reserve = Reserve(**base, amount=self._amount(), currency=random.choice(CURRENCIES), ttl_ms=ttl_ms)
        steps = [self._step(reserve)]
        again: dict[str, Any] = {name: value for name, value in base.items() if name != "id"} | {"reservation_id": base["id"]}
        pause_ms = random.choice((0, 50, 900, 3_100, 9_000))
        for _ in range(random.choice((0, 1, 1, 1, 2))):
            if random.random() < 0.7:
                amount = random.choice((None, None, "0.5", "1", "40"))
                closing: Command = Confirm(id=self._id("confirm"), amount=amount, **again)
            else:
                closing = Release(id=self._id("release"), **again)
            steps.append(self._step(closing, pause_ms=pause_ms))
        return Flow(at_ms, "hold", tuple(steps))

    def _spend(self, at_ms: int) -> Flow:
        base, amount, currency = self._base("spend"), self._amount(12), self._random.choice(CURRENCIES)
        return Flow(at_ms, "spend", (self._step(DeductBudget(**base, amount=amount, currency=currency)),))

    def _fact(self, at_ms: int) -> Flow:
        data = Raw(msgspec.json.encode({"text": "é" * self._random.randint(0, 40)}))
        return Flow(at_ms, "fact", (self._step(Append(**self._base("fact"), type="note", data=data)),))

    def _top_up(self, at_ms: int) -> Flow:
        kind: Any = self._random.choice(("deposit", "credit"))
        return Flow(
            at_ms, kind, (self._step(AddBudget(**self._base("add"), amount=self._amount(60), currency="USD", kind=kind)),)
        )

    def _burst(self, at_ms: int) -> Flow:
        """Many at once, on one ledger or on several of a partition: more than a budget has."""
        ledger = self._random.choice(self._ledgers)
        mine = [name for name in self._ledgers if self._home(name) == self._home(ledger)]
        commands: list[Command] = []
        for _ in range(self._random.randint(5, 40)):
            base = self._base("burst", self._random.choice(mine))
            if self._random.random() < 0.6:
                commands.append(Reserve(**base, amount=self._amount(9), currency="USD", ttl_ms=self._random.choice((500, 5_000))))
            else:
                commands.append(DeductBudget(**base, amount=self._amount(5), currency="USD"))
        return Flow(at_ms, "burst", (self._step(*commands),))

    def _repeat(self, at_ms: int) -> Flow:
        """Something sent before, once more, by any door; now and then with another body under the same id."""
        earlier = [command for when, command in self._sent if when <= at_ms]
        if not earlier:
            return self._spend(at_ms)
        command = self._random.choice(earlier)
        if self._random.random() < 0.3 and b'"amount":"' in command:
            command = command.replace(b'"amount":"', b'"amount":"1')
        door = self._door()
        steps = tuple(Step((command,), door, pause_ms=self._random.choice((0, 700))) for _ in range(self._random.randint(1, 2)))
        return Flow(at_ms, "repeat", steps)

    def _twice_at_once(self, at_ms: int) -> Flow:
        """The same command by both doors in the same moment."""
        command = encode_command(DeductBudget(**self._base("twice"), amount=self._amount(9), currency="USD"))
        return Flow(at_ms, "twice at once", (Step((command,), Door.KAFKA), Step((command,), Door.DIRECT)))

    def _read(self, at_ms: int) -> Flow:
        return Flow(at_ms, "read", (self._step(Read(**self._base("read")), door=Door.DIRECT),))

    def asked_behind(self, at_ms: int) -> tuple[Flow, ...]:
        """On each ledger: spend, and when that was answered, have it shown by who had it before, and may not know it."""
        return tuple(self._ask_behind(at_ms, ledger) for ledger in self._ledgers)

    def _ask_behind(self, at_ms: int, ledger: str) -> Flow:
        spend = DeductBudget(**self._base("spend", ledger), amount="1", currency="USD")
        read = self._step(Read(**self._base("read", ledger)), door=Door.DIRECT, behind=True)
        return Flow(at_ms, "ask behind", (self._step(spend, door=Door.DIRECT), read))

    def _misuse(self, at_ms: int) -> Flow:
        """What must never have an effect, and what must find its way nevertheless."""
        random = self._random
        deduct = DeductBudget(**self._base("misuse"), amount="1", currency="USD")
        unknown = msgspec.structs.replace(deduct, ledger_id="account_acct_nobody")
        match random.randrange(6):
            case 0:
                step = Step((b'{"op":"deduct_budget","id":',), Door.KAFKA, partition=0, key=b"account_acct_0")
            case 1:
                step = self._step(msgspec.structs.replace(deduct, tenant_id=FOREIGN))
            case 2:
                step = self._step(unknown)
            case 3:
                step = self._step(deduct, door=Door.KAFKA, key=b"account_acct_elsewhere")
            case 4:
                step = self._step(deduct, door=Door.KAFKA, partition=random.randrange(self._partitions))
            case _:
                step = self._step(deduct, door=Door.KAFKA, partition=random.randrange(self._partitions))
        return Flow(at_ms, "misuse", (step,))

    def _update(self, at_ms: int) -> Flow:
        changes = Changes(data={"note": self._random.randrange(100)})
        if self._random.random() < 0.15:
            changes = Changes(status=Status.RETIRING)
        return Flow(at_ms, "update", (self._step(UpdateEntity(**self._base("update"), changes=changes)),))

    def _create_late(self, at_ms: int) -> Flow:
        """A ledger that is used as soon as its creation was answered, by the other door: a stale worker does not know it."""
        ledger = f"account_acct_late{self._ids}"
        create = self._step(CreateEntity(**self._base("create", ledger)), door=Door.DIRECT)
        add = self._step(AddBudget(**self._base("add", ledger), amount="10", currency="USD"), only_if_accepted=True)
        self._ledgers.append(ledger)
        return Flow(at_ms, "create", (create, add))

    # Under configs ---------------------------------------------------------------------------------

    def _config(self, at_ms: int) -> Flow:
        """A later version of a config, where there are any."""
        return self._put_config(at_ms, self._random.choice(self._configs)) if self._configs else self._spend(at_ms)

    def _put_config(self, at_ms: int, number: int) -> Flow:
        put = configured.put_config(self._random, self._base("config"), number, at_ms)
        return Flow(at_ms, "config", (self._step(put),))

    def _transfer(self, at_ms: int) -> Flow:
        source, target = self._random.choice(self._ledgers), self._random.choice(self._ledgers)
        bases = (self._base("transfer", source), self._base("out", source), self._base("in", target))
        steps = configured.transfer(bases, self._amount(20), self._random.choice((None, 600, 4_000)))
        pause_ms = self._random.choice((0, 500))
        times = [self._random.choice((1, 1, 2)) for _ in steps]
        return self._saga(at_ms, "transfer", [step for step, n in zip(steps, times, strict=True) for _ in range(n)], pause_ms)

    def _charge(self, at_ms: int) -> Flow:
        ledger = self._random.choice(self._ledgers)
        bases = tuple(self._base("charge", ledger) for _ in range(4))
        return self._saga(at_ms, "charge", configured.charge(bases, self._amount(9))[: self._random.randint(2, 4)], 100)

    def _saga(self, at_ms: int, name: str, commands: list[Command], pause_ms: int) -> Flow:
        steps = (self._step(c, door=Door.DIRECT, only_if_accepted=True, pause_ms=pause_ms) for c in commands)
        return Flow(at_ms, name, tuple(steps))

    def _ask_first(self, at_ms: int) -> Flow:
        base = self._base("ask")
        amount = self._amount(15) if self._random.random() < 0.8 else None
        used = usage(self._random) if self._random.random() < self._by_usage else None
        ask = configured.ask_first(self._random, base, amount, used)
        door = Door.DIRECT if ask.__struct_config__.tag == "check" else None
        steps = [self._step(ask, door=door)]
        if self._random.random() < 0.6 and door is None:
            closing = {**self._base("confirm", base["ledger_id"]), "reservation_id": base["id"]}
            steps.append(self._step(Confirm(**closing), pause_ms=self._random.choice((0, 1_000))))
        return Flow(at_ms, "ask first", tuple(steps))

    def _invocation(self, at_ms: int) -> Flow:
        return Flow(at_ms, "invocation", (self._step(configured.invocation(self._base("call"))),))

    def _access(self, at_ms: int) -> Flow:
        return Flow(at_ms, "access", (self._step(configured.access(self._random, self._base("access"))),))

    def _home(self, ledger: str) -> int:
        return partition_of(ledger, self._partitions)


_Kind = Callable[[Workload, int], Flow]
_KINDS: Final[tuple[tuple[_Kind, int], ...]] = (
    (Workload._hold, 30),
    (Workload._spend, 10),
    (Workload._fact, 6),
    (Workload._top_up, 4),
    (Workload._burst, 8),
    (Workload._repeat, 14),
    (Workload._twice_at_once, 5),
    (Workload._read, 8),
    (Workload._misuse, 6),
    (Workload._update, 3),
    (Workload._create_late, 4),
    (Workload._config, 4),
    (Workload._transfer, 8),
    (Workload._charge, 4),
    (Workload._ask_first, 18),
    (Workload._invocation, 5),
    (Workload._access, 2),
)
