"""kornia's augmentations keep what ablate asks of each transform: of geometry, of intensity, and one that changes the size."""

from ablate.testing import TransformContract


class TestAffine(TransformContract):
    component = {"use": "kornia", "name": "RandomAffine", "arguments": {"degrees": 30.0, "translate": [0.1, 0.1], "p": 1.0}}


class TestGaussianBlur(TransformContract):
    component = {"use": "kornia", "name": "RandomGaussianBlur", "arguments": {"kernel_size": [3, 3], "sigma": [0.1, 2.0]}}


class TestResizedCrop(TransformContract):
    component = {"use": "kornia", "name": "RandomResizedCrop", "arguments": {"size": [20, 20]}}
    output_shape = (3, 20, 20)
