"""Films are read upright, in the right colors, at their own times; what is broken is told of."""

import sys
from fractions import Fraction
from pathlib import Path

import av
import clips
import numpy as np
import pytest

from impasto.core.errors import InputError, MissingExtraError
from impasto.video.reader import VideoFile


def read(path, **part):
    film = VideoFile(str(path), **part)
    return film, list(film.frames())


def flat(y, u, v, layout="yuv420p", height=16, width=16):
    """Frames of one color, given as Y, Cb and Cr."""
    found = []
    for _ in range(2):
        frame = av.VideoFrame(width, height, layout)
        deep = "10le" in layout
        for plane, value in zip(frame.planes, (y, u, v), strict=True):
            size = plane.buffer_size // (2 if deep else 1)
            plane.update(np.full(size, value, np.uint16 if deep else np.uint8).tobytes())
        found.append(frame)
    return found


def rgb(y, u, v, kr, kb, full, top=255):
    """What BT.601 and BT.709 say of Y, Cb and Cr."""
    scale = top / 255
    light = y / top if full else (y / scale - 16) / 219
    blue, red = ((c / scale - 128) / (255 if full else 224) for c in (u, v))
    r, b = light + 2 * (1 - kr) * red, light + 2 * (1 - kb) * blue
    return r, (light - kr * r - kb * b) / (1 - kr - kb), b


@pytest.mark.parametrize(
    ("matrix", "kr", "kb"), [(1, 0.2126, 0.0722), (6, 0.299, 0.114), (2, 0.299, 0.114)]
)
@pytest.mark.parametrize("full", [False, True])
def test_matrix_and_range_are_those_that_the_film_names(tmp_path, matrix, kr, kb, full):
    tags = {"colorspace": matrix, "color_range": 2 if full else 1}
    pictures = flat(100, 90, 160)
    for picture in pictures:
        picture.colorspace, picture.color_range = tags.values()
    path = clips.clip(tmp_path / "a.mkv", pictures, codec="ffv1", tags=tags)
    _, (frame, _) = read(path)
    assert frame.pixels[8, 8] == pytest.approx(rgb(100, 90, 160, kr, kb, full), abs=1.5 / 255)


def test_a_large_film_that_names_no_matrix_has_that_of_hd(tmp_path):
    path = clips.clip(tmp_path / "a.mkv", flat(100, 90, 160, width=1280), codec="ffv1")
    _, (frame, _) = read(path)
    assert frame.pixels[8, 8] == pytest.approx(
        rgb(100, 90, 160, 0.2126, 0.0722, False), abs=1.5 / 255
    )


def test_ten_bits_are_all_read(tmp_path):
    pictures = [flat(400 + i, 512, 512, "yuv420p10le")[0] for i in range(4)]
    path = clips.clip(tmp_path / "a.mkv", pictures, codec="ffv1", layout="yuv420p10le")
    film, found = read(path)
    grays = [float(frame.pixels[8, 8, 1]) for frame in found]
    assert film.info.bits == 16
    assert np.diff(grays) == pytest.approx(1 / 876, rel=0.05)  # 64 to 940 is black to white


def turned(picture, degrees, hflip, vflip):
    upright = np.rot90(picture, degrees // 90)
    upright = upright[:, ::-1] if hflip else upright
    return upright[::-1] if vflip else upright


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize("flips", [(False, False), (True, False), (False, True)])
def test_a_film_is_turned_upright(tmp_path, degrees, flips):
    pictures = clips.frames(2)
    path = clips.clip(
        tmp_path / "a.mp4", pictures, turn=(degrees, *flips), codec="libx264rgb", layout="rgb24",
        options={"qp": "0"},
    )  # fmt: skip
    film, (frame, _) = read(path)
    expected = turned(pictures[0], degrees, *flips)
    assert (film.info.height, film.info.width) == expected.shape[:2]
    assert (np.rint(frame.pixels * 255) == expected).all()


def test_size_is_of_the_long_side_of_the_upright_film(tmp_path):
    path = clips.clip(tmp_path / "a.mp4", clips.frames(2), turn=(90, False, False))
    film, (frame, _) = read(path, size=24)
    assert frame.pixels.shape == (24, 16, 3)
    assert (film.info.height, film.info.width) == (24, 16)


def test_pixels_become_square(tmp_path):
    path = clips.clip(tmp_path / "a.mp4", clips.frames(2, 32, 48), aspect=Fraction(4, 3))
    film, _ = read(path)
    assert (film.info.height, film.info.width) == (32, 64)
    assert "its pixels were made square" in film.info.notes


def test_odd_sizes_and_transparency_are_read(tmp_path):
    cover = np.full((33, 47), 128, np.uint8)
    pictures = [np.dstack([frame, cover]) for frame in clips.frames(2, 33, 47)]
    path = clips.clip(tmp_path / "a.mov", pictures, codec="qtrle", layout="argb")
    film, (frame, _) = read(path)
    assert film.info.alpha
    assert (np.rint(frame.pixels * 255) == pictures[0][:, :, :3]).all()
    assert frame.alpha == pytest.approx(128 / 255)


def test_every_frame_keeps_its_time(tmp_path):
    times = [0, 400, 1000, 1900, 2000]
    path = clips.clip(
        tmp_path / "a.mp4", clips.frames(5), times=times, unit=Fraction(1, 1000), rate=5
    )
    _, found = read(path)
    assert [frame.time for frame in found] == [Fraction(t, 1000) for t in times]


def test_a_part_is_the_same_frames(tmp_path):
    path = clips.clip(tmp_path / "a.mp4", clips.frames(40), options={"g": "12"})
    _, whole = read(path)
    film, part = read(path, start=1.45, end=3.0)
    assert len(part) == 15
    assert film.info.frames == 15
    assert all((a.pixels == b.pixels).all() for a, b in zip(whole[15:30], part, strict=True))
    assert [frame.time for frame in part[:2]] == [0, Fraction(1, 10)]


@pytest.mark.parametrize(
    ("codec", "layout", "name"),
    [("mpeg4", "yuv420p", "a.avi"), ("libvpx-vp9", "yuv420p", "a.webm"), ("mjpeg", "yuvj420p",
     "a.mov"), ("mpeg2video", "yuv420p", "a.ts")],
)  # fmt: skip
def test_containers_and_codecs(tmp_path, codec, layout, name):
    pictures = clips.frames(12)
    path = clips.clip(tmp_path / name, pictures, codec=codec, layout=layout, rate=25,
                     unit=Fraction(1, 25))  # fmt: skip
    _, found = read(path)
    assert len(found) == 12
    for frame, picture in zip(found, pictures, strict=True):
        assert np.abs(frame.pixels * 255 - picture).mean() < 12


def test_a_film_of_one_frame(tmp_path):
    film, found = read(clips.clip(tmp_path / "a.mp4", clips.frames(1)))
    assert len(found) == 1
    assert film.info.frames == 1


def broken(tmp_path, name):
    """A bad input of that name, and what is said of it."""
    path = tmp_path / name
    if name == "sound.mp4":
        whole = clips.clip(tmp_path / "whole.mp4", clips.frames(5), audio="aac")
        with av.open(whole) as source, av.open(str(path), "w") as out:
            track = out.add_stream_from_template(source.streams.audio[0])
            for packet in source.demux(source.streams.audio[0]):
                if packet.size:
                    packet.stream = track
                    out.mux(packet)
    elif name == "cut.mp4":  # what tells where the frames are is at its end
        data = clips.clip(tmp_path / "whole.mp4", clips.frames(20))
        path.write_bytes(Path(data).read_bytes()[:1200])
    elif name == "codec.mp4":
        data = Path(clips.clip(tmp_path / "whole.mp4", clips.frames(5))).read_bytes()
        path.write_bytes(data.replace(b"avc1", b"xyz1").replace(b"avcC", b"xyzC"))
    elif name == "empty.mp4":
        path.touch()
    elif name == "text.mp4":
        path.write_text("not a film, but a text about one")
    return path


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("sound.mp4", "has sound but no picture"),
        ("cut.mp4", "it is no film, or cut off or damaged"),
        ("codec.mp4", "a codec that PyAV was not built with"),
        ("empty.mp4", "the file is empty"),
        ("text.mp4", "it is no film"),
        ("none.mp4", "there is no such file"),
        (".", "Is a directory"),
    ],
)
def test_what_is_no_film_is_told(tmp_path, name, said):
    with pytest.raises(InputError, match=said):
        VideoFile(str(broken(tmp_path, name)))


def test_a_film_that_is_cut_off_is_read_as_far_as_it_goes(tmp_path):
    whole = clips.clip(tmp_path / "a.mkv", clips.frames(60), options={"g": "10"})
    data = Path(whole).read_bytes()
    (tmp_path / "b.mkv").write_bytes(data[: len(data) // 2])
    film, found = read(tmp_path / "b.mkv")
    assert 10 < len(found) < 55
    assert "it may have been cut off" in film.remarks[0]


def test_sound_that_goes_on_makes_a_film_no_longer(tmp_path):
    whole = clips.clip(tmp_path / "a.mkv", clips.frames(20), audio="flac", heard=5)
    film, found = read(whole)
    assert (len(found), film.info.frames, film.remarks) == (20, 20, [])
    data = Path(whole).read_bytes()
    (tmp_path / "b.mkv").write_bytes(data[: len(data) // 3])
    film, _ = read(tmp_path / "b.mkv")
    assert "it may have been cut off" in film.remarks[0]


def test_damaged_frames_are_left_out_and_told(tmp_path):
    whole = clips.clip(tmp_path / "a.mov", clips.frames(30), codec="png", layout="rgb24")
    data = bytearray(Path(whole).read_bytes())
    at = data.find(b"IDAT", len(data) // 2)
    data[at : at + 60] = bytes(60)
    (tmp_path / "b.mov").write_bytes(data)
    film, found = read(tmp_path / "b.mov")
    assert 28 <= len(found) <= 30
    assert any("damaged" in remark for remark in film.remarks)
    film, _ = read(tmp_path / "b.mov", end=2.9)
    assert any("damaged" in remark for remark in film.remarks)


def test_a_part_beyond_the_end_is_refused(tmp_path):
    path = clips.clip(tmp_path / "a.mp4", clips.frames(10))
    with pytest.raises(InputError, match=r"no frame from 4 s on: it is 1\.00 s long"):
        VideoFile(path, start=4)


def test_without_pyav_the_install_line_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r'pip install "impasto\[video\]"'):
        VideoFile(str(tmp_path / "a.mp4"))
