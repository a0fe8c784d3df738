"""The loop: what is stopped and resumed ends as what never was."""

import math
import signal

import pytest
import torch

from impasto.core.errors import InputError, TrainingError
from impasto.train import trainer as loops

NAMES = ("fast", "compact", "adain", "wct")


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def stop_after(step):
    def watch(progress):
        if progress.step == step:
            raise KeyboardInterrupt

    return watch


def weights(loop):
    return {n: t.clone() for n, t in loop.model_tensors()[0].items()}


@pytest.mark.parametrize(
    ("name", "more"), [*((name, {}) for name in NAMES), ("fast", {"stable": True})]
)
def test_a_run_that_was_stopped_ends_with_the_same_bits(loop_of, name, more):
    unbroken = loop_of(name, **more)
    assert unbroken.run(lambda _: None).finished
    broken = loop_of(name, output="other.safetensors", **more)
    stopped = broken.run(stop_after(2))  # in the midst of a round through the seven photographs
    assert (stopped.step, stopped.finished) == (2, False)
    resumed = loop_of(name, output="other.safetensors", resume=True, **more)
    assert resumed.step == 2
    taught = resumed.run(lambda _: None)
    assert taught.finished
    assert same(weights(unbroken), weights(resumed))
    assert taught.terms == unbroken.terms
    assert taught.seconds > stopped.seconds


def test_a_run_teaches(loop_of):
    first = {}

    def watch(progress):
        first.setdefault("total", sum(progress.terms.values()))

    loop = loop_of("compact", steps=12, learning_rate=1e-2)
    taught = loop.run(watch)
    assert sum(taught.terms.values()) < first["total"]


def test_previews_change_nothing(loop_of):
    calm, watched = loop_of(), loop_of(output="other.safetensors")
    calm.run(lambda _: None)
    shown = []
    watched.run(lambda progress: shown.append(progress.preview()))
    assert same(weights(calm), weights(watched))
    assert all(p.shape[0] == 3 and 0 <= p.min() <= p.max() <= 1 for p in shown)


def test_ctrl_c_stops_between_two_steps(loop_of):
    def watch(progress):
        if progress.step == 3:
            signal.raise_signal(signal.SIGINT)

    loop = loop_of()
    taught = loop.run(watch)
    assert (taught.step, taught.finished) == (3, False)
    assert loop_of(resume=True).step == 3


def test_a_second_ctrl_c_stops_at_once_and_saves_nothing_half_done(loop_of, monkeypatch):
    loop = loop_of()

    def twice(terms):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(loop, "_update_terms", twice)
    with pytest.raises(KeyboardInterrupt):
        loop.run(lambda _: None)
    assert not loop.checkpoint.exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"learning_rate": 0.5}, "learning_rate differ"),
        ({"batch_size": 3, "seed": 1}, "batch_size, seed differ"),
    ],
)
def test_other_knobs_are_refused_on_resume(loop_of, more, said):
    loop_of().run(stop_after(1))
    with pytest.raises(InputError, match=said):
        loop_of(resume=True, **more)


def test_other_pictures_are_refused_on_resume(loop_of, album_folders):
    loop_of().run(stop_after(1))
    with pytest.raises(InputError, match="photos differ"):
        loop_of(resume=True, sources={"photos": [str(f) for f in album_folders]})


def test_another_start_is_refused_on_resume(loop_of, taught):
    loop_of(output="first.safetensors")
    first = loop_of(output="first.safetensors")
    taught(first)
    start = str(first.checkpoint.with_name("first.safetensors"))
    loop_of(init_from=start).run(stop_after(1))
    with pytest.raises(InputError, match="start differ"):
        loop_of(resume=True)
    assert loop_of(init_from=start, resume=True).step == 1


@pytest.mark.parametrize("content", [b"", b"not one", None])
def test_a_damaged_or_missing_checkpoint_is_refused(loop_of, tmp_path, content):
    if content is not None:
        (tmp_path / "out.safetensors.impasto-training").write_bytes(content)
    with pytest.raises(InputError, match=r"delete it|leave --resume out"):
        loop_of(resume=True)


def poison(loop, monkeypatch, step, value):
    """Let the loss of one step be ``value``."""
    real = loop.task.loss

    def loss(network, now, share):
        terms = real(network, now, share)
        return {n: t * value for n, t in terms.items()} if now == step else terms

    monkeypatch.setattr(loop.task, "loss", loss)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_ends_the_run_and_leaves_the_last_good_state(
    loop_of, monkeypatch, value
):
    monkeypatch.setattr(loops, "CHECKPOINT_SECONDS", -1.0)
    loop = loop_of()
    poison(loop, monkeypatch, 3, value)
    with pytest.raises(TrainingError, match=r"diverged at step 4: .*Try --learning-rate") as caught:
        loop.run(lambda _: None)
    assert f"The last good state is in {loop.checkpoint}" in str(caught.value)
    good = loop_of(resume=True)
    assert good.step == 3
    assert good.run(lambda _: None).finished


def test_too_long_steps_end_the_run(loop_of, monkeypatch):
    monkeypatch.setattr(loops, "WARMUP_FRACTION", 1)
    loop = loop_of(learning_rate=1.0, steps=200)
    for group in loop.optimizer.param_groups:
        group["times"] = 1e3
    with pytest.raises(TrainingError, match=r"learning-rate 0\.3"):
        loop.run(lambda _: None)


def test_of_a_first_step_that_diverges_no_state_is_promised(loop_of, monkeypatch):
    loop = loop_of()
    loop.checkpoint.write_bytes(b"of an earlier run")
    poison(loop, monkeypatch, 0, math.nan)
    with pytest.raises(TrainingError) as caught:
        loop.run(lambda _: None)
    assert "last good state" not in str(caught.value)


def test_an_estimate_takes_time_and_teaches_nothing(loop_of):
    measured, plain = loop_of(), loop_of(output="other.safetensors")
    before = {n: t.clone() for n, t in measured.task.network.state_dict().items()}
    assert measured.estimate_seconds() > 0
    assert same(before, measured.task.network.state_dict())
    measured.run(lambda _: None)
    plain.run(lambda _: None)
    assert same(weights(measured), weights(plain))


def test_a_full_disk_costs_a_warning(loop_of, monkeypatch):
    def refuse(path):
        raise InputError(f"Cannot write {path}: the system says 'No space left on device'.")

    monkeypatch.setattr(loops, "CHECKPOINT_SECONDS", -1.0)
    monkeypatch.setattr(loops, "atomic_write", refuse)
    said = []
    loop = loop_of()
    loop.warn = said.append
    assert loop.run(lambda _: None).finished
    assert len(said) == 1
    assert "No space left" in said[0]


def test_an_earlier_checkpoint_is_spared_for_a_while(loop_of, monkeypatch):
    loop = loop_of()
    loop.checkpoint.write_bytes(b"hours of work")
    loop.spared = math.inf
    loop.run(stop_after(2))
    assert not loop.kept
    assert loop.checkpoint.read_bytes() == b"hours of work"


def test_the_average_lies_where_the_network_does(loop_of):
    loop = loop_of()
    places = {p.device for net in (loop.average, loop.network) for p in net.parameters()}
    assert len(places) == 1


def test_without_accelerate_the_install_line_is_said(loop_of, monkeypatch):
    from impasto.core.errors import MissingExtraError

    monkeypatch.setitem(__import__("sys").modules, "accelerate", None)
    with pytest.raises(MissingExtraError, match=r'pip install "impasto\[train\]"'):
        loop_of()
