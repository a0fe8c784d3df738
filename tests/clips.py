"""Films made for a test: every frame known, with audio, rotation, odd clocks and old codecs."""

from fractions import Fraction

import av
import numpy as np

RATE = 48000


def frames(count, height=32, width=48, seed=0):
    """A bright square that moves to the right over a shaded ground; uint8 (H, W, 3)."""
    y, x = np.mgrid[0:height, 0:width]
    ground = np.stack([40 + x % 80, 40 + 2 * y % 120, 90 + 0 * x], -1).astype(np.uint8)
    ground = np.roll(ground, 7 * seed, axis=2)
    film = []
    for i in range(count):
        frame = ground.copy()
        left = (4 + i) % (width - 12)
        frame[height // 4 : height // 2, left : left + 10] = (220, 200, 60)
        film.append(frame)
    return film


def clip(
    path,
    pictures,
    *,
    rate=10,
    codec="libx264",
    layout="yuv420p",
    times=None,
    unit=None,
    audio=None,
    turn=None,
    options=None,
    tags=None,
    aspect=None,
    heard=None,
):
    """Write a film; returns its path.

    ``times`` are in ``unit``; ``turn`` is (degrees counter-clockwise, hflip, vflip); ``tags`` are
    set on the encoder; pictures may be frames of PyAV's too. ``heard`` are the seconds of audio.
    """
    unit = unit or Fraction(1, 12800)
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=Fraction(rate), options=options or {})
        first = pictures[0]
        array = isinstance(first, np.ndarray)
        height, width = first.shape[:2] if array else (first.height, first.width)
        stream.height, stream.width, stream.pix_fmt = height, width, layout
        stream.time_base = stream.codec_context.time_base = unit
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        for name, value in (tags or {}).items():
            setattr(stream.codec_context, name, value)
        if turn:
            stream.set_display_rotation(turn[0], hflip=turn[1], vflip=turn[2])
        tracks = [out.add_stream(name, rate=RATE) for name in ([audio] if audio else [])]
        for i, picture in enumerate(pictures):
            frame = picture
            if array:
                kind = "rgba" if picture.shape[2] == 4 else "rgb24"
                frame = av.VideoFrame.from_ndarray(picture, format=kind)
            frame.pts = times[i] if times else round(i / Fraction(rate) / unit)
            frame.time_base = unit
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        for track in tracks:
            _hum(out, track, heard or len(pictures) / Fraction(rate))
    return str(path)


def _hum(out, track, seconds):
    count = int(RATE * seconds)
    wave = np.sin(np.arange(count) * 0.06).astype(np.float32) * 0.3
    for start in range(0, count, 1024):
        piece = np.stack([wave[start : start + 1024]] * 2)
        frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="stereo")
        frame.sample_rate, frame.pts = RATE, start
        resampler = av.AudioResampler(format=track.codec_context.format, layout="stereo")
        for each in resampler.resample(frame):
            out.mux(track.encode(each))
    out.mux(track.encode(None))


def decoded(path):
    """The frames of a film as uint8 (H, W, 3), by another way than ours."""
    with av.open(str(path)) as film:
        return [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]


def packets(path, kind):
    """The packets of the first stream of a kind: (bytes, time in seconds)."""
    with av.open(str(path)) as film:
        stream = getattr(film.streams, kind)[0]
        return [(bytes(p), p.pts * p.time_base) for p in film.demux(stream) if p.size]


def streams(path):
    """The kinds of a film's streams."""
    with av.open(str(path)) as film:
        return [stream.type for stream in film.streams]
