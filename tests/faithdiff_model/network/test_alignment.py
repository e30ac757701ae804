"""Attention over one token is the token's value: what it leaves out changes nothing."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from faithdiff_model.network.alignment import AlignmentBlock

CHANNELS, HEADS = 32, 4


@pytest.fixture
def block() -> AlignmentBlock:
    torch.manual_seed(0)
    return AlignmentBlock(CHANNELS, HEADS)


def attended(block: AlignmentBlock, tokens_N1C: torch.Tensor) -> torch.Tensor:
    """The attention in full: queries, keys, a softmax over one key."""
    query, key, value = (part.unflatten(2, (HEADS, -1)) for part in block.qkv(tokens_N1C).chunk(3, dim=2))
    weights = torch.einsum("nqhc,nkhc->nhqk", query, key).softmax(dim=-1)
    return block.attention_out(torch.einsum("nhqk,nkhc->nqhc", weights, value).flatten(2))


@torch.no_grad()
def test_one_token_is_the_full_computation(block: AlignmentBlock) -> None:
    tokens = torch.randn(50, 1, CHANNELS)
    normed = block.norm_attention(tokens)
    hidden = tokens + attended(block, normed)
    inner = block.mlp_in(block.norm_mlp(hidden))
    torch.testing.assert_close(block(tokens), hidden + block.mlp_out(inner * torch.sigmoid(1.702 * inner)))


@torch.no_grad()
def test_one_token_asks_for_no_queries_and_keys(block: AlignmentBlock) -> None:
    tokens = torch.randn(50, 1, CHANNELS)
    expected = block(tokens)
    twice = tokens.expand(-1, 2, -1)
    torch.testing.assert_close(block(twice)[:, :1], expected)
    block.qkv.weight[: 2 * CHANNELS] = torch.nan
    assert torch.equal(block(tokens), expected)
    assert not torch.allclose(block(twice)[:, :1], expected)  # two tokens do ask


def test_training_reaches_the_values_as_before(block: AlignmentBlock) -> None:
    tokens = torch.randn(50, 1, CHANNELS)
    block(tokens).square().sum().backward()
    assert block.qkv.weight.grad is not None
    found = block.qkv.weight.grad.clone()
    block.zero_grad()
    hidden = tokens + attended(block, block.norm_attention(tokens))
    inner = block.mlp_in(block.norm_mlp(hidden))
    (hidden + block.mlp_out(inner * functional.sigmoid(1.702 * inner))).square().sum().backward()
    torch.testing.assert_close(found, block.qkv.weight.grad)
    assert not found[: 2 * CHANNELS].any()
    assert found[2 * CHANNELS :].abs().min() > 0
