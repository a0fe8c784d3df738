"""Parts join to a film with the times, frames and sound that went in, or to nothing."""

from fractions import Fraction

import av
import clips
import numpy as np
import pytest

from impasto.core.errors import InputError
from impasto.video.reader import VideoFile
from impasto.video.writer import (
    AudioTracks,
    EncodedSegment,
    EncodingOptions,
    check_audio,
    container_of,
    join_segments,
    read_comment,
)

UNIT = Fraction(1, 12800)


def coding(container="mp4", *, lossless=False, unit=UNIT, rate=10):
    return EncodingOptions(container, 18, lossless, Fraction(rate), unit)


def parts_of(tmp_path, pictures, how, each=5, times=None):
    """The files of parts of so many frames."""
    files = []
    for start in range(0, len(pictures), each):
        part = EncodedSegment(how)
        for i, picture in enumerate(pictures[start : start + each], start):
            time = times[i] if times else i / how.rate
            part.add(picture.astype(np.float32) / 255, Fraction(time))
        files.append(tmp_path / f"part-{start}.nut")
        files[-1].write_bytes(part.close())
    return files


@pytest.mark.parametrize(
    ("suffix", "container"),
    [(".mp4", "mp4"), (".mov", "mov"), (".mkv", "matroska"), (".webm", "webm")],
)
def test_lossless_is_lossless(tmp_path, suffix, container):
    pictures = clips.frames(12, 33, 47)
    how = coding(container, lossless=True)
    out = tmp_path / f"out{suffix}"
    join_segments(parts_of(tmp_path, pictures, how), out, how, None, "")
    assert (np.stack(clips.decoded(out)) == np.stack(pictures)).all()


@pytest.mark.parametrize(
    ("suffix", "container"), [(".mp4", "mp4"), (".mkv", "matroska"), (".webm", "webm")]
)
def test_colors_come_back_as_they_went_in(tmp_path, suffix, container):
    """Read by our own reader, whose colors are checked against BT.601 and BT.709."""
    pictures = [np.full((32, 48, 3), c, np.uint8) for c in ((200, 60, 40), (30, 90, 220))]
    how = coding(container)
    out = tmp_path / f"out{suffix}"
    join_segments(parts_of(tmp_path, pictures, how, each=1), out, how, None, "")
    for frame, picture in zip(VideoFile(str(out)).frames(), pictures, strict=True):
        assert np.abs(frame.pixels * 255 - picture).max() < 4
    with av.open(str(out)) as film:
        context = film.streams.video[0].codec_context
        assert (context.colorspace, context.color_range) == (1, 1)


def test_odd_sides_are_longer_by_a_copy(tmp_path):
    pictures = clips.frames(3, 33, 47)
    how = coding()
    out = tmp_path / "out.mp4"
    join_segments(parts_of(tmp_path, pictures, how), out, how, None, "")
    frame = clips.decoded(out)[0].astype(int)
    assert frame.shape == (34, 48, 3)
    assert np.abs(frame[33] - frame[32]).mean() < 6


def test_times_are_kept_to_the_tick(tmp_path):
    unit = Fraction(1, 1000)
    times = [Fraction(t, 1000) for t in (0, 400, 1000, 1900, 2000, 2010, 3500)]
    how = coding(unit=unit, rate=2)
    out = tmp_path / "out.mp4"
    join_segments(parts_of(tmp_path, clips.frames(7), how, each=3, times=times), out, how, None, "")
    assert [time for _, time in clips.packets(out, "video")] == times
    with av.open(str(out)) as film:
        assert film.duration / 1e6 == pytest.approx(4.0, abs=0.01)  # the last one lasts 1 / rate


def beside_picture(path):
    """When the packets of the sound come, in seconds after the first frame."""
    zero = clips.packets(path, "video")[0][1]
    return [float(time - zero) for _, time in clips.packets(path, "audio")]


@pytest.mark.parametrize(
    ("codec", "source", "target", "container"),
    [
        ("aac", "a.mp4", "b.mp4", "mp4"),
        ("aac", "a.mp4", "b.mkv", "matroska"),
        ("flac", "a.mkv", "b.mkv", "matroska"),
        ("libmp3lame", "a.mkv", "b.mov", "mov"),
        ("libopus", "a.webm", "b.webm", "webm"),
    ],
)
def test_sound_packets_are_copied_byte_by_byte(tmp_path, codec, source, target, container):
    video = "libvpx-vp9" if source.endswith("webm") else "libx264"
    path = clips.clip(tmp_path / source, clips.frames(20), codec=video, audio=codec)
    how = coding(container)
    out = tmp_path / target
    film = VideoFile(path)
    join_segments(parts_of(tmp_path, clips.frames(20), how), out, how,
         AudioTracks(path, film.origin), "")  # fmt: skip
    ours, theirs = clips.packets(out, "audio"), clips.packets(path, "audio")
    assert [data for data, _ in ours] == [data for data, _ in theirs]
    assert beside_picture(out) == pytest.approx(beside_picture(path), abs=2e-3)


def test_the_sound_of_a_part_stays_with_its_picture(tmp_path):
    path = clips.clip(tmp_path / "a.mp4", clips.frames(30), audio="aac")
    film = VideoFile(path, start=1.0, end=2.0)
    how = coding()
    out = tmp_path / "b.mp4"
    sound = AudioTracks(path, film.origin, cut=True, end=Fraction(1))
    join_segments(parts_of(tmp_path, clips.frames(10), how), out, how, sound, "")
    theirs = [(d, t - 1) for d, t in clips.packets(path, "audio") if 1 <= t < 2]
    ours = clips.packets(out, "audio")
    assert [d for d, _ in ours] == [d for d, _ in theirs]
    assert [float(t) for _, t in ours] == pytest.approx([float(t) for _, t in theirs], abs=2e-3)


def test_a_container_that_cannot_hold_the_sound_is_refused(tmp_path):
    path = clips.clip(tmp_path / "a.mp4", clips.frames(5), audio="aac")
    with pytest.raises(InputError, match=r"cannot hold the sound .* \(aac\).*\.mkv"):
        check_audio("b.webm", VideoFile(path).info)
    check_audio("b.mkv", VideoFile(path).info)


def test_a_name_that_is_no_film_is_refused():
    with pytest.raises(InputError, match=r"a film ends in \.mp4"):
        container_of("out.gif")


def test_a_comment_is_kept(tmp_path):
    text = '{"knobs": "ä", "long": "' + 30_000 * "x" + '"}'
    for suffix, container in ((".mp4", "mp4"), (".mov", "mov"), (".mkv", "matroska")):
        how = coding(container)
        out = tmp_path / f"out{suffix}"
        join_segments(parts_of(tmp_path, clips.frames(2), how), out, how, None, text)
        assert read_comment(str(out)) == text


class FullDisk:
    """A file on a disk with room for so many bytes."""

    def __init__(self, file, room):
        self._file, self._remaining_trials = file, room

    def write(self, data):
        self._remaining_trials -= len(data)
        if self._remaining_trials < 0:
            raise OSError(28, "No space left on device")
        return self._file.write(data)

    def __getattr__(self, name):
        return getattr(self._file, name)


@pytest.mark.parametrize("room", [0, 400, 3000])
def test_a_full_disk_leaves_nothing_and_what_was_there(tmp_path, monkeypatch, room):
    import contextlib

    from impasto.video import writer

    real = writer.atomic_write

    @contextlib.contextmanager
    def full(path):
        with real(path) as file:
            yield FullDisk(file, room)

    how = coding()
    parts = parts_of(tmp_path, clips.frames(20), how)
    out = tmp_path / "out" / "b.mp4"
    out.parent.mkdir()
    monkeypatch.setattr(writer, "atomic_write", full)
    with pytest.raises(InputError, match="No space left on device"):
        join_segments(parts, out, how, None, "x" * 3000)
    assert list(out.parent.iterdir()) == []
