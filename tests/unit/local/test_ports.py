"""Ports are chosen free, and kept as long as they are."""

import socket

import pytest
from ihala_local.ports import RANGE, NoFreePort, choose_ports, is_free, new_port


def everything_is_free(_port: int) -> bool:
    return True


def test_each_name_gets_a_port_of_its_own() -> None:
    ports = choose_ports([f"service-{number}" for number in range(50)], kept={})

    assert len(set(ports.values())) == 50
    assert all(port in RANGE for port in ports.values())


def test_a_kept_port_is_used_again() -> None:
    ports = choose_ports(["kafka", "postgres"], kept={"kafka": 25_000}, free=everything_is_free)

    assert ports["kafka"] == 25_000


def test_a_kept_port_that_somebody_took_is_replaced() -> None:
    ports = choose_ports(["kafka"], kept={"kafka": 25_000}, free=lambda port: port != 25_000)

    assert ports["kafka"] != 25_000


def test_a_port_kept_for_two_names_serves_one_of_them() -> None:
    ports = choose_ports(["a", "b"], kept={"a": 25_000, "b": 25_000}, free=everything_is_free)

    assert ports["a"] == 25_000
    assert ports["b"] != 25_000


def test_a_listening_port_is_not_free() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        assert not is_free(listener.getsockname()[1])


def test_when_nothing_is_free_it_says_so() -> None:
    with pytest.raises(NoFreePort):
        new_port(set(), free=lambda _port: False)
