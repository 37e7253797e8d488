"""Descriptions and examples for the help of each command."""

from __future__ import annotations

DESCRIPTION = "Transcribe music and predict the spectra of speech with complex-valued neural networks."
EXAMPLES = """\
examples:
  audiocx transcribe song.wav                          song.mid, in the current folder
  audiocx transcribe *.flac -o notes --format midi,csv both, for every recording
  audiocx listen                                       the notes of the microphone, while they are played
  audiocx predict speech.wav --format png              the error of predicted speech, and a picture of it
  audiocx conceal call.wav                             fills the gaps of lost packets
  audiocx models                                       the networks at hand
  audiocx export                                       the default network as an ONNX file
  audiocx serve --open                                 a page to transcribe, look, listen and edit with
  audiocx COMMAND --help                               all options of a command
"""
TRANSCRIBE = "Find the notes of recordings (WAV, FLAC, MP3 ...; M4A, WMA ... with audiocx[av]) and write \
them to STEM.mid and others."
TRANSCRIBE_EXAMPLES = """\
examples:
  audiocx transcribe song.wav                          writes song.mid
  audiocx transcribe a.wav b.mp3 -o notes --overwrite  writes notes/a.mid and notes/b.mid
  audiocx transcribe song.wav --format midi,png --sonify
                                                       also a picture, and song.notes.wav to listen to
  audiocx transcribe song.wav --threshold 0.3          more notes, and more wrong ones
  audiocx transcribe song.wav -f musicxml,pdf          a score: for a notation program, and as pages
  audiocx transcribe song.wav --quantize               notes on a grid of sixteenths, to open in a notation program
  ffmpeg -i film.mp4 -f wav - | audiocx transcribe -   writes stdin.mid
  audiocx transcribe suite.flac --tuning -100          played at A4 = 415 Hz: notes as in the score
  audiocx transcribe music -o notes --jobs 4           all recordings in a folder, by 4 processes: music/a/b.flac
                                                       becomes notes/a/b.mid. If it is interrupted, the same command
                                                       goes on; notes/manifest.jsonl records the status of each file

The exit code is 0 if every file was transcribed, 1 if one was not, 2 for a wrong command line.
"""
LISTEN = """\
Find the notes of what is played into the microphone, while it is played: prints each note when it has ended, and in a
terminal those that sound below; writes them at the end. The microphone and MIDI ports need an extra:
pip install 'audiocx[live]'.
"""
LISTEN_EXAMPLES = """\
examples:
  audiocx listen                                       the microphone, until Ctrl-C
  audiocx listen -o song.mid -o song.csv               also writes the notes at the end
  audiocx listen --seconds 60 -o song.mid              stops after a minute
  audiocx listen --list-devices                        the microphones; choose one with --device NUMBER
  audiocx listen --midi-port list                      the MIDI outputs
  audiocx listen --midi-port FluidSynth                plays the notes on a synthesiser, about a second later
  audiocx listen --midi-port virtual                   a MIDI port "audiocx", to record in a sequencer
  ffmpeg -f pulse -i default -f wav - | audiocx listen -
                                                       sound from another program, as a WAV stream
  audiocx listen song.flac                             a recording, as if it were played, but faster

In a terminal the last line shows the time and the notes that sound, which may still change; printed notes do not.
Tunings are not estimated: name another than A4 = 440 Hz with --tuning.

Ctrl-C ends the sound: the last notes are printed, the outputs written, and the exit code is 0; a second Ctrl-C does
not wait. The exit code is 1 if the sound breaks off or an output cannot be written, 2 for a wrong command line.
"""
PREDICT = """\
Predict every frame of speech from the frames before it, and print the mean squared error of the log power spectrum, in
dB^2. Recordings of any rate and number of channels are resampled to 8 kHz and mixed to one channel.
"""
PREDICT_EXAMPLES = """\
examples:
  audiocx predict speech.wav                           prints the error and writes nothing
  audiocx predict speech.wav --format png,wav          also a picture, and the prediction to listen to:
                                                       speech.prediction.png, speech.prediction.wav
  audiocx predict *.flac -o predicted --format npz     the spectra, for every recording

formats:
  json  the error, overall and for each second
  npz   true and predicted spectra, complex, one row for each frame of 32 ms, every 16 ms
  png   the true spectrogram above the predicted one and their difference
  wav   the predicted magnitudes with the phases of the recording

The exit code is 0 if every file was predicted, 1 if one was not, 2 for a wrong command line.
"""
CONCEAL = """\
Fill the gaps that lost packets left in speech with a network's prediction of what followed, each channel by itself. All
other samples stay as they are, except for a crossfade of 4 ms on either side of a gap. The network works at 8 kHz, so
the filled gaps have nothing above 4 kHz. Meant for gaps of up to 100 ms; longer ones fade out and are silent after
150 ms.
"""
CONCEAL_EXAMPLES = """\
examples:
  audiocx conceal call.wav                             writes call.concealed.wav; finds the gaps of each channel
  audiocx conceal call.ogg --gap-level 22              finds shallower gaps, too
  audiocx conceal call.wav --gaps 1.20-1.25,3.0-3.06   only the gaps from 1.20 to 1.25 s and from 3.0 to 3.06 s
  audiocx conceal call.wav --gaps gaps.txt             the same from a file: a start and an end in each line, such as
                                                       1.20 1.25, and comments after #
  audiocx conceal *.flac -o whole --format wav,png     also a picture: spectrograms before and after, gaps marked

formats:
  wav  the concealed recording, with its rate and channels; 24 bits and floating point are kept, others become 16 bits
  png  the spectrogram with gaps above the concealed one

A gap is where the level falls at once, stays down, and rises at once again: by about 25 dB (--gap-level) against the
5 ms before and after. It is either constant (zeros, the silence of A-law or of an offset, dither) for 5 ms or more; or,
after a codec such as Ogg or MP3, 10 to 150 ms long and in a loud passage. Silence up to the beginning or the end is no
gap. In 8 bits, only gaps in loud passages are found. A recording that was muted has such gaps, too: name its own with
--gaps. Gaps that --gaps names are filled in all channels.

The exit code is 0 if every file was concealed (or had no gaps), 1 if one was not, 2 for a wrong command line.
"""
EXPORT = """\
Write a transcriber as an ONNX file, to run in onnxruntime and others, without PyTorch and audiocx. The file holds the
whole network, from samples to probabilities. Writing it needs an extra: pip install 'audiocx[onnx]'.
"""
EXPORT_EXAMPLES = """\
examples:
  audiocx export                                       the default network, as NAME.onnx in the current folder
  audiocx export maps-deep-complex -o piano.onnx       another network, as piano.onnx

A transcriber of single windows:
  windows [B, N] float32        N samples in +-1, mono, at the network's sample rate, such as 4096 at 11025 Hz
  probabilities [B, P] float32  that each note sounds at the window's centre

A note network:
  samples [B, N] float32        whole recordings in +-1, mono, at the network's sample rate, of any one length N
  onsets, frames, offsets, velocities [B, T, P] float32
                                in 0 to 1; frame t is centred at sample t * hop_samples, T = N / hop_samples rounded up.
                                Memory grows with N. Cut long recordings into overlapping blocks that begin at multiples
                                of step_samples: results further than overlap_samples from a block's ends are exact

Metadata of the file: name, kind, sample_rate (Hz), hop_samples (from frame to frame), lowest_note (the MIDI number of
the first of P), window_samples, or overlap_samples and step_samples, decode (JSON: thresholds and durations that
turn probabilities into notes), weights_sha256, audiocx (its version).
"""
EVALUATE = """\
Score a network on a folder of recordings with labels: average precision, frames, notes. The labels of song.wav are the
first of song.tsv, song.txt, song.csv, song.jams, song.mid and song.json beside it, or as MAESTRO and MusicNet lay them
out. Which file was taken for each recording, and what was ignored, is printed above the table.
"""
EVALUATE_EXAMPLES = """\
examples:
  audiocx evaluate recordings                          the default network's scores
  audiocx evaluate maestro-v3.0.0 --split test         the recordings that its listing names for testing
  audiocx evaluate recordings -o scores.json           also as JSON
  audiocx evaluate recordings --save scored            also what was scored, to compute scores from it again:
                                                       scores.json, table.md, and for each recording song.wav.npz
                                                       (probabilities, notes, labels) and song.wav.csv (notes)

labels:
  .tsv .txt .csv  columns of onset, offset or duration, pitch and, optionally, velocity, in seconds and as MIDI numbers
                  or in Hz; with or without headings, such as those of MAPS and Basic Pitch; MusicNet's .csv
  .jams .json     annotations note_midi or note_hz; JSON that audiocx transcribe wrote
  .mid .midi      notes last as long as the sustain pedal holds them; drums are left out

The exit code is 0 if every recording with labels was scored, 1 if one was not, 2 for a wrong command line.
"""
SERVE = """\
Serve a page on this machine alone: drop recordings or play into the microphone, see the notes over the sound, hear
both, edit them, and download MIDI and other files. Nothing leaves the machine. Needs an extra: pip install
'audiocx[serve]'.
"""
SERVE_EXAMPLES = """\
examples:
  audiocx serve --open                                 opens the page in the browser; Ctrl-C ends
  audiocx serve --port 8000 --model notes-complex-large
                                                       at http://127.0.0.1:8000/, with another network
  audiocx serve --host 0.0.0.0 --allow-remote          for other machines, too: whoever has the address printed, with
                                                       its token. It is not encrypted

Recordings are kept in a temporary folder until they are deleted on the page or the server ends.
"""

TRAIN = "Train a network as a .toml file describes it. A run continues when its command is given again."
