"""
The exception tree. Owns: what a *fault* is called. Does not own: refusals, which are data (`z0.domain.outcome`).

    Z0Error
    |-- SettingsError          wrong or unknown settings, all of them at once
    |-- StackError             a local server could not be started, or is not what it should be
    |-- Unreachable            a server does not answer where the settings say it is
    |-- TopicMismatch          a topic exists with other settings than the design needs
    |-- LogBroken              a stored position and the log do not fit together
    |-- EpochDead              this epoch may not write again; a new claim is needed
    |-- FormatError            bytes that are not what they should be
    |-- DecisionUnknown        there is no decision of that id to explain
    |-- HistoryIncomplete      a store does not have everything (yet) that a receipt needs
    `-- SinkStopped            a sink met something it must not step over
"""

SERVERS = {"Kafka": "Z0_KAFKA", "Postgres": "Z0_POSTGRES", "ClickHouse": "Z0_CLICKHOUSE", "S3": "Z0_S3"}


def no_answer(server: str, error: object) -> str:
    """What a person is told of a server (one of `SERVERS`) that does not answer: why, and what to do next."""
    return f"{server} does not answer ({_on_one_line(error)}); start the stack with `z0 up`, or correct {SERVERS[server]}"


def refused(server: str, what: str, error: object) -> str:
    """The same of one that answers and refuses, most often because nothing was made there yet."""
    hint = f"`z0 migrate` makes what is missing there, or correct {SERVERS[server]}"
    return f"{server} refused {what} ({_on_one_line(error)}); {hint}"


def _on_one_line(error: object) -> str:
    """Drivers draw arrows below their statements, which mean nothing in a sentence."""
    return " ".join(str(error).split()).removesuffix(" ^")


class Z0Error(Exception):
    """Something went wrong in z0."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class SettingsError(Z0Error):
    """The settings are wrong."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        lines = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"{len(problems)} setting(s) to correct:\n{lines}")


class StackError(Z0Error):
    """The local stack could not be started or stopped."""


class Unreachable(Z0Error):
    """A server does not answer where the settings say it is."""


class TopicMismatch(Z0Error):
    """A topic exists with other settings than the ledger needs."""


class LogBroken(Z0Error):
    """A stored position does not fit the log: the topic was truncated or created anew."""


class EpochDead(Z0Error):
    """This epoch may not write again; a new claim is needed."""


class FormatError(Z0Error):
    """Bytes that do not have the documented form."""


class SinkStopped(Z0Error):
    """A sink met something that it must not step over."""


class DecisionUnknown(Z0Error):
    """There is no decision of that id."""


class HistoryIncomplete(Z0Error):
    """A store does not have everything (yet) that a receipt needs."""
