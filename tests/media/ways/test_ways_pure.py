"""Link headers, credentials with an end, fragments, and when a path counts as lost."""

from __future__ import annotations

import pytest

from agent.media.ways.pathwatch import CONSENT_S, Do, PathWatch
from agent.media.ways.sdpfrag import Fragment, FragmentError
from agent.media.ways.servers import Address, IceServer, credentials, links, parse_links
from agent.media.ways.whip_http import retry_after_s


def test_the_link_headers_of_the_rfc_are_read() -> None:
    """RFC 9725, figure 7; the last two folded into one header."""
    found = parse_links(
        [
            '<stun:stun.example.net>; rel="ice-server"',
            '<turn:turn.example.net?transport=udp>; rel="ice-server"; '
            'username="user"; credential="my,Pass;\\"word"; credential-type="password", '
            "<turns:turn.example.net?transport=tcp>; rel=ice-server; username=user; "
            "credential=x",
            '<turn:oauth.example.net>; rel="ice-server"; credential-type="oauth"',
            '<https://example.net>; rel="next", <nonsense>; rel="ice-server"',
        ]
    )
    assert [(s.urls[0], s.username, s.credential) for s in found] == [
        ("stun:stun.example.net", "", ""),
        ("turn:turn.example.net?transport=udp", "user", 'my,Pass;"word'),
        ("turns:turn.example.net?transport=tcp", "user", "x"),
    ]


def test_what_is_written_is_read_back() -> None:
    server = IceServer(urls=("turn:a:1?transport=tcp",), username="u", credential='q"\\,;')
    assert parse_links([", ".join(links([server]))]) == (server,)


def test_credentials_with_an_end() -> None:
    """HMAC-SHA1 over `expiry:name`; the value from `openssl dgst -sha1 -hmac secret`."""
    assert credentials("secret", "ex-cv-01", 1_700_000_000, 3600) == (
        "1700003600:ex-cv-01",
        "WGUGI7WjpWvAJQvlGIm5g8x8+ik=",
    )


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("http://x", "expected stun:HOST"),
        ("stun:x?transport=udp", "has no transport"),
        ("turns:x?transport=udp", "goes over TCP"),
        ("turn:x:99999", "a port is 1 to 65535"),
        ("turn:", "expected stun:HOST"),
    ],
)
def test_a_bad_address_is_named(uri: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Address.parse(uri)


def test_addresses() -> None:
    assert Address.parse("turns:[fd00::1]") == Address("turns", "fd00::1", 5349, "tcp")
    assert Address.parse("turn:t.example:80?transport=tcp") == Address(
        "turn", "t.example", 80, "tcp"
    )


def test_a_fragment_is_read_as_it_was_written() -> None:
    fragment = Fragment(
        ufrag="EsAw", pwd="P2uYro0UCOQ4zxjKXaWCBui1", complete=True, mid="0",
        candidates=("1 1 udp 2122260223 192.0.2.1 61764 typ host",),
        session=("group:BUNDLE 0", "ice-options:trickle"),
    )  # fmt: skip
    assert Fragment.parse(fragment.text()) == fragment


@pytest.mark.parametrize("text", ["", "hello", "a=ice-ufrag:abcd\r\n", "m=video\r\na=mid:0\r\n"])
def test_a_bad_fragment_is_named(text: str) -> None:
    with pytest.raises(FragmentError, match=r"fragment|expected lines"):
        Fragment.parse(text)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        ("Tue, 14 Nov 2023 22:13:50 GMT", 30.0),
        ("Tue, 14 Nov 2023 22:00:00 GMT", 0.0),
        ("soon", 0.0),
        ("", 0.0),
        ("99999999999999", 3600.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float) -> None:
    assert retry_after_s(value, 1_700_000_000.0) == seconds


def step(
    watch: PathWatch, begin: float, until: float, every: float = 0.05
) -> list[tuple[float, Do]]:
    done: list[tuple[float, Do]] = []
    now = begin
    while now < until:
        while (do := watch.next(now)) is not Do.NOTHING:
            done.append((round(now, 2), do))
            if do is Do.END:
                return done
        now += every
    return done


def test_a_silent_path_is_lost_in_about_a_second() -> None:
    watch = PathWatch(0.0)
    asked = step(watch, 0.0, 3.0)
    lost = next(at for at, do in asked if do is Do.REPLACE)
    assert 1.0 < lost < 1.5


def test_while_something_comes_in_little_is_asked_and_an_answer_is_enough() -> None:
    watch, asked = PathWatch(0.0), 0
    for tenth in range(100):
        watch.heard(tenth / 10)
        if watch.next(tenth / 10 + 0.05) is Do.ASK:
            asked += 1
            watch.answered(tenth / 10 + 0.06, 0.01)
    assert asked <= 5
    assert not [do for _, do in step(watch, 10.0, 10.9) if do is Do.REPLACE]


def test_a_path_in_one_direction_only_is_lost_a_little_later() -> None:
    watch, now = PathWatch(0.0), 0.0
    while (do := watch.next(now)) is not Do.REPLACE:
        now += 0.05
        watch.heard(now)
        assert do in (Do.ASK, Do.NOTHING)
    assert 3.0 < now < 6.0


def test_a_distant_path_gets_the_time_that_its_answers_take() -> None:
    watch = PathWatch(0.0)
    for second in range(20):
        watch.answered(float(second) / 10, 1.2)
    lost = next(at for at, do in step(watch, 2.0, 9.0) if do is Do.REPLACE)
    assert 4.0 < lost < 6.0


def test_after_a_change_of_the_network_half_of_it_will_do() -> None:
    watch = PathWatch(0.0)
    watch.heard(5.0)
    watch.hurry(5.0)
    lost = next(at for at, do in step(watch, 5.0, 9.0) if do is Do.REPLACE)
    assert lost < 5.7


def test_consent_ends_even_where_something_comes_in() -> None:
    watch, now, done = PathWatch(0.0), 0.0, Do.NOTHING
    while done is not Do.END:
        now += 0.1
        watch.heard(now)
        done = watch.next(now)
    assert CONSENT_S < now < CONSENT_S + 0.2
