"""Debian's Chromium, for step 6 of `make docs` and for the tests of pages: where it is,
how it is started, and a server on this machine for it to speak to."""
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer

FLAGS = ['--disable-gpu', '--disable-quic', '--no-first-run',
         '--disable-background-networking', '--disable-component-update',
         '--disable-sync', *(['--no-sandbox'] if os.geteuid() == 0 else [])]


def chromium() -> str | None:
    "Where the browser is."
    names = 'chromium', 'chromium-browser', 'google-chrome'
    return next(filter(None, map(shutil.which, names)), None)


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[str]:
    "The address of `server`, which runs meanwhile."
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try: yield f'http://127.0.0.1:{server.server_port}/'
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
