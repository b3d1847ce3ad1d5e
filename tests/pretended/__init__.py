"""A pretended GPU: tensors say that they are on `cuda:N`, and their values are computed on the CPU.

What it shows without a GPU, because it is what CUDA does with the same calls:

* Tensors of two devices in one operation are refused, and so is a generator of the CPU for a tensor of the GPU.
* Streams are not ordered by themselves: what reads or overwrites what another stream has not finished is counted (`races`).
* A capture computes nothing, and what waits for the device is refused meanwhile. A replay does the operations again that were
  recorded, with the host's numbers of then, on the same memory.
* What makes the host wait for the device is counted (`waits`).

What it cannot show: how fast anything is, how sums are rounded, what memory is used, and what precision the arithmetic has.

    PRETENDED_GPUS=2 python -m pytest -n 0 tests/pretended

runs the tests of this folder. They need a process of their own, because torch's autograd takes a device that is made in Python
only before its first use; `tests/test_pretended.py` starts it.
"""

import os

VARIABLE = "PRETENDED_GPUS"  # the number of devices, in the environment of a process that is to have them
KNOWN = ("2.14",)  # versions of torch whose private parts are as this needs them


def wanted() -> int:
    """How many devices this process is to have."""
    return int(os.environ.get(VARIABLE, "0"))
