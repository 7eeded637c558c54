"""One page of a router by HTTP GET: blocking, for a thread; no proxy, no redirect, no cookie."""

from __future__ import annotations

import http.client
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import Message
from pathlib import Path
from typing import IO

BODY_MAX = 64 * 1024
_BLOCK = 4096


class _Stay(urllib.request.HTTPRedirectHandler):
    """A router that sends us to its login page has not answered."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message,
        newurl: str,
    ) -> None:  # fmt: skip
        return None


class Page:
    """Calling it gives the page's body."""

    def __init__(
        self, host: str, port: int, path: str, headers: Mapping[str, str], *, tls: bool = False,
        ca_file: str = "", username: str = "", password_file: str = "",
    ) -> None:  # fmt: skip
        """OSError: a file cannot be read."""
        name = f"[{host}]" if ":" in host else host
        self.url = f"{'https' if tls else 'http'}://{name}{f':{port}' if port else ''}{path}"
        handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({}), _Stay()]
        if tls:
            handlers.append(urllib.request.HTTPSHandler(context=_context(ca_file)))
        if username:
            password = Path(password_file).read_text(encoding="utf-8").rstrip("\r\n")
            known = urllib.request.HTTPPasswordMgrWithDefaultRealm()
            known.add_password(None, self.url, username, password)
            handlers.append(urllib.request.HTTPBasicAuthHandler(known))
            handlers.append(urllib.request.HTTPDigestAuthHandler(known))
        self._opener = urllib.request.build_opener(*handlers)
        self._opener.addheaders = []
        self._headers = {"Accept": "*/*", "Connection": "close", **headers}

    def __call__(self, timeout_s: float) -> bytes:
        """The body of a 200.  OSError with a sentence for everything else."""
        deadline = time.monotonic() + timeout_s
        request = urllib.request.Request(self.url, headers=self._headers)
        try:
            with self._opener.open(request, timeout=timeout_s) as response:
                if response.status != http.client.OK:
                    raise OSError(f"{self.url} answers {response.status} {response.reason}")
                return self._body(response, deadline)
        except urllib.error.HTTPError as error:
            error.close()
            raise OSError(f"{self.url} answers {error.code} {error.reason}") from None
        except urllib.error.URLError as error:
            raise OSError(f"{self.url}: {error.reason}") from None
        except TimeoutError:
            raise TimeoutError(f"{self.url} has not answered within {timeout_s:g} s") from None
        except (http.client.HTTPException, ValueError) as error:
            reason = str(error)[:80] or type(error).__name__
            raise OSError(f"{self.url} does not speak HTTP: {reason}") from None

    def _body(self, response: http.client.HTTPResponse, deadline: float) -> bytes:
        body = b""
        while block := response.read1(_BLOCK):
            body += block
            if len(body) > BODY_MAX:
                raise OSError(f"{self.url} answers more than {BODY_MAX} bytes")
            if time.monotonic() > deadline:
                raise TimeoutError
        if response.length:
            raise OSError(f"{self.url} has broken off, {response.length} bytes before its end")
        return body


def _context(ca_file: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file or None)
    # A router's own certificate names no address; being that one certificate is enough.
    context.check_hostname = not ca_file
    return context
