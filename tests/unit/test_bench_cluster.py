"""Where the servers of a measurement, and of these tests, listen."""

import socket

import pytest

from z0.bench import cluster


def test_ports_are_far_enough_apart_for_what_takes_several_and_none_is_one_of_the_systems_own() -> None:
    """Else a second worker may find its port in the hands of somebody's connection."""
    ports = sorted(cluster.free_ports(7))
    assert len({port // cluster.PORTS_IN_A_ROW for port in ports}) == 7
    assert cluster.PORTS_FROM <= ports[0] <= ports[-1] + cluster.PORTS_IN_A_ROW <= cluster.PORTS_TO


def test_a_port_with_a_taken_one_above_it_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it is asked."""
    monkeypatch.setattr(cluster, "PORTS_TO", cluster.PORTS_FROM + 2 * cluster.PORTS_IN_A_ROW)
    with socket.create_server(("127.0.0.1", cluster.PORTS_FROM + 3)):
        assert cluster.free_ports(2) == [cluster.PORTS_FROM + cluster.PORTS_IN_A_ROW]
