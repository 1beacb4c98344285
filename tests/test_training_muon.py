"""Muon: steps go equally far in all directions, and go on where they were."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="training needs the extra: pip install clearsight[train]")

from clearsight.training.muon import Muon, optimisers, orthogonal  # noqa: E402
from clearsight.training.network import Network  # noqa: E402


@pytest.mark.parametrize("shape", [(24, 40), (40, 24), (16, 16), (20, 300)])
def test_the_singular_vectors_stay_and_their_values_become_alike(shape):
    torch.manual_seed(sum(shape))
    left, _, right = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    matrix = left @ torch.diag(torch.logspace(0, -1, min(shape))) @ right
    inside = left.T @ orthogonal(matrix) @ right.T
    assert ((inside.diagonal() > 0.6) & (inside.diagonal() < 1.3)).all()
    torch.testing.assert_close(inside - torch.diag(inside.diagonal()), torch.zeros_like(inside), atol=1e-4, rtol=0)


def test_rare_directions_are_learned_nearly_as_fast_as_frequent_ones():
    torch.manual_seed(0)
    wanted = torch.randn(16, 16)
    strength = torch.logspace(0, -2, 16)
    left = {}
    for name, made in (
        ("muon", lambda weight: Muon([weight], lr=0.1, weight_decay=0.0)),
        ("plain", lambda weight: torch.optim.SGD([weight], lr=0.2)),
    ):
        weight = torch.nn.Parameter(torch.zeros(16, 16, 1, 1))
        mover = made(weight)
        for _ in range(60):
            loss = (strength * (weight.flatten(1) - wanted).square()).sum()
            weight.grad = None
            loss.backward()
            mover.step()
        left[name] = (weight.detach().flatten(1) - wanted).norm(dim=0) / wanted.norm(dim=0)
    assert left["plain"][0] < 0.01
    assert left["plain"][-1] > 0.75
    assert (left["muon"] < 0.75).all()
    assert left["muon"][-1] < 0.6


def test_it_goes_on_where_it_was():
    torch.manual_seed(0)
    weights = [torch.nn.Parameter(torch.ones(16, 16, 3, 3)) for _ in range(2)]
    movers = [Muon([weight], lr=0.01) for weight in weights]
    gradients = torch.randn(4, 16, 16, 3, 3)
    for step, gradient in enumerate(gradients):
        if step == 2:
            again = Muon([weights[1]], lr=0.5)
            again.load_state_dict(movers[1].state_dict())
            movers[1] = again
        for weight, mover in zip(weights, movers, strict=True):
            weight.grad = gradient.clone()
            mover.step()
    torch.testing.assert_close(weights[0], weights[1], atol=0, rtol=0)
    assert not torch.equal(weights[0], torch.ones_like(weights[0]))


def test_every_weight_has_one_optimiser():
    network = Network()
    movers = optimisers(network, rate=1e-3)
    held = [id(weight) for mover in movers.values() for group in mover.param_groups for weight in group["params"]]
    assert sorted(held) == sorted(id(weight) for weight in network.parameters())
    assert all(weight.ndim == 4 for weight in movers["muon"].param_groups[0]["params"])
