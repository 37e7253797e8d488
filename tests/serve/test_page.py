"""The page of ``audiocx serve`` in a browser: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import base64
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pretty_midi
import pytest
import soundfile

sync_api = pytest.importorskip("playwright.sync_api", reason="the page is tested with playwright")
pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from served import serving  # noqa: E402

from audiocx.music.transcription import Transcription  # noqa: E402
from audiocx.notes import Note  # noqa: E402

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "grieg_watchmans_song.flac"
BEGINS_S, LASTS_S = 2.0, 4.0  # the part of the example that is transcribed here
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PATIENCE_S = 60.0  # of a busy machine
# Lets a test hear what goes to the loudspeakers.
EAR = """
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (to, ...rest) {
  if (to === this.context.destination) connect.call(this, (window.ear = new AnalyserNode(this.context)));
  return connect.call(this, to, ...rest);
};
window.loudest = () => {
  const heard = new Float32Array(window.ear?.fftSize ?? 1);
  window.ear?.getFloatTimeDomainData(heard);
  return Math.max(...heard.map(Math.abs));
};
"""

if CHROMIUM is None:
    pytest.skip("the page is tested in chromium, which is not installed", allow_module_level=True)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    samples, rate = soundfile.read(EXAMPLE, dtype="int16")
    path = tmp_path_factory.mktemp("clip") / "watch man ☾.wav"
    soundfile.write(path, samples[int(BEGINS_S * rate) : int((BEGINS_S + LASTS_S) * rate)], rate)
    return path


@pytest.fixture(scope="module")
def browser(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    samples, rate = soundfile.read(clip)
    microphone = tmp_path_factory.mktemp("microphone") / "sound.wav"
    soundfile.write(microphone, np.repeat(samples, 4), 4 * rate, subtype="PCM_16")
    arguments = [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={microphone}",
        "--autoplay-policy=user-gesture-required",
    ]
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield opened
        opened.close()


class Pages:
    """Opens pages, and notes what goes wrong in any of them."""

    def __init__(self, browser: Any, url: str) -> None:
        self.browser, self.url = browser, url
        self.wrong: list[str] = []

    def open(self, url: str | None = None, may_fail: bool = False, **options: Any) -> Any:
        url = url or self.url
        context = self.browser.new_context(**options)
        context.set_default_timeout(1000 * PATIENCE_S)
        page = context.new_page()
        page.add_init_script(EAR)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("request", lambda request: None if is_own(request.url, url) else self.wrong.append(request.url))
        if not may_fail:  # violations of the content security policy come to the console, too
            page.on("console", lambda said: self.wrong.append(said.text) if said.type in ("error", "warning") else None)
        page.goto(url)
        page.wait_for_selector("#model option", state="attached")
        return page

    def check(self) -> None:
        wrong, self.wrong = self.wrong, []
        assert not wrong


def is_own(url: str, base: str) -> bool:
    return url.startswith((base, base.replace("http", "ws"), f"blob:{base}", "data:"))


@pytest.fixture(scope="module")
def pages(browser: Any) -> Iterator[Pages]:
    with serving() as server:
        yield Pages(browser, f"{server.origin}/")


@pytest.fixture
def new_page(pages: Pages) -> Iterator[Callable[..., Any]]:
    """A function that opens the page in a context of its own; afterwards nothing must have gone wrong in any."""
    opened = []

    def open_page(*arguments: Any, **options: Any) -> Any:
        opened.append(pages.open(*arguments, **options))
        return opened[-1]

    yield open_page
    for page in opened:
        page.context.close()
    pages.check()


@pytest.fixture(scope="module")
def shared_page(pages: Pages, clip: Path) -> Any:
    opened = pages.open(permissions=["microphone"])
    drop(opened, clip.name, clip.read_bytes())
    wait_until_done(opened)
    return opened


@pytest.fixture
def page(shared_page: Any, pages: Pages) -> Iterator[Any]:
    """The page with the transcribed clip, as it was opened."""
    before = notes(shared_page)
    yield shared_page
    shared_page.focus("#roll")
    shared_page.keyboard.press("Escape")
    while shared_page.is_enabled("#undo"):
        shared_page.keyboard.press("Control+z")
    assert shared_page.inner_text("#count") == f"{before} notes"
    pages.check()


@pytest.fixture(scope="module")
def other_page(shared_page: Any, pages: Pages) -> Any:
    """A second tab, which shows what the server has."""
    opened = pages.open()
    wait_until_done(opened)
    return opened


def wait_until_done(page: Any) -> None:
    page.wait_for_selector("#recordings li[data-state=done]:has([aria-current=true])")
    page.wait_for_selector("#decode:not([hidden])")


def until(page: Any, condition: str) -> None:
    """Wait for a condition in JavaScript; Playwright's own waiting is refused by the content security policy."""
    deadline = time.monotonic() + PATIENCE_S
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, condition
        page.wait_for_timeout(30)


def notes(page: Any) -> int:
    return int(page.inner_text("#count").split()[0])


def wait_for_notes(page: Any, condition: str) -> int:
    until(page, f"parseInt(document.querySelector('#count').textContent) {condition}")
    return notes(page)


def selected(page: Any) -> dict[str, float]:
    names = ("pitch", "onset", "offset", "velocity")
    return {name: float(page.input_value(f"#note-{name}")) for name in names}


def remove(page: Any, *names: str) -> None:
    """Remove recordings, which have no edits."""
    for name in names:
        page.click(f"[aria-label='Remove {name}']")
    for name in names:
        page.wait_for_selector(f"#recordings .name:text-is('{name}')", state="detached")


def select_first(page: Any) -> dict[str, float]:
    page.focus("#roll")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#note:not([hidden])")
    return selected(page)


def on_roll(page: Any, time_s: float, midi_note: int) -> tuple[float, float]:
    """Where a time and the middle of a pitch's row are on the screen, in pixels."""
    box = page.locator("#roll").bounding_box()
    script = """async ([timeS, midiNote]) => {
        const { view } = (await import("./static/app.js")).stage;
        return [view.x(timeS), view.y(midiNote) + view.pxPerPitch / 2];
    }"""
    x, y = page.evaluate(script, [time_s, midi_note])
    return box["x"] + x, box["y"] + y


def drag(page: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
    page.mouse.move(*end)
    page.mouse.up()


def drop(page: Any, name: str, content: bytes) -> None:
    script = """([name, content]) => {
        const transfer = new DataTransfer();
        transfer.items.add(new File([Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0))], name));
        return transfer;
    }"""
    transfer = page.evaluate_handle(script, [name, base64.b64encode(content).decode()])
    for event in ("dragover", "drop"):
        page.dispatch_event("#recordings", event, {"dataTransfer": transfer})


def saved_midi(page: Any, tmp_path: Path) -> pretty_midi.PrettyMIDI:
    with page.expect_download() as waiting:
        page.click("button[data-format=midi]")
    path = tmp_path / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return pretty_midi.PrettyMIDI(str(path))


def test_a_dropped_file_becomes_notes(page: Any, clip: Path) -> None:
    assert 5 < notes(page) < 60
    assert page.inner_text("#title") == clip.name
    assert "0:04, by notes-complex" in page.inner_text("#recordings")
    wave = "document.querySelector('#waveform').getContext('2d').getImageData(0, 0, 600, 80).data"
    until(page, f"new Set(new Uint32Array({wave}.buffer)).size > 3")


def test_a_slider_finds_other_notes_without_a_second_run(page: Any) -> None:
    before, requests = notes(page), []
    page.on("request", lambda request: requests.append(request.url.rsplit("/", 1)[1]))
    page.fill("#onset_threshold", "0.95")
    fewer = wait_for_notes(page, f"< {before}")
    assert set(requests) == {"decode"} and page.inner_text("output[for=onset_threshold]") == "0.95"
    page.fill("#onset_threshold", "0.15")
    assert wait_for_notes(page, f"> {fewer}") == before


def test_playing_moves_the_playhead(page: Any) -> None:
    def shown() -> float:
        return float(page.evaluate("new DOMMatrix(getComputedStyle(document.querySelector('#playhead')).transform).e"))

    before = shown()
    page.fill("#speed", "0.5")
    page.keyboard.press("Space")  # on the slider
    until(page, "document.querySelector('#audio').currentTime > 0.3")
    assert page.get_attribute("#play", "aria-label") == "Pause"
    assert page.evaluate("document.querySelector('#audio').playbackRate") == 0.5
    assert page.evaluate("document.querySelector('#audio').preservesPitch")
    assert shown() > before
    page.click("#play")
    at_s = page.evaluate("document.querySelector('#audio').currentTime")
    assert page.evaluate("document.querySelector('#audio').paused") and at_s < 4
    page.locator("#roll").press("End")
    assert page.inner_text("#time") == "0:04.0"


@pytest.mark.parametrize("balance", ["0", "1"])
def test_recording_and_notes_sound_by_themselves(page: Any, balance: str) -> None:
    page.fill("#balance", balance)
    page.locator("#roll").press("Home")
    page.click("#play")
    until(page, "window.loudest() > 0.01")
    page.click("#play")
    until(page, "window.loudest() < 0.001")


def test_a_note_is_changed_by_keys_and_comes_back(page: Any) -> None:
    count, before = notes(page), select_first(page)
    for key, name, by in (("ArrowUp", "pitch", 1), ("Shift+ArrowDown", "pitch", -12), ("]", "offset", 0.01)):
        old = selected(page)
        page.keyboard.press(key)
        assert selected(page)[name] == pytest.approx(old[name] + by, abs=0.002)
    page.keyboard.press("Shift+ArrowRight")
    assert selected(page)["onset"] == pytest.approx(before["onset"] + 0.01, abs=0.002)
    assert "C" in page.inner_text("#said") or "velocity" in page.inner_text("#said")
    page.fill("#note-velocity", "100")
    page.press("#note-velocity", "Enter")
    assert f"{count} notes, 5 edits" in page.inner_text("#count")
    page.focus("#roll")
    for _ in range(5):
        page.keyboard.press("Control+z")
    assert page.inner_text("#count") == f"{count} notes" and select_first(page) == before
    page.keyboard.press("Control+Shift+z")
    page.keyboard.press("Control+y")
    assert page.inner_text("#count") == f"{count} notes, 2 edits"
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    select_first(page)
    page.keyboard.press("Delete")
    assert page.inner_text("#count") == f"{count - 1} notes, 1 edit" and page.is_hidden("#note")
    page.click("#undo")
    assert page.inner_text("#count") == f"{count} notes"


def test_a_note_is_dragged_and_one_is_drawn(page: Any, tmp_path: Path) -> None:
    count, before = notes(page), select_first(page)
    middle_s, pitch = (before["onset"] + before["offset"]) / 2, int(before["pitch"])
    drag(page, on_roll(page, middle_s, pitch), on_roll(page, middle_s + 0.5, pitch + 2))
    moved = selected(page)
    assert moved["pitch"] == pitch + 2
    assert moved["onset"] == pytest.approx(before["onset"] + 0.5, abs=0.02)
    drag(page, on_roll(page, moved["offset"], pitch + 2), on_roll(page, moved["offset"] + 0.3, pitch + 2))
    assert selected(page)["offset"] == pytest.approx(moved["offset"] + 0.3, abs=0.02)
    page.keyboard.press("d")
    drawn = page.evaluate("""async () => Math.ceil((await import("./static/app.js")).stage.view.bottom)""")
    drag(page, on_roll(page, 0.2, drawn), on_roll(page, 0.7, drawn))
    assert page.inner_text("#count") == f"{count + 1} notes, 3 edits"
    midi = saved_midi(page, tmp_path).instruments[0].notes
    assert len(midi) == count + 1
    note = next(note for note in midi if note.pitch == drawn)
    assert (note.start, note.end) == pytest.approx((0.2, 0.7), abs=0.02)


def test_edits_outlive_a_slider(page: Any) -> None:
    count, first = notes(page), select_first(page)
    page.keyboard.press("Delete")
    page.press("#roll", "n")
    assert page.inner_text("#count") == f"{count} notes, 2 edits"
    page.fill("#onset_threshold", "0.95")
    wait_for_notes(page, f"< {count}")
    page.fill("#onset_threshold", "0.15")
    assert wait_for_notes(page, f">= {count}") == count
    assert page.inner_text("#said") == f"{count} notes. Your edits are kept."
    page.click("#undo")
    page.click("#undo")
    assert page.inner_text("#count") == f"{count} notes" and select_first(page) == first


def test_random_edits_are_undone_and_redone_step_by_step(page: Any) -> None:
    script = """async () => {
        const { Editor } = await import("./static/editor.js");
        let seed = 1;
        const random = (below) => (seed = (seed * 48271) % 2147483647) % below;
        const note = () => {
            const onset_s = random(1000) / 100;
            const offset_s = onset_s + 0.1 + random(100) / 100;
            return { onset_s, offset_s, midi_note: 60 + random(6), velocity: 1 + random(127), confidence: 0.5 };
        };
        const editor = new Editor(Array.from({ length: 40 }, note));
        const states = [JSON.stringify(editor.notes)];
        for (let i = 0; i < 60; i++) {
            const { id } = editor.notes[random(editor.notes.length)];
            const kind = random(3);
            if (kind === 0) editor.add(note());
            else if (kind === 1) editor.remove(id);
            else editor.change(id, { midi_note: 60 + random(6) });
            states.push(JSON.stringify(editor.notes));
        }
        const wrong = [];
        const check = () => JSON.stringify(editor.notes) === states[editor.edits] || wrong.push(editor.edits);
        while (editor.edits) { check(); editor.undo(); }
        check();
        while (editor.canRedo) { check(); editor.redo(); }
        check();
        return [editor.edits, wrong];
    }"""
    assert page.evaluate(script) == [60, []]


def test_edits_are_applied_to_notes_that_are_found_later(page: Any) -> None:
    script = """async () => {
        const { Editor } = await import("./static/editor.js");
        const common = { velocity: 80, confidence: 0.5 };
        const note = (onset_s, offset_s, midi_note) => ({ onset_s, offset_s, midi_note, ...common });
        const editor = new Editor([note(1, 2, 60), note(1, 2, 64)]);
        editor.remove(editor.notes[0].id);
        editor.change(editor.notes[0].id, { offset_s: 3 });
        editor.add(note(5, 6, 67));
        const near = [note(1.04, 2, 60), note(1.02, 1.9, 64), note(5.1, 5.9, 67)];
        editor.setFound([...near, note(1.3, 2, 60), note(5.1, 5.9, 68)]);
        return editor.notes.map(({ onset_s, offset_s, midi_note }) => [onset_s, offset_s, midi_note]);
    }"""
    assert page.evaluate(script) == [[1, 3, 64], [1.3, 2, 60], [5, 6, 67], [5.1, 5.9, 68]]


def test_the_table_is_an_alternative_to_the_roll(page: Any) -> None:
    count = notes(page)
    page.click("#table summary")
    rows = page.locator("#table tbody tr")
    rows.last.wait_for()  # the event of an opened table comes later
    assert rows.count() == count and page.inner_text("#table .range") == f"Notes 1 to {count} of {count}"
    rows.nth(2).locator("button[value=select]").click()
    assert rows.nth(2).get_attribute("aria-selected") == "true"
    assert selected(page)["onset"] == pytest.approx(float(rows.nth(2).locator("td").nth(1).inner_text()), abs=0.006)
    rows.nth(2).locator("button[value=remove]").click()
    assert rows.count() == count - 1
    assert page.evaluate("document.activeElement.value") == "remove"  # the keyboard stays in the table
    page.click("#table summary")


def test_downloads_are_named_after_the_recording(page: Any, clip: Path) -> None:
    for format in ("csv", "json", "wav"):
        with page.expect_download() as waiting:
            page.click(f"aside button[data-format={format}]")
        assert waiting.value.suggested_filename == f"{clip.stem}.{format}"
        assert Path(waiting.value.path()).stat().st_size > 200


def test_a_score_is_shown(page: Any) -> None:
    for module in ("audiocx.music.engraving", "music21", "verovio"):
        pytest.importorskip(module)
    page.click("#score-open")
    until(page, "document.querySelector('#score-pages img')?.naturalWidth > 0")
    assert "page" in page.inner_text("#score-state") and page.inner_text("#score-time") == ""
    page.keyboard.press("Escape")
    assert page.is_hidden("#score")


def test_a_wrong_file_says_so(page: Any, clip: Path) -> None:
    drop(page, "letter.mp3", b"Dear reader, " * 20)
    page.wait_for_selector("#error:not([hidden])")
    said = page.inner_text("#error-text")
    assert said.startswith("letter.mp3: ") and said.endswith(".") and said.count("letter.mp3") == 1
    row = page.locator("#recordings li[data-state=failed]")
    assert f"letter.mp3: {row.locator('.state').inner_text()}" == said
    page.click("#error-close")
    row.locator(".remove").click()
    row.wait_for(state="detached")
    page.click(f"#recordings .name:text-is('{clip.name}')")
    wait_until_done(page)


def test_two_tabs_do_not_disturb_each_other(page: Any, other_page: Any, clip: Path) -> None:
    count = notes(page)
    select_first(page)
    page.keyboard.press("Delete")
    drop(other_page, "second.wav", clip.read_bytes())
    other_page.wait_for_selector("#title:text-is('second.wav')")  # what was dropped opens
    wait_until_done(other_page)
    assert notes(other_page) == count and notes(page) == count - 1
    other_page.click(f"#recordings .name:text-is('{clip.name}')")
    other_page.wait_for_selector(f"#title:text-is('{clip.name}')")
    assert notes(other_page) == count
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # as when one turns to the tab
    page.wait_for_selector("#recordings .name:text-is('second.wav')")
    remove(other_page, "second.wav")


def test_many_files_at_once_are_worked_off(page: Any, other_page: Any, clip: Path, tmp_path: Path) -> None:
    """More than the connections that a browser opens to one server."""
    samples, rate = soundfile.read(clip, dtype="int16")
    files = [tmp_path / f"take {number}.wav" for number in range(7)]
    for file in files:
        soundfile.write(file, samples[: rate // 4], rate)
    other_page.set_input_files("#files", files)
    for file in files:
        other_page.wait_for_selector(f"#recordings li[data-state=done] .name:text-is('{file.name}')")
    assert other_page.inner_text("#title") == files[0].name
    remove(other_page, *(file.name for file in files))


def test_the_microphone_gives_notes(page: Any, clip: Path) -> None:
    pytest.importorskip("audiocx.music.live")
    page.click("#record")
    until(page, "document.querySelector('#level').value > 0.02")
    wait_for_notes(page, "> 0")
    assert page.is_hidden("#download")  # of a part of the notes
    page.click("#record")
    wait_until_done(page)
    assert page.inner_text("#record-text") == "Record" and notes(page) > 0
    page.click("#play")
    until(page, "document.querySelector('#audio').currentTime > 0.1")
    page.click("#play")
    remove(page, page.inner_text("#title"))
    page.click(f"#recordings .name:text-is('{clip.name}')")
    wait_until_done(page)


def test_a_recording_of_whole_blocks_ends_without_an_empty_one(page: Any) -> None:
    lengths = page.evaluate("""async () => {
      const posted = [];
      globalThis.AudioWorkletProcessor = class {
        port = { postMessage: (block) => posted.push(block?.length ?? null) };
      };
      globalThis.registerProcessor = (name, Collector) => { globalThis.Collector = Collector; };
      await import(new URL("static/recorder-worklet.js", location.href));
      const collector = new Collector();
      for (let i = 0; i < 16; i++) collector.process([[new Float32Array(128)]]);
      collector.port.onmessage();
      return posted;
    }""")
    assert lengths == [2048, None]


def test_without_a_microphone_there_is_a_sentence(page: Any, clip: Path) -> None:
    refuse = "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', 'NotFoundError'); };"
    page.evaluate(f"() => {{ {refuse} }}")
    page.click("#record")
    page.wait_for_selector("#error:not([hidden])")
    assert "no microphone" in page.inner_text("#error-text")
    assert page.locator("#recordings li[data-state=live]").count() == 0
    page.click("#error-close")
    assert page.inner_text("#title") == clip.name
    page.evaluate("() => { delete navigator.mediaDevices.getUserMedia; }")  # there is the browser's own again


def test_a_server_that_ends_and_one_that_comes_back(new_page: Callable[..., Any], clip: Path, tmp_path: Path) -> None:
    with ExitStack() as running:
        first = running.enter_context(serving())
        page = new_page(f"{first.origin}/", may_fail=True)
        page.set_input_files("#files", clip)
        wait_until_done(page)
        count = notes(page)
        select_first(page)
        page.keyboard.press("Delete")
        page.set_input_files("#files", EXAMPLE)
        page.wait_for_selector("#recordings li:is([data-state=waiting], [data-state=running])")
        running.close()
        page.wait_for_selector("#recordings li[data-state=failed]:has-text('The server has ended.')")
        page.click(f"#recordings .name:text-is('{clip.name}')")
        page.wait_for_selector("#gone:not([hidden])")
        assert "does not answer" in page.inner_text("#gone")
        running.enter_context(serving(at_port=first.port))
        page.click("#retry")
        page.wait_for_selector("#gone", state="hidden")
        assert notes(page) == count - 1  # the edits are here still
        assert len(saved_midi(page, tmp_path).instruments[0].notes) == count - 1
        page.context.close()  # before the server, which waits for it


def test_a_phone_has_no_horizontal_scroll_and_touches_work(new_page: Callable[..., Any], page: Any) -> None:
    phone = new_page(viewport={"width": 375, "height": 740}, has_touch=True, is_mobile=True, device_scale_factor=2)
    wait_until_done(phone)
    assert phone.evaluate("document.documentElement.scrollWidth") <= 375
    first = select_first(phone)
    phone.keyboard.press("Escape")
    x, y = on_roll(phone, (first["onset"] + first["offset"]) / 2, int(first["pitch"]))
    phone.touchscreen.tap(x, y)
    phone.wait_for_selector("#note:not([hidden])")
    assert selected(phone) == first
    count = notes(phone)
    phone.tap("#delete")  # the form is below what is on the screen
    assert notes(phone) == count - 1 and phone.is_disabled("#delete")


def test_keys_and_help_reach_everything(page: Any) -> None:
    page.focus("#choose")
    page.keyboard.press("?")
    page.wait_for_selector("#help[open]")
    assert page.evaluate("document.querySelector('#help').scrollTop") == 0
    page.keyboard.press("Escape")
    assert page.is_hidden("#help")
    unnamed = """[...document.querySelectorAll("button, input, select, meter, progress, canvas[tabindex]")].filter(
        (element) => element.checkVisibility()
            && !(element.ariaLabel || element.textContent.trim() || element.labels?.length)
    ).map((element) => element.outerHTML)"""
    assert page.evaluate(unnamed) == []
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "roll":
            return
    raise AssertionError("Tab does not reach the piano roll")


def test_the_switch_changes_colours(page: Any) -> None:
    def ground() -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    light = ground()
    page.click("#theme")
    assert ground() != light
    page.reload()
    wait_until_done(page)
    assert ground() != light
    page.click("#theme")


def test_only_visible_notes_are_drawn(page: Any) -> None:
    script = """async () => {
        const { stage: { roll, view } } = await import("./static/app.js");
        const [before, { startS, durationS }] = [roll.notes, view];
        roll.setNotes(Array.from({ length: 10000 }, (_, i) => ({
            onset_s: i * 0.06, offset_s: i * 0.06 + 0.5, midi_note: 30 + (i * 7) % 60, velocity: 1 + i % 127,
        })));
        const { fillRect } = CanvasRenderingContext2D.prototype;
        const drawn = [];
        for (const seconds of [600, 30]) {
            let count = 0;
            CanvasRenderingContext2D.prototype.fillRect = () => (count += 1);
            view.setDuration(600);
            view.fitTime(seconds);
            roll.surface.paint();
            drawn.push(count);
        }
        CanvasRenderingContext2D.prototype.fillRect = fillRect;
        view.setDuration(durationS);
        view.fitTime();
        roll.setNotes(before);
        return drawn;
    }"""
    everything, half_a_minute = page.evaluate(script)
    assert everything > 10_000 and 500 < half_a_minute < 1_000


def test_the_player_of_notebooks_works_from_a_file(browser: Any, clip: Path, tmp_path: Path) -> None:
    played = [Note(0.1, 60, 0.6, 100), Note(1.0, 64, 3.5, 40)]
    transcription = Transcription(played, np.zeros((0, 1), np.float32), 1.0, 0, 4.0, "</script><b>x</b>.wav")
    players = [transcription.player(), transcription.player(clip)]
    file = tmp_path / "notebook.html"
    file.write_text("<!doctype html>" + "".join(player._repr_html_() for player in players), encoding="utf-8")
    context, wrong = browser.new_context(), []
    context.add_init_script(EAR)
    page = context.new_page()
    for event in ("pageerror", "console"):
        page.on(event, lambda said: wrong.append(str(said)))
    page.on(
        "request", lambda request: None if request.url.startswith(("file:", "data:")) else wrong.append(request.url)
    )
    page.goto(file.as_uri())
    for frame, has_recording in zip(page.frames[1:], (False, True), strict=True):
        assert frame.inner_text("#title") == transcription.source
        assert frame.is_visible(".balance") == has_recording
        if has_recording:
            frame.fill("#balance", "0")
        frame.click("#play")
        until(frame, "window.loudest() > 0.01")
        frame.click("#play")
        assert frame.inner_text("#time") != "0:00.0"
        frame.press("#roll", ".")
        frame.press("#roll", "ArrowLeft")
        assert "velocity" in frame.inner_text("#said")
    context.close()
    assert not wrong
