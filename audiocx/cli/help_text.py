"""What the help of each command says."""

from __future__ import annotations

DESCRIPTION = "Transcribe music and predict the spectra of speech with complex-valued neural networks."
EXAMPLES = """\
examples:
  audiocx transcribe song.wav                          song.mid, in the current folder
  audiocx transcribe *.flac -o notes --format midi,csv both, for every recording
  audiocx predict speech.wav --format png              how well speech is foretold, and a picture of it
  audiocx conceal call.wav                             fills the gaps that lost packets left in it
  audiocx models                                       the networks at hand
  audiocx export                                       the default network as an ONNX file
  audiocx COMMAND --help                               all options of a command
"""
TRANSCRIBE = "Find the notes of recordings (WAV, FLAC, Ogg, MP3, AIFF ...) and write them to STEM.mid and others."
TRANSCRIBE_EXAMPLES = """\
examples:
  audiocx transcribe song.wav                          writes song.mid
  audiocx transcribe a.wav b.mp3 -o notes --overwrite  writes notes/a.mid and notes/b.mid
  audiocx transcribe song.wav --format midi,png --sonify
                                                       also a picture, and song.notes.wav to listen to
  audiocx transcribe song.wav --threshold 0.3          more notes, and more wrong ones
  audiocx transcribe song.wav --quantize               notes on a grid of sixteenths, to open in a notation program
  audiocx transcribe suite.flac --tuning -100          played at A4 = 415 Hz: notes as in the score
  audiocx transcribe music -o notes --jobs 4           all recordings in a folder, by 4 processes: music/a/b.flac
                                                       becomes notes/a/b.mid. If it is cut off, the same command goes
                                                       on; notes/manifest.jsonl tells what became of each

The exit code is 0 if every file was transcribed, 1 if one was not, 2 for a wrong command line.
"""
PREDICT = """\
Predict every frame of speech from the frames before it, and print how far that is off: the mean squared error of the
log power spectrum, in dB^2. Recordings of any rate and number of channels are heard at 8 kHz, mixed to one channel.
"""
PREDICT_EXAMPLES = """\
examples:
  audiocx predict speech.wav                           prints the error and writes nothing
  audiocx predict speech.wav --format png,wav          also a picture, and the prediction to listen to:
                                                       speech.prediction.png, speech.prediction.wav
  audiocx predict *.flac -o predicted --format npz     the spectra, for every recording

formats:
  json  the error, as a whole and second by second
  npz   true and predicted spectra, complex, a row for each frame of 32 ms, 16 ms apart
  png   the true spectrogram above the predicted one and their difference
  wav   the predicted magnitudes with the phases of the recording

The exit code is 0 if every file was predicted, 1 if one was not, 2 for a wrong command line.
"""
CONCEAL = """\
Fill the gaps that lost packets left in speech with what a network says would have followed, each channel by itself.
All else stays as it was, but for 4 ms on either side of a gap. The network hears and speaks at 8 kHz: in the gaps there
is nothing above 4 kHz. Meant for gaps of up to 100 ms; longer ones fade out and are silent after 150 ms.
"""
CONCEAL_EXAMPLES = """\
examples:
  audiocx conceal call.wav                             writes call.concealed.wav; gaps are wherever there are 5 ms or
                                                       more of zeros, in all channels, but at the very beginning
  audiocx conceal call.wav --gaps 1.20-1.25,3.0-3.06   gaps from 1.20 to 1.25 s and from 3.0 to 3.06 s, and no others
  audiocx conceal call.wav --gaps gaps.txt             the same from a file: a start and an end in each line, such as
                                                       1.20 1.25, and comments after #
  audiocx conceal *.flac -o whole --format wav,png     also a picture: spectrograms before and after, gaps marked

formats:
  wav  the recording, concealed: its rate and its channels; 24 bits and floating point are kept, else it is 16 bits
  png  the spectrogram with gaps above the concealed one

A recording that was muted or cut to exact silence has zeros too: name the gaps of such a one with --gaps.

The exit code is 0 if every file was concealed (or had no gaps), 1 if one was not, 2 for a wrong command line.
"""
EXPORT = """\
Write a network that transcribes as an ONNX file, to run in onnxruntime and others, without PyTorch and audiocx. What is
in the file is the whole network, from samples to probabilities; it needs the extra: pip install 'audiocx[onnx]'.
"""
EXPORT_EXAMPLES = """\
examples:
  audiocx export                                       the default network, as NAME.onnx in the current folder
  audiocx export maps-deep-complex -o piano.onnx       another one, elsewhere

A transcriber of single windows:
  windows [B, N] float32        N samples in +-1, mono, at the network's sample rate, such as 4096 at 11025 Hz
  probabilities [B, P] float32  that each note sounds at the window's centre

A note network:
  samples [B, N] float32        whole recordings in +-1, mono, at the network's sample rate, of any one length N
  onsets, frames, offsets, velocities [B, T, P] float32
                                in 0 to 1; frame t is centred at sample t * hop_samples, T = N / hop_samples rounded up.
                                Memory grows with N. Cut long recordings into blocks that overlap and begin at multiples
                                of step_samples: what is further than overlap_samples from a block's ends is as if uncut

Metadata of the file: name, kind, sample_rate (Hz), hop_samples (from frame to frame), lowest_note (the MIDI number of
the first of P), window_samples, or overlap_samples and step_samples, decode (JSON: thresholds and durations that make
notes of the probabilities), weights_sha256, audiocx (its version).
"""
EVALUATE = "Score a network on a folder of recordings, each with its notes (.tsv, .txt, .csv or .mid) beside it."
