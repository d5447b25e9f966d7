"""Networks that differ in depth, width and skip length alone."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hcb_opt.generators import ForwardOp, training_step
from hcb_opt.graph import Graph

DEAR = 8


@dataclass(frozen=True)
class Shape:
    """A network of ``depth`` layers of ``width`` ops, with skips over ``skip`` layers, one behind the other.

    An op reads its own place and the next in the layer before; in every
    ``skip``-th layer, if ``skip`` is above 1, also its own place ``skip`` layers
    before. So ``width`` values cross the boundary between two layers, or twice as many
    under a skip. Values are one byte; layers cost 8 and 1 per op in turn, as
    products and activations would, and twice that backward.
    """

    depth: int
    width: int
    skip: int

    @property
    def title(self) -> str:
        """As an instance of the rows."""
        return f"depth {self.depth}, width {self.width}, skip {self.skip}"

    @classmethod
    def of(cls, title: str) -> Shape:
        """The shape that has this title."""
        return cls(*map(int, re.findall(r"\d+", title)))

    def graph(self) -> Graph:
        """Its training step."""
        forward = []
        for layer in range(self.depth):
            for place in range(self.width):
                read = {(layer - 1, place), (layer - 1, (place + 1) % self.width)}
                if layer % self.skip == 0:
                    read.add((layer - self.skip, place))
                inputs = sorted(self.width * each + other for each, other in read if each >= 0)
                cost = 1 if layer % 2 else DEAR
                forward.append(ForwardOp(tuple(inputs), 1, cost, 2 * cost))
        return training_step(forward, name=self.title)
