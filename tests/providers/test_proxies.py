"""Which proxy an upstream is reached through, and what an address of one may be."""

import subprocess
import sys

import pytest

from providers.proxies import Proxy, is_local, proxy_variable


def _variable(host: str, port: int = 443, *, tls: bool = True, **environ: str) -> str | None:
    return proxy_variable(host, port, environ, tls=tls)


def test_each_scheme_has_its_variable_and_both_share_one() -> None:
    both = {"HTTPS_PROXY": "s:1", "HTTP_PROXY": "p:1", "ALL_PROXY": "a:1"}
    assert proxy_variable("a.example", 443, both, tls=True) == "HTTPS_PROXY"
    assert proxy_variable("a.example", 80, both, tls=False) == "HTTP_PROXY"
    assert _variable("a.example", HTTP_PROXY="p:1", ALL_PROXY="a:1") == "ALL_PROXY"
    assert _variable("a.example", HTTP_PROXY="p:1") is None


def test_lower_case_goes_first_even_where_it_is_empty() -> None:
    assert _variable("a.example", https_proxy="l:1", HTTPS_PROXY="u:1") == "https_proxy"
    assert _variable("a.example", https_proxy="", HTTPS_PROXY="u:1") is None


def test_a_header_of_a_web_servers_client_is_no_proxy() -> None:
    assert _variable("a.example", tls=False, HTTP_PROXY="p:1", REQUEST_METHOD="GET") is None
    assert _variable("a.example", tls=False, http_proxy="p:1", REQUEST_METHOD="GET") == "http_proxy"


@pytest.mark.parametrize(
    "host", ["localhost", "api.localhost", "127.0.0.1", "127.8.9.1", "::1", ""]
)
def test_this_machine_is_never_behind_a_proxy(host: str) -> None:
    assert is_local(host)
    assert _variable(host, ALL_PROXY="a:1") is None


@pytest.mark.parametrize(
    ("host", "patterns", "excepted"),
    [
        ("api.example.com", "example.com", True),
        ("api.example.com", ".example.com", True),
        ("example.com", ".example.com", True),
        ("api.example.com", "*.example.com", True),
        ("API.Example.com", "other.org, EXAMPLE.COM", True),
        ("badexample.com", "example.com", False),
        ("example.com.evil.org", "example.com", False),
        ("api.example.com", "example.com:443", True),
        ("api.example.com", "example.com:8443", False),
        ("api.example.com", "*", True),
        ("api.example.com", "", False),
        ("api.example.com", " , ,", False),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3", "10.1.2.3:443", True),
        ("10.1.2.3", "10.1.2.3:80", False),
        ("2001:db8::1", "2001:db8::/32", True),
        ("2001:db8::1", "[2001:db8::1]:443", True),
    ],
)
def test_exceptions_are_read_as_curl_reads_them(
    host: str, patterns: str, *, excepted: bool
) -> None:
    found = _variable(host, https_proxy="p:1", no_proxy=patterns)
    assert (found is None) == excepted


def test_an_address_shows_its_host_and_port_only() -> None:
    proxy = Proxy.from_url("http://me:p%40ss@proxy.example:3128/")
    assert proxy.credentials == ("me", "p@ss")
    assert str(proxy) == "proxy.example:3128"
    assert "p@ss" not in repr(proxy)
    assert str(Proxy.from_url("proxy.example:3128")) == "proxy.example:3128"
    assert Proxy.from_url("https://[::1]") == Proxy(host="::1", port=443, tls=True)


@pytest.mark.parametrize(
    "url",
    [
        "socks5://p:1",
        "ftp://u:secret@p",
        "http://u:secret@",
        "http://u:secret@p:x",
        "http://p/path",
    ],
)
def test_what_is_no_address_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ValueError, match="prox") as caught:
        Proxy.from_url(url)
    assert "secret" not in str(caught.value)


def test_a_daemon_without_such_providers_loads_none_of_the_libraries() -> None:
    code = (
        "import sys, runtime.application, runtime.assembly, runtime.configuration.loading; "
        "print([name for name in ('httpcore2', 'httpx2', 'h2', 'h11') if name in sys.modules])"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert outcome.stdout.strip() == "[]"
