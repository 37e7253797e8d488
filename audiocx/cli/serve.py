"""``audiocx serve``: a page to transcribe with, in the browser."""

from __future__ import annotations

import argparse
import socket
import sys
from contextlib import suppress
from ipaddress import ip_address

from ..errors import ConfigError, require
from . import help_text
from .options import add_model, add_precision, count, number_between


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.epilog = help_text.SERVE_EXAMPLES
    parser.add_argument("--host", default="127.0.0.1", help="address to serve at (default: 127.0.0.1, this machine)")
    about = "port to serve at (default: 0, any that is free)"
    parser.add_argument("--port", type=read_port, default=0, help=about)
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    about = "serve other machines, too; the address printed then holds a token without which nobody is served"
    parser.add_argument("--allow-remote", action="store_true", help=about)
    about = "largest file taken, in MB (default: 512)"
    parser.add_argument("--max-upload", type=number_between(0, 1e6), default=512.0, metavar="MB", help=about)
    about = "longest recording and longest live session, in minutes (default: 120)"
    parser.add_argument("--max-minutes", type=number_between(0, 1440), default=120.0, metavar="MIN", help=about)
    about = "most recordings kept at a time (default: 100)"
    parser.add_argument("--max-recordings", type=count, default=100, metavar="N", help=about)
    add_model(parser)
    add_precision(parser)


def run(arguments: argparse.Namespace) -> int:
    """Serve until interrupted.

    Args:
        arguments: Parsed arguments.

    Returns:
        0.

    Raises:
        AudiocxError: The extra is not installed, the address cannot be served at, or the network cannot be used.
    """
    require("The page", "serve", "starlette", "uvicorn", "websockets")
    from ..serve.security import new_token
    from ..serve.server import Server
    from ..serve.settings import MIB, ServeSettings

    token = new_token() if arguments.allow_remote else None
    with listen(arguments.host, arguments.port, arguments.allow_remote) as server_socket:
        port = server_socket.getsockname()[1]
        name = url_name(arguments.host)
        settings = ServeSettings(
            port=port,
            host=name,
            token=token,
            model=arguments.model,
            device=arguments.device,
            precision=arguments.precision,
            runtime=arguments.runtime,
            max_upload_bytes=round(arguments.max_upload * MIB),
            max_recordings=arguments.max_recordings,
            max_duration_s=60 * arguments.max_minutes,
        )
        server = Server(settings)
        url = f"http://{name}:{port}/" + (f"?token={token}" if token else "")
        if not arguments.quiet:
            print(f"audiocx: the page is at {url} (Ctrl-C ends)", flush=True)
        if arguments.open:
            import webbrowser

            webbrowser.open(url)
        with suppress(KeyboardInterrupt):  # uvicorn has ended in order by then
            server.run(sockets=[server_socket])
    if not arguments.quiet:
        print("audiocx: ended", file=sys.stderr)
    return 0


def listen(host: str, port: int, allow_remote: bool) -> socket.socket:
    """Open the socket to serve at.

    Args:
        host: Name or address.
        port: Port; 0 for any that is free.
        allow_remote: Whether other machines may be served.

    Returns:
        The socket, bound.

    Raises:
        ConfigError: The address is another machine's or taken, or can be reached from others and that is not allowed.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"There is no address {host!r} here; leave out --host, or name another.") from error
    if not ip_address(address[0]).is_loopback and not allow_remote:
        raise ConfigError(f"Other machines can reach {host}; add --allow-remote if they may, or leave out --host.")
    server_socket = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":  # there it would share the port
            server_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server_socket.bind(address)
        server_socket.listen()  # a browser that is opened at once waits
    except OSError as error:
        server_socket.close()
        raise ConfigError(
            f"The page cannot be served at {host}, port {port} ({error.strerror}); choose another --port, or leave it "
            "out for any that is free."
        ) from error
    return server_socket


def url_name(host: str) -> str:
    """Return the name of a host in a URL.

    >>> url_name("127.0.0.1"), url_name("0.0.0.0"), url_name("::1")
    ('127.0.0.1', 'localhost', '[::1]')
    """
    return "localhost" if host in ("", "0.0.0.0", "::") else f"[{host}]" if ":" in host else host


def read_port(text: str) -> int:
    """Convert an option to a port."""
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 0 to 65535")
    return int(text)
