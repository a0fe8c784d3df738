"""The best state has the most style among those that still paint their prompts."""

from impasto.train.lora.early_stopping import PATIENCE_EVALUATIONS, EarlyStopping, ValidationScore


def after(*looks):
    verdict = EarlyStopping([ValidationScore(0, 0.2, 0.3)])
    better = [
        verdict.add(ValidationScore(k + 1, style, told)) for k, (style, told) in enumerate(looks)
    ]
    return verdict, better


def test_more_style_is_better_while_it_is_faithful():
    verdict, better = after((0.4, 0.3), (0.6, 0.28), (0.9, 0.2))
    assert better == [True, True, False]
    assert verdict.best.step == 2
    assert not verdict.should_stop


def test_after_some_looks_without_a_better_one_it_is_enough():
    worse = [(0.5, 0.3)] * PATIENCE_EVALUATIONS
    assert after((0.6, 0.3), *worse)[0].should_stop
    assert not after((0.6, 0.3), *worse[1:])[0].should_stop
    assert not after((0.6, 0.3), *worse[1:], (0.7, 0.3))[0].should_stop


def test_none_that_is_faithful_is_none_that_is_best():
    verdict, better = after(*[(0.9, 0.1)] * PATIENCE_EVALUATIONS)
    assert not any(better)
    assert verdict.best is None
    assert verdict.should_stop


def test_a_base_that_fits_badly_is_a_measure_too():
    verdict = EarlyStopping([ValidationScore(0, 0.1, -0.2)])
    assert verdict.add(ValidationScore(1, 0.2, -0.21))
    assert not verdict.add(ValidationScore(2, 0.3, -0.3))


def test_it_is_taken_up_again():
    verdict, _ = after((0.4, 0.3), (0.6, 0.28))
    assert (
        EarlyStopping([ValidationScore(**look) for look in verdict.as_dicts()]).best == verdict.best
    )
