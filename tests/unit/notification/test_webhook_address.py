"""Which addresses a webhook may reach, as text and as connected to."""

import ipaddress

import pytest
from ihala_notification.domain.webhook_address import AddressPolicy, AddressRefused

OPEN = AddressPolicy()
LOCAL = AddressPolicy((ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("fd00::/8")))


@pytest.mark.parametrize(
    "url",
    [
        "https://agency.example/hook",
        "https://agency.example:8443/hook?x=1",
        "https://8.8.8.8/hook",
        "https://[2001:4860:4860::8888]/",
        "https://xn--r8jz45g.jp/",
        "https://مثال.إختبار/",
    ],
)
def test_a_public_https_address_is_admitted(url: str) -> None:
    assert OPEN.check_url(url).scheme == "https"


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://agency.example/", "scheme"),
        ("ftp://agency.example/", "scheme"),
        ("file:///etc/passwd", "scheme"),
        ("gopher://agency.example:443/", "scheme"),
        ("//agency.example/", "scheme"),
        ("agency.example", "scheme"),
        ("", "scheme"),
        ("https://", "host"),
        ("https:///hook", "host"),
        ("https://user@agency.example/", "userinfo"),
        ("https://user:secret@agency.example/", "userinfo"),
        ("https://@agency.example/", "userinfo"),
        ("https://agency.example/#here", "fragment"),
        ("https://agency.example:22/", "port"),
        ("https://agency.example:80/", "port"),
        ("https://agency.example:99999/", "url"),
        ("https://agency.example:x/", "url"),
        ("https://agency.example\\@evil.example/", "url"),
        ("https://agency.example/\r\nHost: evil", "url"),
        ("https://agency .example/", "url"),
        ("https://agency.example/\x00", "url"),
        ("https://" + "a" * 2_100 + ".example/", "url"),
        ("https://[fe80::1%25eth0]/", "host"),
        ("https://2130706433/", "address"),
        ("https://0x7f.1/", "address"),
        ("https://10.0.0.1/", "address"),
    ],
)
def test_any_other_address_is_refused_by_a_stable_code(url: str, code: str) -> None:
    with pytest.raises(AddressRefused) as refused:
        OPEN.check_url(url)

    assert refused.value.code == code
    assert "example" not in str(refused.value)


@pytest.mark.parametrize(
    ("address", "port"),
    [("127.0.0.1", 80), ("127.9.9.9", 5432), ("::ffff:127.0.0.1", 8090), ("fd00::1", 443)],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_listed_private_network_is_reached_by_either_scheme_and_any_port(
    address: str, port: int, scheme: str
) -> None:
    LOCAL.check_address(address, port, scheme=scheme)


@pytest.mark.parametrize(
    ("address", "port", "scheme"),
    [
        ("8.8.8.8", 80, "http"),  # http only to the listed networks
        ("10.0.0.1", 443, "https"),
        ("::1", 443, "https"),
        ("8.8.8.8", 22, "https"),
        ("fe80::1", 443, "https"),
    ],
)
def test_listing_one_network_opens_no_other(address: str, port: int, scheme: str) -> None:
    with pytest.raises(AddressRefused):
        LOCAL.check_address(address, port, scheme=scheme)


@pytest.mark.parametrize("url", ["http://8.8.8.8/", "http://10.0.0.1:8080/", "http://[::1]/", "http://0x7f.1/"])
def test_http_to_an_address_outside_the_listed_networks_is_refused_when_it_is_registered(url: str) -> None:
    with pytest.raises(AddressRefused):
        LOCAL.check_url(url)


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "64:ff9b::8.8.8.8", "2002:808:808::1", "::ffff:8.8.8.8"],
)
def test_a_public_address_may_be_connected_to(address: str) -> None:
    OPEN.check_address(address, 443, scheme="https")
