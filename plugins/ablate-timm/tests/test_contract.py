"""timm's models and optimizers keep what ablate asks of each kind."""

from ablate.testing import ModelContract, OptimizerContract


class TestModel(ModelContract):
    component = {"use": "timm", "arch": "test_resnet"}
    image_shapes = ((3, 32, 32), (1, 28, 28))


class TestFrozenModel(ModelContract):
    component = {"use": "timm", "arch": "test_convnext", "freeze_backbone": True}
    image_shapes = ((3, 64, 64),)


class TestLamb(OptimizerContract):
    component = {"use": "timm", "name": "lamb", "lr": 0.01}


class TestLion(OptimizerContract):
    component = {"use": "timm", "name": "lion", "lr": 0.003}
