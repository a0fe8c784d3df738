"""Decoders: sizes, and what their convolutions are."""

import pytest
import torch
import torch.nn.functional as F

from impasto.nets.decoder import POOLED_LAYERS, Decoder, max_pool_indices


@pytest.mark.parametrize("level", [1, 2, 3, 4, 5])
def test_the_picture_is_as_large_as_the_encoders(level):
    decoder = Decoder(7, (2, 3, 4, 5, 6)[:level])
    assert decoder(torch.rand(2, 7, 3, 5)).shape == (2, 3, 3 << (level - 1), 5 << (level - 1))


def test_the_encoders_convolutions_are_mirrored():
    convs = [tuple(w.shape[:2]) for n, w in Decoder(9, (2, 3, 4, 5)).named_parameters()
             if n.endswith("weight")]  # fmt: skip
    # conv4_1 to conv2_1 of VGG-19, backwards: 1 at an eighth, 4 at a quarter, 2 at half of the
    # resolution; at the full one there are two and the last.
    first, quarter, half = [(4, 9)], [(4, 4)] * 3 + [(3, 4)], [(3, 3), (2, 3)]
    assert convs == [*first, *quarter, *half, (2, 2), (2, 2), (3, 2)]


def test_a_shallow_one_is_two_convolutions():
    decoder = Decoder(4, (5,))
    x = torch.rand(1, 4, 6, 6)
    (first,) = decoder.stages[0]
    wanted = decoder.last(F.relu(first(x))) + 0.5
    torch.testing.assert_close(decoder(x), wanted)


def test_switches_say_where_each_window_had_its_maximum():
    features = {
        name: torch.rand(1, 2, 8 >> i, 12 >> i) for i, name in enumerate(reversed(POOLED_LAYERS))
    }
    found = max_pool_indices(features, 3)
    assert len(found) == 2
    for places, name in zip(found, ("conv2_2", "conv1_2"), strict=True):
        values = features[name]
        taken = values.flatten(2).gather(2, places.flatten(2)).view_as(places)
        assert torch.equal(taken, F.max_pool2d(values, 2))


def test_a_decoder_unpools_to_those_places():
    torch.manual_seed(0)
    decoder = Decoder(3, (2, 3)).requires_grad_(False)
    features = torch.rand(1, 3, 4, 5)
    places = max_pool_indices({"conv1_2": torch.rand(1, 2, 8, 10)}, 2)
    first, second = (next(iter(stage)) for stage in decoder.stages)
    x = F.relu(first(features))
    spread = torch.zeros(1, 2, 8, 10)
    spread.flatten(2).scatter_(2, places[0].flatten(2), x.flatten(2))
    x = F.relu(second(spread))
    for conv in list(decoder.stages[1])[1:]:
        x = F.relu(conv(x))
    wanted = decoder.last(x) + 0.5
    assert torch.allclose(decoder(features, places), wanted, atol=1e-6)
    assert not torch.allclose(decoder(features), wanted, atol=1e-3)
