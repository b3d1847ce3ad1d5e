"""The pretended device does what CUDA does with the same calls."""

import pytest
import torch
from torch import nn

from .machine import GPU

DEVICE = torch.device("cuda")


def test_a_network_trains_as_on_the_cpu():
    def trained(device):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(64, 3)).to(device)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, fused=True)
        images = torch.rand(8, 1, 6, 6, generator=torch.Generator().manual_seed(0)).to(device)
        for _ in range(3):
            nn.functional.cross_entropy(model(images), torch.arange(8, device=device) % 3).backward()
            optimizer.step()
            optimizer.zero_grad()
        return model

    ours, other = trained(DEVICE), trained("cpu")
    assert next(ours.parameters()).device == torch.device("cuda:0")
    for (name, value), expected in zip(ours.state_dict().items(), other.state_dict().values(), strict=True):
        torch.testing.assert_close(value.cpu(), expected, msg=name)


def test_tensors_of_two_devices_are_refused_in_one_operation():
    ours = torch.zeros(3, device=DEVICE)
    for other in (torch.zeros(3), torch.zeros(3, device="cuda:1")):
        with pytest.raises(RuntimeError, match="two devices"):
            ours + other
    assert (ours + torch.tensor(2.0)).tolist() == [2, 2, 2], "a number of the CPU is no tensor of it"


def test_a_generator_of_the_cpu_is_refused():
    with pytest.raises(RuntimeError, match="generator"):
        torch.rand(3, device=DEVICE, generator=torch.Generator())


def test_the_device_draws_from_a_generator_of_its_own():
    before = torch.get_rng_state()
    torch.cuda.manual_seed_all(3)
    first = torch.rand(3, device=DEVICE).cpu()
    assert torch.equal(torch.get_rng_state(), before)
    torch.cuda.manual_seed_all(3)
    assert torch.equal(torch.rand(3, device=DEVICE).cpu(), first)


def test_what_waits_for_the_device_is_counted():
    ours = torch.zeros(3, device=DEVICE)
    GPU.forget()
    (ours + 1).mul_(2)
    assert not GPU.waits
    (ours + 1).sum().item()
    ours.nonzero()
    ours.cpu()
    assert {kind for kind, _ in GPU.waits} == {"_local_scalar_dense", "nonzero", "copy cuda to cpu"}


def test_a_race_between_streams_is_counted_until_they_are_ordered():
    first, second = torch.cuda.Stream(), torch.cuda.Stream()
    with torch.cuda.stream(first):
        made = torch.zeros(3, device=DEVICE)
    with torch.cuda.stream(second):
        made + 1
        assert GPU.races, "it reads what may not be written yet"
        GPU.forget()
        second.wait_stream(first)
        made + 1
        assert not GPU.races
    with torch.cuda.stream(first):
        made.add_(1)
        assert GPU.races, "it overwrites what may not be read yet"
        GPU.forget()
        torch.cuda.synchronize()
        made.add_(1)
        assert not GPU.races


def captured(work):
    stream, made = torch.cuda.Stream(), torch.cuda.CUDAGraph()
    with torch.cuda.stream(stream), torch.cuda.graph(made, stream=stream):
        work()
    return made


def test_a_capture_computes_nothing_and_a_replay_does_it_again_with_the_hosts_numbers_of_then():
    total, factor = torch.zeros(3, device=DEVICE), 2.0

    def work():
        total.add_(torch.ones(3, device=DEVICE) * factor)

    graph = captured(work)
    assert total.tolist() == [0, 0, 0]
    factor = 5.0
    graph.replay()
    graph.replay()
    assert total.tolist() == [4, 4, 4]


def test_a_replay_draws_from_the_state_that_was_captured():
    generator = torch.cuda.default_generators[0]
    drawn = torch.zeros(3, device=DEVICE)
    graph = captured(lambda: drawn.copy_(torch.rand(3, device=DEVICE)))
    generator.manual_seed(1)
    expected = torch.rand(3, device=DEVICE).tolist()
    generator.manual_seed(1)
    graph.replay()
    assert drawn.tolist() == expected
    generator.manual_seed(1)
    before = generator.graphsafe_get_state()
    generator.graphsafe_set_state(generator.clone_state().manual_seed(2))
    graph.replay()
    generator.graphsafe_set_state(before)
    assert drawn.tolist() == expected, "whichever state the generator has now"


def test_replays_that_share_a_seed_on_two_streams_are_a_race():
    drawn = [torch.zeros(3, device=DEVICE) for _ in range(2)]
    graphs = [captured(lambda place=place: place.copy_(torch.rand(3, device=DEVICE))) for place in drawn]
    for graph in graphs:
        with torch.cuda.stream(torch.cuda.Stream()):
            torch.cuda.current_stream().wait_stream(torch.cuda.default_stream())
            graph.replay()
    assert any("seed" in what for what, _ in GPU.races)


def test_what_waits_for_the_device_is_refused_while_it_is_captured():
    ours = torch.zeros(3, device=DEVICE)
    with pytest.raises(RuntimeError, match="capturing"):
        captured(lambda: ours.sum().item())
    assert GPU.recording is None
