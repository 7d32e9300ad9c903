"""How much work the side-by-side run gives to each."""

from typing import NamedTuple


class Size(NamedTuple):
    """Sizes of `z0 bench peers`."""

    accounts: int = 1_000
    seconds: float = 10.0  # of each loop, open or closed
    warm_up_s: float = (
        12.0  # of each open loop, as in `z0 bench latency`: batches before it have not warmed up what single calls use
    )
    rate: int = 10_000  # of the open loops of those who answer (ours, Postgres)
    topic_rate: int = 5_000  # of the open loops from topic to topic (Kafka Streams, ours by the Kafka door)
    batch: int = 500
    batch_clients: int = 4
    single_clients: int = 32
    catch_up: int = 200_000  # commands on the topic before the start
    threads: int = 2  # of Kafka Streams
    faust_commands: int = 20_000
