"""The live route: sound from a microphone comes in blocks over a WebSocket, notes go back as they become final."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from ..errors import AudiocxError, AudioError, ConfigError, printable, unexpected
from .recordings import Recording, RecordingStore, as_json
from .requests import STALLED_S, whole
from .settings import ServeSettings
from .sound import WavWriter

if TYPE_CHECKING:
    from ..music.live import LiveUpdate
    from ..music.transcriber import Transcriber
    from ..notes import Note

__all__ = ["LIVE_ROUTE"]

RATES = (8000, 192_000)  # of microphones, in Hz
QUEUED_BLOCKS = 64  # that wait for the network; then the sender waits
SEND_S = 10.0  # in which a browser takes a message, or is given up


class _Client:
    """The browser's end; what is sent after it has gone is dropped."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket, self._gone = websocket, False

    async def send(self, **values: Any) -> None:
        if not self._gone:
            try:
                await asyncio.wait_for(self._websocket.send_text(json.dumps(values, allow_nan=False)), SEND_S)
            except (WebSocketDisconnect, RuntimeError, asyncio.TimeoutError):
                self._gone = True

    async def read(self, blocks: asyncio.Queue[bytes | None]) -> None:
        """Queue the blocks as they come, and None at the end: a text, silence for a minute, or a lost connection."""
        try:
            while block := (await asyncio.wait_for(self._websocket.receive(), STALLED_S)).get("bytes"):
                await blocks.put(block)
        except asyncio.TimeoutError:
            pass
        await blocks.put(None)

    async def close(self) -> None:
        with suppress(WebSocketDisconnect, RuntimeError):  # it may be closed already
            await self._websocket.close()


class _Session:
    """A live transcription, and the recording that remains of it."""

    def __init__(self, recording: Recording, transcriber: Transcriber, rate: int, max_duration_s: float) -> None:
        from ..music.live import LiveTranscriber

        self._recording, self._rate = recording, rate
        self._live = LiveTranscriber(transcriber, rate)
        self._writer = WavWriter(recording.audio, rate, 1, recording.name, max_duration_s)
        self._notes: list[Note] = []
        recording.settings = transcriber.checkpoint.decode

    @property
    def full(self) -> bool:
        """Whether it is as long as it may become; what comes later is dropped."""
        return not self._writer.room

    def push(self, block: bytes | bytearray) -> LiveUpdate:
        if len(block) % 4:
            raise ConfigError("Blocks of sound must be 32-bit floats.")
        samples = np.nan_to_num(np.frombuffer(block, "<f4").astype(np.float32), posinf=1.0, neginf=-1.0)
        samples = samples[: self._writer.room]
        self._writer.write(samples[:, None])
        return self._kept(self._live.push(samples))

    def finish(self) -> LiveUpdate:
        if not self._writer.frames:
            raise AudioError("No sound has come; check the microphone.")
        update, recording = self._kept(self._live.finish()), self._recording
        recording.peaks, recording.duration_s = self._writer.close(), update.time_s
        recording.notes, recording.outputs = sorted(self._notes), self._live.outputs()
        recording.progress, recording.state = 1.0, "done"
        return update

    def close(self) -> None:
        """Close the file; it may be closed already."""
        self._writer.close()

    def _kept(self, update: LiveUpdate) -> LiveUpdate:
        self._notes += update.notes
        return update


async def live(websocket: WebSocket) -> None:
    """Transcribe while the sound comes, and keep it as a recording, even if the browser leaves."""
    await websocket.accept()
    client, query = _Client(websocket), websocket.query_params
    store: RecordingStore = websocket.app.state.store
    settings: ServeSettings = websocket.app.state.settings
    try:
        text = query.get("rate", "")
        rate = whole(int(text) if text.isdecimal() and len(text) < 10 else None, "rate", *RATES)
        with store.live_session(), store.new(query.get("name", "microphone"), query.get("model")) as recording:
            transcriber = await run_in_threadpool(store.networks.transcriber, recording.model)
            session = await run_in_threadpool(_Session, recording, transcriber, rate, settings.max_duration_s)
            try:
                await _converse(client, session)
            finally:
                await run_in_threadpool(session.close)
        await client.send(done=await run_in_threadpool(recording.whole))
    except Exception as error:
        known = error if isinstance(error, AudiocxError) else unexpected("The live transcription", error)
        await client.send(error=printable(known))
    await client.close()


async def _converse(client: _Client, session: _Session) -> None:
    """Answer blocks with notes until the end.

    Blocks that came while the network ran are taken together, so that a slow machine does not fall behind for good.
    """
    blocks: asyncio.Queue[bytes | None] = asyncio.Queue(QUEUED_BLOCKS)
    reader = asyncio.create_task(client.read(blocks))
    try:
        block = await blocks.get()
        while block is not None:
            joined = bytearray(block)
            while not blocks.empty() and (block := blocks.get_nowait()) is not None:
                joined += block
            await _send_update(client, await run_in_threadpool(session.push, joined))
            if session.full:
                await client.send(error="The live transcription is as long as it may become; what there is remains.")
                break
            if block is not None:
                block = await blocks.get()
    finally:
        reader.cancel()
    await _send_update(client, await run_in_threadpool(session.finish))


async def _send_update(client: _Client, update: LiveUpdate) -> None:
    await client.send(time_s=round(update.time_s, 6), notes=as_json(update.notes), sounding=as_json(update.sounding))


LIVE_ROUTE = WebSocketRoute("/api/live", live)
