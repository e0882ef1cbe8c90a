"""A decoder's class of a text does not depend on its neighbours in the batch, whatever its configuration pads with."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from finetune import run
from finetune.predict import load
from tests.support import tiny
from tests.support.cases import recipe


@pytest.mark.parametrize("architecture", tiny.DECODERS)
@pytest.mark.parametrize("pad_in_config", [None, 0])
def test_a_prediction_alone_is_the_prediction_in_a_batch(checkpoint, tmp_path, architecture, pad_in_config):
    folder = tmp_path / architecture
    shutil.copytree(checkpoint(architecture), folder)
    path = Path(folder) / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "pad_token_id": pad_in_config}))
    result = run(recipe("classification", architecture, str(folder)), tmp_path / "runs", certified=False)
    predictor = load(result.directory)
    short, long = {"text": "a good film"}, {"text": "the plot is slow but the cast is great and so is the music"}
    alone, beside = predictor([short])[0], predictor([short, long])[0]
    assert np.allclose(list(alone["probabilities"].values()), list(beside["probabilities"].values()), atol=1e-5)
