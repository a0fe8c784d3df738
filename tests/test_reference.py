import importlib.util
import itertools
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "reference.py"


def by_path(name, path):
    spec = importlib.util.spec_from_file_location(name, path)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


reference = by_path("reference", SCRIPT)

# The papers' tables, as (kernel, inputs, outputs, how often, the side is divided by).
ENCODER = [
    (3, 3, 64, 1, 1),
    (3, 64, 64, 1, 1),
    (3, 64, 128, 1, 2),
    (3, 128, 128, 1, 2),
    (3, 128, 256, 1, 4),
    (3, 256, 256, 3, 4),
    (3, 256, 512, 1, 8),
]
DECODER = [(kernel, outs, ins, n, side) for kernel, ins, outs, n, side in reversed(ENCODER)]
JOHNSON = [
    (9, 3, 32, 1, 1),
    (3, 32, 64, 1, 2),
    (3, 64, 128, 1, 4),
    (3, 128, 128, 10, 4),
    (3, 128, 64, 1, 2),
    (3, 64, 32, 1, 1),
    (9, 32, 3, 1, 1),
]


def weights_and_biases(table):
    return sum(n * (kernel**2 * ins * outs + outs) for kernel, ins, outs, n, _ in table)


def operations(table, side):
    """Two (a product and a sum) for every weight at every place."""
    return sum(2 * n * k**2 * ins * outs * (side // by) ** 2 for k, ins, outs, n, by in table)


def counted(run):
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


@pytest.fixture(autouse=True)
def _same_pictures():
    torch.manual_seed(1)


@pytest.fixture(scope="module")
def adain():
    torch.manual_seed(0)
    return reference.AdaINReference()


@pytest.fixture(scope="module")
def johnson():
    torch.manual_seed(0)
    return reference.JohnsonReference()


class TestAdaIN:
    def test_as_many_parameters_as_in_the_paper(self, adain):
        encoder, decoder = map(reference.parameters, (adain.encoder, adain.decoder))
        assert (encoder, decoder) == (weights_and_biases(ENCODER), weights_and_biases(DECODER))
        assert (encoder, decoder) == (3_505_728, 3_505_219)

    def test_as_much_work_as_in_the_paper(self, adain):
        picture = torch.rand(1, 3, 32, 32)
        statistics = adain.style_statistics(picture)
        work = operations(ENCODER + DECODER, 32)
        assert counted(lambda: adain(picture, statistics)) == work
        assert counted(lambda: adain.style_statistics(picture)) == operations(ENCODER, 32)

    @pytest.mark.parametrize(("size", "expected"), [((32, 48), (32, 48)), ((33, 39), (40, 40))])
    def test_sides_round_up_to_multiples_of_8(self, adain, size, expected):
        statistics = adain.style_statistics(torch.rand(1, 3, 24, 40))
        assert [each.shape for each in statistics] == [(1, 512, 1, 1)] * 2
        assert adain(torch.rand(2, 3, *size), statistics).shape == (2, 3, *expected)

    def test_its_own_statistics_leave_features_as_they_are(self, adain):
        features = adain.encoder(torch.rand(2, 3, 32, 32))
        same = reference.adain(features, reference.channel_statistics(features))
        torch.testing.assert_close(same, features)

    def test_features_take_on_the_statistics_of_the_style(self):
        content, style = 3 + 2 * torch.randn(2, 4, 16, 16), torch.randn(1, 4, 20, 12)
        painted = reference.adain(content, reference.channel_statistics(style))
        for dims in itertools.product(range(2), range(4)):
            torch.testing.assert_close(painted[dims].mean(), style[0, dims[1]].mean())
            deviation = style[0, dims[1]].std(correction=0)
            torch.testing.assert_close(painted[dims].std(correction=0), deviation)

    def test_it_paints_what_the_style_says(self, adain):
        content, *styles = torch.rand(3, 1, 3, 32, 32)
        one, other = (adain(content, adain.style_statistics(style**3)) for style in styles)
        assert (one - other).abs().max() > 0.01

    def test_colors_are_not_cut_by_a_relu_at_the_end(self, adain):
        assert isinstance(adain.decoder[-1], torch.nn.Conv2d)


class TestJohnson:
    def test_as_many_parameters_as_in_the_paper(self, johnson):
        normalized = 32 + 64 + 128 + 10 * 128 + 64 + 32  # each has a scale and a shift
        count = weights_and_biases(JOHNSON) + 2 * normalized
        assert reference.parameters(johnson) == count == 1_679_235

    def test_as_much_work_as_in_the_paper(self, johnson):
        picture = torch.rand(1, 3, 32, 32)
        assert counted(lambda: johnson(picture)) == operations(JOHNSON, 32)

    @pytest.mark.parametrize(("size", "expected"), [((32, 20), (32, 20)), ((33, 23), (36, 24))])
    def test_sides_round_up_to_multiples_of_4(self, johnson, size, expected):
        painted = johnson(torch.rand(2, 3, *size))
        assert painted.shape == (2, 3, *expected)
        assert 0 <= painted.min() < painted.max() <= 1


def test_no_run_pays_for_gradients(adain, johnson):
    picture = torch.rand(1, 3, 32, 32)
    assert not adain(picture, adain.style_statistics(picture)).requires_grad
    assert not johnson(picture).requires_grad


@pytest.fixture
def clock(monkeypatch):
    """Time stands still but for what a run takes: call the clock to let it pass."""

    class Clock:
        now = 0.0

        def __call__(self, seconds):
            self.now += seconds

    clock = Clock()
    monkeypatch.setattr(reference.time, "perf_counter", lambda: clock.now)
    return clock


class TestTimeOf:
    def test_the_warm_up_does_not_count(self, clock):
        takes = iter([100, 50, *[1, 2, 1, 5, 1]])
        timing = reference.time_of(lambda: clock(next(takes)), seconds=10)
        assert timing.seconds == (1, 2, 1, 5, 1)
        assert (timing.median, timing.spread) == (1, 0)

    def test_slow_runs_are_repeated_too(self, clock):
        timing = reference.time_of(lambda: clock(60), seconds=3)
        assert timing.seconds == (60,) * reference.LEAST

    def test_the_spread_is_the_median_distance_from_the_median(self):
        assert reference.Timing((1.0, 2.0, 4.0, 8.0, 3.0)).spread == 1
        assert reference.Timing((5.0,)).spread == 0

    def test_a_gpu_is_waited_for_within_the_time(self, clock, monkeypatch):
        queued = []
        monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
        monkeypatch.setattr(
            torch.cuda, "synchronize", lambda: [clock(queued.pop()) for _ in queued[:]]
        )
        assert reference.time_of(lambda: queued.append(2), seconds=1).median == 2


class TestSideBySide:
    def test_contenders_take_turns(self, clock):
        ran = []
        runs = {name: lambda name=name: (ran.append(name), clock(1)) for name in "abc"}
        reference.side_by_side(runs, rounds=2)
        assert ran[3 * reference.WARM_UP :] == list("abcabc")

    def test_noise_that_slows_a_round_does_not_move_the_ratio(self, clock):
        noise = {name: iter([9, 9, 1, 10, 3]) for name in ("theirs", "ours")}
        runs = {
            "theirs": lambda: clock(8 * next(noise["theirs"])),
            "ours": lambda: clock(2 * next(noise["ours"])),
        }
        found = reference.side_by_side(runs, rounds=3)
        assert found.medians == {"theirs": 24, "ours": 6}
        assert found.ratios == {"theirs": 1, "ours": 4}
        assert found.ratio("theirs", "ours") == 0.25


def test_as_a_script_it_only_says_how_large_they_are(capsys):
    reference.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "AdaINReference: 7,010,947 parameters",
        "JohnsonReference: 1,679,235 parameters",
    ]
