"""A target that speaks HTTP/3 and answers every request with the peer's address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.asyncio.server import serve
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ProtocolNegotiated, QuicEvent

if TYPE_CHECKING:
    from pathlib import Path

    import trustme


class H3Target:
    """Listens on `address` and a free UDP port while its context lasts; `connections` counts what was accepted."""

    def __init__(self, address: str, certificate: trustme.LeafCert, directory: Path) -> None:
        self.address = address
        self.connections = 0
        self._configuration = QuicConfiguration(is_client=False, alpn_protocols=H3_ALPN)
        certificate.private_key_pem.write_to_path(str(directory / "h3.key"))
        certificate.cert_chain_pems[0].write_to_path(str(directory / "h3.pem"))
        self._configuration.load_cert_chain(directory / "h3.pem", directory / "h3.key")

    async def __aenter__(self) -> Self:
        self._server = await serve(self.address, 0, configuration=self._configuration, create_protocol=self._connected)
        assert self._server._transport is not None
        self.port: int = self._server._transport.get_extra_info("sockname")[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    @property
    def url(self) -> str:
        """Its address as a URL."""
        return f"https://[{self.address}]:{self.port}/"

    def _connected(self, *arguments: Any, **options: Any) -> QuicConnectionProtocol:
        self.connections += 1
        return _Connection(*arguments, **options)


class _Connection(QuicConnectionProtocol):
    """One connection."""

    _http: H3Connection | None = None

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, ProtocolNegotiated):
            self._http = H3Connection(self._quic)
        if self._http is None:
            return
        for received in self._http.handle_event(event):
            if isinstance(received, HeadersReceived):
                self._answer(self._http, received.stream_id)

    def _answer(self, http: H3Connection, stream: int) -> None:
        peer = self._quic._network_paths[0].addr[0]
        http.send_headers(stream, [(b":status", b"200"), (b"x-served-by", b"h3")])
        http.send_data(stream, peer.encode(), end_stream=True)
        self.transmit()
