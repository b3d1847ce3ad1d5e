"""pytorch-optimizer's optimizers keep what ablate asks of each: one of each way in which the family is made."""

from ablate.testing import OptimizerContract


class TestLion(OptimizerContract):
    component = {"use": "pytorch_optimizer", "name": "lion", "lr": 0.001, "arguments": {"weight_decay": 0.01}}


class TestMuon(OptimizerContract):
    """By layer, with AdamW for the rest."""

    component = {"use": "pytorch_optimizer", "name": "muon", "lr": 0.01}


class TestAdamMini(OptimizerContract):
    """It takes the model in place of its parameters."""

    component = {"use": "pytorch_optimizer", "name": "adammini", "lr": 0.01}
