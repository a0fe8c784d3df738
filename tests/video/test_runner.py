"""The loop: parts, shots, resuming, loops, ramps, and disks that fill up."""

from fractions import Fraction

import clips
import numpy as np
import pytest
import tiny_models

from impasto.core.errors import InputError, KnobError
from impasto.pictures import read, write
from impasto.video import runner as room
from impasto.video.open_source import open_source
from impasto.video.options import VideoOptions
from impasto.video.output import read_recipe
from impasto.video.runner import VideoJob


class Counting:
    """A brush whose paint tells how many frames of the shot it has seen: 1 / 32 lighter each."""

    def __init__(self):
        self.digests, self.count, self.begun, self.seen = {}, 0, 0, []

    def start_shot(self):
        self.count, self.begun = 0, self.begun + 1

    def __call__(self, frame):
        self.seen.append(frame)
        self.count += 1
        return np.full_like(frame, self.count / 32)

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        self.count = state.get("count", 0)

    def preview_frame(self, number, frame):
        self.start_shot()
        return self(frame)

    def set_callback(self, event):
        pass


@pytest.fixture
def job(models, monkeypatch):
    """Makes a job that is painted by a counting brush."""

    def make(content, output, stylizer=None, **take):
        brush = stylizer or Counting()
        monkeypatch.setattr(room, "make_frame_stylizer", lambda *_, **__: brush)
        made = VideoJob(
            str(content),
            tiny_models.STYLES[0],
            str(output),
            VideoOptions(lossless=True, **take),
            method="fast",
            weights=models["fast"],
            precision="fp32",
        )
        assert made.stylizer is brush
        return made

    return make


def counts(path):
    """What the counting brush painted, from a lossless film."""
    return [round(32 * float(frame[0, -1, 0]) / 255) for frame in clips.decoded(path)]


def two_shots(tmp_path, first=7, second=18, **more):
    random = np.random.default_rng(0)
    scenes = [random.integers(0, 255, (8, 12, 3), np.uint8).repeat(4, 0).repeat(4, 1)
              for _ in range(2)]  # fmt: skip
    return clips.clip(tmp_path / "in.mp4", [scenes[0]] * first + [scenes[1]] * second, **more)


def test_every_frame_is_painted_once_and_a_shot_begins_anew(job, tmp_path):
    made = job(two_shots(tmp_path, audio="aac"), tmp_path / "out.mp4")
    film = made.run()
    assert counts(film.path) == [*range(1, 8), *range(1, 19)]
    assert made.stylizer.begun == 2
    assert (film.frames, film.seconds, film.fps) == (25, 2.5, 10)
    assert film.recipe.film["shots"] == 2
    assert film.recipe.finished
    assert read_recipe(str(film.path)).film == film.recipe.film
    ours, theirs = (clips.packets(p, "audio") for p in (film.path, tmp_path / "in.mp4"))
    assert [d for d, _ in ours] == [d for d, _ in theirs]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]


def test_cuts_can_be_left_alone(job, tmp_path):
    film = job(two_shots(tmp_path), tmp_path / "out.mp4", detect_shots=False).run()
    assert counts(film.path) == list(range(1, 26))


class KilledError(Exception):
    """Nothing that is caught."""


class Dying(Counting):
    def __init__(self, after, error=KilledError):
        super().__init__()
        self.after, self.error = after, error

    def __call__(self, frame):
        if len(self.seen) == self.after:
            raise self.error
        return super().__call__(frame)


@pytest.mark.parametrize("after", [3, 10, 14, 24])
@pytest.mark.parametrize("loop", [False, True])
def test_a_killed_run_goes_on_to_the_same_film(job, tmp_path, after, loop):
    source = two_shots(tmp_path)
    whole = job(source, tmp_path / "whole.mp4", loop=loop).run()
    with pytest.raises(KilledError):
        job(source, tmp_path / "out.mp4", Dying(after), loop=loop).run()
    assert not (tmp_path / "out.mp4").exists()
    brush = Counting()
    said = []
    film = job(source, tmp_path / "out.mp4", brush, loop=loop).run(
        resume=True, on_message=said.append
    )
    assert (tmp_path / "out.mp4").read_bytes()[:2000] == whole.path.read_bytes()[:2000]
    assert clips.packets(film.path, "video") == clips.packets(whole.path, "video")
    painted = len(brush.seen)
    assert painted <= 25 - after + 10 + 5 * loop  # at most a second again, and what leads in
    if painted < 25:
        assert "Going on after frame" in said[0]
    assert not list(tmp_path.glob("*.impasto-parts"))


def test_other_settings_begin_anew_and_say_so(job, tmp_path):
    source = two_shots(tmp_path)
    with pytest.raises(KilledError):
        job(source, tmp_path / "out.mp4", Dying(14)).run()
    said = []
    made = job(source, tmp_path / "out.mp4", detect_shots=False)
    film = made.run(resume=True, on_message=said.append)
    assert "belongs to another run: detect_shots differ" in said[0]
    assert counts(film.path) == list(range(1, 26))


def test_a_network_that_was_taught_anew_begins_anew(job, tmp_path):
    source, said = two_shots(tmp_path), []
    with pytest.raises(KilledError):
        job(source, tmp_path / "out.mp4", Dying(14)).run()
    brush = Counting()
    brush.digests = {"own": "another sha256"}
    job(source, tmp_path / "out.mp4", brush).run(resume=True, on_message=said.append)
    assert "files differ" in said[0]
    assert len(brush.seen) == 25


def test_without_resume_it_begins_anew_and_says_so(job, tmp_path):
    source = two_shots(tmp_path)
    with pytest.raises(KilledError):
        job(source, tmp_path / "out.mp4", Dying(14)).run()
    said = []
    made = job(source, tmp_path / "out.mp4")
    made.run(on_message=said.append)
    assert len(made.stylizer.seen) == 25
    assert "is replaced" in said[0]


def test_a_stop_leaves_the_film_so_far(job, tmp_path):
    source = two_shots(tmp_path, audio="aac")
    film = job(source, tmp_path / "out.mp4", Dying(14, KeyboardInterrupt)).run()
    assert not film.recipe.finished
    assert film.path == tmp_path / "out.partial.mp4"
    assert counts(film.path) == [*range(1, 8), 1, 2, 3]
    recipe = read_recipe(str(film.path))
    assert not recipe.finished
    assert (film.frames, film.seconds) == (recipe.film["frames"], recipe.film["seconds"]) == (10, 1)
    last = clips.packets(film.path, "audio")[-1][1]
    assert 0.9 < last < 1.05
    film = job(source, tmp_path / "out.mp4").run(resume=True)
    assert film.path == tmp_path / "out.mp4"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]


def test_a_full_disk_in_the_middle_leaves_what_fitted(job, tmp_path, monkeypatch):
    from impasto.video import segments as video_segments

    real, room_left = video_segments.write_bytes, [1]

    def full(path, data):
        if not room_left:
            raise InputError(f"Cannot write {path}: the system says 'No space left on device'.")
        room_left.pop()
        real(path, data)

    source = two_shots(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(video_segments, "write_bytes", full)
        with pytest.raises(InputError, match=r"No space left.*out\.partial\.mp4\. --resume"):
            job(source, tmp_path / "out.mp4").run()
    assert not (tmp_path / "out.mp4").exists()
    assert len(clips.decoded(tmp_path / "out.partial.mp4")) == 10
    film = job(source, tmp_path / "out.mp4").run(resume=True)
    assert counts(film.path) == [*range(1, 8), *range(1, 19)]


def test_what_is_painted_and_finds_no_room_is_only_written_later(job, tmp_path, monkeypatch):
    from impasto.video import output as video_output

    def full(*_):
        raise InputError("Cannot write it: the system says 'No space left on device'.")

    source = two_shots(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(video_output, "join_segments", full)
        with pytest.raises(InputError, match=r"No space left.* --resume only writes it"):
            job(source, tmp_path / "out.mp4").run()
    brush = Counting()
    film = job(source, tmp_path / "out.mp4", brush).run(resume=True)
    assert counts(film.path) == [*range(1, 8), *range(1, 19)]
    assert not brush.seen


def test_no_room_for_anything_leaves_nothing(job, tmp_path, monkeypatch):
    from impasto.video import segments as video_segments

    def full(path, data):
        raise InputError(f"Cannot write {path}: the system says 'No space left on device'.")

    monkeypatch.setattr(video_segments, "write_bytes", full)
    with pytest.raises(InputError, match="No space left"):
        job(two_shots(tmp_path), tmp_path / "out.mp4").run()
    assert not list(tmp_path.glob("out*.mp4"))


def test_a_loop_flows_into_its_beginning(job, tmp_path):
    pictures = [np.full((32, 48, 3), 10 * i, np.uint8) for i in range(25)]
    source = clips.clip(tmp_path / "in.mp4", pictures, codec="libx264rgb", layout="rgb24",
                        options={"qp": "0"})  # fmt: skip

    class Copying(Counting):
        def __call__(self, frame):
            super().__call__(frame)
            return frame

    brush = Copying()
    film = job(source, tmp_path / "out.mp4", brush, loop=True, detect_shots=False).run()
    shown = [float(frame.mean()) / 10 for frame in clips.decoded(film.path)]
    assert shown[:15] == pytest.approx(range(5, 20), abs=0.06)
    mixed = [(1 - i / 6) * (19 + i) + i / 6 * (i - 1) for i in range(1, 6)]
    assert shown[15:] == pytest.approx(mixed, abs=0.06)
    assert len(brush.seen) == 25  # what leads in is painted, and not shown


def test_a_loop_of_frames_at_uneven_times_shows_none_before_its_beginning(tmp_path):
    times = [0, 4, 8, 9, 10, 11, 12, 13, 14, 15, 16, 20]
    source = clips.clip(tmp_path / "in.mp4", clips.frames(12), times=times, unit=Fraction(1, 10))
    looped = open_source(source, VideoOptions(loop=True), None)
    shown = [frame.time for frame in looped.frames()]
    hidden = looped.length
    assert shown == [Fraction(t - times[hidden], 10) for t in times]
    assert looped.origin == Fraction(times[hidden], 10)


def test_the_sound_ends_where_the_part_does(job, tmp_path):
    source = two_shots(tmp_path, audio="aac")
    film = job(source, tmp_path / "out.mp4", end=1.0).run()
    theirs = [data for data, time in clips.packets(source, "audio") if time < 1]
    assert [data for data, _ in clips.packets(film.path, "audio")] == theirs
    film = job(source, tmp_path / "quiet.mp4", audio=False).run()
    assert clips.streams(film.path) == ["video"]


def test_a_ramp_fades_in(job, tmp_path):
    pictures = [np.zeros((32, 48, 3), np.uint8)] * 11
    source = clips.clip(tmp_path / "in.mp4", pictures, codec="libx264rgb", layout="rgb24",
                        options={"qp": "0"})  # fmt: skip
    film = job(source, tmp_path / "out.mp4", fade_in=True).run()
    shown = [frame.mean() / 255 for frame in clips.decoded(film.path)]
    assert shown == pytest.approx([i / 10 * (i + 1) / 32 for i in range(11)], abs=0.003)


def test_side_by_side_has_the_source_to_the_left(job, tmp_path):
    source = two_shots(tmp_path, 2, 2)
    film = job(source, tmp_path / "out.mp4", side_by_side=True).run()
    frame, before = (
        clips.decoded(film.path)[0],
        next(open_source(source, VideoOptions(), None).frames()),
    )
    assert frame.shape == (32, 96, 3)
    assert (frame[:, :48] == np.rint(before.pixels * 255)).all()
    assert (frame[:, 48:] == 8).all()


def test_pictures_in_and_out(job, tmp_path):
    source = two_shots(tmp_path)
    with pytest.raises(KilledError):
        job(source, tmp_path / "frames" / "%04d.png", Dying(14)).run()
    film = job(source, tmp_path / "frames" / "%04d.png").run(resume=True)
    names = sorted(p.name for p in (tmp_path / "frames").iterdir())
    assert names == [*(f"{i:04d}.png" for i in range(1, 26)), "impasto-recipe.json"]
    assert read_recipe(str(film.path)).film["frames"] == 25
    again = job(tmp_path / "frames" / "%04d.png", tmp_path / "b.mp4", fps=10).run()
    assert again.frames == 25


def test_pictures_of_an_earlier_longer_film_are_told(job, tmp_path):
    source, out, said = two_shots(tmp_path), tmp_path / "frames" / "%04d.png", []
    job(source, out).run(on_message=said.append)
    assert not said
    job(source, out, end=0.5).run(on_message=said.append)
    left = tmp_path / "frames" / "0006.png"
    assert said == [f"{left} and what follows it are of an earlier film: delete them."]


def test_a_film_of_one_frame_stays_one(job, tmp_path):
    film = job(clips.clip(tmp_path / "in.mp4", clips.frames(1)), tmp_path / "out.mp4").run()
    assert counts(film.path) == [1]
    with pytest.raises(InputError, match="too short for a loop"):
        job(tmp_path / "in.mp4", tmp_path / "b.mp4", loop=True).run()
    assert not (tmp_path / "b.mp4").exists()


def test_a_preview_is_a_sheet_of_frames_and_paintings(job, tmp_path):
    made = job(two_shots(tmp_path), tmp_path / "out.mp4", start=0.5)
    page = made.preview([2.0, 0.6])
    assert page.shape[2] == 3
    assert made.stylizer.begun == 2
    assert not (tmp_path / "out.mp4").exists()
    with pytest.raises(InputError, match="no frame at 9 s"):
        made.preview([9.0])


def test_what_cannot_be_is_refused_before_the_work(job, tmp_path):
    source = two_shots(tmp_path)
    with pytest.raises(InputError, match="would be overwritten"):
        job(source, source)
    among = tmp_path / "frames"
    among.mkdir()
    write(np.zeros((32, 48, 3), np.float32), among / "1.png")
    for content in (among, among / "%d.png"):
        with pytest.raises(InputError, match="would be overwritten"):
            job(content, among / "%d.png")
    with pytest.raises(InputError, match="is one picture"):
        job(source, tmp_path / "out.png")
    with pytest.raises(KnobError, match="leave no film"):
        job(source, tmp_path / "out.mp4", start=3, end=2)
    with pytest.raises(KnobError, match="a film has its own"):
        job(source, tmp_path / "out.mp4", fps=10)
    with pytest.raises(InputError, match="folder is missing"):
        job(source, tmp_path / "none" / "out.mp4")


def test_transparency_is_kept_in_pictures_and_told_of_in_films(job, tmp_path):
    (tmp_path / "in").mkdir()
    alpha = np.linspace(0, 1, 48, dtype=np.float32) * np.ones((32, 1), np.float32)
    for i in range(3):
        write(np.full((32, 48, 3), 0.5, np.float32), tmp_path / "in" / f"{i}.png", alpha=alpha)
    job(tmp_path / "in", tmp_path / "out" / "%d.png").run()
    assert read(tmp_path / "out" / "2.png").alpha == pytest.approx(alpha, abs=0.01)
    made = job(tmp_path / "in", tmp_path / "out.mp4")
    assert any("transparency is lost" in note for note in made.request.content.notes)


def test_a_still_is_not_overwritten_by_its_film(job, tmp_path):
    for name in ("00001.png", "still.png"):
        write(np.zeros((16, 16, 3), np.float32), tmp_path / name)
    with pytest.raises(InputError, match="would be overwritten"):
        job(tmp_path / "00001.png", tmp_path / "%05d.png", seconds=0.1)
    job(tmp_path / "still.png", tmp_path / "%05d.png", seconds=0.1)
