"""The HTTP interface: models, recordings, their events, sound and waveform, decoding, export."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from ..errors import ConfigError
from ..music.note_decoding import NoteDecodeSettings
from .exports import FORMATS, SCORES, content_disposition, export
from .recordings import Recording, RecordingStore, as_json, shown_settings
from .requests import json_body, number, read_edited, stalling_body
from .settings import MAX_NOTE_S, MIB, ServeSettings
from .sound import envelope

__all__ = ["ROUTES"]

WRITTEN_BYTES = MIB  # of an upload, written at a time
POLL_S = 0.1  # in which notes that were found are sent
HEARTBEAT_S = 15.0  # of silence, after which a line shows that the connection lives
MAX_POINTS = 100_000  # of a waveform


async def models(request: Request) -> Response:
    """List the networks."""
    networks = _store(request).networks
    return JSONResponse({"models": networks.listing, "default": networks.default})


async def listing(request: Request) -> Response:
    """List the recordings, without their notes."""
    return JSONResponse({"recordings": [recording.summary() for recording in _store(request).all()]})


async def upload(request: Request) -> Response:
    """Take a recording, and queue it."""
    settings: ServeSettings = request.app.state.settings
    query, store = request.query_params, _store(request)
    too_large = (
        f"The file is larger than {settings.max_upload_bytes / MIB:.0f} MB, the most that is taken; compress it (FLAC, "
        "MP3), or start the server with a larger --max-upload."
    )
    with store.new(query.get("name", ""), query.get("model")) as recording, open(recording.upload, "wb") as file:
        pending = bytearray()
        async for chunk in stalling_body(request, settings.max_upload_bytes, too_large):
            pending += chunk
            if len(pending) >= WRITTEN_BYTES:
                await run_in_threadpool(file.write, pending)
                pending = bytearray()
        await run_in_threadpool(file.write, pending)
    store.transcribe(recording)
    return JSONResponse({key: getattr(recording, key) for key in ("id", "name", "state")}, 201)


async def whole(request: Request) -> Response:
    """Return a recording and its notes."""
    recording = _recording(request)
    return JSONResponse(await run_in_threadpool(recording.whole))


async def delete(request: Request) -> Response:
    """Delete a recording and its files."""
    recording = _store(request).delete(request.path_params["id"])
    await run_in_threadpool(shutil.rmtree, recording.folder, ignore_errors=True)
    return Response(status_code=204)


async def events(request: Request) -> Response:
    """Stream the progress and the notes of a recording, from the beginning."""
    return StreamingResponse(_events(_store(request), _recording(request)), media_type="text/event-stream")


async def _events(store: RecordingStore, recording: Recording) -> AsyncIterator[str]:
    sent, shown, quiet_s = 0, None, 0.0
    while not (recording.deleted or store.closed):
        ended = recording.ended  # before the notes are looked at, or the last ones might be missed
        new = recording.notes[sent:]
        progress = {"progress": round(recording.progress, 4), "duration_s": round(recording.duration_s, 6)}
        parts = []
        if progress != shown:
            parts.append(_event("progress", progress))
        if new:
            parts.append(_event("notes", {"notes": as_json(new)}))
        sent, shown = sent + len(new), progress
        if ended:
            failed = recording.state == "failed"
            yield "".join(parts)
            yield _event("failed", {"error": recording.error}) if failed else _event("done", recording.whole())
            return
        quiet_s = 0.0 if parts else quiet_s + POLL_S
        if quiet_s > HEARTBEAT_S:
            parts, quiet_s = [": alive\n\n"], 0.0
        if parts:
            yield "".join(parts)
        await asyncio.sleep(POLL_S)
    reason = "The server has ended." if store.closed else "The recording was deleted."
    yield _event("failed", {"error": reason})


def _event(name: str, data: Any) -> str:
    return f"event: {name}\ndata: {json.dumps(data, allow_nan=False)}\n\n"


async def audio(request: Request) -> Response:
    """Return the sound of a recording as WAV, or the range that was asked for."""
    recording = _with_sound(request)
    try:
        status = await run_in_threadpool(os.stat, recording.audio)
    except OSError:
        raise HTTPException(404, "The sound of this recording is gone.") from None
    return FileResponse(recording.audio, media_type="audio/wav", stat_result=status)


async def waveform(request: Request) -> Response:
    """Return least and greatest samples of so many parts of a recording, as signed bytes."""
    recording = _with_sound(request)
    text = request.query_params.get("points", "2000")
    points = int(text) if text.isdecimal() and len(text) < 10 else 0
    if not 1 <= points <= MAX_POINTS:
        raise ConfigError(f"points must be a whole number from 1 to {MAX_POINTS}.")
    assert recording.peaks is not None
    return Response(envelope(recording.peaks, points), media_type="application/octet-stream")


async def decode(request: Request) -> Response:
    """Decode a recording anew with other settings, from the network's outputs, and keep notes and settings."""
    recording, body = _recording(request), await json_body(request)
    outputs = recording.outputs
    if recording.state != "done" or outputs is None:
        raise HTTPException(409, "The recording is not transcribed yet; wait until it is done.")
    most = {"onset_threshold": 1.0, "frame_threshold": 1.0, "min_note_s": MAX_NOTE_S}
    if not body.keys() <= most.keys():
        raise ConfigError(f"Only {', '.join(most)} can be set.")
    given = {name: value for name, value in body.items() if value is not None}
    chosen = {name: number(value, name, 0.0, most[name]) for name, value in given.items()}
    async with _turn(request, "decoding"):  # the last one asked for is the one that is kept
        settings = recording.settings.with_options(chosen.get("onset_threshold"), chosen.get("min_note_s"))
        if "frame_threshold" in chosen:
            if not isinstance(settings, NoteDecodeSettings):
                raise ConfigError(f"{recording.model} has no frame_threshold; leave it out.")
            settings = replace(settings, frame_threshold=chosen["frame_threshold"])
        notes = await run_in_threadpool(_store(request).redecoder.decode, outputs, settings)
        recording.notes, recording.settings = notes, settings
        rows = await run_in_threadpool(as_json, notes)
    return JSONResponse({"notes": rows, "settings": shown_settings(settings)})


async def export_notes(request: Request) -> Response:
    """Write the notes in the body as a file of another format."""
    format, settings = request.path_params["format"], request.app.state.settings
    body = await json_body(request)
    edited = await run_in_threadpool(read_edited, body, settings.max_duration_s)
    # Neither matplotlib nor the memory is for several at a time; and nothing waits for a score but another.
    async with _turn(request, "engraving" if format in SCORES else "exporting"):
        path = await run_in_threadpool(export, edited, format, _store(request).folder)
    suffix, media_type = FORMATS[format]
    headers = {"content-disposition": content_disposition(edited.name, suffix)}
    return _PassingFile(path, media_type=media_type, headers=headers)


class _PassingFile(FileResponse):
    """A file that is removed with its folder when it was sent, or could not be."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            with anyio.CancelScope(shield=True):
                await run_in_threadpool(shutil.rmtree, Path(self.path).parent, ignore_errors=True)


@asynccontextmanager
async def _turn(request: Request, kind: str) -> AsyncIterator[None]:
    """Wait until it is the request's turn; give up if nobody waits for the answer, as when a slider moved on."""
    async with request.app.state.turns[kind]:
        if await request.is_disconnected():
            raise ClientDisconnect
        yield


def _store(request: Request) -> RecordingStore:
    store: RecordingStore = request.app.state.store
    return store


def _recording(request: Request) -> Recording:
    return _store(request).get(request.path_params["id"])


def _with_sound(request: Request) -> Recording:
    recording = _recording(request)
    if recording.peaks is None:
        reason = "cannot be read" if recording.ended else "is not read yet; wait a little"
        raise HTTPException(409, f"The sound of this recording {reason}.")
    return recording


ROUTES = [
    Route("/api/models", models),
    Route("/api/recordings", listing),
    Route("/api/recordings", upload, methods=["POST"]),
    Route("/api/recordings/{id}", whole),
    Route("/api/recordings/{id}", delete, methods=["DELETE"]),
    Route("/api/recordings/{id}/events", events),
    Route("/api/recordings/{id}/audio", audio),
    Route("/api/recordings/{id}/waveform", waveform),
    Route("/api/recordings/{id}/decode", decode, methods=["POST"]),
    Route("/api/export/{format}", export_notes, methods=["POST"]),
]
